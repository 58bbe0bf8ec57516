"""The verbs of who signs in: invite, accept, change what somebody is and may do, close, let in again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from relais_gateway import account_store, actions, organisation_store, store
from relais_gateway.actions import By
from relais_gateway.administration import keeping_administrators
from relais_gateway.domain.choosing import LONGEST, SHORTEST, Weakness, weakness
from relais_gateway.live import fingerprint
from relais_gateway.store import Connection, Row
from relais_shared.refusals import Fault, InvalidInput, NotFound

INVITATION_LIVES: Final = timedelta(days=7)
"""Long enough for a week off; a link that lies about opens nothing for longer."""
WEAK: Final[Mapping[Weakness, str]] = {
    Weakness.SHORT: f"At least {SHORTEST} characters; a short sentence does well.",
    Weakness.LONG: f"At most {LONGEST} characters.",
    Weakness.PLAIN: "It repeats a few characters, or runs along the alphabet or the keyboard.",
    Weakness.KNOWN: "It is made of your name or your address, which is tried first.",
}
"""What is said of a password that cannot be taken."""


@dataclass(frozen=True, slots=True)
class Invited:
    """Who is asked to sign in, and as what."""

    email: str
    name: str
    function: str
    roles: Sequence[str]


@dataclass(frozen=True, slots=True)
class Opened:
    """What an invitation's link opens."""

    organisation: str
    email: str = field(repr=False)
    name: str = field(repr=False)
    function: str
    expires_at: datetime


async def invite(connection: Connection, by: By, id_: UUID, secret: str, who: Invited) -> None:
    """Ask somebody to sign in for an organisation; only the hash of the link's secret is kept.

    An open invitation of the same person gives way to it: its link opens nothing any more.

    Raises:
        NotFound: There is no such organisation.
        InvalidInput: She has an account in this organisation already. Of accounts elsewhere nothing is said.
    """
    # Held, so that of two who invite the same person at once the second replaces the first.
    if await organisation_store.organisation(connection, by.organisation_id) is None:
        raise NotFound("There is no such organisation.")
    email = who.email.casefold()
    there = await account_store.account_with(connection, email)
    if there is not None and there["organisation_id"] == by.organisation_id:
        why = "This address has an account here" + ("." if there["active"] else ", which is closed: open it again.")
        raise InvalidInput("Nobody is invited twice.", [Fault("/email", why)])
    await account_store.invite(
        connection,
        id_,
        by.organisation_id,
        email=email,
        name=who.name,
        function=who.function,
        roles=sorted(set(who.roles)),
        secret_hash=fingerprint(secret),
        invited_by=by.actor,
        now=by.now,
        expires_at=by.now + INVITATION_LIVES,
    )
    await _audit(connection, by, "invitation_made", id_, {"roles": sorted(set(who.roles))})


async def withdraw(connection: Connection, by: By, id_: UUID, within: UUID | None) -> None:
    """Withdraw an open invitation, of one organisation or of any.

    Raises:
        NotFound: It is none.
    """
    of = await account_store.withdraw_invitation(connection, id_, within, by.now)
    if of is None:
        raise NotFound("There is no such invitation.")
    await _audit(connection, By(by.actor, of, by.now), "invitation_withdrawn", id_, {})


async def opened(connection: Connection, secret: str, now: datetime) -> Opened:
    """Answer what a link opens; it opens again until somebody accepts.

    Raises:
        NotFound: It opens nothing: never made, accepted, withdrawn, over, or its organisation is closed.
    """
    row = await _invited(connection, secret, now)
    return Opened(row["organisation"], row["email"], row["name"], row["function"], row["expires_at"])


def judge_password(password: str, who: Opened) -> None:
    """Say no to a password that is too short or too plain, or made of who she is.

    Raises:
        InvalidInput: It is.
    """
    if why := weakness(password, email=who.email, name=who.name):
        raise InvalidInput("This password cannot be taken.", [Fault("/password", WEAK[why])])


