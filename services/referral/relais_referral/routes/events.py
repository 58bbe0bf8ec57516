"""What happened, told as one may know of it now: page by page, or as it happens."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Depends, Header, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import StreamingResponse

from relais_referral import store
from relais_referral.domain import refusals
from relais_referral.models.shared import OrganisationCopy
from relais_referral.problems import TABLE
from relais_referral.schemas.events import EventFeed, EventItem, EventType, item
from relais_referral.store.callers import Caller
from relais_shared import problems
from relais_shared.auth import Actor, requires
from relais_shared.db import Bell, Database, ReadTx
from relais_shared.http import CursorCodec, next_link
from relais_shared.refusals import Fault, InvalidInput, ScopeMissing, Unauthenticated
from relais_shared.registry import known
from relais_shared.service import Router

router = Router(prefix="/v1/events", tags=["events"])

MayFollow = Annotated[Actor, requires("referral:send", "referral:receive", "directory:read", "webhook:manage")]
"""Whoever may know of anything that events tell of; each of its scopes opens its own kind."""

FOLLOWING: Final[Any] = problems.responses(Unauthenticated, ScopeMissing, InvalidInput)

KEEP_ALIVE_S: Final = 15.0
"""A stream says something this often, so that nobody on the way takes it for dead."""
AT_ONCE: Final = 100
"""Events of one look of a stream."""
GATHER_S: Final = 0.05
"""What happens together is looked for together: a busy hour costs a stream twenty looks a second at most."""
STREAMS: Final = 20
"""Streams of one organisation on one process: several systems with several copies each."""
COME_BACK_MS: Final = 2_000
"""How soon a cut stream is opened again by whoever follows it."""
BEFORE_ALL: Final = UUID(int=0)
"""What stands in the cursor of whoever was told nothing yet: a stream that begins there misses nothing."""


class Followed(BaseModel):
    """Which events are followed."""

    model_config = ConfigDict(extra="forbid")

    type: list[EventType] = Field(default=[], description="Repeat for several; all that you may know of where absent.")
    practice: bool = Field(default=False, description="`true`: what happens in rehearsals, and nothing else.")
    cursor: str | None = Field(default=None, description="`next_cursor` of the last page.")


class FeedQuery(Followed):
    """A page of events."""

    limit: int = Field(default=100, ge=1, le=1_000)


@router.get("", response_model=EventFeed, responses=FOLLOWING)
async def list_events_of_organisation(
    request: Request, response: Response, actor: MayFollow, query: Annotated[FeedQuery, Query()], tx: ReadTx
) -> EventFeed:
    """Read what happened since a cursor, in one order; nothing is left out, and nothing comes twice.

    Keep `next_cursor` and ask again with it. Events are thin: read the subject for how it stands now. What you are no
    longer to know of is not here, whenever it happened.
    """
    response.headers["Cache-Control"] = "no-store"
    codec = _codec(request)
    await store.callers.begin(tx, Caller(actor))
    after = await _position(tx, codec, query.cursor) if query.cursor else 0
    found = await store.feed.told(
        tx, await _held(tx, actor), after=after, types=query.type, practice=query.practice, limit=query.limit + 1
    )
    shown = found[: query.limit]
    cursor = codec.encode(str(shown[-1].id)) if shown else query.cursor or codec.encode(str(BEFORE_ALL))
    more = len(found) > query.limit
    if more:
        response.headers["Link"] = next_link(request, cursor)
    items = [item(request.app.state.settings.public_url, one) for one in shown]
    return EventFeed(items=items, more=more, next_cursor=cursor)


def _codec(request: Request) -> CursorCodec:
    # A cursor holds the id of an event and no position: nobody reads from it how much happens elsewhere.
    return CursorCodec(request.app.state.settings.secret_bytes(), "events")


async def _held(tx: AsyncSession, actor: Actor) -> Actor:
    """Answer an actor with the scopes that its organisation still holds, by the registry's copy."""
    organisation = await known(tx, OrganisationCopy, actor.organisation_id) if actor.organisation_id else None
    held = frozenset(organisation.scopes) if organisation and organisation.active else frozenset()
    return Actor(
        kind=actor.kind,
        id=actor.id,
        organisation_id=actor.organisation_id,
        scopes=actor.scopes & held,
        user_id=actor.user_id,
        teams=actor.teams,
        leads=actor.leads,
        stands_for=actor.stands_for,
    )


