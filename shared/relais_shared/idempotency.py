"""Replay by Idempotency-Key: the same request twice does its work once (IETF httpapi draft)."""

import hmac
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from hashlib import sha256
from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Header, Request
from sqlalchemy import BigInteger, Select, bindparam, func, select, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import DateTime, Field, SQLModel, col

from relais_shared.appending import append
from relais_shared.problems import RETRY_AFTER_S, Problem
from relais_shared.refusals import MalformedRequest, Refusal

KEPT_FOR: Final = timedelta(hours=24)
"""As long as a client may sensibly retry (design 10)."""

LONGEST_KEY: Final = 255
"""Characters of a key: a UUID has 36; nobody needs more than this."""


_BARE: Final = r"[!#-\[\]-~]+"
"""Printable characters but the quote and the backslash, which a structured-field string would have to escape."""
_QUOTED: Final = f'"{_BARE}"'


class KeyMissing(Refusal):
    """This operation creates something and takes no chance on repeats: it needs a key."""


class KeyReused(Refusal):
    """The key was used for another request."""


class StillRunning(Refusal):
    """The first request with this key has not ended yet."""


PROBLEMS: Final[dict[type[Refusal], Problem]] = {
    KeyMissing: Problem("idempotency-key-missing", 400, "This needs an Idempotency-Key."),
    KeyReused: Problem("idempotency-key-reused", 422, "This Idempotency-Key was used for another request."),
    StillRunning: Problem("request-in-progress", 409, "The first request with this key is still running."),
}
"""Rows for the problem table of a service that takes keys."""


class IdempotencyColumns(SQLModel):
    """What is kept of a keyed request: never the answer itself, which is made anew at each replay."""

    organisation_id: UUID = Field(primary_key=True)
    route: str = Field(primary_key=True, description="Method and template of the operation.")
    key: str = Field(primary_key=True, max_length=LONGEST_KEY)
    fingerprint: bytes = Field(description="HMAC-SHA-256 of the body under the service's secret.")
    status: int
    resource_id: UUID
    created_at: datetime = Field(sa_type=DateTime(timezone=True))


@dataclass(frozen=True, slots=True)
class Keyed:
    """A request's key, its operation, and the fingerprint of its body."""

    key: str
    route: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Replay:
    """What the first request with this key did."""

    status: int
    resource_id: UUID


KeyHeader = Annotated[
    str | None,
    Header(
        description="A string of your own, best a UUID; kept for 24 hours.",
        # Said, and judged below: what does not fit is malformed (400), as a structured field is.
        json_schema_extra={"pattern": f"^({_QUOTED}|{_BARE})$", "maxLength": LONGEST_KEY},
    ),
]
"""The header as it came, for a dependency that reads several; the parameter is called `idempotency_key`."""


async def key_in(request: Request, idempotency_key: str | None) -> Keyed | None:
    """Answer the key of a request in its header, where there is one.

    Raises:
        MalformedRequest: It is no key.
    """
    if idempotency_key is None:
        return None
    # A structured-field string stands in quotes; bare values are taken too.
    given = idempotency_key.strip()
    text = given.strip('"') if re.fullmatch(f"{_QUOTED}|{_BARE}", given) else ""
    if not text or len(text) > LONGEST_KEY:
        raise MalformedRequest(f"Idempotency-Key takes 1 to {LONGEST_KEY} printable characters.")
    secret: bytes = request.app.state.settings.secret_bytes()
    place = "&".join(f"{name}={value}" for name, value in sorted(request.path_params.items()))
    fingerprint = hmac.digest(secret, place.encode() + b"\n" + await request.body(), sha256)
    return Keyed(text, f"{request.method} {request.scope['route'].path}", fingerprint)


async def _optional(request: Request, idempotency_key: KeyHeader = None) -> Keyed | None:
    return await key_in(request, idempotency_key)


async def _required(keyed: Annotated[Keyed | None, Depends(_optional)]) -> Keyed:
    if keyed is None:
        raise KeyMissing("Send an Idempotency-Key, best a new UUID, and the same one when you retry.")
    return keyed


OptionalKey = Annotated[Keyed | None, Depends(_optional)]
"""The key of a request that may have one."""
RequiredKey = Annotated[Keyed, Depends(_required)]
"""The key of a request that must have one; 400 without."""


async def recall(
    tx: AsyncSession, table: type[IdempotencyColumns], keyed: Keyed, organisation_id: UUID, now: datetime
) -> Replay | None:
    """Answer what the first request with this key did, or take the key for this transaction.

    Whoever comes while it runs is refused, never left waiting: a connection that waits serves nobody. Once it has
    ended, repeats take no lock, so that they do not refuse each other.

    Raises:
        StillRunning: Another transaction holds the key.
        KeyReused: The key was used within 24 hours for another body.
    """
    forgotten = now - KEPT_FOR
    name = f"{organisation_id}|{keyed.route}|{keyed.key}"
    number = int.from_bytes(sha256(name.encode()).digest()[:8], signed=True)
    facts = {"owner": organisation_id, "route": keyed.route, "key": keyed.key, "forgotten": forgotten}
    # One statement looks, then locks only where nothing was found: a new request pays no round trip for repeats.
    if not await tx.scalar(_looking(table), facts | {"number": number}):
        raise StillRunning("Wait a moment, then send it again.", headers={"Retry-After": str(RETRY_AFTER_S)})
    # The first may have ended between the look and the lock: what is read now, under the lock, counts.
    row = await tx.get(table, (organisation_id, keyed.route, keyed.key))
    if row is None:
        return None
    if row.created_at <= forgotten:
        await tx.delete(row)
        await tx.flush()  # The old row leaves before its successor with the same key comes.
        return None
    if not hmac.compare_digest(row.fingerprint, keyed.fingerprint):
        raise KeyReused("Take a new key for a new request.")
    return Replay(row.status, row.resource_id)


@cache
def _looking(table: type[IdempotencyColumns]) -> Select[bool]:
    ended = select(true()).where(
        col(table.organisation_id) == bindparam("owner"),
        col(table.route) == bindparam("route"),
        col(table.key) == bindparam("key"),
        col(table.created_at) > bindparam("forgotten"),
    )
    locked = func.pg_try_advisory_xact_lock(bindparam("number", type_=BigInteger()))
    return select(func.coalesce(ended.scalar_subquery(), locked))


def remember(  # noqa: PLR0913 - the transaction, and what the row holds
    tx: AsyncSession,
    table: type[IdempotencyColumns],
    keyed: Keyed,
    organisation_id: UUID,
    now: datetime,
    *,
    done: Replay,
) -> None:
    """Keep what this transaction did under its key, standing or falling with it."""
    append(
        tx,
        table,
        organisation_id=organisation_id,
        route=keyed.route,
        key=keyed.key,
        fingerprint=keyed.fingerprint,
        status=done.status,
        resource_id=done.resource_id,
        created_at=now,
    )
