"""The verbs of the gateway: organisations with their grants, clients and accounts; keys."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from secrets import token_urlsafe
from typing import Any, Final
from uuid import UUID, uuid5

from relais_gateway import store
from relais_gateway.domain.refusals import GrantImpossible
from relais_gateway.domain.scopes import MEANINGS, Grant, granted
from relais_gateway.live import fingerprint
from relais_gateway.sessions import HASHER
from relais_gateway.signing import SigningKeys
from relais_gateway.store import Connection

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
        return cls(
            {one["client_id"]: one["client_secret"] for one in demo.get("clients", ())},
            {one["email"]: one["password"] for one in people},
        )


async def ensure_key(connection: Connection, keys: SigningKeys, now: datetime) -> None:
    """Make the first signing key, unless there is one."""
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock(hashtext('signing-key'))")
        if not await connection.fetchval("select exists (select from signing_key where retired_at is null)"):
            await store.add_key(connection, *keys.new(), now)


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
    demo: dict[str, Any] = {"base_url": base_url, "clients": [], "counsellors": [], "administrator": None}
    async with connection.transaction():
        for one in organisations:
            await put_organisation(connection, one)
            for client in one["clients"]:
                demo["clients"].append(await _put_client(connection, one, client, kept))
            for user in one["users"]:
                row = await _put_account(connection, one, user, kept)
                if "administrator" in user["roles"]:
                    demo["administrator"] = row
                else:
                    demo["counsellors"].append(row)
        await store.audit(connection, now, OPERATOR, "demonstration_loaded", base_url)
    return demo


async def put_organisation(connection: Connection, one: Mapping[str, Any]) -> None:
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
        insert into organisation values ($1, $2, $3, $4, true, $5, $6, $7, $8, $9, $10)
        on conflict (id) do update set name = excluded.name, kind = excluded.kind,
            municipality = excluded.municipality, platform = excluded.platform,
            may_sanction = excluded.may_sanction, control_unit = excluded.control_unit,
            secrecy = excluded.secrecy, practice = excluded.practice, controller = excluded.controller
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
    )
    if agreement is not None:
        await connection.execute(
            """
            insert into agreement values ($1, $2, $3, $4) on conflict (organisation_id) do update
            set text_version = excluded.text_version, signed_on = excluded.signed_on, parties = excluded.parties
            """,
            id_,
            agreement["text_version"],
            date.fromisoformat(agreement["signed_at"]),
            agreement["parties"],
        )
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
        insert into client values ($1, $2, $3, $4, $5, true) on conflict (id) do update
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
        password = password or token_urlsafe(12)
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
    """Create an account, or give an existing one its new name, roles and password; answer its id."""
    id_ = uuid5(NAMESPACE, f"account|{email.casefold()}")
    await connection.execute(
        """
        insert into account values ($1, $2, $3, $4, $5, $6, $7, true) on conflict (email) do update
        set name = excluded.name, function = excluded.function, roles = excluded.roles,
            password_hash = excluded.password_hash, active = true
        """,
        id_,
        organisation_id,
        email.casefold(),
        name,
        function,
        HASHER.hash(password),
        roles,
    )
    # Whoever has a session with the old password signs in again.
    await connection.execute("delete from session where account_id = $1", id_)
    return id_
