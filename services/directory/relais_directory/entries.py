"""The verbs of an owner: publish, change and retire its services, tell of itself and of its open places."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID, uuid4

import asyncpg
from pydantic import ValidationError

from relais_directory import store, upkeep_store, writing
from relais_directory.domain.days import day_of
from relais_directory.domain.reach import beyond
from relais_directory.domain.refusals import NotNow
from relais_directory.judging import judge_places, points
from relais_directory.records import (
    CapacityRecord,
    OrganisationProfile,
    OrganisationRecord,
    Part,
    ServiceRecord,
    unstorable,
)
from relais_directory.store import Connection, Row
from relais_directory.writing import Author, Outcome
from relais_shared.auth import Actor
from relais_shared.problems import pointer
from relais_shared.refusals import Fault, InvalidInput, NotFound, ScopeMissing, StaleVersion, reason

P = TypeVar("P", bound=Part)

OWN: Final = "relais"
"""The source of what organisations write here themselves."""

WRITING: Final = ("directory:write",)
TELLING: Final = ("directory:write", "directory:capacity")
"""The scopes by which something is done; the limits of their grants say how far."""


def refuse(faults: Sequence[Fault]) -> None:
    """Refuse an input where something is wrong with it.

    Raises:
        InvalidInput: There is a fault.
    """
    if faults:
        raise InvalidInput.of(*faults)


def judged(record: ServiceRecord, now: datetime, was: str | None = None) -> writing.Places:
    """Answer the municipalities of a record's places.

    Args:
        record: To be written.
        now: Nothing was assured or told later.
        was: The status until now; none where it is new.

    Raises:
        InvalidInput: It cannot be taken; every fault is named.
    """
    if where := unstorable(record.model_dump(mode="json")):
        refuse([Fault(_pointer(where), "Holds a sign or number that cannot be stored.")])
    places, refused, _flags = judge_places(record, points())
    faults = [Fault(_pointer(at), reason) for at, reason in refused]
    if was not in {None, "draft"} and record.status == "draft":
        faults.append(Fault("/status", "It was published: say inactive, so that those who follow it hear of it."))
    if was in {None, "draft"} and record.status == "retired":
        faults.append(Fault("/status", "It never was published: there is nothing to retire."))
    if record.assured_at and record.assured_at > day_of(now):
        faults.append(Fault("/assured_at", "A day to come."))
    if record.capacity and record.capacity.updated_at > now:
        faults.append(Fault("/capacity/updated_at", "An instant to come: nothing that is told later would be taken."))
    if (record.minimum_age or 0) > (150 if record.maximum_age is None else record.maximum_age):
        faults.append(Fault("/maximum_age", "Under the least age."))
    refuse(faults)
    return places


def _pointer(where: str) -> str:
    return pointer(("body", *where.split(".")))


def areas_of(record: ServiceRecord, places: writing.Places) -> list[tuple[str, str | None]]:
    """Answer where in a record an area is told, and its code; none where it is not known, or everywhere."""
    areas: list[tuple[str, str | None]] = [
        (f"/locations/{number}", points().parent(place).code if place else None) for number, place in enumerate(places)
    ]
    areas += [(f"/service_area/{number}", code) for number, code in enumerate(record.service_area)]
    if not record.service_area and set(record.modes) != {"on_site"}:
        # It comes to whoever asks, wherever.
        areas.append(("/service_area", None))
    return areas


def within(actor: Actor, record: ServiceRecord, places: writing.Places, scopes: Sequence[str] = WRITING) -> None:
    """Ask whether the actor's grant reaches a service.

    Raises:
        ScopeMissing: No grant of these scopes does; says what lies beyond.
    """
    areas = areas_of(record, places)
    found: list[tuple[str, str]] = []
    for scope in scopes:
        if scope in actor.scopes:
            found = beyond(actor.limits.get(scope) or {}, record.themes, areas)
            if not found:
                return
    raise ScopeMissing(
        "Your organisation's grant does not reach so far.",
        errors=[{"pointer": where, "detail": reason} for where, reason in found],
    )


async def own_organisation(connection: Connection, actor: Actor, author: Author) -> tuple[UUID, str]:
    """Answer the entry of the actor's own organisation, made of what the registry says where it has none yet."""
    assert actor.organisation_id is not None  # noqa: S101 - the route asked for one
    name = await connection.fetchval("select name from organisation where id = $1", actor.organisation_id)
    if name is None:
        name = actor.organisation or str(actor.organisation_id)
        made = OrganisationRecord(record_id=str(actor.organisation_id), name=name)
        one = writing.Organisation(actor.organisation_id, OWN, made.record_id, made)
        await writing.write_organisations(connection, [one], author)
    return actor.organisation_id, str(name)