async def _position(tx: AsyncSession, codec: CursorCodec, cursor: str) -> int:
    return await _place(tx, UUID(codec.decode(cursor)), "?cursor")


async def _place(tx: AsyncSession, event_id: UUID, pointer: str) -> int:
    if event_id == BEFORE_ALL:
        return 0
    position = await store.feed.position_of(tx, event_id)
    if position is None:
        raise InvalidInput(
            "This event is no longer kept, or never was yours.",
            [Fault(pointer, "Begin anew without it, and read how your referrals stand.")],
        )
    return position


async def _begin(
    request: Request,
    query: Annotated[Followed, Query()],
    tx: ReadTx,
    last_event_id: Annotated[UUID | None, Header(description="The id of the last event that you took.")] = None,
) -> int:
    """Answer the position after which a stream begins: where its reader was, else now."""
    actor: Actor = request.scope["relais.actor"]
    await store.callers.begin(tx, Caller(actor))
    if last_event_id is not None:
        return await _place(tx, last_event_id, "Last-Event-ID:")
    if query.cursor is not None:
        return await _position(tx, _codec(request), query.cursor)
    return await store.feed.last_position(tx)


@router.get(
    "/stream",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Server-sent events: `id`, `event` (the type) and `data`, an event as the feed has it.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        **FOLLOWING,
        **problems.responses(refusals.TooManyStreams, table=TABLE),
    },
)
async def stream_events(
    request: Request,
    actor: MayFollow,
    query: Annotated[Followed, Query()],
    after: Annotated[int, Depends(_begin, scope="function")],
) -> StreamingResponse:
    """Follow what happens as it happens (server-sent events).

    It begins after `Last-Event-ID`, or after `cursor`, or now. It ends when your token or your right does; open it
    again with the last id, and nothing is missed.
    """
    open_now: Counter[UUID | None] = request.app.state.streams
    if open_now[actor.organisation_id] >= STREAMS:
        raise refusals.TooManyStreams(
            f"{STREAMS} streams are open: end one, or ask the feed.", headers={"Retry-After": str(int(KEEP_ALIVE_S))}
        )
    lines = _counted(open_now, actor.organisation_id, _stream(request.app.state, actor, query, after))
    return StreamingResponse(lines, media_type="text/event-stream", headers={"Cache-Control": "no-store"})


async def _counted(
    open_now: Counter[UUID | None], organisation_id: UUID | None, lines: AsyncGenerator[bytes]
) -> AsyncIterator[bytes]:
    """Count a stream for as long as it is open."""
    open_now[organisation_id] += 1
    try:
        async with aclosing(lines):
            async for line in lines:
                yield line
    finally:
        open_now[organisation_id] -= 1
        if not open_now[organisation_id]:
            del open_now[organisation_id]


async def _stream(state: Any, actor: Actor, query: Followed, after: int) -> AsyncGenerator[bytes]:  # noqa: ANN401 - Starlette's
    database: Database = state.database
    bell: Bell = state.bell
    yield b"retry: %d\n\n" % COME_BACK_MS
    while True:
        ring = bell.next()
        async with database.session(read_only=True) as tx:
            await store.callers.begin(tx, Caller(actor))
            held = await _held(tx, actor)
            if not held.scopes:
                return
            found = await store.feed.told(
                tx, held, after=after, types=query.type, practice=query.practice, limit=AT_ONCE
            )
        if found:
            after = found[-1].position
            yield _lines([item(state.settings.public_url, one) for one in found])
        if len(found) < AT_ONCE:
            if await bell.within(ring, KEEP_ALIVE_S):
                await asyncio.sleep(GATHER_S)
            else:
                yield b": still here\n\n"


def _lines(items: Sequence[EventItem]) -> bytes:
    """Answer events as the stream's lines; JSON holds no line break."""
    return "".join(f"id: {one.id}\nevent: {one.type}\ndata: {one.model_dump_json()}\n\n" for one in items).encode()
