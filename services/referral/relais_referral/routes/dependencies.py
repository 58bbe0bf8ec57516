"""What the routes ask for: who acts as what, the keys, the directory."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Protocol, Self, TypeVar
from uuid import UUID

from fastapi import Depends, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from relais_referral import store, views
from relais_referral.actions import common, stepping
from relais_referral.actions.common import Asked, Shown
from relais_referral.directory import Directory, NamedService
from relais_referral.domain import refusals
from relais_referral.domain.handshake import Action
from relais_referral.models.shared import Idempotency
from relais_referral.problems import TABLE
from relais_referral.store.callers import Caller
from relais_shared import idempotency, problems
from relais_shared.auth import Actor, requires
from relais_shared.clock import Now, clock_of, now_of
from relais_shared.db import apart, late
from relais_shared.http import CursorCodec, IfMatchHeader, etag, next_link, version_in
from relais_shared.idempotency import Keyed, KeyHeader, Replay, key_in, recall, remember
from relais_shared.refusals import (
    InvalidInput,
    MalformedRequest,
    NotFound,
    ScopeMissing,
    StaleVersion,
    Unauthenticated,
    VersionRequired,
)

MaySend = Annotated[Actor, requires("referral:send")]
"""A sender."""
MayReceive = Annotated[Actor, requires("referral:receive")]
"""A recipient."""
Either = Annotated[Actor, requires("referral:send", "referral:receive")]
"""A party of either side."""

READING: Any = problems.responses(Unauthenticated, ScopeMissing, NotFound, InvalidInput, table=TABLE)
"""What a reading may be refused with."""

WRITING: Any = problems.responses(
    MalformedRequest,
    Unauthenticated,
    ScopeMissing,
    NotFound,
    refusals.IllegalAction,
    refusals.ConsentMissing,
    InvalidInput,
    refusals.PersonalDataDetected,
    table=TABLE,
)
"""What a change beside the handshake may be refused with."""

STEP: Any = problems.responses(
    MalformedRequest,
    Unauthenticated,
    ScopeMissing,
    NotFound,
    refusals.IllegalAction,
    refusals.NotYourTurn,
    refusals.ConsentMissing,
    idempotency.StillRunning,
    StaleVersion,
    VersionRequired,
    InvalidInput,
    idempotency.KeyReused,
    refusals.PersonalDataDetected,
    table=TABLE,
)
"""What a step of the handshake may be refused with."""


def asked(request: Request, actor: Actor, now: datetime) -> Asked:
    """Answer who asks, when, with the keys that open what they may read."""
    return Asked(Caller(actor), now, request.app.state.sealer, clock_of(request))


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the handshake.

    Attributes:
        request: What asks for it.
        referral_id: What it is for.
        now: Its instant.
        key: Under which it is taken once.
        version: The ETag that was read; None where a step needs no reading first.
    """

    request: Request
    referral_id: UUID
    now: datetime
    key: Keyed | None
    version: str | None

    async def take(self, action: Action, actor: Actor, body: stepping.Body = None) -> Response:
        """Take the step, once for each key, and answer what the actor may then see, as `ReferralView`."""
        return await self.take_as(asked(self.request, actor, self.now), action, body)

    async def take_as(self, who: Asked, action: Action, body: stepping.Body = None) -> Response:
        """Take the step as whoever asks; it stands or falls with its transaction, and is told when it stands."""
        async with late(self.request) as tx:
            shown = await self._taken(tx, who, action, body)
        return told(shown)

    async def _taken(self, tx: AsyncSession, who: Asked, action: Action, body: stepping.Body) -> Shown:
        owner = who.caller.owner
        if self.key is not None and owner is not None:
            await store.callers.begin(tx, who.caller)
            if await recall(tx, Idempotency, self.key, owner, self.now) is not None:
                return await common.read(tx, who, self.referral_id)
            done = Replay(200, self.referral_id)
            remember(tx, Idempotency, self.key, owner, self.now, done=done)
        return await stepping.take(tx, who, self.referral_id, action, body, self.version)


# One dependency reads what a step needs: each costs FastAPI nearly as much as a statement costs the database. Plain
# functions would be called in a thread, which costs more than what they do.
async def _step(
    request: Request, referral_id: UUID, idempotency_key: KeyHeader = None, if_match: IfMatchHeader = None
) -> Step:
    key = await key_in(request, idempotency_key)
    return Step(request, referral_id, now_of(request), key, version_in(if_match))


