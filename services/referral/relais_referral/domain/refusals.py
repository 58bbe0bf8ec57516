"""What the rules of a hand-over refuse."""

from relais_shared.refusals import Refusal


class IllegalAction(Refusal):
    """The table has no such action from this state."""


class NotYourTurn(Refusal):
    """The action belongs to another party."""


class ConsentMissing(Refusal):
    """The action discloses, and no active consent covers the recipient."""


class RecipientNotBound(Refusal):
    """The recipient's staff is bound by no secrecy: these categories do not go there."""


class SensitiveBasisMissing(Refusal):
    """A sensitive theme needs the basis on which each side may process it (GDPR, article 9)."""


class AgreementMissing(Refusal):
    """An organisation takes part in hand-overs only with a signed agreement on record."""


class PersonalDataDetected(Refusal):
    """A text that is read before acceptance holds what tells who she is, or a national number stands anywhere."""


class TooManyStreams(Refusal):
    """The organisation follows in as many places as it may."""
