"""Keeping it right together: confirmations, reports and their answers, reviews, tips, unmet needs."""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Query, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from relais_directory import store, upkeep_store, writing
from relais_directory.data import themes
from relais_directory.domain.days import day_of
from relais_directory.domain.people import named_in
from relais_directory.domain.refusals import NotNow, PersonalDataDetected
from relais_directory.problems import TABLE
from relais_directory.routes.dependencies import MayRead, MayWrite, Operator, Owners, Reading, Writing, organisation_of
from relais_directory.schemas import (
    CampaignOwners,
    Campaigns,
    Reports,
    Reviews,
    Tips,
    UnmetNeeds,
)
from relais_shared import problems, texts
from relais_shared.auth import Actor, requires
from relais_shared.clock import Now
from relais_shared.http import CursorCodec
from relais_shared.refusals import (
    Fault,
    InvalidInput,
    MalformedRequest,
    NotFound,
    ScopeMissing,
    Unauthenticated,
    Unavailable,
)
from relais_shared.service import Router

router = Router(prefix="/v1/directory", tags=["directory: upkeep"])

_KNOWN = (Unauthenticated, ScopeMissing, InvalidInput, Unavailable)
_READ = problems.responses(*_KNOWN, table=TABLE)
_TOLD = problems.responses(MalformedRequest, *_KNOWN, table=TABLE)
_SAY = problems.responses(MalformedRequest, *_KNOWN, NotFound, PersonalDataDetected, table=TABLE)
_GONE = problems.responses(*_KNOWN, NotFound, table=TABLE)
_DECIDE = problems.responses(MalformedRequest, *_KNOWN, NotFound, NotNow, table=TABLE)

Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1_000)]
Partner = Annotated[Actor, requires("referral:send", "referral:receive")]
"""A partner counsellor: whoever hands persons over or takes them."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Made(BaseModel):
    """What was made."""

    id: UUID


# ── confirmed, reported ────────────────────────────────────────────────────────────────────────────────────────────


@router.post("/services/{service_id}/confirmations", status_code=204, responses=_SAY)
async def confirm(service_id: UUID, actor: MayRead, connection: Writing, now: Now) -> Response:
    """Say that an entry is right today: you called, you were there. Its owner's own word answers its reviews too.

    Search shows it at once; said twice on one day it counts once.
    """
    organisation_id = organisation_of(actor)
    if not await upkeep_store.confirm(connection, service_id, day_of(now), actor.organisation or None):
        raise NotFound("The directory has no such service.")
    await upkeep_store.note_confirmed(connection, service_id, organisation_id, now)
    row = await store.service(connection, service_id)
    if row is not None and row["organisation_id"] == organisation_id and "directory:write" in actor.scopes:
        await upkeep_store.answer_reviews(connection, service_id, "confirmed", now)
    return Response(status_code=204)


class Report(_Body):
    """What is wrong with an entry."""

    field: Literal[
        "name", "description", "themes", "address", "hours", "phone", "email", "closed", "conditions", "other"
    ]
    text: Words | None = Field(default=None, description="For its owner alone; nothing about a person.")


@router.post("/services/{service_id}/reports", status_code=201, response_model=Made, responses=_SAY)
async def report(service_id: UUID, told: Report, actor: MayRead, connection: Writing, now: Now) -> dict[str, Any]:
    """Report an error; it is shown on the entry until its owner answered."""
    organisation_id = organisation_of(actor)
    if told.text and texts.national_number(told.text):
        raise PersonalDataDetected("A national number may not stand here.")
    _stored(told.text)
    row = await store.service(connection, service_id)
    if row is None or row["status"] == "draft":
        raise NotFound("The directory has no such service.")
    return {"id": await upkeep_store.report(connection, service_id, organisation_id, told.field, told.text, now)}


def _stored(text: str | None) -> None:
    """Refuse what PostgreSQL cannot keep.

    Raises:
        InvalidInput: It holds a NUL.
    """
    if text and "\0" in text:
        raise InvalidInput.of(Fault("/text", "Holds a sign that cannot be stored."))


@router.get("/own/reports", response_model=Reports, responses=_READ)
async def reports(
    request: Request,
    actor: MayRead,
    connection: Reading,
    *,
    answered: bool = False,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: str | None = None,
) -> dict[str, Any]:
    """List the reports on your organisation's entries, and those that it made; the oldest first."""
    organisation_id = organisation_of(actor)
    return await _reports(request, connection, organisation_id, answered, limit, cursor)


