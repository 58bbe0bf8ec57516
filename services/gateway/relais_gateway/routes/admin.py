"""For whoever runs the platform: organisations, what they are granted, why a call would fail, who changed what."""

from datetime import date, datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

import orjson
from fastapi import Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from relais_gateway import admin_store, organisation_actions, store
from relais_gateway.actions import By
from relais_gateway.domain.decisions import Check, Facts, decide
from relais_gateway.domain.refusals import AgreementMissing, LastAdministrator
from relais_gateway.domain.scopes import MEANINGS, Agreement, Grant, granted
from relais_gateway.problems import TABLE
from relais_gateway.routes.dependencies import PRINTED, transaction
from relais_shared import problems
from relais_shared.auth import Actor, requires
from relais_shared.clock import Now
from relais_shared.http import CursorCodec, etag
from relais_shared.refusals import InvalidInput, NotFound, ScopeMissing, Unauthenticated, Unavailable
from relais_shared.service import Router

router = Router(prefix="/v1", tags=["platform"])

Operator = Annotated[Actor, requires("platform:admin")]
"""Whoever runs the platform."""

_READS = problems.responses(Unauthenticated, ScopeMissing, InvalidInput, Unavailable)
_ONE = problems.responses(Unauthenticated, ScopeMissing, NotFound, InvalidInput, Unavailable)
_GRANTS = problems.responses(
    Unauthenticated,
    ScopeMissing,
    AgreementMissing,
    NotFound,
    LastAdministrator,
    InvalidInput,
    Unavailable,
    table={**problems.COMMON, **TABLE},
)

NO_SUCH = "There is no such organisation."


class GrantView(BaseModel):
    """A scope that an organisation is granted."""

    scope: str
    limits: dict[str, Any]
    ends_on: date | None
    holds: bool = Field(description="It counts today: not ended, and for hand-overs with an agreement on record.")


class AgreementView(BaseModel):
    """The signed agreement without which nobody takes part in hand-overs."""

    id: UUID
    text_version: str
    signed_on: date
    ends_on: date | None
    in_force: bool = Field(description="It counts today.")
    parties: list[str]


class OrganisationRow(BaseModel):
    """An organisation of the registry."""

    id: UUID
    name: str
    kind: str
    municipality: str | None
    active: bool
    platform: bool
    may_sanction: bool
    control_unit: bool
    secrecy: str
    practice: bool
    controller: dict[str, Any] = Field(description="Who answers for its data, as declared in signing.")
    answer_within_days: int
    launch_base: str | None
    agreement: AgreementView | None = Field(description="The one that nobody ended; the others stay on record.")
    clients: int
    accounts: int
    grants: list[GrantView]


class OrganisationList(BaseModel):
    """Every organisation, by name."""

    items: list[OrganisationRow]


class ClientView(BaseModel):
    """A system of an organisation."""

    id: str
    name: str
    scopes: list[str] = Field(description="What it may ask for; cut to what its organisation is granted.")
    active: bool


class ClientList(BaseModel):
    """The systems of an organisation, by name."""

    items: list[ClientView]


Theme = Annotated[str, StringConstraints(pattern="^[a-z]+(-{1,2}[a-z]+)*$", max_length=60)]
Area = Annotated[str, StringConstraints(pattern="^[a-z]{2}:[0-9A-Z]{2,10}$")]
"""A municipality (`be:52011`), or a whole département (`fr:974`)."""


