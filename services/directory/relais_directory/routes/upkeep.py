"""Keeping it right together: confirmations, reports and their answers, reviews, duplicates, tips, unmet needs."""

from datetime import date, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from fastapi import Query, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from relais_directory import entries, finding_duplicates, store, upkeep_store, writing
from relais_directory.data import themes
from relais_directory.domain.people import named_in
from relais_directory.domain.refusals import NotNow, PersonalDataDetected
from relais_directory.problems import TABLE
from relais_directory.records import ServiceRecord
from relais_directory.routes.dependencies import MayRead, MayWrite, Operator, Reading, Writing, organisation_of
from relais_directory.writing import Author
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
_SAY = problems.responses(MalformedRequest, *_KNOWN, NotFound, PersonalDataDetected, table=TABLE)
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
    """Say that an entry is right today: you called, you were there. Its owner's own word answers its reviews too."""
    organisation_id = organisation_of(actor)
    name = actor.organisation or "?"
    if not await upkeep_store.confirm(connection, service_id, now.date(), name):
        raise NotFound("The directory has no such service.")
    await upkeep_store.remark(connection, service_id, organisation_id, "confirmed", now)
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
    row = await store.service(connection, service_id)
    if row is None or row["status"] == "draft":
        raise NotFound("The directory has no such service.")
    id_ = await upkeep_store.remark(
        connection, service_id, organisation_id, "reported", now, field=told.field, text=told.text
    )
    return {"id": id_}


class ReportView(BaseModel):
    """A report, as its owner and its author see it."""

    id: UUID
    service_id: UUID
    service: str
    field: str
    text: str | None
    at: Any
    answer: str | None
    corrected: bool | None
    answered_at: Any
    mine: bool = Field(description="It is about a service of your organisation.")


class Reports(BaseModel):
    """Reports, the oldest first."""

    items: list[ReportView]


@router.get("/own/reports", response_model=Reports, responses=_READ)
async def reports(
    actor: MayRead, connection: Reading, *, answered: bool = False, limit: Annotated[int, Query(ge=1, le=100)] = 50
) -> dict[str, Any]:
    """List the reports on your organisation's entries, and those that it made."""
    rows = await upkeep_store.reports(connection, organisation_of(actor), answered=answered, limit=limit)
    return {"items": [dict(row) for row in rows]}


class Answer(_Body):
    """What an owner did about a report."""

    corrected: bool
    text: Words | None = None


