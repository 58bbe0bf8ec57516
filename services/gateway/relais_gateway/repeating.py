"""What makes something makes it once, however often the call comes with the same key; its secret is found again."""

import hmac
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from secrets import token_urlsafe
from typing import Final
from uuid import UUID, uuid4

from relais_gateway import repeat_store
from relais_gateway.store import Connection
from relais_shared.auth import Actor
from relais_shared.idempotency import KEPT_FOR, Keyed, KeyReused, StillRunning
from relais_shared.problems import RETRY_AFTER_S
from relais_shared.refusals import MalformedRequest, NotFound

REFUSALS: Final = (MalformedRequest, KeyReused, StillRunning)
"""What a call with a key can be refused for."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call that makes something.

    Attributes:
        id: Of what it makes, or made the first time.
        repeated: It was made before: nothing is to be done, and the answer is made anew.
        keyed: The key that it came with, if any.
    """

    id: UUID
    repeated: bool
    keyed: Keyed | None

    def secret(self, kept: bytes) -> str:
        """Answer a secret of 256 bits to hand out: by chance, or such that a repeat finds it again.

        Args:
            kept: Ours alone: whoever does not have it finds nothing.
        """
        if self.keyed is None:
            return token_urlsafe(32)
        said = b"\0".join((b"handed out", self.id.bytes, self.keyed.key.encode()))
        return urlsafe_b64encode(hmac.digest(kept, said, sha256)).decode().rstrip("=")


async def begin(connection: Connection, keyed: Keyed | None, actor: Actor, status: int, now: datetime) -> Call:
    """Tell whether a call repeats one of the last 24 hours; else note it, standing or falling with the transaction.

    Args:
        connection: In the transaction that does what is asked.
        keyed: The key, if the call has one.
        actor: Who calls; a key is its organisation's.
        status: Of the answer when it goes well.
        now: The instant of the call.

    Raises:
        StillRunning: The first call with the key has not ended.
        KeyReused: It asked for something else.
    """
    if keyed is None:
        return Call(uuid4(), repeated=False, keyed=None)
    own = actor.organisation_id
    if own is None:
        # The door lets nobody in without an organisation.
        raise NotFound("There is no organisation behind this token.")
    since = now - KEPT_FOR
    named = sha256(f"{own}|{keyed.route}|{keyed.key}".encode()).digest()
    if not await repeat_store.open_to(connection, own, keyed, int.from_bytes(named[:8], signed=True), since):
        raise StillRunning("Wait a moment, then send it again.", headers={"Retry-After": str(RETRY_AFTER_S)})
    # The first may have ended between the look and the lock: what is read now, under the lock, counts.
    before = await repeat_store.first(connection, own, keyed, since)
    if before is None:
        made = uuid4()
        await repeat_store.note(connection, own, keyed, status, made, now)
        return Call(made, repeated=False, keyed=keyed)
    if not hmac.compare_digest(before["fingerprint"], keyed.fingerprint):
        raise KeyReused("Take a new key for a new request.")
    return Call(before["resource_id"], repeated=True, keyed=keyed)