@router.get("/reports", response_model=Reports, responses=_READ)
async def reports_without_owner(
    request: Request,
    _actor: Operator,
    connection: Reading,
    *,
    answered: bool = False,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: str | None = None,
) -> dict[str, Any]:
    """List the reports on entries whose owner is not in Relais: the operator answers in its place."""
    return await _reports(request, connection, None, answered, limit, cursor)


async def _reports(
    request: Request,
    connection: store.Connection,
    organisation_id: UUID | None,
    answered: bool,  # noqa: FBT001 - a filter
    limit: int,
    cursor: str | None,
) -> dict[str, Any]:
    codec = CursorCodec(request.app.state.settings.secret_bytes(), f"reports:{organisation_id}:{answered}")
    after = codec.decode(cursor) if cursor else None
    place = (datetime.fromisoformat(after[0]), UUID(after[1])) if after else None
    rows = await upkeep_store.reports(connection, organisation_id, place, limit + 1, answered=answered)
    last = rows[limit - 1] if len(rows) > limit else None
    return {
        "items": [dict(row) for row in rows[:limit]],
        "next_cursor": codec.encode([last["at"].isoformat(), str(last["id"])]) if last else None,
    }


class Answer(_Body):
    """What an owner did about a report."""

    corrected: bool
    text: Words | None = None


@router.post("/own/reports/{report_id}/answer", status_code=204, responses=_DECIDE)
async def answer_report(report_id: UUID, told: Answer, actor: Owners, connection: Writing, now: Now) -> Response:
    """Answer a report on one of your services; it is no longer shown on the entry.

    Where its owner is not in Relais, the operator answers.
    """
    _stored(told.text)
    mine = organisation_of(actor) if "directory:write" in actor.scopes else None
    operator = "platform:admin" in actor.scopes
    done = await upkeep_store.answer_report(
        connection, report_id, mine, told.text, now, corrected=told.corrected, operator=operator
    )
    if done is None:
        raise NotFound("Your organisation has no such report.")
    if done == "answered":
        raise NotNow("It was answered before.")
    return Response(status_code=204)


# ── reviews ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Campaign(_Body):
    """A review of what nobody assured for long."""

    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
    older_than_days: int = Field(ge=1, le=3_650)
    due_on: date
    organisation_id: UUID | None = Field(default=None, description="Only this organisation's entries.")


@router.post("/campaigns", status_code=201, response_model=Made, responses=_TOLD)
async def start_campaign(told: Campaign, _actor: Operator, connection: Writing, now: Now) -> dict[str, Any]:
    """Ask the owners of stale entries to look at them; each finds them under its reviews."""
    if told.due_on <= day_of(now):
        raise InvalidInput.of(Fault("/due_on", "Has to be a day to come."))
    _stored(told.name)
    id_ = await upkeep_store.start_campaign(
        connection, told.name, told.older_than_days, told.due_on, told.organisation_id, now
    )
    return {"id": id_}


@router.get("/campaigns", response_model=Campaigns, responses=_READ)
async def campaigns(_actor: Operator, connection: Reading) -> dict[str, Any]:
    """List the reviews with how far each came."""
    return {"items": [dict(row) for row in await upkeep_store.campaigns(connection)]}


@router.get("/campaigns/{campaign_id}/owners", response_model=CampaignOwners, responses=_GONE)
async def campaign_owners(campaign_id: UUID, _actor: Operator, connection: Reading) -> dict[str, Any]:
    """List the owners that a review asks, those with most left first; `registered` ones see it in Relais."""
    rows = await upkeep_store.campaign_owners(connection, campaign_id)
    if not rows and not await upkeep_store.is_campaign(connection, campaign_id):
        raise NotFound("There is no such review.")
    return {"items": [dict(row) for row in rows]}


@router.post("/campaigns/{campaign_id}/end", status_code=204, responses=_GONE)
async def end_campaign(campaign_id: UUID, _actor: Operator, connection: Writing, now: Now) -> Response:
    """End a review; what was not answered stays as it is."""
    if not await upkeep_store.end_campaign(connection, campaign_id, now):
        raise NotFound("There is no such open review.")
    return Response(status_code=204)


@router.get("/own/reviews", response_model=Reviews, responses=_READ)
async def own_reviews(actor: MayWrite, connection: Reading) -> dict[str, Any]:
    """List your organisation's entries that a review asks about: confirm, change or retire each."""
    return {"items": [dict(row) for row in await upkeep_store.reviews(connection, organisation_of(actor))]}