class GrantWanted(BaseModel):
    """How far and how long a scope is granted."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"themes": ["childcare"], "municipalities": ["be:52011"], "ends_on": "2027-12-31"}
        },
    )

    themes: list[Theme] = Field(default=[], max_length=100, description="Only these and their children; none: all.")
    municipalities: list[Area] = Field(default=[], max_length=1_000, description="Only these codes; none: all.")
    ends_on: date | None = Field(default=None, description="The last day; none: until it is taken away.")


class Question(BaseModel):
    """A call that a system would make. It is in the body, since a path may hold an id."""

    model_config = ConfigDict(extra="forbid")

    client_id: str = Field(min_length=1, max_length=100)
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    path: str = Field(min_length=1, max_length=2_000, pattern="^/", examples=["/v1/directory/search"])


class CheckView(BaseModel):
    """One question of the door and its answer."""

    check: Check
    holds: bool


class Decision(BaseModel):
    """Whether the door would open, question by question, up to the first no."""

    allowed: bool
    operation: str | None = Field(description="What the path names; none where it names nothing.")
    scopes: list[str] = Field(description="Any of them opens it.")
    client: str | None
    organisation_id: UUID | None
    organisation: str | None
    checks: list[CheckView]


class AuditRow(BaseModel):
    """One change, and who made it; each entry carries the hash of the one before it."""

    id: int = Field(description="Its number, from 1 on; none is left out.")
    at: datetime
    actor: str
    action: str
    subject: str
    organisation_id: UUID | None = Field(description="Inside which organisation it was, or about which.")
    facts: dict[str, Any]
    previous: str = Field(description="The hash of the entry before, hexadecimal.")
    hash: str = Field(description="SHA-256 over `previous` and what the entry says.")

    @classmethod
    def of(cls, row: store.Row) -> Self:
        """Answer an entry as the database keeps it."""
        bytes_ = {name: row[name].hex() for name in ("previous", "hash")}
        return cls(**{**dict(row), "facts": orjson.loads(row["facts"]), **bytes_})


class AuditPage(BaseModel):
    """What was written down, the latest first."""

    items: list[AuditRow]
    next_cursor: str | None


def _view(row: store.Row, today: date) -> OrganisationRow:
    told = orjson.loads(row["grants"])
    grants = [
        Grant(one["scope"], one["limits"], date.fromisoformat(one["ends_on"]) if one["ends_on"] else None)
        for one in told
    ]
    signed = orjson.loads(row["agreement"]) if row["agreement"] else None
    agreement = AgreementView(**signed, in_force=False) if signed else None
    if agreement:
        agreement.in_force = Agreement(agreement.signed_on, agreement.ends_on).holds(today)
    agreed = agreement is not None and agreement.in_force
    held = granted(grants, today=today, agreement=agreed, control_unit=row["control_unit"])
    made = {"agreement", "grants", "controller"}
    facts = {name: row[name] for name in OrganisationRow.model_fields if name not in made}
    return OrganisationRow(
        **facts,
        controller=orjson.loads(row["controller"]),
        agreement=agreement,
        grants=[
            GrantView(scope=one.scope, limits=dict(one.limits), ends_on=one.ends_on, holds=one.scope in held)
            for one in grants
        ],
    )


async def enrolled(connection: store.Connection, id_: UUID, today: date) -> tuple[OrganisationRow, str]:
    """Answer an organisation of the registry, and its version for `If-Match`.

    Raises:
        NotFound: There is none.
    """
    row = await _one(connection, id_)
    return _view(row, today), organisation_actions.version_of(row)


@router.get("/organisations", responses=_READS)
async def list_organisations(request: Request, _actor: Operator, now: Now) -> OrganisationList:
    """List every organisation with what it is granted: who can do what."""
    async with transaction(request) as connection:
        rows = await admin_store.organisations(connection)
    return OrganisationList(items=[_view(row, now.date()) for row in rows])


@router.get("/organisations/{organisation_id}", responses=_ONE)
async def read_enrolled_organisation(
    request: Request, response: Response, _actor: Operator, organisation_id: UUID, now: Now
) -> OrganisationRow:
    """Read one organisation; its `ETag` is for changing it."""
    async with transaction(request) as connection:
        found, version = await enrolled(connection, organisation_id, now.date())
    response.headers["ETag"] = etag(version)
    return found


@router.get("/organisations/{organisation_id}/clients", responses=_ONE)
async def list_clients(request: Request, _actor: Operator, organisation_id: UUID) -> ClientList:
    """List the systems of an organisation and what each may ask for."""
    async with transaction(request) as connection:
        await _one(connection, organisation_id)
        rows = await admin_store.clients(connection, organisation_id)
    return ClientList(items=[ClientView(**dict(row)) for row in rows])


async def _one(connection: store.Connection, id_: UUID) -> store.Row:
    rows = await admin_store.organisations(connection, id_)
    if not rows:
        raise NotFound(NO_SUCH)
    return rows[0]


@router.put("/organisations/{organisation_id}/grants/{scope}", status_code=204, responses=_GRANTS)
async def put_grant(
    request: Request, actor: Operator, organisation_id: UUID, scope: str, body: GrantWanted, now: Now
) -> None:
    """Grant a scope, or change how far it reaches; it counts within a second, tokens already issued included.

    A scope of hand-overs needs a signed agreement in force, and no control unit ever holds one.
    """
    if scope not in MEANINGS:
        raise NotFound("There is no such scope.")
    limits = {name: value for name, value in body.model_dump(include={"themes", "municipalities"}).items() if value}
    async with transaction(request) as connection:
        by = By(actor.id, organisation_id, now)
        await organisation_actions.put_grant(connection, by, scope, limits, body.ends_on)


@router.delete("/organisations/{organisation_id}/grants/{scope}", status_code=204, responses=_GRANTS)
async def remove_grant(request: Request, actor: Operator, organisation_id: UUID, scope: str, now: Now) -> None:
    """Take a grant away; it stops working within a second, tokens already issued included."""
    async with transaction(request) as connection:
        await organisation_actions.remove_grant(connection, By(actor.id, organisation_id, now), scope)


@router.post("/decisions", responses=_READS)
async def would_open(request: Request, _actor: Operator, body: Question, now: Now) -> Decision:
    """Say whether a system's call would be let in, and if not, which of the door's questions says no.

    Nothing is called. Whether what lies behind the door is the organisation's own is asked there alone.
    """
    state = await request.app.state.live.now()
    found = request.app.state.door.operation(body.method, body.path.partition("?")[0])
    client = state.clients.get(body.client_id)
    member = state.members.get(client.organisation_id) if client else None
    checks = decide(
        Facts(
            scopes=found.scopes if found else frozenset(),
            open_to_all=found is not None and found.public is not None,
            client=client is not None,
            organisation=member is not None and member.active,
            may=client.scopes if client else frozenset(),
            grants={grant.scope: grant for grant in member.grants} if member else {},
            agreement=member is not None and member.agreed(now.date()),
            control_unit=member is not None and member.control_unit,
        ),
        now.date(),
    )
    return Decision(
        allowed=all(holds for _check, holds in checks),
        operation=found.name if found else None,
        scopes=sorted(found.scopes) if found else [],
        client=client.id if client else None,
        organisation_id=member.id if member else None,
        organisation=member.name if member else None,
        checks=[CheckView(check=check, holds=holds) for check, holds in checks],
    )


About = Annotated[str | None, Query(max_length=200, pattern=PRINTED, description="Only what is about this id.")]
"""Whom or what entries of the audit log are about."""


@router.get("/audit", responses=_READS)
async def read_audit(
    request: Request,
    _actor: Operator,
    subject: About = None,
    organisation_id: Annotated[UUID | None, Query(description="Only what is of this organisation.")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: str | None = None,
) -> AuditPage:
    """Read who changed what, the latest first."""
    return await audit_page(request, subject, organisation_id, limit, cursor)


async def audit_page(
    request: Request, subject: str | None, organisation_id: UUID | None, limit: int, cursor: str | None
) -> AuditPage:
    """Answer a page of the audit log: all of it, or what is about a subject, or of an organisation."""
    codec = CursorCodec(request.app.state.settings.secret_bytes(), f"audit:{organisation_id}:{subject}")
    before = int(codec.decode(cursor)) if cursor else None
    async with transaction(request) as connection:
        rows = await admin_store.audited(connection, before, subject, organisation_id, limit + 1)
    shown = rows[:limit]
    next_cursor = codec.encode(shown[-1]["id"]) if len(rows) > limit else None
    return AuditPage(items=[AuditRow.of(row) for row in shown], next_cursor=next_cursor)
