"""For whoever runs the platform: organisations, what they are granted, why a call would fail, who changed what."""

from datetime import date, datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

import orjson
from fastapi import Query, Request
from pydantic import BaseModel, ConfigDict, Field

from relais_gateway import admin_store, store
from relais_gateway.domain.decisions import Check, Facts, decide
from relais_gateway.domain.scopes import MEANINGS, Grant, granted
from relais_gateway.routes.dependencies import transaction
from relais_shared import problems
from relais_shared.auth import Actor, requires
from relais_shared.clock import Now
from relais_shared.http import CursorCodec
from relais_shared.refusals import Fault, InvalidInput, NotFound, ScopeMissing, Unauthenticated, Unavailable
from relais_shared.service import Router

router = Router(prefix="/v1", tags=["platform"])

Operator = Annotated[Actor, requires("platform:admin")]
"""Whoever runs the platform."""

_READS = problems.responses(Unauthenticated, ScopeMissing, InvalidInput, Unavailable)
_ONE = problems.responses(Unauthenticated, ScopeMissing, NotFound, InvalidInput, Unavailable)

NO_SUCH = "There is no such organisation."


class GrantView(BaseModel):
    """A scope that an organisation is granted."""

    scope: str
    limits: dict[str, Any]
    ends_on: date | None
    holds: bool = Field(description="It counts today: not ended, and for hand-overs with an agreement on record.")


class AgreementView(BaseModel):
    """The signed agreement without which nobody takes part in hand-overs."""

    text_version: str
    signed_on: date
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
    agreement: AgreementView | None
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


class GrantWanted(BaseModel):
    """How far and how long a scope is granted."""

    model_config = ConfigDict(extra="forbid")

    themes: list[str] = Field(default=[], max_length=100, description="Only these; none: all.")
    municipalities: list[str] = Field(default=[], max_length=1_000, description="Only these codes; none: all.")
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
    signed = row["text_version"] is not None
    held = granted(grants, today=today, agreement=signed, control_unit=row["control_unit"])
    facts = {name: row[name] for name in OrganisationRow.model_fields if name not in {"agreement", "grants"}}
    return OrganisationRow(
        **facts,
        agreement=AgreementView(text_version=row["text_version"], signed_on=row["signed_on"], parties=row["parties"])
        if signed
        else None,
        grants=[
            GrantView(scope=one.scope, limits=dict(one.limits), ends_on=one.ends_on, holds=one.scope in held)
            for one in grants
        ],
    )


@router.get("/organisations", responses=_READS)
async def list_organisations(request: Request, _actor: Operator, now: Now) -> OrganisationList:
    """List every organisation with what it is granted: who can do what."""
    async with transaction(request) as connection:
        rows = await admin_store.organisations(connection)
    return OrganisationList(items=[_view(row, now.date()) for row in rows])


@router.get("/organisations/{organisation_id}", responses=_ONE)
async def read_enrolled_organisation(
    request: Request, _actor: Operator, organisation_id: UUID, now: Now
) -> OrganisationRow:
    """Read one organisation."""
    async with transaction(request) as connection:
        return _view(await _one(connection, organisation_id), now.date())


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


@router.put("/organisations/{organisation_id}/grants/{scope}", status_code=204, responses=_ONE)
async def put_grant(
    request: Request, actor: Operator, organisation_id: UUID, scope: str, body: GrantWanted, now: Now
) -> None:
    """Grant a scope, or change how far it reaches; it counts within a second, tokens already issued included.

    A scope of hand-overs needs a signed agreement on record, and no control unit ever holds one.
    """
    if scope not in MEANINGS:
        raise NotFound("There is no such scope.")
    limits = {name: value for name, value in body.model_dump(include={"themes", "municipalities"}).items() if value}
    async with transaction(request) as connection:
        row = await _one(connection, organisation_id)
        signed, control = row["text_version"] is not None, row["control_unit"]
        wanted = Grant(scope, limits)
        if not granted([wanted], today=date.min, agreement=signed, control_unit=control):
            why = "A control unit holds no scope of hand-overs." if control else "No signed agreement is on record."
            raise InvalidInput("This scope cannot be granted.", [Fault("/scope", why)])
        await admin_store.put_grant(connection, organisation_id, scope, limits, body.ends_on)
        facts = {"scope": scope, **body.model_dump(mode="json", exclude_defaults=True)}
        await store.audit(
            connection,
            now,
            actor.id,
            "grant_written",
            str(organisation_id),
            facts,
            organisation_id=organisation_id,
        )


@router.delete("/organisations/{organisation_id}/grants/{scope}", status_code=204, responses=_ONE)
async def remove_grant(request: Request, actor: Operator, organisation_id: UUID, scope: str, now: Now) -> None:
    """Take a grant away; it stops working within a second, tokens already issued included."""
    async with transaction(request) as connection:
        if not await admin_store.remove_grant(connection, organisation_id, scope):
            raise NotFound("There is no such grant.")
        facts = {"scope": scope}
        await store.audit(
            connection,
            now,
            actor.id,
            "grant_removed",
            str(organisation_id),
            facts,
            organisation_id=organisation_id,
        )


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
            agreement=member is not None and member.agreement,
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


@router.get("/audit", responses=_READS)
async def read_audit(
    request: Request,
    _actor: Operator,
    subject: Annotated[str | None, Query(max_length=200, description="Only what is about this id.")] = None,
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
