"""The HSDS API: the directory by the paths, parameters and pages of Open Referral's standard (docs/hsds.md)."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from hashlib import sha256
from math import ceil
from typing import Annotated, Any, Final, TypeVar
from uuid import UUID

import asyncpg
import orjson
from fastapi import Body, Query, Request, Response
from fastapi.responses import StreamingResponse

from relais_directory import hsds_documents, hsds_store, store
from relais_directory.domain.areas import EVERYWHERE, codes_of
from relais_directory.domain.geo import position
from relais_directory.domain.words import plain, stems
from relais_directory.formats import hsds
from relais_directory.hsds_documents import Document
from relais_directory.hsds_store import Around, Asked, Kind, Words
from relais_directory.routes.dependencies import MayRead, Reading
from relais_directory.routes.hsds_parameters import (
    About,
    Listed,
    OrganizationList,
    Page,
    PlaceList,
    ServiceList,
    TaxonomyList,
    TermList,
)
from relais_directory.routes.search import prepared
from relais_directory.schemas import SearchQuery
from relais_shared import problems
from relais_shared.clock import Now
from relais_shared.http import etag
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

router = Router(prefix="/hsds", tags=["hsds"])

VERSION: Final = "3.1"
"""Of HSDS. The documents are valid against 3.0 too."""

PROFILE: Final = "https://docs.openreferral.org/en/latest/hsds/"
"""The standard itself: nothing is required beyond it, and nothing renamed."""

BATCH: Final = 200
"""Rows that a stream takes at a time."""

Asking = TypeVar("Asking", bound=Listed)

LISTS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "model": Page,
        "description": "One page; with `format=ndjson` one document a line.",
        "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
    },
    **problems.responses(InvalidInput, MalformedRequest, Unauthenticated, ScopeMissing, Unavailable),
}
ONES: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The document, as HSDS describes it.", "content": {"application/json": {"schema": {}}}},
    **problems.responses(NotFound, InvalidInput, Unauthenticated, ScopeMissing, Unavailable),
}


@router.get("", name="hsds_base", responses=problems.responses(Unauthenticated, ScopeMissing))
@router.get("/", name="hsds", responses=problems.responses(Unauthenticated, ScopeMissing))
async def about(request: Request, _actor: MayRead) -> About:
    """Say which version and profile of HSDS this is, and where it is described."""
    return About(
        version=VERSION,
        profile=PROFILE,
        openapi_url=f"{request.app.state.settings.public_url.rstrip('/')}/openapi.json",
        description="The Relais directory of local services, in Open Referral's words.",
    )


@router.get("/services", name="hsds_services", response_class=Response, responses=LISTS)
async def services(request: Request, asked: Annotated[ServiceList, Query()], _actor: MayRead, now: Now) -> Response:
    """List services, by id or, with `search`, the best match first.

    Active, inactive and temporarily closed ones are listed; one that was retired answers on its own id, as `defunct`.
    With `full=true` each is nested whole, else it has its plain members, its organization's and its program's.
    """
    return await _services(request, asked, now)


@router.post("/services", name="hsds_find_services", response_class=Response, responses=LISTS)
async def find_services(
    request: Request,
    asked: Annotated[ServiceList, Query()],
    _actor: MayRead,
    now: Now,
    body: Annotated[ServiceList | None, Body()] = None,
) -> Response:
    """List services, the parameters in the address or, so that nobody's log keeps them, in a JSON body."""
    return await _services(request, _both(asked, body), now)


@router.get("/services/{id}", name="hsds_service", response_class=Response, responses=ONES)
async def service(request: Request, id: str, connection: Reading, _actor: MayRead) -> Response:  # noqa: A002 - the standard's name
    """Read a service with all that hangs on it, and its latest changes.

    Contacts for professionals are not shown; a confidential place is shown as its municipality alone.
    """
    row = await hsds_store.one(connection, "services", _uuid(id))
    if row is None:
        raise NotFound("The directory has no such service.")
    return _answer(
        request, hsds_documents.service(row, full=True) | await hsds_documents.metadata(connection, row["service_id"])
    )


@router.get("/service_at_locations", name="hsds_places", response_class=Response, responses=LISTS)
async def places(request: Request, asked: Annotated[PlaceList, Query()], _actor: MayRead, now: Now) -> Response:
    """List services at their locations, each with its service.

    A confidential location stands at the middle of its municipality, for every distance.
    """
    return await _places(request, asked, now)


@router.post("/service_at_locations", name="hsds_find_places", response_class=Response, responses=LISTS)
async def find_places(
    request: Request,
    asked: Annotated[PlaceList, Query()],
    _actor: MayRead,
    now: Now,
    body: Annotated[PlaceList | None, Body()] = None,
) -> Response:
    """List services at their locations, the parameters in the address or in a JSON body."""
    return await _places(request, _both(asked, body), now)


