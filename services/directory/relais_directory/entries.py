"""The verbs of an owner: publish, change and retire its services, tell of itself and of its open places."""

from collections.abc import Mapping
from typing import Any, Final, TypeVar
from uuid import UUID, uuid4

import asyncpg
import orjson
from pydantic import ValidationError

from relais_directory import store, writing
from relais_directory.judging import judge_places
from relais_directory.records import (
    CapacityRecord,
    OrganisationProfile,
    OrganisationRecord,
    Part,
    ServiceRecord,
    unstorable,
)
from relais_directory.store import Connection
from relais_directory.writing import Author
from relais_shared.auth import Actor
from relais_shared.refusals import Fault, InvalidInput, NotFound, StaleVersion

P = TypeVar("P", bound=Part)

OWN: Final = "relais"
"""The source of what organisations write here themselves."""


def judged(record: ServiceRecord) -> writing.Places:
    """Answer the municipalities of a record's places.

    Raises:
        InvalidInput: It cannot be taken; every fault is named.
    """
    if where := unstorable(orjson.loads(record.model_dump_json())):
        raise InvalidInput("1 fault.", [Fault(_pointer(where), "Holds a sign or number that cannot be stored.")])
    places, refused, _flags = judge_places(record, writing.points())
    if refused:
        raise InvalidInput(f"{len(refused)} faults.", [Fault(_pointer(at), reason) for at, reason in refused])
    return places


def _pointer(where: str) -> str:
    return "/" + where.replace(".", "/")


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


async def publish(
    connection: Connection, actor: Actor, record: ServiceRecord, author: Author, terms: Mapping[str, int]
) -> UUID:
    """Create a service of the actor's own organisation; answer its id.

    Raises:
        InvalidInput: Its places cannot be judged.
    """
    places = judged(record)
    organisation_id, organisation = await own_organisation(connection, actor, author)
    id_ = uuid4()
    one = writing.Service(id_, organisation_id, organisation, OWN, str(id_), record, places, owned=True)
    await writing.write_services(connection, [one], author, terms)
    return id_


async def mine(connection: Connection, actor: Actor, id_: UUID, version: str | None = None) -> asyncpg.Record:
    """Answer a service of the actor's own organisation, its row locked.

    Raises:
        NotFound: Absent, or another's.
        StaleVersion: It is no longer at this version.
    """
    row = await store.lock_service(connection, id_, actor.organisation_id)
    if row is None:
        raise NotFound("Your organisation has no such service.")
    if version is not None and version != str(row["version"]):
        raise StaleVersion("It changed since you read it.", headers={"ETag": f'"{row["version"]}"'})
    return row


async def replace(  # noqa: PLR0913 - who changes what of which version
    connection: Connection,
    actor: Actor,
    id_: UUID,
    version: str,
    record: ServiceRecord,
    author: Author,
    terms: Mapping[str, int],
) -> None:
    """Write a service anew; from then on imports leave it as it is.

    Raises:
        NotFound: Absent, or another's.
        StaleVersion: It changed meanwhile.
        InvalidInput: Its places cannot be judged.
    """
    row = await mine(connection, actor, id_, version)
    places = judged(record)
    name = await connection.fetchval("select name from organisation where id = $1", row["organisation_id"])
    one = writing.Service(
        id_, row["organisation_id"], name, row["source"], row["record_id"], record, places, owned=True
    )
    await writing.write_services(connection, [one], author, terms)


async def patched(connection: Connection, actor: Actor, id_: UUID, version: str, changes: Any) -> ServiceRecord:  # noqa: ANN401 - a merge patch of any shape
    """Answer the record of a service with a merge patch applied (RFC 7396).

    Raises:
        InvalidInput: No object, or the result is no record; every fault is named.
    """
    row = await mine(connection, actor, id_, version)
    return patch(writing.read({**row, "record": row["record_text"]}), changes)


def patch(part: P, changes: Any) -> P:  # noqa: ANN401 - a merge patch of any shape
    """Answer a part of a record with a merge patch applied (RFC 7396).

    Raises:
        InvalidInput: No object, or the result breaks the form; every fault is named.
    """
    if not isinstance(changes, dict):
        raise InvalidInput("1 fault.", [Fault("", "A merge patch is an object.")])
    try:
        return type(part).model_validate(writing.merged(part, changes))
    except ValidationError as fault:
        errors = fault.errors(include_input=False, include_url=False)
        raise InvalidInput(
            f"{len(errors)} faults.",
            [Fault("/" + "/".join(map(str, one["loc"])), str(one["msg"])) for one in errors],
        ) from None


async def write_profile(
    connection: Connection, actor: Actor, version: str | None, profile: OrganisationProfile, author: Author
) -> None:
    """Write what the actor's organisation tells of itself; from then on imports leave it as it is.

    Raises:
        StaleVersion: It changed meanwhile.
    """
    id_, _name = await own_organisation(connection, actor, author)
    there = await connection.fetchrow(
        "select version, source, record_id from organisation where id = $1 for update", id_
    )
    assert there is not None  # noqa: S101 - made just above
    if version is not None and version != str(there["version"]):
        raise StaleVersion("It changed since you read it.", headers={"ETag": f'"{there["version"]}"'})
    one = writing.Organisation(id_, there["source"], there["record_id"], profile, owned=True)
    await writing.write_organisations(connection, [one], author)


async def tell_capacity(connection: Connection, actor: Actor, id_: UUID, told: CapacityRecord) -> bool:
    """Keep what an owner tells of its open places; answer whether nothing later was known.

    Raises:
        NotFound: Absent, or another's.
    """
    await mine(connection, actor, id_)
    taken = await writing.set_capacities(connection, [(id_, told)], actor.id)
    if taken:
        await store.touch(connection, id_)
    return bool(taken)
