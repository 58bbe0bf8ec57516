"""What the rules of the door refuse."""

from relais_shared.refusals import Refusal


class InvalidScope(Refusal):
    """A scope that does not exist, or nothing left of what was asked for."""


class InvalidClient(Refusal):
    """A client that does not show that it is the one it says."""


class InvalidProof(Refusal):
    """A DPoP proof that fits neither the request nor the time; `stale` where it wants our nonce of now."""


class TooManyCalls(Refusal):
    """A caller called more often, or more at once, than is allowed."""


class GrantImpossible(Refusal):
    """A control unit holds no referral scope; without an agreement on record nobody does."""


class LastKey(Refusal):
    """The only signing key of its kind cannot go: another has to be there first."""


class WrongPassword(Refusal):
    """The password shown is not the account's, or was tried too often: which one is not told."""


class Weak(Refusal):
    """A password that cannot be taken; its text is one of `choosing.Weakness`."""


class AgreementMissing(Refusal):
    """A scope of hand-overs is granted only to who has a signed agreement in force."""


class LastAdministrator(Refusal):
    """Nobody could administer any more: another administrator has to be there first."""
