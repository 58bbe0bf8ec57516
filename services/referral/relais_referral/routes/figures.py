"""Figures: what settled months came to, for the territory and for one's own side."""

from collections.abc import Collection, Mapping
from datetime import date, datetime
from typing import Annotated, Any

from fastapi import Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from relais_referral import store
from relais_referral.domain.figures import family
from relais_referral.domain.handshake import Party
from relais_referral.models.shared import OrganisationCopy
from relais_referral.routes.dependencies import READING, MayReceive, MaySend
from relais_referral.schemas.figures import (
    FiguresPage,
    FiguresQuery,
    MonthFigures,
    MunicipalityRow,
    StepRow,
    ThemeRow,
    day_of,
)
from relais_referral.store.callers import Caller
from relais_shared.auth import Actor, requires
from relais_shared.db import ReadTx
from relais_shared.http import CursorCodec, next_link
from relais_shared.registry import known
from relais_shared.service import Router

router = Router(prefix="/v1/figures", tags=["figures"])

STATS = "referral:stats"
MayCount = Annotated[Actor, requires(STATS)]
"""Whoever may read aggregates of the territory."""
Wanted = Annotated[FiguresQuery, Query()]


@router.get("", response_model=FiguresPage, responses=READING)
async def read_figures(request: Request, response: Response, actor: MayCount, query: Wanted, tx: ReadTx) -> FiguresPage:
    """Read what the territory's hand-overs came to, month by month.

    A month is counted once, a month after its end, of the hand-overs whose persons agreed to be counted; then it does
    not change. Nothing is told of fewer than five persons, nor what would let them be computed, also by an organisation
    that takes off its own. No figure names or ranks an organisation or a counsellor.
    """
    return await _page(request, response, actor, None, query, tx)


@router.get("/sent", response_model=FiguresPage, responses=READING)
async def read_sent_figures(
    request: Request, response: Response, actor: MaySend, query: Wanted, tx: ReadTx
) -> FiguresPage:
    """Read what the hand-overs that you sent came to, month by month, counted as the territory's are.

    An organisation that may sanction the people it accompanies has none.
    """
    return await _page(request, response, actor, Party.SENDER, query, tx)


@router.get("/received", response_model=FiguresPage, responses=READING)
async def read_received_figures(
    request: Request, response: Response, actor: MayReceive, query: Wanted, tx: ReadTx
) -> FiguresPage:
    """Read what the hand-overs to your own services came to, month by month, counted as the territory's are."""
    return await _page(request, response, actor, Party.RECIPIENT, query, tx)


async def _page(
    request: Request, response: Response, actor: Actor, role: Party | None, query: FiguresQuery, tx: AsyncSession
) -> FiguresPage:
    codec = CursorCodec(request.app.state.settings.secret_bytes(), f"figures:{role or 'territory'}")
    before = date.fromisoformat(codec.decode(query.cursor)) if query.cursor is not None else None
    await store.callers.begin(tx, Caller(actor))
    own = None
    if role is not None:
        organisation = await known(tx, OrganisationCopy, actor.organisation_id) if actor.organisation_id else None
        if organisation is None or (role is Party.SENDER and organisation.may_sanction):
            # What it sent while it could not sanction is closed to it too.
            return FiguresPage(items=[])
        own = (organisation.id, str(role))
    rows, after = await store.figures.page(
        tx, own, since=day_of(query.since), until=day_of(query.until), before=before, limit=query.limit
    )
    limits = actor.limits.get(STATS) or {} if role is None else {}
    page = FiguresPage(items=[_view(*row, query, limits) for row in rows])
    if after is not None:
        page.next_cursor = codec.encode(after.isoformat())
        response.headers["Link"] = next_link(request, page.next_cursor)
    return page


def _view(
    month: date, counted_at: datetime, told: Mapping[str, Any], query: FiguresQuery, limits: Mapping[str, Any]
) -> MonthFigures:
    """Represent a month: of what is told of it, the rows that were asked for and that the caller's grant reaches."""
    themes, places = limits.get("themes") or (), limits.get("municipalities") or ()
    limited = bool(themes or places)
    whole = {} if limited else told["whole"]
    return MonthFigures(
        month=f"{month:%Y-%m}",
        counted_at=counted_at,
        handovers=whole.get("handovers"),
        answered_within_days=whole.get("answered_within_days"),
        met_within_days=whole.get("met_within_days"),
        by_step=[] if limited else [StepRow(step=row["key"], handovers=row["handovers"]) for row in told["steps"]],
        by_theme=[
            ThemeRow(theme=row["key"], **_times(row))
            for row in told["themes"]
            if (themes or not limited) and _of(row["key"], query.theme) and _of(row["key"], themes)
        ],
        by_municipality=[
            MunicipalityRow(municipality=row["key"], **_times(row))
            for row in told["municipalities"]
            if (places or not limited) and _within(row["key"], query.municipality) and _within(row["key"], places)
        ],
    )


def _times(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "key"}


def _of(theme: str, wanted: Collection[str]) -> bool:
    """Answer whether a theme is among those that were named, a family taking its themes; all are where none is."""
    return not wanted or theme in wanted or family(theme) in wanted


def _within(municipality: str, wanted: Collection[str]) -> bool:
    """Answer the same of a municipality; a code of a département (`fr:974`) takes its municipalities."""
    return not wanted or municipality.startswith(tuple(wanted))
