"""Who signs in for an organisation: its administrator invites, changes, closes; the platform's does it for any."""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from fastapi import Query, Request
from pydantic import BaseModel, ConfigDict, EmailStr, Field, StrictBool, StringConstraints, field_validator

from relais_gateway import account_actions, account_store, organisation_store, repeating, store
from relais_gateway.actions import By
from relais_gateway.domain.refusals import LastAdministrator
from relais_gateway.problems import TABLE
from relais_gateway.routes.admin import NO_SUCH, Operator
from relais_gateway.routes.dependencies import transaction
from relais_gateway.routes.organisation import by as inside
from relais_shared import problems
from relais_shared.auth import Actor, requires
from relais_shared.clock import Now
from relais_shared.idempotency import Keyed, OptionalKey
from relais_shared.refusals import InvalidInput, NotFound, ScopeMissing, Unauthenticated, Unavailable
from relais_shared.service import Router

router = Router(prefix="/v1", tags=["accounts"])

Administrator = Annotated[Actor, requires("org:admin")]
Either = Annotated[Actor, requires("org:admin", "platform:admin")]
"""An organisation's administrator within it, or the platform's within any."""

_READS = problems.responses(Unauthenticated, ScopeMissing, InvalidInput, Unavailable)
_ONE = problems.responses(Unauthenticated, ScopeMissing, NotFound, InvalidInput, Unavailable)
_INVITES = problems.responses(
    Unauthenticated, ScopeMissing, NotFound, InvalidInput, *repeating.REFUSALS, Unavailable, table=TABLE
)
_CHANGES = problems.responses(
    Unauthenticated,
    ScopeMissing,
    NotFound,
    LastAdministrator,
    InvalidInput,
    Unavailable,
    table={**problems.COMMON, **TABLE},
)