@router.get("/service_at_locations/{id}", name="hsds_place", response_class=Response, responses=ONES)
async def place(request: Request, id: str, connection: Reading, _actor: MayRead) -> Response:  # noqa: A002 - the standard's name
    """Read a service at one location, with all that hangs on both."""
    row = await hsds_store.one(connection, "places", _uuid(id))
    document = hsds_documents.place(row, full=True) if row is not None else None
    if document is None:
        raise NotFound("The directory has no such service at a location.")
    return _answer(request, document)


@router.get("/organizations", name="hsds_organizations", response_class=Response, responses=LISTS)
async def organizations(request: Request, asked: Annotated[OrganizationList, Query()], _actor: MayRead) -> Response:
    """List organisations by id; with `full=true` with all that hangs on them and the ids of their services."""
    return await _organizations(request, asked)


@router.post("/organizations", name="hsds_find_organizations", response_class=Response, responses=LISTS)
async def find_organizations(
    request: Request,
    asked: Annotated[OrganizationList, Query()],
    _actor: MayRead,
    body: Annotated[OrganizationList | None, Body()] = None,
) -> Response:
    """List organisations, the parameters in the address or in a JSON body."""
    return await _organizations(request, _both(asked, body))


@router.get("/organizations/{id}", name="hsds_organization", response_class=Response, responses=ONES)
async def organization(
    request: Request,
    id: str,  # noqa: A002 - the standard's name
    connection: Reading,
    _actor: MayRead,
    full_service: Annotated[bool, Query(description="Its services nested in full.")] = False,  # noqa: FBT002 - a query parameter
) -> Response:
    """Read an organisation with all that hangs on it, the ids of its services, and its latest changes."""
    row = await hsds_store.one(connection, "organisations", _uuid(id))
    if row is None:
        raise NotFound("The directory has no such organization.")
    (document,) = await hsds_documents.with_services(connection, [row], full=True, full_service=full_service)
    return _answer(request, document | await hsds_documents.metadata(connection, row["id"]))


@router.get("/taxonomies", name="hsds_taxonomies", response_class=Response, responses=LISTS)
async def taxonomies(asked: Annotated[TaxonomyList, Query()], _actor: MayRead) -> Response:
    """List the taxonomies of this directory: themes, audiences, and what it knows beyond HSDS."""
    return _few(_named(hsds.taxonomies(), asked.search), asked)


@router.post("/taxonomies", name="hsds_find_taxonomies", response_class=Response, responses=LISTS)
async def find_taxonomies(
    asked: Annotated[TaxonomyList, Query()], _actor: MayRead, body: Annotated[TaxonomyList | None, Body()] = None
) -> Response:
    """List the taxonomies of this directory, the parameters in the address or in a JSON body."""
    asked = _both(asked, body)
    return _few(_named(hsds.taxonomies(), asked.search), asked)


@router.get("/taxonomies/{id}", name="hsds_taxonomy", response_class=Response, responses=ONES)
async def taxonomy(request: Request, id: str, _actor: MayRead) -> Response:  # noqa: A002 - the standard's name
    """Read a taxonomy of this directory."""
    return _answer(request, _own(hsds.taxonomies(), id, "taxonomy"))


@router.get("/taxonomy_terms", name="hsds_terms", response_class=Response, responses=LISTS)
async def terms(asked: Annotated[TermList, Query()], _actor: MayRead) -> Response:
    """List the terms of this directory's taxonomies, each parent before its children.

    Terms of other taxonomies stand whole in the attributes of the services that bear them.
    """
    return _few(_terms(asked), asked)


@router.post("/taxonomy_terms", name="hsds_find_terms", response_class=Response, responses=LISTS)
async def find_terms(
    asked: Annotated[TermList, Query()], _actor: MayRead, body: Annotated[TermList | None, Body()] = None
) -> Response:
    """List the terms of this directory's taxonomies, the parameters in the address or in a JSON body."""
    asked = _both(asked, body)
    return _few(_terms(asked), asked)


@router.get("/taxonomy_terms/{id}", name="hsds_term", response_class=Response, responses=ONES)
async def term(request: Request, id: str, _actor: MayRead) -> Response:  # noqa: A002 - the standard's name
    """Read a term of one of this directory's taxonomies."""
    return _answer(request, _own(hsds.taxonomy_terms(), id, "taxonomy term"))


