"""Keys of devices (passkeys), as they are kept, and what is not one."""

from dataclasses import dataclass

from relais_shared.refusals import Refusal


class Unfit(Refusal):
    """What a browser answers for a key does not fit: which part of it is not told."""


@dataclass(frozen=True, slots=True)
class Made:
    """A key that was made for an account: its id, its public half (COSE), how often it signed by its own count."""

    id: bytes
    public: bytes
    count: int
