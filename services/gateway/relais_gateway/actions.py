"""The verbs of the gateway: organisations with their grants, clients and accounts; teams and absences; keys."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from secrets import token_urlsafe
from typing import Any, Final
from uuid import UUID, uuid4, uuid5

import asyncpg

from relais_gateway import organisation_store, passwords, store
from relais_gateway.domain.refusals import GrantImpossible
from relais_gateway.domain.scopes import MEANINGS, Grant, granted
from relais_gateway.live import fingerprint
from relais_gateway.organisation_store import Signed
from relais_gateway.store import Connection
from relais_shared.refusals import Fault, InvalidInput, NotFound

NAMESPACE: Final = UUID("2f5d4c1e-54a5-5f0e-9a3d-0d6a2a7a9c11")
"""The root of the ids of demonstration clients and accounts: the same in every start."""

OPERATOR: Final = "system:gateway"


@dataclass(frozen=True, slots=True)
class Kept:
    """The secrets that an earlier demonstration handed out, so that a second start keeps them."""

    clients: Mapping[str, str]
    passwords: Mapping[str, str]

    @classmethod
    def of(cls, demo: Mapping[str, Any] | None) -> "Kept":
        """Answer what a demo.json of before holds."""
        demo = demo or {}
        people = [*demo.get("counsellors", ()), *([demo["administrator"]] if demo.get("administrator") else [])]
        practising = demo.get("sandbox", {}).get("clients", ())
        return cls(
            {one["client_id"]: one["client_secret"] for one in (*demo.get("clients", ()), *practising)},
            {one["email"]: one["password"] for one in people},
        )


async def demonstrate(
    connection: Connection,
    organisations: Iterable[Mapping[str, Any]],
    kept: Kept,
    base_url: str,
    now: datetime,
) -> dict[str, Any]:
    """Create the demonstration's organisations with all that is theirs; answer demo.json (design 12).

    Secrets that were handed out before stay as they are.
    """
    sandbox: dict[str, Any] = {"clients": []}
    demo: dict[str, Any] = {
        "base_url": base_url,
        "clients": [],
        "counsellors": [],
        "administrator": None,
        # Apart: whoever practises hands over to whoever practises alone.
        "sandbox": sandbox,
    }
    async with connection.transaction():
        for one in organisations:
            await put_organisation(connection, one, now)
            for client in one["clients"]:
                to = sandbox if one["practice"] else demo
                to["clients"].append(await _put_client(connection, one, client, kept))
            for user in one["users"]:
                row = await _put_account(connection, one, user, kept)
                # A counsellor may administer her own organisation; who is nothing else runs the platform.
                if "counsellor" in user["roles"]:
                    demo["counsellors"].append(row)
                else:
                    demo["administrator"] = row
            for team in one.get("teams", ()):
                await _put_team(connection, UUID(one["id"]), team)
        await store.audit(connection, now, OPERATOR, "demonstration_loaded", base_url)
    return demo


async def begin(connection: Connection, by: "By", name: str) -> None:
    """Enrol the organisation that runs the platform, under the id that `by` names: somebody has to enrol all others.

    Raises:
        InvalidInput: There is one already.
    """
    # Two who begin at the same moment would both find nobody.
    await connection.execute("lock table organisation in share row exclusive mode")
    if await connection.fetchval("select exists (select from organisation where platform)"):
        raise InvalidInput("This Relais has an organisation that runs it: `relais users list` shows its people.")
    own = {"kind": "platform", "may_sanction": False, "control_unit": False, "secrecy": "none", "practice": False}
    scopes = ["platform:admin", "trace:read"]
    await put_organisation(connection, {"id": str(by.organisation_id), "name": name, "scopes": scopes, **own}, by.now)
    facts = {"name": name, "kind": "platform"}
    await store.audit(
        connection, by.now, by.actor, "organisation_created", str(by.organisation_id), facts,
        organisation_id=by.organisation_id,
    )  # fmt: skip


async def put_organisation(connection: Connection, one: Mapping[str, Any], now: datetime) -> None:
    """Create or change an organisation, its agreement and its grants.

    Raises:
        GrantImpossible: A control unit, or an organisation without agreement, was to hold a referral scope.
    """
    agreement = one.get("agreement")
    wanted = [Grant(scope, {}) for scope in one["scopes"]]
    held = granted(wanted, today=date.min, agreement=agreement is not None, control_unit=bool(one["control_unit"]))
    if impossible := set(one["scopes"]) - held.keys():
        raise GrantImpossible(f"{one['name']} cannot hold: {', '.join(sorted(impossible))}.")
    id_ = UUID(one["id"])
    await connection.execute(
        """
        insert into organisation values ($1, $2, $3, $4, true, $5, $6, $7, $8, $9, $10, coalesce($11, 2), $12)
        on conflict (id) do update set name = excluded.name, kind = excluded.kind,
            municipality = excluded.municipality, platform = excluded.platform,
            may_sanction = excluded.may_sanction, control_unit = excluded.control_unit,
            secrecy = excluded.secrecy, practice = excluded.practice, controller = excluded.controller,
            answer_within_days = coalesce($11, organisation.answer_within_days), launch_base = excluded.launch_base
        """,
        id_,
        one["name"],
        one["kind"],
        one.get("municipality"),
        one["kind"] == "platform",
        one["may_sanction"],
        one["control_unit"],
        one["secrecy"],
        one["practice"],
        json.dumps(one.get("controller") or {}),
        # Where nothing is said, what the organisation itself said stays.
        one.get("answer_within_days"),
        one.get("launch_base"),
    )
    if agreement is not None:
        signed = Signed(
            text_version=agreement["text_version"],
            signed_on=date.fromisoformat(agreement["signed_at"]),
            ends_on=None,
            parties=agreement["parties"],
            secrecy=one["secrecy"],
            may_sanction=one["may_sanction"],
            controller=one.get("controller") or {},
        )
        if await organisation_store.living_agreement(connection, id_) != signed:
            await organisation_store.record_agreement(connection, uuid4(), id_, signed, now)
    await connection.execute(
        "delete from scope_grant where organisation_id = $1 and scope <> all($2::varchar[])", id_, list(held)
    )
    await connection.executemany(
        "insert into scope_grant values ($1, $2, '{}', null) on conflict do nothing", [(id_, scope) for scope in held]
    )


async def _put_client(
    connection: Connection, organisation: Mapping[str, Any], client: Mapping[str, Any], kept: Kept
) -> dict[str, Any]:
    id_ = str(uuid5(NAMESPACE, f"{organisation['id']}|client|{client['name']}"))
    secret = kept.clients.get(id_) or f"rel_live_{token_urlsafe(32)}"
    scopes = [scope for scope in client["scopes"] if scope in MEANINGS]
    await connection.execute(
        """
        insert into client (id, organisation_id, name, secret_hash, scopes, active)
        values ($1, $2, $3, $4, $5, true) on conflict (id) do update
        set name = excluded.name, secret_hash = excluded.secret_hash, scopes = excluded.scopes
        """,
        id_,
        UUID(organisation["id"]),
        client["name"],
        fingerprint(secret),
        scopes,
    )
    return {
        "organisation_id": organisation["id"],
        "organisation": organisation["name"],
        "client_id": id_,
        "client_secret": secret,
        "scopes": scopes,
    }


async def _put_account(
    connection: Connection, organisation: Mapping[str, Any], user: Mapping[str, Any], kept: Kept
) -> dict[str, Any]:
    email = user["email"].casefold()
    password = kept.passwords.get(email)
    there = await connection.fetchval("select exists (select from account where email = $1)", email)
    if password is None or not there:
        password = password or passwords.draw()
        await put_account(
            connection,
            organisation_id=UUID(organisation["id"]),
            email=email,
            name=user["name"],
            function=user["function"],
            roles=user["roles"],
            password=password,
        )
    return {
        "email": email,
        "password": password,
        "name": user["name"],
        "organisation_id": organisation["id"],
        "organisation": organisation["name"],
    }


async def _put_team(connection: Connection, organisation_id: UUID, team: Mapping[str, Any]) -> None:
    id_ = uuid5(NAMESPACE, f"team|{organisation_id}|{team['name']}")
    # A team that is there already is its administrator's: who joined or left it stays so.
    if await store.add_team(connection, id_, organisation_id, team["name"]):
        for email in team["members"]:
            lead = email == team["lead"]
            await store.put_member(connection, id_, _account_id(email), organisation_id, lead=lead)


def _account_id(email: str) -> UUID:
    return uuid5(NAMESPACE, f"account|{email.casefold()}")


async def put_account(  # noqa: PLR0913 - all that an account is
    connection: Connection,
    *,
    organisation_id: UUID,
    email: str,
    name: str,
    function: str,
    roles: list[str],
    password: str,
) -> UUID:
    """Create an account, or give an existing one its new name, roles and password, which we drew; answer its id."""
    # One that was invited has an id of its own.
    id_: UUID = await connection.fetchval(
        """
        insert into account values ($1, $2, $3, $4, $5, $6, $7, true) on conflict (email) do update
        set name = excluded.name, function = excluded.function, roles = excluded.roles,
            password_hash = excluded.password_hash, active = true
        returning id
        """,
        _account_id(email),
        organisation_id,
        email.casefold(),
        name,
        function,
        passwords.hash_of_drawn(password),
        roles,
    )
    # Whoever has a session with the old password, or is halfway to one, signs in again.
    await connection.execute("delete from session where account_id = $1", id_)
    await connection.execute("delete from sign_in_step where account_id = $1", id_)
    return id_


@dataclass(frozen=True, slots=True)
class By:
    """Who changes something inside which organisation, and when."""

    actor: str
    organisation_id: UUID
    now: datetime


async def create_team(connection: Connection, by: By, id_: UUID, name: str) -> None:
    """Make a team without members.

    Raises:
        InvalidInput: There is one of that name.
    """
    if not await store.add_team(connection, id_, by.organisation_id, name):
        raise _named_twice()
    await _audit(connection, by, "team_created", id_, name=name)


async def rename_team(connection: Connection, by: By, team_id: UUID, name: str) -> None:
    """Give a team another name.

    Raises:
        NotFound: It is no team of this organisation.
        InvalidInput: Another team has that name.
    """
    try:
        found = await store.rename_team(connection, team_id, by.organisation_id, name)
    except asyncpg.UniqueViolationError:
        raise _named_twice() from None
    if not found:
        raise _no_team()
    await _audit(connection, by, "team_renamed", team_id, name=name)


async def remove_team(connection: Connection, by: By, team_id: UUID) -> None:
    """Remove a team; its members stay in the organisation.

    Raises:
        NotFound: It is no team of this organisation.
    """
    if not await store.remove_team(connection, team_id, by.organisation_id):
        raise _no_team()
    await _audit(connection, by, "team_removed", team_id)


async def put_member(connection: Connection, by: By, team_id: UUID, account_id: UUID, *, lead: bool) -> None:
    """Take a colleague into a team, or change whether she leads it.

    Raises:
        NotFound: Team or account is not of this organisation.
    """
    await _ours(connection, by, account_id, team_id)
    await store.put_member(connection, team_id, account_id, by.organisation_id, lead=lead)
    await _audit(connection, by, "team_member_written", team_id, account_id=account_id, lead=lead)


async def remove_member(connection: Connection, by: By, team_id: UUID, account_id: UUID) -> None:
    """Take a colleague out of a team; does nothing where she was in none.

    Raises:
        NotFound: Team or account is not of this organisation.
    """
    await _ours(connection, by, account_id, team_id)
    if await store.remove_member(connection, team_id, account_id):
        await _audit(connection, by, "team_member_removed", team_id, account_id=account_id)


async def put_absence(  # noqa: PLR0913 - who is away, for how long, and who stands for her
    connection: Connection, by: By, account_id: UUID, *, deputy_id: UUID, begins_on: date, ends_on: date | None
) -> None:
    """Note when a colleague is away and who stands for her, in place of what was noted.

    Raises:
        NotFound: The account is not of this organisation.
        InvalidInput: The deputy is nobody else of this organisation, or the days run backwards.
    """
    await _ours(connection, by, account_id)
    faults = []
    if deputy_id == account_id or not await store.has_account(connection, deputy_id, by.organisation_id):
        faults.append(Fault("/deputy_id", "Name another colleague of the same organisation."))
    if ends_on is not None and ends_on < begins_on:
        faults.append(Fault("/until", "The last day comes after the first."))
    if faults:
        raise InvalidInput("This absence cannot be noted.", faults)
    await store.put_absence(connection, account_id, by.organisation_id, deputy_id, begins_on, ends_on)
    days = {"from": begins_on.isoformat(), "until": ends_on.isoformat() if ends_on else None}
    await _audit(connection, by, "absence_written", account_id, deputy_id=deputy_id, **days)


async def remove_absence(connection: Connection, by: By, account_id: UUID) -> None:
    """Forget a colleague's absence; does nothing where none is noted.

    Raises:
        NotFound: The account is not of this organisation.
    """
    await _ours(connection, by, account_id)
    if await store.remove_absence(connection, account_id):
        await _audit(connection, by, "absence_removed", account_id)


async def set_answer_time(connection: Connection, by: By, working_days: int) -> None:
    """Note within how many working days an organisation usually answers."""
    await store.set_answer_time(connection, by.organisation_id, working_days)
    await _audit(connection, by, "answer_time_written", by.organisation_id, working_days=working_days)


async def _ours(connection: Connection, by: By, account_id: UUID, team_id: UUID | None = None) -> None:
    if team_id is not None and not await store.has_team(connection, team_id, by.organisation_id):
        raise _no_team()
    if not await store.has_account(connection, account_id, by.organisation_id):
        raise NotFound("There is no such colleague.")


async def _audit(connection: Connection, by: By, action: str, subject: UUID, **facts: object) -> None:
    told = {name: str(fact) if isinstance(fact, UUID) else fact for name, fact in facts.items()}
    await store.audit(connection, by.now, by.actor, action, str(subject), told, organisation_id=by.organisation_id)


def _no_team() -> NotFound:
    return NotFound("There is no such team.")


def _named_twice() -> InvalidInput:
    return InvalidInput("There is such a team already.", [Fault("/name", "Another team has this name.")])
