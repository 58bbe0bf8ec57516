"""Sign-in: a session only for who knows the password, for as long as it may last, with no more than is granted."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from api.gateway.world import Door

from relais_gateway import passwords, sessions, sign_in_store
from relais_gateway.domain.devices import Source
from relais_gateway.tries import TRIES, TRIES_ANYWHERE, TRIES_WITHIN

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def ana(door: Door) -> tuple[str, str]:
    """Answer e-mail and password of the counsellor."""
    row = door.demo["counsellors"][0]
    return row["email"], row["password"]


async def test_only_the_password_opens_a_session(door: Door) -> None:
    at: sessions.Sessions = door.state.sessions
    email, password = ana(door)
    for wrong in ((email, "wrong"), (email, ""), ("nobody@essai.example", password), (f"{email}.x", password)):
        assert await at.sign_in(*wrong, NOON) is None
    secret = await at.sign_in(f"  {email.upper()} ", password, NOON)
    assert secret is not None
    visitor = await at.visitor(secret, NOON)
    assert visitor is not None
    assert (visitor.email, visitor.name, visitor.organisation) == (email, "Ana Lopes", "Essai")
    assert await at.visitor(secret + "x", NOON) is None
    assert await at.visitor("", NOON) is None
    await at.sign_out(secret, NOON)
    assert await at.visitor(secret, NOON) is None


async def test_a_password_that_was_changed_meanwhile_opens_nothing(door: Door) -> None:
    """Whoever knows the old one and tries without a pause is not in when the change ends what it had opened."""
    at: sessions.Sessions = door.state.sessions
    email, password = ana(door)
    secret = await at.sign_in(email, password, NOON)
    assert isinstance(secret, str)
    who = await at.visitor(secret, NOON)
    assert who is not None
    for _ in range(sessions.AT_ONCE):
        await at.hashing.acquire()
    trying = asyncio.create_task(at.sign_in(email, password, NOON))
    while not at.hashing._waiters:  # noqa: SLF001, ASYNC110 - it has looked the account up, and waits for its turn
        await asyncio.sleep(0)
    async with at.pool.acquire() as connection, connection.transaction():
        await sign_in_store.write_password(connection, who.account_id, passwords.hash_of_drawn("another"))
        await sign_in_store.end_other_sessions(connection, who.account_id, None)
    for _ in range(sessions.AT_ONCE):
        at.hashing.release()
    assert await trying is None
    assert await at.sign_in(email, "another", NOON) is not None


async def test_guessing_is_slowed_down_and_waiting_helps(door: Door) -> None:
    at: sessions.Sessions = door.state.sessions
    email, password = ana(door)
    for _ in range(TRIES):
        assert await at.sign_in(email, "wrong", NOON) is None
    assert await at.sign_in(email, password, NOON) is None
    later = NOON + TRIES_WITHIN + timedelta(seconds=1)
    assert await at.sign_in(email, password, later) is not None


async def test_guesses_from_one_place_keep_nobody_out_of_another(door: Door) -> None:
    """A stranger cannot lock a counsellor out; many strangers together are slowed down, and known browsers are not."""
    at: sessions.Sessions = door.state.sessions
    email, password = ana(door)

    async def guess(where: str, times: int, *, known: bool = False) -> None:
        for _ in range(times):
            await at.tries.take_of_email(email, Source(where, known=known), NOON)

    async def comes_in(where: str, *, known: bool = False) -> bool:
        return await at.sign_in(email, password, NOON, source=Source(where, known=known)) is not None

    # However long one place goes on, it is that place alone that waits.
    await guess("a", TRIES_ANYWHERE + 1)
    assert not await comes_in("a")
    assert await comes_in("b")
    # Where as many places guess as often as each may, everybody unknown waits.
    for number in range(TRIES_ANYWHERE // TRIES):
        await guess(f"place {number}", TRIES)
    assert not await comes_in("b")
    assert await comes_in("her own browser", known=True)
    # Nobody guesses for ever there either.
    await guess("her own browser", TRIES, known=True)
    assert not await comes_in("her own browser", known=True)


async def test_a_session_ends_unused_and_at_the_end_of_the_day(door: Door) -> None:
    at: sessions.Sessions = door.state.sessions
    secret = await at.sign_in(*ana(door), NOON)
    assert secret is not None
    assert await at.visitor(secret, NOON + sessions.IDLE + timedelta(seconds=1)) is None
    when = NOON
    while when - NOON < sessions.WHOLE_DAY:
        assert await at.visitor(secret, when) is not None, when
        when += sessions.IDLE - timedelta(minutes=2)
    assert await at.visitor(secret, when) is None


async def test_a_page_that_looks_by_itself_prolongs_nothing(door: Door) -> None:
    at: sessions.Sessions = door.state.sessions
    secret = await at.sign_in(*ana(door), NOON)
    assert secret is not None
    late = NOON + sessions.IDLE - timedelta(minutes=2)
    assert await at.visitor(secret, late, prolong=False) is not None
    assert await at.visitor(secret, late + timedelta(minutes=4), prolong=False) is None
    assert await at.visitor(secret, late) is not None
    assert await at.visitor(secret, late + timedelta(minutes=4), prolong=False) is not None


@pytest.mark.parametrize(
    "statement",
    ["update account set active = false", "update organisation set active = false", "delete from session"],
)
async def test_who_is_closed_out_has_no_session(door: Door, statement: str) -> None:
    at: sessions.Sessions = door.state.sessions
    secret = await at.sign_in(*ana(door), NOON)
    assert secret is not None
    await door.change(statement)
    assert await at.visitor(secret, NOON) is None


async def test_a_pages_token_holds_the_persons_rights_and_no_more(door: Door) -> None:
    at: sessions.Sessions = door.state.sessions
    secret = await at.sign_in(*ana(door), NOON)
    assert secret is not None

    async def scopes() -> set[str]:
        visitor = await at.visitor(secret, NOON)
        assert visitor is not None
        claims = door.state.keys.verify(visitor.token, NOON)
        # What a page's navigation shows is what its token opens.
        assert visitor.scopes == set(claims.scopes)
        assert (claims.client_id, claims.expires) == ("web", int(NOON.timestamp()) + sessions.TOKEN_LIFE_S)
        return set(claims.scopes)

    # A counsellor may also receive, but this organisation is not granted it.
    assert await scopes() == {"directory:read", "referral:send"}
    await door.change("delete from scope_grant where scope = 'referral:send'")
    while await scopes() != {"directory:read"}:
        pass
    await door.change("delete from scope_grant")
    while await scopes():
        pass


async def test_nothing_of_a_secret_is_kept(door: Door) -> None:
    at: sessions.Sessions = door.state.sessions
    email, password = ana(door)
    secret = await at.sign_in(email, password, NOON)
    assert secret is not None
    await at.sign_in("Nobody@essai.example", "wrong", NOON)
    kept = ""
    async with at.pool.acquire() as connection:
        tables = await connection.fetch("select tablename from pg_tables where schemaname = 'public'")
        for (table,) in tables:
            kept += str(await connection.fetch(f"select t::text from {table} t"))  # noqa: S608 - names of our tables
    hidden: list[Any] = [secret, password, "nobody@essai", door.demo["clients"][0]["client_secret"]]
    assert email in kept
    assert not [each for each in hidden if each in kept]


async def test_what_ended_is_forgotten(door: Door) -> None:
    at: sessions.Sessions = door.state.sessions
    await at.sign_in(*ana(door), NOON)
    await at.sign_in("nobody@essai.example", "wrong", NOON)
    late = NOON + timedelta(days=1)
    async with at.pool.acquire() as connection:
        await sessions.store.forget_visits(connection, NOON, NOON, NOON)
        assert await connection.fetchval("select count(*) from session") == 1
        # Counted where it came from, and among those from anywhere.
        assert await connection.fetchval("select count(*) from sign_in_attempt") == 2
        await sessions.store.forget_visits(connection, late, late, late)
        assert await connection.fetchval("select count(*) from session") == 0
        assert await connection.fetchval("select count(*) from sign_in_attempt") == 0