def assured(record: ServiceRecord, actor: Actor, now: datetime, row: Row | None = None) -> ServiceRecord:
    """Answer a record that its owner writes: without a day it is assured today; when it changed is ours to say.

    In whose name is not the writer's to choose: its own organisation's, or as it stands.
    """
    who = actor.organisation or None
    day = record.assured_at or day_of(now)
    if row is not None and day == row["assured_on"] and record.assured_by == row["assured_by"]:
        who = row["assured_by"]
    return record.model_copy(update={"assured_at": day, "assured_by": who, "updated_at": None})


async def _places_its_own(connection: Connection, id_: UUID, record: ServiceRecord) -> None:
    """Ask whether the ids of a service at its places are free.

    Raises:
        InvalidInput: One is another service's.
    """
    told = {place.at_id: id_ for place in record.locations if place.at_id}
    others = await store.places_of_others(connection, told) if told else set()
    refuse(
        [
            Fault(f"/locations/{number}/at_id", "Another service's at its place.")
            for number, place in enumerate(record.locations)
            if place.at_id in others
        ]
    )


async def publish(
    connection: Connection, actor: Actor, record: ServiceRecord, author: Author, terms: Mapping[str, int]
) -> UUID:
    """Create a service of the actor's own organisation; answer its id.

    Raises:
        InvalidInput: It cannot be taken; every fault is named.
        ScopeMissing: The grant does not reach it.
    """
    record = assured(record, actor, author.now)
    places = judged(record, author.now)
    within(actor, record, places)
    id_ = uuid4()
    await _places_its_own(connection, id_, record)
    organisation_id, organisation = await own_organisation(connection, actor, author)
    one = writing.Service(id_, organisation_id, organisation, OWN, str(id_), record, places, owned=True)
    await writing.write_services(connection, [one], author, terms)
    return id_


async def mine(connection: Connection, actor: Actor, id_: UUID, version: str | None = None) -> asyncpg.Record:
    """Answer a service of the actor's own organisation, its row locked.

    Raises:
        NotFound: Absent, or another's.
        NotNow: Another entry stands for it.
        StaleVersion: It is no longer at this version.
    """
    row = await store.lock_service(connection, id_, actor.organisation_id)
    if row is None:
        raise NotFound("Your organisation has no such service.")
    if version is not None and version != str(row["version"]):
        raise StaleVersion("It changed since you read it.", headers={"ETag": f'"{row["version"]}"'})
    if row["merged_into"] is not None:
        raise NotNow("Another entry stands for it: the operator can undo that.", merged_into=str(row["merged_into"]))
    return row


def reached(actor: Actor, row: Row, scopes: Sequence[str] = WRITING) -> None:
    """Ask whether the actor's grant reaches a service as it stands.

    Raises:
        ScopeMissing: It does not.
    """
    if any(actor.limits.get(scope) for scope in scopes):
        record = writing.read({**row, "record": row["record_text"]})
        places, _refused, _flags = judge_places(record, points())
        within(actor, record, places, scopes)


async def replace(  # noqa: PLR0913 - who changes what of which version
    connection: Connection,
    actor: Actor,
    id_: UUID,
    version: str,
    record: ServiceRecord,
    author: Author,
    terms: Mapping[str, int],
) -> None:
    """Write a service anew; from then on imports leave it as it is. Reviews that ask about it are answered.

    Raises:
        NotFound: Absent, or another's.
        NotNow: Another entry stands for it.
        StaleVersion: It changed meanwhile.
        ScopeMissing: The grant does not reach it, as it was or as it shall be.
        InvalidInput: It cannot be taken; every fault is named.
    """
    row = await mine(connection, actor, id_, version)
    reached(actor, row)
    record = assured(record, actor, author.now, row)
    places = judged(record, author.now, row["status"])
    within(actor, record, places)
    await _places_its_own(connection, id_, record)
    name = await connection.fetchval("select name from organisation where id = $1", row["organisation_id"])
    one = writing.Service(
        id_, row["organisation_id"], name, row["source"], row["record_id"], record, places, owned=True
    )
    outcomes = await writing.write_services(connection, [one], author, terms)
    outcome = "changed" if outcomes[id_] is Outcome.CHANGED else "confirmed"
    await upkeep_store.answer_reviews(connection, id_, "retired" if record.status == "retired" else outcome, author.now)


