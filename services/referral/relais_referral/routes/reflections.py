"""Reflection: the quality criteria, what your own side noted of a closed hand-over, and the sums of all."""

from datetime import date
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Request, Response

from relais_referral import store
from relais_referral.actions import reflecting
from relais_referral.criteria import Criteria
from relais_referral.domain import refusals
from relais_referral.domain.reflection import name_of, next_quarter
from relais_referral.models.reflections import ReflectionPeriod
from relais_referral.problems import TABLE
from relais_referral.routes.dependencies import READING, Either, asked, keep_nothing
from relais_referral.routes.figures import STATS, MayCount
from relais_referral.schemas.reflections import (
    Note,
    NoteView,
    ReflectionPeriodView,
    ReflectionsPage,
    ReflectionsQuery,
)
from relais_referral.store.callers import Caller
from relais_shared import problems
from relais_shared.auth import Actor, requires
from relais_shared.clock import Now
from relais_shared.db import ReadTx, WriteTx
from relais_shared.http import CursorCodec, IfMatch, etag, next_link
from relais_shared.refusals import MalformedRequest, StaleVersion, VersionRequired
from relais_shared.service import Router

router = Router(prefix="/v1", tags=["reflection"])

MayKnow = Annotated[Actor, requires("referral:send", "referral:receive", STATS)]
"""Whoever notes, or reads what was noted."""

_NOTING: Any = {
    **READING,
    **problems.responses(MalformedRequest, refusals.IllegalAction, StaleVersion, VersionRequired, table=TABLE),
}


@router.get("/reflections/criteria", response_model=Criteria, responses=READING)
async def read_criteria(request: Request, actor: MayKnow) -> Criteria:
    """Read the quality criteria that hold here, in the order of the form and in four languages.

    A version never changes: a list that takes its place has another.
    """
    del actor
    criteria: Criteria = request.app.state.criteria
    return criteria


@router.get("/referrals/{referral_id}/reflection", response_model=NoteView, responses=READING)
async def read_reflection(
    request: Request, response: Response, referral_id: UUID, actor: Either, tx: WriteTx, now: Now
) -> NoteView:
    """Read what your side noted of a closed hand-over, and until when it may.

    `until` is null where nothing is noted: it is not closed, its quarter was counted, its sender may sanction, or she
    did not agree to `statistics`.
    """
    return _told(response, *await reflecting.read_note(tx, asked(request, actor, now), referral_id))


@router.put("/referrals/{referral_id}/reflection", response_model=NoteView, responses=_NOTING)
async def note_reflection(
    request: Request,
    response: Response,
    referral_id: UUID,
    body: Note,
    actor: Either,
    version: IfMatch,
    tx: WriteTx,
    now: Now,
) -> NoteView:
    """Note which quality criteria held, for your side: ticked or not, no words, no counsellor's name.

    Send the ETag of your last reading as `If-Match`. The same note again changes nothing. Neither the other side nor
    anybody else reads it: it is told in sums of five persons at least (`GET /v1/figures/reflections`), and is gone
    once its quarter is counted.
    """
    criteria = request.app.state.criteria
    who = asked(request, actor, now)
    return _told(response, *await reflecting.note(tx, who, referral_id, body, version, criteria))


def _told(response: Response, view: NoteView, version: int) -> NoteView:
    response.headers["ETag"] = etag(version)
    keep_nothing(response)
    return view


@router.get("/figures/reflections", response_model=ReflectionsPage, responses=READING)
async def read_reflections(
    request: Request, response: Response, actor: MayCount, query: Annotated[ReflectionsQuery, Query()], tx: ReadTx
) -> ReflectionsPage:
    """Read in how many notes each quality criterion held, by the quarter in which hand-overs were closed.

    A quarter is counted once, a month after its end; one that is of too few is told with the others of its year that
    are. Nothing is told of fewer than five persons, nor what would let it be computed, also by an organisation that
    takes off its own notes. Nothing names or ranks an organisation or a counsellor. A grant with limits reads none.
    """
    codec = CursorCodec(request.app.state.settings.secret_bytes(), "figures:reflections")
    after = None
    if query.cursor is not None:
        before, since = codec.decode(query.cursor)
        after = date.fromisoformat(before), date.fromisoformat(since)
    await store.callers.begin(tx, Caller(actor))
    if any((actor.limits.get(STATS) or {}).values()):
        # A note has neither theme nor municipality: there is no row that such a grant reaches.
        return ReflectionsPage(items=[])
    rows, more = await store.reflections.page(tx, after, query.limit)
    page = ReflectionsPage(items=[_period(row) for row in rows])
    if more is not None:
        page.next_cursor = codec.encode([more[0].isoformat(), more[1].isoformat()])
        response.headers["Link"] = next_link(request, page.next_cursor)
    return page


def _period(row: ReflectionPeriod) -> ReflectionPeriodView:
    told: dict[str, Any] = row.told or {}
    whole = row.before != next_quarter(row.since)
    return ReflectionPeriodView(
        period=str(row.since.year) if whole else name_of(row.since),
        quarters=told["quarters"],
        counted_at=row.counted_at,
        criteria_version=told["criteria"],
        criteria=told["rows"],
    )
