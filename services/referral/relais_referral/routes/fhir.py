"""Referrals for partners of the health side: FHIR R4, the same scopes and the same sight as the JSON API."""

from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, field_validator

from relais_referral import facade, store, views
from relais_referral.actions import common
from relais_referral.actions.consenting import reading
from relais_referral.domain.handshake import Party, State
from relais_referral.routes.dependencies import Either, Pages, asked
from relais_referral.store.callers import Caller
from relais_shared import fhir
from relais_shared.clock import Now
from relais_shared.db import ReadTx, WriteTx
from relais_shared.fhir import FhirRouter
from relais_shared.http import etag
from relais_shared.refusals import Fault, InvalidInput, NotFound

router = FhirRouter(prefix="/fhir", tags=["FHIR R4"])


def _base(request: Request) -> str:
    base: str = request.app.state.settings.public_url.rstrip("/")
    return base


class TaskQuery(BaseModel):
    """The search parameters of Task; all are combined."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    id: UUID | None = Field(default=None, alias="_id", description="One task.")
    status: str | None = Field(default=None, description="FHIR's statuses, parted by commas.", max_length=200)
    requester: str | None = Field(default=None, description="`me`: what you sent.", pattern="^me$")
    owner: str | None = Field(default=None, description="`me`: what you received.", pattern="^me$")
    last_updated: datetime | None = Field(
        default=None, alias="_lastUpdated", description="`ge` with an instant: for polling.", examples=["ge2026-11-03"]
    )
    sort: str | None = Field(default=None, alias="_sort", pattern="^-_lastUpdated$", description="As it is sorted.")
    count: int = Field(default=50, alias="_count", ge=1, le=100)
    cursor: str | None = Field(default=None, alias="_cursor", description="From the link `next`.")

    @field_validator("last_updated", mode="before")
    @classmethod
    def _at_or_after(cls, given: object) -> object:
        return fhir.instant(given) if isinstance(given, str) else given

    def states(self) -> list[State] | None:
        """Answer the states that are asked for; None: all.

        Raises:
            InvalidInput: A status that no referral has.
        """
        if self.status is None:
            return None
        asked = {status: facade.states_of(status) for status in self.status.split(",")}
        unknown = [status for status, states in asked.items() if not states]
        if unknown:
            raise InvalidInput("No referral has such a status.", [Fault("?status", ", ".join(sorted(facade.REQUEST)))])
        return list(dict.fromkeys(state for states in asked.values() for state in states))


@router.get("/Task", response_class=Response, responses=fhir.answers("Bundle of Task"))
async def search_tasks(
    request: Request, response: Response, actor: Either, query: Annotated[TaskQuery, Query()], tx: ReadTx, now: Now
) -> Response:
    """Search your referrals as tasks, the last changed first; a search opens nothing of her.

    Poll with `_lastUpdated=ge…` of what you saw last, and read each task for what it holds.
    """
    fhir.once_each(request)
    states = query.states()
    caller = Caller(actor)
    pages = Pages.of(request, "fhir")
    role = {"requester": Party.SENDER, "owner": Party.RECIPIENT}
    roles = {party for name, party in role.items() if getattr(query, name)}
    filters = store.referrals.Filters(
        id=query.id,
        role=next(iter(roles)) if len(roles) == 1 else None,
        states=states or [],
        updated_since=query.last_updated,
    )
    await store.callers.begin(tx, caller)
    base, items = _base(request), []
    rows, after = await store.referrals.page(tx, actor, filters, before=pages.position(query.cursor), limit=query.count)
    found = [(row, parties) for row in rows if (parties := store.callers.parties_of(row, caller)) >= roles]
    consents = await store.consents.given(tx, [referral for referral, _ in found])
    for referral, parties in found:
        consent = consents.get(referral.id)
        parts = views.parts_for(referral, parties, consent, now)
        view = views.referral_view(referral, parties, parts, {}, consent, now, listed=True)
        # A pause is a mark beside our state, and a status of its own in FHIR.
        if query.status is None or facade.status_of(view) in query.status.split(","):
            items.append(facade.task(view, base))
    more = pages.more(request, response, after).get("next_cursor")
    own = request.scope["query_string"].decode("latin-1")
    kept = "&".join(one for one in own.split("&") if one and not one.startswith("_cursor="))
    following = f"Task?{kept}{'&' if kept else ''}_cursor={more}" if more else None
    return fhir.answered(
        fhir.searched(f"{base}/fhir", items, own=f"Task?{own}" if own else "Task", following=following)
    )


@router.get("/Task/{id}", response_class=Response, responses=fhir.answers("Task"))
async def read_task(request: Request, id: UUID, actor: Either, tx: WriteTx, now: Now) -> Response:  # noqa: A002 - FHIR's name
    """Read a referral as a task; what is opened of her is recorded, and she can see that."""
    shown = await common.read(tx, asked(request, actor, now), id)
    headers = {"ETag": f"W/{etag(shown.version)}"}
    return fhir.answered(facade.task(shown.view, _base(request)), headers=headers)


@router.get("/ServiceRequest/{id}", response_class=Response, responses=fhir.answers("ServiceRequest"))
async def read_service_request(request: Request, id: UUID, actor: Either, tx: WriteTx, now: Now) -> Response:  # noqa: A002 - FHIR's name
    """Read what a referral asks for; what is opened of her is recorded, and she can see that."""
    shown = await common.read(tx, asked(request, actor, now), id)
    headers = {"ETag": f"W/{etag(shown.version)}"}
    return fhir.answered(facade.service_request(shown.view, _base(request)), headers=headers)


class ConsentQuery(BaseModel):
    """The search parameter of Consent."""

    model_config = ConfigDict(extra="forbid")

    data: str = Field(description="`Task/{id}`: the agreements of one referral.", pattern=r"^Task/[0-9a-fA-F-]{36}$")


@router.get("/Consent", response_class=Response, responses=fhir.answers("Bundle of Consent"))
async def search_consents(
    request: Request, actor: Either, query: Annotated[ConsentQuery, Query()], tx: WriteTx, now: Now
) -> Response:
    """Search the agreements of a referral, the newest first."""
    fhir.once_each(request)
    try:
        referral_id = UUID(query.data.removeprefix("Task/"))
    except ValueError:
        raise InvalidInput("This is no task.", [Fault("?data", "Task/ and the id of a referral.")]) from None
    items = await _consents(request, actor, tx, now, referral_id)
    base = f"{_base(request)}/fhir"
    return fhir.answered(fhir.searched(base, items, own=f"Consent?data={query.data}", following=None))


@router.get("/Consent/{id}", response_class=Response, responses=fhir.answers("Consent"))
async def read_consent(request: Request, id: UUID, actor: Either, tx: WriteTx, now: Now) -> Response:  # noqa: A002 - FHIR's name
    """Read an agreement as it stands now."""
    await store.callers.begin(tx, Caller(actor))
    try:
        found = await _consents(request, actor, tx, now, await store.consents.referral_of(tx, id))
    except NotFound:
        found = []  # One word for both: who knows the organisation's rows, but not this side's, learns nothing by it.
    one = next((one for one in found if one["id"] == str(id)), None)
    if one is None:
        raise NotFound("There is no such consent, or it is not yours to know of.")
    return fhir.answered(one)


NONE_OF_HER: Final[dict[str, Any]] = {}
"""Agreements are told without opening anything that they are about."""


async def _consents(request: Request, actor: Any, tx: Any, now: datetime, referral_id: UUID) -> list[dict[str, Any]]:  # noqa: ANN401 - the route's own
    who = asked(request, actor, now)
    given = await reading.read_consents(tx, who, referral_id)
    referral, parties = await store.referrals.find(tx, referral_id, who.caller)
    parts = views.parts_for(referral, parties, None, now)
    view = views.referral_view(referral, parties, parts, NONE_OF_HER, None, now, listed=True)
    return [facade.consent(one, view.model_copy(update={"person": None}), _base(request)) for one in given]