Line = Annotated[str, StringConstraints(strip_whitespace=True, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
Function = Annotated[str, StringConstraints(strip_whitespace=True, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")]
Role = Literal["counsellor", "data_manager", "administrator"]
Roles = Annotated[list[Role], Field(min_length=1, max_length=3, description="Cut to what the organisation is granted.")]


class AccountView(BaseModel):
    """Somebody who signs in for an organisation, as its administrator sees it."""

    id: UUID
    organisation_id: UUID
    email: str
    name: str
    function: str
    roles: list[str]
    active: bool = Field(description="A closed account signs in no more; its name stays on what it did.")
    seen_at: datetime | None = Field(description="When it was last here, of the sessions that still live.")

    @classmethod
    def of(cls, row: store.Row) -> Self:
        """Answer an account as the database keeps it."""
        return cls(**dict(row))


class AccountList(BaseModel):
    """Who signs in for an organisation, by name."""

    items: list[AccountView]


class AccountChange(BaseModel):
    """What changes; what is absent stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"roles": ["counsellor", "administrator"]}})

    name: Line = ""
    function: Function = ""
    roles: Roles = ["counsellor"]
    active: StrictBool = Field(default=True, description="False closes it: its sessions end within a second.")

    @field_validator("roles")
    @classmethod
    def _once(cls, roles: list[Role]) -> list[Role]:
        return sorted(set(roles))


class InvitationWanted(BaseModel):
    """Who is asked to sign in, and as what."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "email": "lea.dupont@maison.example",
                "name": "Léa Dupont",
                "function": "Assistante sociale",
                "roles": ["counsellor"],
            }
        },
    )

    email: Annotated[EmailStr, Field(max_length=200)]
    name: Line
    function: Function = ""
    roles: Roles = ["counsellor"]


class InvitationView(BaseModel):
    """An open invitation."""

    id: UUID
    email: str
    name: str
    function: str
    roles: list[str]
    invited_by: str
    invited_at: datetime
    expires_at: datetime


class InvitationList(BaseModel):
    """The open invitations of an organisation, the latest first."""

    items: list[InvitationView]


class InvitationMade(BaseModel):
    """An invitation with its link, which is shown this once."""

    id: UUID
    expires_at: datetime
    link: str = Field(description="For the person invited alone: she chooses her password there. It works once.")


@router.get("/organisation/users", responses=_READS)
async def list_own_users(
    request: Request,
    actor: Administrator,
    now: Now,
    closed: Annotated[bool, Query(description="The closed accounts too.")] = False,  # noqa: FBT002 - a query parameter
) -> AccountList:
    """List who signs in for your organisation, with their roles."""
    async with transaction(request) as connection:
        rows = await account_store.accounts(connection, inside(actor, now).organisation_id, closed=closed)
    return AccountList(items=[AccountView.of(row) for row in rows])


@router.get("/organisations/{organisation_id}/users", responses=_ONE)
async def list_users(
    request: Request,
    _actor: Operator,
    organisation_id: UUID,
    closed: Annotated[bool, Query(description="The closed accounts too.")] = False,  # noqa: FBT002 - a query parameter
) -> AccountList:
    """List who signs in for an organisation, with their roles."""
    async with transaction(request) as connection:
        await _enrolled(connection, organisation_id)
        rows = await account_store.accounts(connection, organisation_id, closed=closed)
    return AccountList(items=[AccountView.of(row) for row in rows])


@router.get("/organisation/users/{account_id}", responses=_ONE)
async def read_user(request: Request, actor: Either, account_id: UUID) -> AccountView:
    """Read who somebody is that signs in for your organisation; the platform's administrators read anybody."""
    async with transaction(request) as connection:
        row = await account_store.account(connection, account_id, _within(actor))
    if row is None:
        raise NotFound("There is no such account.")
    return AccountView.of(row)


@router.patch("/organisation/users/{account_id}", responses=_CHANGES)
async def change_user(request: Request, actor: Either, account_id: UUID, body: AccountChange, now: Now) -> AccountView:
    """Change what somebody is called, does or may do, close the account or open it again.

    It counts within a second, for sessions under way too. The last administrator of an organisation, and the last who
    runs the platform, can be neither closed nor lose the role.
    """
    async with transaction(request) as connection:
        changes = body.model_dump(exclude_unset=True)
        row = await account_actions.change(connection, inside(actor, now), account_id, changes, _within(actor))
    return AccountView.of(row)


@router.get("/organisation/invitations", responses=_READS)
async def list_own_invitations(request: Request, actor: Administrator, now: Now) -> InvitationList:
    """List the open invitations of your organisation."""
    async with transaction(request) as connection:
        rows = await account_store.invitations(connection, inside(actor, now).organisation_id, now)
    return InvitationList(items=[InvitationView(**dict(row)) for row in rows])


@router.post("/organisation/invitations", status_code=201, responses=_INVITES)
async def invite(
    request: Request, actor: Administrator, body: InvitationWanted, key: OptionalKey, now: Now
) -> InvitationMade:
    """Invite a colleague: hand her the link, which this answer alone shows. It works once, within seven days.

    A second invitation of the same address takes the place of the first.
    """
    return await _invite(request, actor, key, inside(actor, now), body)


@router.delete("/organisation/invitations/{invitation_id}", status_code=204, responses=_ONE)
async def withdraw_invitation(request: Request, actor: Either, invitation_id: UUID, now: Now) -> None:
    """Withdraw an invitation: its link opens nothing from then on."""
    async with transaction(request) as connection:
        await account_actions.withdraw(connection, inside(actor, now), invitation_id, _within(actor))


@router.get("/organisations/{organisation_id}/invitations", responses=_ONE)
async def list_invitations(request: Request, _actor: Operator, organisation_id: UUID, now: Now) -> InvitationList:
    """List the open invitations of an organisation."""
    async with transaction(request) as connection:
        await _enrolled(connection, organisation_id)
        rows = await account_store.invitations(connection, organisation_id, now)
    return InvitationList(items=[InvitationView(**dict(row)) for row in rows])


@router.post("/organisations/{organisation_id}/invitations", status_code=201, responses=_INVITES)
async def invite_into(
    request: Request, actor: Operator, organisation_id: UUID, body: InvitationWanted, key: OptionalKey, now: Now
) -> InvitationMade:
    """Invite somebody into an organisation, as its first administrator; the link is shown in this answer alone."""
    return await _invite(request, actor, key, By(actor.id, organisation_id, now), body)


async def _invite(request: Request, actor: Actor, key: Keyed | None, by: By, body: InvitationWanted) -> InvitationMade:
    who = account_actions.Invited(body.email, body.name, body.function, body.roles)
    async with transaction(request) as connection:
        call = await repeating.begin(connection, key, actor, 201, by.now)
        secret = call.secret(request.app.state.settings.secret_bytes())
        if not call.repeated:
            await account_actions.invite(connection, by, call.id, secret, who)
        expires_at = await account_store.invitation_ends(connection, call.id)
    link = f"{request.app.state.settings.public_url}/invitation#{secret}"
    return InvitationMade(id=call.id, expires_at=expires_at, link=link)


async def _enrolled(connection: store.Connection, organisation_id: UUID) -> None:
    if not await organisation_store.enrolled(connection, organisation_id):
        raise NotFound(NO_SUCH)


def _within(actor: Actor) -> UUID | None:
    return None if "platform:admin" in actor.scopes else actor.organisation_id
