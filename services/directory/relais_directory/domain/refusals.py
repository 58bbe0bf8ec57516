"""What the directory's rules say no to, beside the common refusals."""

from relais_shared.refusals import Refusal


class NotNow(Refusal):
    """What was asked does not fit the state it is in."""


class PersonalDataDetected(Refusal):
    """A text holds what tells who somebody is, or how she is reached."""
