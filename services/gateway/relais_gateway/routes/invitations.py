"""The door of who is invited: what the link opens, and the password that she chooses."""

import asyncio
from datetime import datetime
from typing import Annotated

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from relais_gateway import account_actions, passwords
from relais_gateway.routes.dependencies import transaction
from relais_shared import problems
from relais_shared.auth import public
from relais_shared.clock import Now
from relais_shared.refusals import InvalidInput, NotFound, Unavailable
from relais_shared.service import Router

router = Router(prefix="/v1/invitations", tags=["accounts"])

_OPENS = problems.responses(NotFound, InvalidInput, Unavailable)
OWN_LINK = "who holds the link of an invitation has no account yet"

Secret = Annotated[str, StringConstraints(pattern="^[0-9A-Za-z_-]{20,100}$")]


class InvitationLink(BaseModel):
    """What stands behind the `#` of the link; it is sent in a body, so that no log holds it."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"secret": "GqZ2zYx0vU7mKJ1l0fQy5mS2m2m9cT8hQe3nVd4oXbA"}}
    )

    secret: Secret = Field(repr=False)


class InvitationAcceptance(InvitationLink):
    """The password that the person chose, and how she writes her name."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "secret": "GqZ2zYx0vU7mKJ1l0fQy5mS2m2m9cT8hQe3nVd4oXbA",
                "password": "trois tasses de thé vert",
                "name": "Léa Dupont",
            }
        },
    )

    password: str = Field(max_length=200, repr=False, description="At least 12 characters, and not your name.")
    name: (
        Annotated[str, StringConstraints(strip_whitespace=True, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")] | None
    ) = Field(default=None, description="As invited where absent.")


class InvitationOpened(BaseModel):
    """Who is invited, by whom."""

    organisation: str
    email: str
    name: str
    function: str
    expires_at: datetime


@router.post("/open", openapi_extra=public(OWN_LINK), responses=_OPENS)
async def read_invitation(request: Request, body: InvitationLink, now: Now) -> InvitationOpened:
    """Say what an invitation's link opens; looking uses nothing up."""
    async with transaction(request) as connection:
        found = await account_actions.opened(connection, body.secret, now)
    return _view(found)


@router.post("/accept", status_code=201, openapi_extra=public(OWN_LINK), responses=_OPENS)
async def accept_invitation(request: Request, body: InvitationAcceptance, now: Now) -> InvitationOpened:
    """Make the account, with a password that only the person knows; the link opens nothing from then on."""
    async with transaction(request) as connection:
        who = await account_actions.opened(connection, body.secret, now)
    account_actions.judge_password(body.password, who)
    # No connection waits while the hash is computed, and only so many are at once.
    async with request.app.state.sessions.hashing:
        kept = await asyncio.to_thread(passwords.CHOSEN.hash, body.password)
    async with transaction(request) as connection:
        made = await account_actions.accept(connection, body.secret, body.name, kept, now)
    return _view(made)


def _view(found: account_actions.Opened) -> InvitationOpened:
    return InvitationOpened(
        organisation=found.organisation,
        email=found.email,
        name=found.name,
        function=found.function,
        expires_at=found.expires_at,
    )
