"""Inside an organisation: its teams with their leads, who is away and who stands for them, how soon it answers."""

from datetime import date
from typing import Annotated, Self
from uuid import UUID

import orjson
from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StringConstraints

from relais_gateway import actions, repeating, store
from relais_gateway.live import ZONE, Absence
from relais_gateway.problems import TABLE
from relais_gateway.routes.dependencies import transaction
from relais_shared import problems
from relais_shared.auth import Actor, requires
from relais_shared.clock import Now
from relais_shared.idempotency import OptionalKey
from relais_shared.refusals import InvalidInput, NotFound, ScopeMissing, Unauthenticated, Unavailable
from relais_shared.service import Router

router = Router(prefix="/v1", tags=["organisation"])

MayChange = Annotated[Actor, requires("org:admin")]
MayRead = Annotated[Actor, requires("org:admin", "referral:send", "referral:receive")]
Herself = MayRead

_READS = problems.responses(Unauthenticated, ScopeMissing, Unavailable)
_CHANGES = problems.responses(Unauthenticated, ScopeMissing, NotFound, InvalidInput, Unavailable)
_MAKES = problems.responses(
    Unauthenticated, ScopeMissing, NotFound, InvalidInput, *repeating.REFUSALS, Unavailable, table=TABLE
)


class TeamWanted(BaseModel):
    """What a team is called."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, StringConstraints(strip_whitespace=True, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]


class Member(BaseModel):
    """One of a team."""

    account_id: UUID
    lead: bool


class TeamView(BaseModel):
    """A team and who is in it."""

    id: UUID
    name: str
    members: list[Member]


class TeamList(BaseModel):
    """The teams of an organisation, by name."""

    items: list[TeamView]


class Membership(BaseModel):
    """How somebody belongs to a team."""

    model_config = ConfigDict(extra="forbid")

    lead: StrictBool = Field(default=False, description="She sees to it that nothing of the team's lies.")


class AbsenceView(BaseModel):
    """Days, both included, on which somebody is away, and the colleague who stands for her on them."""

    model_config = ConfigDict(extra="forbid")

    deputy_id: UUID = Field(description="Another open account of the same organisation.")
    begins_on: date = Field(alias="from", description="The first day.")
    ends_on: date | None = Field(default=None, alias="until", description="The last day; absent while nobody knows.")


class TeamOfColleague(BaseModel):
    """A team that a colleague is in."""

    id: UUID
    name: str
    lead: bool


class Colleague(BaseModel):
    """Somebody who signs in for the organisation."""

    id: UUID
    name: str
    function: str
    email: str | None = Field(description="For `org:admin` alone.")
    teams: list[TeamOfColleague]
    absent: bool = Field(description="Away today.")
    deputy: UUID | None = Field(description="Who stands for her today; none while she is there.")
    absence: AbsenceView | None = Field(description="What is noted, begun or not: for `org:admin` and herself alone.")

    @classmethod
    def of(cls, row: store.Row, seen_by: Actor, today: date) -> Self:
        """Answer a colleague as an actor may see her."""
        noted = row["deputy_id"] is not None
        away = noted and Absence(row["id"], row["begins_on"], row["ends_on"]).on(today)
        administrator = "org:admin" in seen_by.scopes
        shown = noted and (administrator or seen_by.user_id == row["id"])
        return cls(
            id=row["id"],
            name=row["name"],
            function=row["function"],
            email=row["email"] if administrator else None,
            teams=orjson.loads(row["teams"]),
            absent=away,
            deputy=row["deputy_id"] if away else None,
            absence=AbsenceView.model_validate(
                {"deputy_id": row["deputy_id"], "from": row["begins_on"], "until": row["ends_on"]}
            )
            if shown
            else None,
        )


class Colleagues(BaseModel):
    """The open accounts of an organisation, by name."""

    items: list[Colleague]


class AnswerTime(BaseModel):
    """Within how many working days an organisation usually answers."""

    model_config = ConfigDict(extra="forbid")

    working_days: int = Field(ge=1, le=30)


def _organisation(actor: Actor) -> UUID:
    # The door lets nobody in without an organisation; a service acting as itself has none.
    if actor.organisation_id is None:
        raise NotFound("There is no organisation behind this token.")
    return actor.organisation_id


def by(actor: Actor, now: Now) -> actions.By:
    """Answer who changes something inside which organisation, and when."""
    return actions.By(actor.id, _organisation(actor), now)


@router.get("/organisation/teams", responses=_READS)
async def list_teams(request: Request, actor: MayRead) -> TeamList:
    """List the teams of your organisation."""
    async with transaction(request) as connection:
        rows = await store.teams(connection, _organisation(actor))
    items = [TeamView(id=row["id"], name=row["name"], members=orjson.loads(row["members"])) for row in rows]
    return TeamList(items=items)


@router.post("/organisation/teams", status_code=201, responses=_MAKES)
async def create_team(request: Request, actor: MayChange, body: TeamWanted, key: OptionalKey, now: Now) -> TeamView:
    """Make a team; its name stands once in an organisation."""
    async with transaction(request) as connection:
        call = await repeating.begin(connection, key, actor, 201, now)
        if not call.repeated:
            await actions.create_team(connection, by(actor, now), call.id, body.name)
    return TeamView(id=call.id, name=body.name, members=[])


@router.patch("/organisation/teams/{team_id}", status_code=204, responses=_CHANGES)
async def rename_team(request: Request, actor: MayChange, team_id: UUID, body: TeamWanted, now: Now) -> None:
    """Give a team another name."""
    async with transaction(request) as connection:
        await actions.rename_team(connection, by(actor, now), team_id, body.name)


@router.delete("/organisation/teams/{team_id}", status_code=204, responses=_CHANGES)
async def remove_team(request: Request, actor: MayChange, team_id: UUID, now: Now) -> None:
    """Remove a team; its members stay in the organisation."""
    async with transaction(request) as connection:
        await actions.remove_team(connection, by(actor, now), team_id)


@router.put("/organisation/teams/{team_id}/members/{account_id}", status_code=204, responses=_CHANGES)
async def put_member(
    request: Request, actor: MayChange, team_id: UUID, account_id: UUID, body: Membership, now: Now
) -> None:
    """Take a colleague into a team, or change whether she leads it."""
    async with transaction(request) as connection:
        await actions.put_member(connection, by(actor, now), team_id, account_id, lead=body.lead)


@router.delete("/organisation/teams/{team_id}/members/{account_id}", status_code=204, responses=_CHANGES)
async def remove_member(request: Request, actor: MayChange, team_id: UUID, account_id: UUID, now: Now) -> None:
    """Take a colleague out of a team."""
    async with transaction(request) as connection:
        await actions.remove_member(connection, by(actor, now), team_id, account_id)


@router.get("/organisation/accounts", responses=_READS)
async def list_accounts(request: Request, actor: MayRead, now: Now) -> Colleagues:
    """List who signs in for your organisation: their teams, who is away today, who stands for them."""
    async with transaction(request) as connection:
        rows = await store.colleagues(connection, _organisation(actor))
    return Colleagues(items=[Colleague.of(row, actor, now.astimezone(ZONE).date()) for row in rows])


@router.put("/organisation/accounts/{account_id}/absence", responses=_CHANGES)
async def put_absence(request: Request, actor: MayChange, account_id: UUID, body: AbsenceView, now: Now) -> AbsenceView:
    """Note when a colleague is away and who stands for her, in place of what was noted."""
    return await _note_absence(request, actor, account_id, body, now)


@router.delete("/organisation/accounts/{account_id}/absence", status_code=204, responses=_CHANGES)
async def remove_absence(request: Request, actor: MayChange, account_id: UUID, now: Now) -> None:
    """Forget a colleague's absence."""
    async with transaction(request) as connection:
        await actions.remove_absence(connection, by(actor, now), account_id)