async def _step_at_once(request: Request, referral_id: UUID, idempotency_key: KeyHeader = None) -> Step:
    return Step(request, referral_id, now_of(request), await key_in(request, idempotency_key), None)


AStep = Annotated[Step, Depends(_step)]
"""A step of the referral that the address names, on the version that was read."""
AStepAtOnce = Annotated[Step, Depends(_step_at_once)]
"""A step that needs no reading first."""


class _Made(Protocol):
    @property
    def id(self) -> UUID: ...


Made = TypeVar("Made", bound=_Made)


async def once(
    tx: AsyncSession,
    who: Asked,
    key: Keyed,
    again: Callable[[UUID], Awaitable[Made]],
    make: Callable[[], Awaitable[Made]],
) -> Made:
    """Make something once for each key; the second time it is read anew."""
    await store.callers.begin(tx, who.caller)
    done = await recall(tx, Idempotency, key, who.organisation_id, who.now)
    if done is not None:
        return await again(done.resource_id)
    made = await make()
    remember(tx, Idempotency, key, who.organisation_id, who.now, done=Replay(201, made.id))
    return made


async def drafted(tx: AsyncSession, who: Asked, key: Keyed, make: Callable[[], Awaitable[Shown]]) -> Shown:
    """Open a draft once for each key."""
    return await once(tx, who, key, lambda id_: common.read(tx, who, id_), make)


def told(shown: Shown, *, made: bool = False) -> Response:
    """Answer a representation as `ReferralView`, with its version; it is nobody's to keep.

    Args:
        shown: As its reader may see it.
        made: By this request: it is told with the place where it stands.
    """
    place = {"Location": f"/v1/referrals/{shown.id}"} if made else {}
    return Response(
        shown.view.model_dump_json(by_alias=True, exclude_unset=True),
        201 if made else 200,
        {"ETag": etag(shown.version), **NOT_KEPT, **place},
        "application/json",
    )


async def versioned(response: Response, tx: AsyncSession, who: Asked, referral_id: UUID) -> None:
    """Say in the answer to a change which version it left, where that is not a representation itself."""
    referral, parties = await store.referrals.lock(tx, referral_id, who.caller, reading=True)
    response.headers["ETag"] = etag(views.version(referral, parties))


NOT_KEPT: Final = {"Cache-Control": "no-store"}
"""Says that an answer is nobody's to keep."""


def keep_nothing(response: Response) -> None:
    """Say that an answer is nobody's to keep."""
    response.headers.update(NOT_KEPT)


async def _directory(request: Request) -> Directory:
    directory: Directory = request.app.state.directory
    return directory


FromDirectory = Annotated[Directory, Depends(_directory)]
"""The directory, asked before any transaction opens."""


async def _named_service(
    request: Request, referral_id: UUID, actor: MaySend, directory: FromDirectory, now: Now
) -> NamedService | None:
    # Read in a transaction of its own, then asked: no connection waits for another service.
    async with apart(request) as tx:
        service_id = await common.service_of(tx, asked(request, actor, now), referral_id)
    return await directory.service(service_id)


TheService = Annotated[NamedService | None, Depends(_named_service)]
"""The service that one of the sender's hand-overs names, as the directory knows it now; None where it is gone."""


@dataclass(frozen=True, slots=True)
class Pages:
    """The cursors of a list whose order is an instant, then an id."""

    codec: CursorCodec

    @classmethod
    def of(cls, request: Request, purpose: str) -> Self:
        """Answer the cursors of one list."""
        return cls(CursorCodec(request.app.state.settings.secret_bytes(), purpose))

    def position(self, cursor: str | None) -> tuple[datetime, UUID] | None:
        """Answer where a page begins.

        Raises:
            InvalidInput: Not a cursor of this list.
        """
        if cursor is None:
            return None
        at, id_ = self.codec.decode(cursor)
        return datetime.fromisoformat(at), UUID(id_)

    def more(self, request: Request, response: Response, last: tuple[datetime, UUID] | None) -> dict[str, str]:
        """Answer the members that lead to the next page, and link to it; none where nothing follows."""
        if last is None:
            return {}
        cursor = self.codec.encode([last[0].isoformat(), str(last[1])])
        response.headers["Link"] = next_link(request, cursor)
        return {"next_cursor": cursor}