# ── tips ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class Tip(_Body):
    """What a professional would tell a colleague about a service."""

    text: Words


@router.post("/services/{service_id}/tips", status_code=201, response_model=Made, responses=_SAY)
async def add_tip(service_id: UUID, told: Tip, actor: Partner, connection: Writing, now: Now) -> dict[str, Any]:
    """Share something good to know with partner counsellors; nobody's phone, e-mail or name."""
    row = await store.service(connection, service_id)
    if row is None or row["status"] == "draft":
        raise NotFound("The directory has no such service.")
    _stored(told.text)
    record = writing.read({**row, "record": row["record_text"]})
    people = [*record.contacts, *(one for place in record.locations for one in place.contacts)]
    known = [one.name for one in people if one.name]
    known += [record.relay_contact.name] if record.relay_contact else []
    houses = [record.name, record.alternate_name or "", row["organisation_name"]]
    houses += [place.name or "" for place in record.locations]
    found = texts.telling(told.text, ()) or ("a name" if named_in(told.text, known, houses) else None)
    if found:
        raise PersonalDataDetected(f"It holds {found}. Say what, not who: functions and desks are welcome.")
    id_ = await upkeep_store.add_tip(connection, service_id, organisation_of(actor), told.text, now)
    return {"id": id_}


@router.get("/services/{service_id}/tips", response_model=Tips, responses=_GONE)
async def tips(service_id: UUID, actor: Partner, connection: Reading) -> dict[str, Any]:
    """Read what professionals share about a service, the latest first."""
    row = await store.service(connection, service_id)
    if row is None or row["status"] == "draft":
        raise NotFound("The directory has no such service.")
    rows = await upkeep_store.tips(connection, service_id)
    return {
        "items": [
            {
                "id": row["id"],
                "text": row["text"],
                "at": row["at"],
                "organisation": row["organisation"],
                "mine": row["organisation_id"] == actor.organisation_id,
            }
            for row in rows
        ]
    }


@router.delete("/tips/{tip_id}", status_code=204, responses=_GONE)
async def withdraw_tip(tip_id: UUID, actor: Partner, connection: Writing, now: Now) -> Response:
    """Withdraw a tip of your organisation; its text is forgotten."""
    if not await upkeep_store.withdraw_tip(connection, tip_id, organisation_of(actor), now):
        raise NotFound("Your organisation has no such tip.")
    return Response(status_code=204)


# ── unmet needs ────────────────────────────────────────────────────────────────────────────────────────────────────


def _theme(given: str) -> str:
    if given not in themes():
        raise ValueError("Not among /v1/directory/themes.")
    return given


class UnmetNeed(_Body):
    """A need that found no place; nothing about the person."""

    theme: Annotated[str, AfterValidator(_theme)]
    municipality: Annotated[str, StringConstraints(pattern=r"^[a-z]{2}:[0-9A-Z]{4,6}$")]
    hours: Literal["daytime", "early", "late", "night", "weekend"] | None = None
    reason: Literal["no_result", "no_place"]


@router.post("/unmet-needs", status_code=204, responses=_TOLD)
async def signal_unmet_need(told: UnmetNeed, actor: MayRead, connection: Writing, now: Now) -> Response:
    """Signal that a need found fewer than three reachable services, or no place in any: theme, municipality, hours."""
    organisation_of(actor)
    place = await store.place_by_code(connection, told.municipality)
    if place is None:
        raise InvalidInput.of(Fault("/municipality", "The gazetteer has no such one."))
    # A quarter of a town is the town here: its own needs would be too few.
    code = place["parent"] if place["kind"] == "locality" else place["code"]
    await upkeep_store.signal(connection, told.theme, code, told.hours, told.reason, day_of(now))
    return Response(status_code=204)


@router.get("/unmet-needs", response_model=UnmetNeeds, responses=_READ)
async def unmet_needs(_actor: MayRead, connection: Reading, now: Now) -> dict[str, Any]:
    """Read where needs find no place, by theme, municipality, hours and reason: this calendar year's and the last's.

    Counted in fives: `needs: 10` means ten to fourteen, and fewer than five are not shown. So no two answers, of two
    days or about two periods, tell of fewer than five persons.
    """
    rows = await upkeep_store.unmet(connection, date(now.year - 1, 1, 1))
    return {"items": [dict(row) for row in rows]}