async def retire(connection: Connection, actor: Actor, id_: UUID, version: str, author: Author) -> None:
    """Retire a service; a draft, which nobody else ever saw, is deleted.

    Raises:
        NotFound: Absent, or another's.
        NotNow: Another entry stands for it.
        StaleVersion: It changed meanwhile.
        ScopeMissing: The grant does not reach it.
    """
    row = await mine(connection, actor, id_, version)
    reached(actor, row)
    if row["status"] == "draft":
        await store.drop_draft(connection, id_)
        return
    await writing.retire(connection, [id_], author)
    await store.keep_from_imports(connection, id_)
    await upkeep_store.answer_reviews(connection, id_, "retired", author.now)


async def patched(connection: Connection, actor: Actor, id_: UUID, version: str, changes: Any) -> ServiceRecord:  # noqa: ANN401 - a merge patch of any shape
    """Answer the record of a service with a merge patch applied (RFC 7396); assured today, unless the patch says when.

    Raises:
        NotFound: Absent, or another's.
        NotNow: Another entry stands for it.
        StaleVersion: It changed meanwhile.
        InvalidInput: No object, or the result is no record; every fault is named.
    """
    row = await mine(connection, actor, id_, version)
    record = patch(writing.read({**row, "record": row["record_text"]}), changes)
    return record if "assured_at" in changes else record.model_copy(update={"assured_at": None})


def patch(part: P, changes: Any) -> P:  # noqa: ANN401 - a merge patch of any shape
    """Answer a part of a record with a merge patch applied (RFC 7396).

    Raises:
        InvalidInput: No object, or the result breaks the form; every fault is named.
    """
    if not isinstance(changes, dict):
        raise InvalidInput.of(Fault("", "A merge patch is an object."))
    try:
        return type(part).model_validate(writing.merged(part, changes))
    except ValidationError as fault:
        errors = fault.errors(include_input=False, include_url=False)
        refuse([Fault(pointer(("body", *one["loc"])), reason(one)) for one in errors])
        raise


async def write_profile(
    connection: Connection, actor: Actor, version: str, profile: OrganisationProfile, author: Author
) -> None:
    """Write what the actor's organisation tells of itself; from then on imports leave it as it is.

    Args:
        connection: In a transaction.
        actor: Of the organisation.
        version: That it read; "0" where the directory knew nothing of it.
        profile: What it tells.
        author: Stands in the history.

    Raises:
        StaleVersion: It changed meanwhile.
        InvalidInput: It cannot be stored, or it would be its own parent.
    """
    assert actor.organisation_id is not None  # noqa: S101 - the route asked for one
    if where := unstorable(profile.model_dump(mode="json")):
        refuse([Fault(_pointer(where), "Holds a sign or number that cannot be stored.")])
    above = profile.parent_organisation_id
    if above and actor.organisation_id in await store.line_of_parents(connection, above):
        refuse([Fault("/parent_organisation_id", "It would be its own parent.")])
    there = await store.lock_organisation(connection, actor.organisation_id)
    known = str(there["version"]) if there else "0"
    if version != known:
        raise StaleVersion("It changed since you read it.", headers={"ETag": f'"{known}"'})
    source, record_id = (there["source"], there["record_id"]) if there else (OWN, str(actor.organisation_id))
    one = writing.Organisation(actor.organisation_id, source, record_id, profile, owned=True)
    await writing.write_organisations(connection, [one], author)


async def tell_capacity(connection: Connection, actor: Actor, id_: UUID, told: CapacityRecord) -> None:
    """Keep what an owner tells of its open places, unless something later was told meanwhile.

    Raises:
        NotFound: Absent, or another's.
        NotNow: Another entry stands for it, or it was retired.
        ScopeMissing: The grant does not reach it.
        InvalidInput: It cannot be stored.
    """
    if where := unstorable(told.model_dump(mode="json")):
        refuse([Fault(_pointer(where), "Holds a sign or number that cannot be stored.")])
    row = await mine(connection, actor, id_)
    reached(actor, row, TELLING)
    if row["status"] == "retired":
        raise NotNow("It was retired: nobody finds it any more.")
    await writing.set_capacities(connection, [(id_, told)], actor.id)
