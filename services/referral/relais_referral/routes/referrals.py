"""Referrals: open, list, read, and every step of the handshake."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import Query, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from relais_referral import store, views
from relais_referral.actions import common, conversing, drafting, pathway, previewing, telephoning
from relais_referral.domain import refusals
from relais_referral.domain.handshake import Party, State
from relais_referral.domain.visibility import Category
from relais_referral.papers.sheet import sheet
from relais_referral.problems import TABLE
from relais_referral.routes import files
from relais_referral.routes.dependencies import (
    READING,
    STEP,
    WRITING,
    Either,
    FromDirectory,
    MaySend,
    Pages,
    TheService,
    asked,
    drafted,
    keep_nothing,
    told,
)
from relais_referral.routes.files import WantedForm
from relais_referral.schemas.common import Slug
from relais_referral.schemas.drafts import Draft, DraftChange, ExternalIds
from relais_referral.schemas.person import PreviewPage
from relais_referral.schemas.referrals import (
    AlternativePage,
    Assignment,
    CountsView,
    DisclosurePage,
    EventPage,
    PathwayOutline,
    ReferralPage,
    ReferralView,
)
from relais_referral.store.callers import Caller
from relais_shared import idempotency, problems
from relais_shared.clock import Now
from relais_shared.db import ReadTx, WriteTx
from relais_shared.http import IfMatch, etag
from relais_shared.idempotency import RequiredKey
from relais_shared.refusals import (
    InvalidInput,
    MalformedRequest,
    NotFound,
    ScopeMissing,
    Unauthenticated,
    Unavailable,
)
from relais_shared.service import Router

router = Router(prefix="/v1/referrals", tags=["referrals"])

ALTERNATIVES = problems.responses(Unauthenticated, ScopeMissing, NotFound, InvalidInput, Unavailable, table=TABLE)


@router.post(
    "",
    status_code=201,
    response_model=ReferralView,
    responses=problems.responses(
        idempotency.KeyMissing,
        MalformedRequest,
        Unauthenticated,
        ScopeMissing,
        refusals.AgreementMissing,
        idempotency.StillRunning,
        InvalidInput,
        idempotency.KeyReused,
        refusals.PersonalDataDetected,
        Unavailable,
        table=TABLE,
    ),
)
async def create_referral(
    request: Request,
    draft: Draft,
    actor: MaySend,
    key: RequiredKey,
    directory: FromDirectory,
    tx: WriteTx,
    now: Now,
) -> Response:
    """Open a referral as a draft, which you alone can see.

    Nothing goes to the other side before her agreement is recorded and you propose. The texts that are read before
    acceptance may hold neither her names nor a phone number, an e-mail address or a national number.
    """
    # The directory is asked before the transaction opens: no connection waits for another service.
    service = await directory.service(draft.recipient.service_id)
    themes = await directory.themes(now)
    home = await directory.home(draft.person.area.municipality, now)
    who = asked(request, actor, now)
    shown = await drafted(tx, who, key, lambda: drafting.open_draft(tx, who, draft, service, themes, home))
    shown.view.launch_url = f"{request.app.state.settings.public_url.rstrip('/')}/relais/{shown.id}"
    return told(shown, made=True)


class ListQuery(BaseModel):
    """The filters of the list."""

    model_config = ConfigDict(extra="forbid")

    role: Literal[Party.SENDER, Party.RECIPIENT] | None = Field(
        default=None, description="As `sender` or as `recipient`; both where absent."
    )
    state: list[State] = Field(default=[], description="Repeat for several.")
    theme: list[Slug] = Field(default=[], description="Repeat for several; a sensitive theme is found by no list.")
    counsellor: UUID | None = Field(default=None, description="The account of your side whose it is.")
    team: str | None = Field(default=None, max_length=100, description="The team of your side whose it is.")
    overdue: bool | None = Field(default=None, description="`true`: only where an answer is overdue.")
    updated_since: AwareDatetime | None = None
    limit: int = Field(default=50, ge=1, le=100)
    cursor: str | None = None


@router.get("", response_model=ReferralPage, response_model_exclude_unset=True, responses=READING)
async def list_referrals(
    request: Request,
    response: Response,
    actor: Either,
    query: Annotated[ListQuery, Query()],
    tx: ReadTx,
    now: Now,
) -> ReferralPage:
    """List your referrals, the last changed first.

    A list never opens what is sealed: short code, themes, area and state. Opening one referral is what counts as a
    reading.
    """
    pages = Pages.of(request, "referrals")
    before = pages.position(query.cursor)
    caller = Caller(actor)
    await store.callers.begin(tx, caller)
    filters = store.referrals.Filters(
        role=query.role,
        states=query.state,
        themes=query.theme,
        updated_since=query.updated_since,
        account_id=query.counsellor,
        team_id=query.team,
        overdue_at=now if query.overdue else None,
    )
    rows, after = await store.referrals.page(tx, actor, filters, before=before, limit=query.limit)
    consents = await store.consents.given(tx, rows)
    items = []
    for referral in rows:
        parties = store.callers.parties_of(referral, caller)
        if query.role is not None:
            parties &= {query.role}
        consent = consents.get(referral.id)
        parts = views.parts_for(referral, parties, consent, now)
        view = views.referral_view(referral, parties, parts, {}, consent, now, listed=True)
        items.append(views.with_assigned(view, referral, parties))
    return ReferralPage(items=items, **pages.more(request, response, after))


@router.get("/counts", response_model=CountsView, responses=READING)
async def count_referrals(actor: Either, tx: ReadTx, now: Now) -> CountsView:
    """Count what waits where: by role and state, with the overdue ones; what has ended is not counted."""
    await store.callers.begin(tx, Caller(actor))
    return CountsView(**await store.referrals.counts(tx, actor, now))


@router.get("/{referral_id}", response_model=ReferralView, responses=READING)
async def read_referral(request: Request, referral_id: UUID, actor: Either, tx: WriteTx, now: Now) -> Response:
    """Read a referral as you may see it now; what is opened of hers is recorded, and she can see that.

    Her consent is checked at this very moment: after a withdrawal nothing of hers is here.
    """
    return told(await common.read(tx, asked(request, actor, now), referral_id))


@router.patch(
    "/{referral_id}",
    response_model=ReferralView,
    responses=STEP,
)
async def change_referral(
    request: Request,
    referral_id: UUID,
    change: DraftChange,
    actor: MaySend,
    version: IfMatch,
    directory: FromDirectory,
    tx: WriteTx,
    now: Now,
) -> Response:
    """Change a draft; a part that is given takes the place of the whole part."""
    themes = await directory.themes(now) if change.needs else {}
    home = await directory.home(change.person.area.municipality, now) if change.person else None
    return told(await drafting.change_draft(tx, asked(request, actor, now), referral_id, change, version, themes, home))


@router.get(
    "/{referral_id}/preview",
    response_model=PreviewPage,
    response_model_exclude_none=True,
    responses={**READING, **problems.responses(refusals.IllegalAction, table=TABLE)},
)
async def preview_draft(
    request: Request,
    response: Response,
    referral_id: UUID,
    actor: MaySend,
    tx: WriteTx,
    now: Now,
    data_categories: Annotated[
        list[Category], Query(description="As if she agreed to these; repeat for several.")
    ] = [],  # noqa: B006 - FastAPI copies it
    seen_alone: Literal["yes", "no", "unknown"] = "unknown",
) -> PreviewPage:
    """See exactly what the other side would read of your draft, before somebody takes over and after.

    Show it to her before she answers. It is what they will read, from the same rules; nothing is sent.
    """
    keep_nothing(response)
    chosen = frozenset(data_categories)
    return PreviewPage(items=await previewing.of_draft(tx, asked(request, actor, now), referral_id, chosen, seen_alone))


@router.put("/{referral_id}/external_ids", response_model=ReferralView, responses=WRITING)
async def keep_external_ids(
    request: Request, referral_id: UUID, ids: ExternalIds, actor: Either, tx: WriteTx, now: Now
) -> Response:
    """Keep your own references; the other side never reads them."""
    return told(await drafting.keep_external_ids(tx, asked(request, actor, now), referral_id, ids))


@router.post("/{referral_id}/assign", status_code=204, responses=WRITING)
async def assign_referral(
    request: Request, response: Response, referral_id: UUID, to: Assignment, actor: Either, tx: WriteTx, now: Now
) -> None:
    """Give a referral to a colleague, a team, or back to the desk, inside your own organisation."""
    response.headers["ETag"] = etag(await conversing.assign(tx, asked(request, actor, now), referral_id, to))


@router.get("/{referral_id}/alternatives", response_model=AlternativePage, responses=ALTERNATIVES)
async def list_alternatives(
    request: Request, referral_id: UUID, actor: MaySend, directory: FromDirectory, tx: ReadTx, now: Now
) -> AlternativePage:
    """Propose other services for the same need near her area, those with open places first."""
    wanted = await conversing.wanted(tx, asked(request, actor, now), referral_id)
    # The rows were read; no connection waits for another service.
    await tx.rollback()
    return AlternativePage(items=await directory.alternatives(wanted))


@router.get(
    "/{referral_id}/call_sheet",
    response_class=Response,
    responses={
        **READING,
        **problems.responses(refusals.IllegalAction, Unavailable, table=TABLE),
        **files.papers(),
    },
)
async def print_call_sheet(
    request: Request,
    referral_id: UUID,
    actor: MaySend,
    service: TheService,
    tx: WriteTx,
    now: Now,
    form: WantedForm = None,
) -> Response:
    """Print whom to call and what she agreed that you say, for a hand-over by telephone; opening it is recorded.

    `?form=page` (default) or `pdf`. Log the first contact with `confirm_handover`, or the no with `decline`.
    """
    facts = await telephoning.call_sheet(tx, asked(request, actor, now), referral_id, service)
    return await files.printed(sheet(facts), form)


@router.get("/{referral_id}/disclosures", response_model=DisclosurePage, responses=READING)
async def list_disclosures(response: Response, referral_id: UUID, actor: Either, tx: WriteTx) -> DisclosurePage:
    """List who looked at what is hers, the newest first."""
    response.headers["Cache-Control"] = "no-store"
    await store.callers.begin(tx, Caller(actor))
    referral, parties = await store.referrals.lock(tx, referral_id, Caller(actor), reading=True)
    rows = await store.trail.disclosures(tx, referral_id, reader=actor.organisation_id)
    if views.neutral(referral, parties):
        rows = [row for row in rows if row.organisation_id == actor.organisation_id]
    return DisclosurePage(items=[views.disclosure_view(row) for row in rows])


@router.get(
    "/{referral_id}/pathway", response_model=PathwayOutline, response_model_exclude_none=True, responses=READING
)
async def read_outline(
    request: Request, response: Response, referral_id: UUID, actor: Either, tx: WriteTx, now: Now
) -> PathwayOutline:
    """Read in outline the other hand-overs that she linked to this one, under her agreement to `pathway_sharing`.

    Only she links them. Without that agreement the list is empty; nothing sealed is ever in it.
    """
    keep_nothing(response)
    return await pathway.outline(tx, asked(request, actor, now), referral_id)


@router.get("/{referral_id}/events", response_model=EventPage, responses=READING)
async def list_events(response: Response, referral_id: UUID, actor: Either, tx: WriteTx) -> EventPage:
    """List what happened, in order; no personal data."""
    response.headers["Cache-Control"] = "no-store"
    await store.callers.begin(tx, Caller(actor))
    referral, parties = await store.referrals.lock(tx, referral_id, Caller(actor), reading=True)
    rows = list(await store.trail.events(tx, referral_id))
    plain = views.neutral(referral, parties)
    return EventPage(items=views.event_views(rows, actor.organisation_id, parties, plain=plain))