@router.put("/me/absence", responses=_CHANGES)
async def put_my_absence(request: Request, actor: Herself, body: AbsenceView, now: Now) -> AbsenceView:
    """Note when you are away and who stands for you. You need to be signed in: a system has no absence."""
    return await _note_absence(request, actor, _herself(actor), body, now)


@router.delete("/me/absence", status_code=204, responses=_CHANGES)
async def remove_my_absence(request: Request, actor: Herself, now: Now) -> None:
    """Forget your absence."""
    async with transaction(request) as connection:
        await actions.remove_absence(connection, by(actor, now), _herself(actor))


@router.put("/organisation/answer_time", responses=_CHANGES)
async def set_answer_time(request: Request, actor: MayChange, body: AnswerTime, now: Now) -> AnswerTime:
    """Say within how many working days your organisation usually answers; senders and the person are told."""
    async with transaction(request) as connection:
        await actions.set_answer_time(connection, by(actor, now), body.working_days)
    return body


async def _note_absence(request: Request, actor: Actor, account_id: UUID, body: AbsenceView, now: Now) -> AbsenceView:
    async with transaction(request) as connection:
        await actions.put_absence(
            connection,
            by(actor, now),
            account_id,
            deputy_id=body.deputy_id,
            begins_on=body.begins_on,
            ends_on=body.ends_on,
        )
    return body


def _herself(actor: Actor) -> UUID:
    if actor.user_id is None:
        raise NotFound("There is no account behind this token.")
    return actor.user_id