async def _services(request: Request, asked: ServiceList, now: datetime) -> Response:
    wanted = Asked(
        words=await _words(request, asked.search, now),
        term_id=asked.taxonomy_term_id,
        taxonomy_id=asked.taxonomy_id,
        organisation_id=asked.organization_id,
        modified_after=_moment(asked.modified_after),
    )
    paged = asked.model_fields_set & {"page", "per_page"}
    if asked.minimal and asked.format == "json" and not paged:
        return StreamingResponse(_whole(request, wanted), media_type="application/json")

    async def made(_connection: store.Connection, rows: Sequence[store.Row]) -> list[Document]:
        return [
            hsds_documents.minimal(row) if asked.minimal else hsds_documents.service(row, full=asked.full)
            for row in rows
        ]

    return await _many(request, "services", asked, wanted, made)


async def _places(request: Request, asked: PlaceList, now: datetime) -> Response:
    if asked.proximity is not None and asked.postcode is None:
        raise InvalidInput("1 fault.", [Fault("?proximity", "A distance needs a postcode to be measured from.")])
    wanted = Asked(
        words=await _words(request, asked.search, now),
        term_id=asked.taxonomy_term_id,
        taxonomy_id=asked.taxonomy_id,
        organisation_id=asked.organization_id,
        modified_after=_moment(asked.modified_after),
        around=await _around(request, asked.postcode, asked.proximity) if asked.postcode else None,
    )

    async def made(_connection: store.Connection, rows: Sequence[store.Row]) -> list[Document]:
        found = (hsds_documents.place(row, full=asked.full) for row in rows)
        return [one for one in found if one is not None]

    return await _many(request, "places", asked, wanted, made)


async def _organizations(request: Request, asked: OrganizationList) -> Response:
    words = None
    if asked.search is not None:
        words = Words("", (), stems(asked.search) or (_nothing_to_look_for(),))
    wanted = Asked(words=words, term_id=asked.taxonomy_term_id, taxonomy_id=asked.taxonomy_id)

    async def made(connection: store.Connection, rows: Sequence[store.Row]) -> list[Document]:
        if asked.full or asked.full_service:
            return await hsds_documents.with_services(
                connection, rows, full=asked.full, full_service=asked.full_service
            )
        return [hsds_documents.organization(row, full=False) for row in rows]

    return await _many(request, "organisations", asked, wanted, made)


@asynccontextmanager
async def _connected(request: Request) -> AsyncIterator[store.Connection]:
    """Hold a connection for a moment.

    Raises:
        Unavailable: The database does not answer.
    """
    try:
        async with request.app.state.pool.acquire() as connection:
            yield connection
    except (asyncpg.InterfaceError, OSError, TimeoutError) as fault:
        raise Unavailable("The database does not answer. Try again.") from fault


Making = Callable[[store.Connection, Sequence[store.Row]], Awaitable[list[Document]]]


async def _many(request: Request, kind: Kind, asked: Listed, wanted: Asked, made: Making) -> Response:
    """Answer one page of a list, or all of it as a stream."""
    if asked.format == "ndjson":
        return StreamingResponse(_lines(request, kind, wanted, made), media_type="application/x-ndjson")
    async with _connected(request) as connection:
        total = await hsds_store.count(connection, kind, wanted)
        offset = (asked.page - 1) * asked.per_page
        rows = await hsds_store.page(connection, kind, wanted, offset, asked.per_page) if offset < total else []
        documents = await made(connection, rows)
    return _page(documents, total, asked)


async def _lines(request: Request, kind: Kind, wanted: Asked, made: Making) -> AsyncIterator[bytes]:
    """Answer everything, one document a line; a slow reader keeps no connection from the others."""
    last: UUID | None = None
    while True:
        async with _connected(request) as connection:
            rows = await hsds_store.after(connection, kind, wanted, last, BATCH)
            documents = await made(connection, rows)
        if documents:
            yield b"".join(orjson.dumps(document) + b"\n" for document in documents)
        if len(rows) < BATCH:
            return
        last = rows[-1]["id"]


async def _whole(request: Request, wanted: Asked) -> AsyncIterator[bytes]:
    """Answer every service's id and change in one page, which says at its end how many they were."""
    last: UUID | None = None
    total = 0
    yield b'{"contents":['
    while True:
        async with _connected(request) as connection:
            rows = await hsds_store.after(connection, "services", wanted, last, BATCH * 10, minimal=True)
        if rows:
            yield (b"," if total else b"") + b",".join(orjson.dumps(hsds_documents.minimal(row)) for row in rows)
            total += len(rows)
            last = rows[-1]["id"]
        if len(rows) < BATCH * 10:
            break
    yield b"]," + orjson.dumps(_envelope(total, total, 1, max(total, 1)))[1:]


def _page(documents: Sequence[Document], total: int, asked: Listed) -> Response:
    body = _envelope(len(documents), total, asked.page, asked.per_page) | {"contents": documents}
    return Response(orjson.dumps(body), media_type="application/json")