@router.post("/own/reports/{report_id}/answer", status_code=204, responses=_DECIDE)
async def answer_report(report_id: UUID, told: Answer, actor: MayWrite, connection: Writing, now: Now) -> Response:
    """Answer a report on one of your services; it is no longer shown on the entry."""
    done = await upkeep_store.answer_report(
        connection, report_id, organisation_of(actor), told.text, now, corrected=told.corrected
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


@router.post("/campaigns", status_code=201, response_model=Made, responses=_SAY)
async def start_campaign(told: Campaign, _actor: Operator, connection: Writing, now: Now) -> dict[str, Any]:
    """Ask the owners of stale entries to look at them; each finds them under its reviews."""
    if told.due_on <= now.date():
        raise InvalidInput("1 fault.", [Fault("/due_on", "A day to come.")])
    id_ = await upkeep_store.start_campaign(
        connection, told.name, told.older_than_days, told.due_on, told.organisation_id, now
    )
    return {"id": id_}


@router.get("/campaigns", responses=_READ)
async def campaigns(_actor: Operator, connection: Reading) -> dict[str, Any]:
    """List the reviews with how far each came."""
    return {"items": [dict(row) for row in await upkeep_store.campaigns(connection)]}


@router.get("/campaigns/{campaign_id}/owners", responses=_READ)
async def campaign_owners(campaign_id: UUID, _actor: Operator, connection: Reading) -> dict[str, Any]:
    """List the owners that a review asks, those with most left first; `registered` ones see it in Relais."""
    return {"items": [dict(row) for row in await upkeep_store.campaign_owners(connection, campaign_id)]}


@router.post("/campaigns/{campaign_id}/end", status_code=204, responses=_DECIDE)
async def end_campaign(campaign_id: UUID, _actor: Operator, connection: Writing, now: Now) -> Response:
    """End a review; what was not answered stays as it is."""
    if not await upkeep_store.end_campaign(connection, campaign_id, now):
        raise NotFound("There is no such open review.")
    return Response(status_code=204)


@router.get("/own/reviews", responses=_READ)
async def own_reviews(actor: MayWrite, connection: Reading) -> dict[str, Any]:
    """List your organisation's entries that a review asks about: confirm, change or retire each."""
    return {"items": [dict(row) for row in await upkeep_store.reviews(connection, organisation_of(actor))]}


# ── duplicates ─────────────────────────────────────────────────────────────────────────────────────────────────────


@router.post("/duplicates/search", responses=_READ)
async def find_duplicates(_actor: Operator, connection: Writing, now: Now) -> dict[str, int]:
    """Look for entries of different sources that may be one service; nothing is merged."""
    return {"proposed": await finding_duplicates.run(connection, now)}


@router.get("/duplicates", responses=_READ)
async def duplicates(
    request: Request,
    _actor: Operator,
    connection: Reading,
    state: Literal["proposed", "merged", "apart"] = "proposed",
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: str | None = None,
) -> dict[str, Any]:
    """List pairs that may be one service, the likeliest first, each with its reasons."""
    codec = CursorCodec(request.app.state.settings.secret_bytes(), f"duplicates:{state}")
    after = codec.decode(cursor) if cursor else None
    rows = await upkeep_store.duplicates(connection, state, (after[0], UUID(after[1])) if after else None, limit + 1)
    last = rows[limit - 1] if len(rows) > limit else None
    return {
        "items": [
            {**row, "reasons": orjson.loads(row["reasons"]), "entries": orjson.loads(row["entries"])}
            for row in rows[:limit]
        ],
        "next_cursor": codec.encode([last["score"], str(last["id"])]) if last else None,
    }


MERGEABLE = frozenset(ServiceRecord.model_fields) - {"status", "locations", "assured_at", "assured_by", "updated_at"}
"""What one entry can take over from the other: never where it is, nor how fresh."""


def _mergeable(given: list[str]) -> list[str]:
    if unknown := [name for name in given if name not in MERGEABLE]:
        raise ValueError(f"Not a field that can be taken over: {', '.join(unknown)[:200]}.")
    return given


class Merge(_Body):
    """Which entry stays, and what it takes over from the other."""

    keep: UUID
    take: Annotated[list[str], AfterValidator(_mergeable)] = Field(default=[], description="Fields of the record.")


@router.post("/duplicates/{duplicate_id}/merge", status_code=204, responses=_DECIDE)
async def merge(
    request: Request, duplicate_id: UUID, told: Merge, actor: Operator, connection: Writing, now: Now
) -> Response:
    """Let one entry stand for both; the other leaves search, keeps its id, and can come back."""
    pair = await _pair(connection, duplicate_id, "proposed")
    ids = {pair["first_id"], pair["second_id"]}
    if told.keep not in ids:
        raise InvalidInput("1 fault.", [Fault("/keep", "One of the two entries.")])
    (other,) = ids - {told.keep}
    kept, left = [await store.service(connection, id_) for id_ in (told.keep, other)]
    if kept is None or left is None or kept["merged_into"] or left["merged_into"]:
        raise NotNow("One of them stands for another already, or for nothing.")
    record = writing.read({**kept, "record": kept["record_text"]})
    given = writing.read({**left, "record": left["record_text"]})
    taken = record.model_copy(update={name: getattr(given, name) for name in told.take})
    author = Author(actor.id, now)
    if told.take:
        await _write(request, connection, kept, taken, author)
    await upkeep_store.stand_for(connection, other, told.keep, now)
    await writing.rebuild(connection, [other])
    await upkeep_store.decide(
        connection, duplicate_id, "merged", now, actor.id, told.keep, record.model_dump_json(exclude_defaults=True)
    )
    return Response(status_code=204)


@router.post("/duplicates/{duplicate_id}/undo", status_code=204, responses=_DECIDE)
async def undo_merge(request: Request, duplicate_id: UUID, actor: Operator, connection: Writing, now: Now) -> Response:
    """Undo a merge or a parting: both entries are again what they were, and the pair is proposed."""
    pair = await upkeep_store.lock_duplicate(connection, duplicate_id)
    if pair is None:
        raise NotFound("There is no such pair.")
    if pair["state"] == "proposed":
        raise NotNow("Nothing was decided on it.")
    if pair["state"] == "merged":
        (other,) = {pair["first_id"], pair["second_id"]} - {pair["kept_id"]}
        kept = await store.service(connection, pair["kept_id"])
        assert kept is not None  # noqa: S101 - no entry is ever deleted
        before = ServiceRecord.model_validate_json(pair["before_text"])
        if before != writing.read({**kept, "record": kept["record_text"]}):
            await _write(request, connection, kept, before, Author(actor.id, now))
        await upkeep_store.stand_for(connection, other, None, now)
        await writing.rebuild(connection, [other])
    await upkeep_store.decide(connection, duplicate_id, "proposed", now, actor.id)
    return Response(status_code=204)


@router.post("/duplicates/{duplicate_id}/apart", status_code=204, responses=_DECIDE)
async def keep_apart(duplicate_id: UUID, actor: Operator, connection: Writing, now: Now) -> Response:
    """Say that two entries are two services; they are not proposed again."""
    await _pair(connection, duplicate_id, "proposed")
    await upkeep_store.decide(connection, duplicate_id, "apart", now, actor.id)
    return Response(status_code=204)


async def _pair(connection: store.Connection, id_: UUID, state: str) -> Any:  # noqa: ANN401 - a row
    pair = await upkeep_store.lock_duplicate(connection, id_)
    if pair is None:
        raise NotFound("There is no such pair.")
    if pair["state"] != state:
        raise NotNow("It was decided before; undo that first.")
    return pair


async def _write(
    request: Request,
    connection: store.Connection,
    row: store.Row,
    record: ServiceRecord,
    author: Author,
) -> None:
    one = writing.Service(
        row["id"],
        row["organisation_id"],
        row["organisation_name"],
        row["source"],
        row["record_id"],
        record,
        entries.judged(record),
        owned=True,
    )
    await writing.write_services(connection, [one], author, request.app.state.terms)


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
    record = writing.read({**row, "record": row["record_text"]})
    known = [contact.name for contact in record.contacts if contact.name]
    known += [record.relay_contact.name] if record.relay_contact else []
    found = texts.telling(told.text, known) or ("a name" if named_in(told.text) else None)
    if found:
        raise PersonalDataDetected(
            f"It holds {found.replace('her name', 'a name')}. Say what, not who: functions and desks are welcome."
        )
    id_ = await upkeep_store.add_tip(connection, service_id, organisation_of(actor), told.text, now)
    return {"id": id_}


@router.get("/services/{service_id}/tips", responses=_READ)
async def tips(service_id: UUID, actor: Partner, connection: Reading) -> dict[str, Any]:
    """Read what professionals share about a service, the latest first."""
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


@router.delete("/tips/{tip_id}", status_code=204, responses=_SAY)
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


@router.post("/unmet-needs", status_code=204, responses=_SAY)
async def signal_unmet_need(told: UnmetNeed, actor: MayRead, connection: Writing, now: Now) -> Response:
    """Signal that a need found fewer than three reachable services, or no place in any: theme, municipality, hours."""
    organisation_of(actor)
    if await store.place_by_code(connection, told.municipality) is None:
        raise InvalidInput("1 fault.", [Fault("/municipality", "The gazetteer has no such municipality.")])
    await upkeep_store.signal(connection, told.theme, told.municipality, told.hours, told.reason, now.date())
    return Response(status_code=204)


@router.get("/unmet-needs", responses=_READ)
async def unmet_needs(
    _actor: MayRead, connection: Reading, now: Now, days: Annotated[int, Query(ge=30, le=730)] = 365
) -> dict[str, Any]:
    """Read where needs find no place, by theme, municipality and hours; nothing under five."""
    rows = await upkeep_store.unmet(connection, now.date() - timedelta(days=days))
    return {"items": [dict(row) for row in rows]}
