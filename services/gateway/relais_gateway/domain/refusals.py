"""What the rules of the door refuse."""

from relais_shared.refusals import Refusal


class InvalidScope(Refusal):
    """A scope that does not exist, or nothing left of what was asked for."""


class TooManyCalls(Refusal):
    """One address called more often than what is open to all allows."""


class GrantImpossible(Refusal):
    """A control unit holds no referral scope; without an agreement on record nobody does."""