def _envelope(size: int, total: int, page: int, per_page: int) -> Document:
    pages = ceil(total / per_page)
    return {
        "total_items": total,
        "total_pages": pages,
        "page_number": page,
        "size": size,
        "first_page": page == 1,
        "last_page": page >= pages,
        "empty": size == 0,
    }


def _few(documents: Sequence[Document], asked: Listed) -> Response:
    """Answer a list that stands in memory."""
    if asked.format == "ndjson":
        lines = b"".join(orjson.dumps(document) + b"\n" for document in documents)
        return Response(lines, media_type="application/x-ndjson")
    offset = (asked.page - 1) * asked.per_page
    return _page(documents[offset : offset + asked.per_page], len(documents), asked)


def _named(documents: Iterable[Document], search: str | None) -> list[Document]:
    """Answer the terms, or taxonomies, whose name, code or description hold the beginnings of all words."""
    wanted = stems(search) if search else ()
    if search and not wanted:
        _nothing_to_look_for()
    found = []
    for document in documents:
        there = plain(" ".join(str(document.get(name, "")) for name in ("name", "code", "description"))).split()
        if all(any(word.startswith(stem) for word in there) for stem in wanted):
            found.append(document)
    return found


def _terms(asked: TermList) -> list[Document]:
    return [
        one
        for one in _named(hsds.taxonomy_terms(), asked.search)
        if (asked.taxonomy_id is None or one["taxonomy_id"] == str(asked.taxonomy_id))
        and (asked.parent_id is None or one.get("parent_id") == str(asked.parent_id))
        and not (asked.top_only and "parent_id" in one)
    ]


def _own(documents: Iterable[Document], id_: str, what: str) -> Document:
    for document in documents:
        if document["id"] == id_.lower():
            return document
    raise NotFound(f"The directory has no such {what}.")


def _answer(request: Request, document: Document) -> Response:
    body = orjson.dumps(document)
    headers = {"ETag": etag(sha256(body).hexdigest()[:20])}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


async def _words(request: Request, search: str | None, now: datetime) -> Words | None:
    """Answer what a text asks for, understood as in our own search.

    Raises:
        InvalidInput: Only small words, or signs.
    """
    if search is None:
        return None
    async with _connected(request) as connection:
        try:
            asked, _why, _where = await prepared(connection, request.app.state, SearchQuery(q=search), now)
        except InvalidInput:
            _nothing_to_look_for()
    texts = [" & ".join(f"{word}:*" for word in phrase.split()) for phrase in asked.phrases]
    if asked.words:
        texts.append(" & ".join(word if word.startswith("(") else f"{word}:*" for word in asked.words))
    return Words(" | ".join(filter(None, texts)), asked.said, ())


def _nothing_to_look_for() -> Any:  # noqa: ANN401 - never answers
    raise InvalidInput("Nothing to look for.", [Fault("?search", "Give a word that says what is needed.")])


async def _around(request: Request, postcode: str, metres: float | None) -> Around:
    """Answer where a postcode is.

    Raises:
        InvalidInput: The gazetteer has no such one.
    """
    country, _, code = postcode.rpartition(":")
    home = request.app.state.settings.country
    async with _connected(request) as connection:
        rows: Sequence[store.Row] = []
        for one in [country] if country else dict.fromkeys((home, "be", "fr")):
            rows = rows or await store.places_of_postcode(connection, one, code)
    if not rows:
        raise InvalidInput("This place is not known.", [Fault("?postcode", "The gazetteer has no such place.")])
    latitude, longitude = (sum(row[name] for row in rows) / len(rows) for name in ("latitude", "longitude"))
    municipalities = tuple(dict.fromkeys(row["parent"] or row["code"] for row in rows))
    codes = tuple(one for one in codes_of(*municipalities) if one != EVERYWHERE)
    return Around(position(latitude, longitude), codes, municipalities, metres)


def _both(asked: Asking, body: Asking | None) -> Asking:
    """Answer the parameters of the address and the body together.

    Raises:
        InvalidInput: One stands in both.
    """
    if body is None:
        return asked
    if twice := sorted(asked.model_fields_set & body.model_fields_set):
        raise InvalidInput(
            "Told twice.", [Fault(f"/{name}", "This stands in the address already: give it once.") for name in twice]
        )
    return asked.model_copy(
        update={name: getattr(body, name) for name in body.model_fields_set},
    )


def _uuid(text: str) -> UUID:
    """Answer an id.

    Raises:
        NotFound: It is none: nothing has it.
    """
    try:
        return UUID(text)
    except ValueError:
        raise NotFound("Nothing has this id: ids are UUIDs.") from None


def _moment(given: datetime | None) -> datetime | None:
    return given.replace(tzinfo=UTC) if given is not None and given.tzinfo is None else given