async def accept(connection: Connection, secret: str, name: str | None, password_hash: str, now: datetime) -> Opened:
    """Make the account that a link invites to, with the password that the person chose; once.

    Raises:
        NotFound: The link opens nothing.
        InvalidInput: The address has an account elsewhere.
    """
    row = await _invited(connection, secret, now)
    id_ = uuid4()
    made = await account_store.add_account(
        connection,
        id_,
        row["organisation_id"],
        email=row["email"],
        name=name or row["name"],
        function=row["function"],
        roles=row["roles"],
        password_hash=password_hash,
    )
    if not made:
        # Only who holds the link is told, and it went to that address.
        raise InvalidInput("This address signs in already.", [Fault("", "Ask to be invited at another address.")])
    await account_store.accept_invitation(connection, row["id"], now)
    by = By(f"user:{id_}", row["organisation_id"], now)
    facts = {"invitation_id": str(row["id"]), "roles": list(row["roles"])}
    await _audit(connection, by, "account_created", id_, facts)
    return Opened(row["organisation"], row["email"], name or row["name"], row["function"], row["expires_at"])


async def put(connection: Connection, by: By, who: Invited, password: str) -> UUID:
    """Make an account with a password that we drew, or write one anew and open it; answer its id.

    Raises:
        NotFound: There is no such organisation.
        InvalidInput: The address has an account elsewhere.
        LastAdministrator: Nobody would administer the organisation, or run the platform, any more.
    """
    async with keeping_administrators(connection, by):
        if await organisation_store.organisation(connection, by.organisation_id) is None:
            raise NotFound("There is no such organisation.")
        there = await account_store.account_with(connection, who.email.casefold())
        if there is not None and there["organisation_id"] != by.organisation_id:
            raise InvalidInput(
                "This address signs in for another organisation.", [Fault("/email", "Take another one.")]
            )
        id_ = await actions.put_account(
            connection,
            organisation_id=by.organisation_id,
            email=who.email,
            name=who.name,
            function=who.function,
            roles=list(who.roles),
            password=password,
        )
    await _audit(connection, by, "account_written", id_, {"roles": list(who.roles)})
    return id_


async def change(connection: Connection, by: By, id_: UUID, changes: Mapping[str, Any], within: UUID | None) -> Row:
    """Change what somebody is called, does or may do, close the account or open it again; answer its row.

    Whoever is closed or loses a role loses it within a second: sessions of a closed account end, and she stands for
    nobody any more.

    Args:
        connection: In a transaction.
        by: Who, when; the organisation is the account's own.
        id_: The account.
        changes: By column, all of `account_store.CHANGEABLE`; one that changes nothing is none.
        within: The organisation whose accounts may be changed; any where None.

    Raises:
        NotFound: There is no such account.
        LastAdministrator: Nobody else administers the organisation, or runs the platform.
    """
    found = await account_store.account(connection, id_, within)
    if found is None:
        raise NotFound("There is no such account.")
    by = By(by.actor, found["organisation_id"], by.now)
    async with keeping_administrators(connection, by):
        # Read again: whoever held the administration before may have changed it.
        row = await account_store.account(connection, id_, within)
        assert row is not None  # noqa: S101 - accounts are closed, never removed
        changed = {name: value for name, value in changes.items() if row[name] != value}
        if not changed:
            return row
        await account_store.change_account(connection, id_, changed)
        if changed.get("active") is False:
            await account_store.end_sessions(connection, id_)
    # Names are personal: that they changed is enough.
    facts = {name: value if name in {"roles", "active"} else True for name, value in changed.items()}
    await _audit(connection, by, "account_changed", id_, facts)
    row = await account_store.account(connection, id_, within)
    assert row is not None  # noqa: S101 - changed just now
    return row


async def _invited(connection: Connection, secret: str, now: datetime) -> Row:
    row = await account_store.invited(connection, fingerprint(secret), now)
    if row is None:
        raise NotFound("This link opens nothing any more: ask for another one.")
    return row


async def _audit(connection: Connection, by: By, action: str, subject: UUID, facts: Mapping[str, Any]) -> None:
    id_ = by.organisation_id
    await store.audit(connection, by.now, by.actor, action, str(subject), facts, organisation_id=id_)
