"""Signing in by an outside provider: a real one with real keys, and everything that a false one tries."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import httpx
import pytest
from api.gateway.visit import Browser, Person, Town
from api.gateway.world import opened, serving
from opentelemetry.instrumentation.utils import suppress_instrumentation
from support.provider import SECRET, Provider, app_of
from support.stack import free_ports

from relais_gateway.domain.limits import Policy
from relais_gateway.domain.second_steps import For
from relais_local.databases import Access

pytestmark = pytest.mark.anyio


@pytest.fixture(name="provider", scope="module")
async def _provider(anyio_backend: str) -> AsyncIterator[Provider]:
    del anyio_backend
    (port,) = free_ports(1)
    provider = Provider(f"http://127.0.0.1:{port}")
    async with serving(app_of(provider), port):
        yield provider


@pytest.fixture(name="town", scope="module")
async def _town(
    home: Path, fresh_database: Callable[[str], Access], provider: Provider, anyio_backend: str
) -> AsyncIterator[Town]:
    del home, anyio_backend
    settings = {
        "provider_issuer": provider.issuer,
        "provider_client_id": provider.client_id,
        "provider_client_secret": SECRET,
        "provider_name": "Régie des identités",
    }
    async with opened(fresh_database("gateway"), **settings) as door:
        yield Town(door)


@pytest.fixture(autouse=True)
def _honest(provider: Provider, town: Town) -> None:
    provider.again()
    provider.now = lambda: town.now


async def asked(browser: Browser, vers: str = "/compte") -> str:
    """Press the button at the door; answer where the browser is sent."""
    page = await browser.look("/connexion")
    assert "Régie des identités" in page.text
    answer = await browser.look(f"/connexion/fournisseur?vers={vers}")
    assert answer.status_code == 303
    return str(answer.headers["location"])


async def visited(provider: Provider, address: str) -> str:
    """Follow a browser to the provider, where somebody is signed in; answer where it is sent back to."""
    assert address.startswith(provider.issuer)
    with suppress_instrumentation():
        async with httpx.AsyncClient() as client:
            answer = await client.get(address)
    assert answer.status_code == 302, answer.text
    back = urlsplit(answer.headers["location"])
    assert back.path == "/connexion/retour"
    return f"{back.path}?{back.query}"


async def through(browser: Browser, provider: Provider) -> httpx.Response:
    """Go to the provider and come back."""
    return await browser.look(await visited(provider, await asked(browser)))


def inside(browser: Browser) -> bool:
    return "relais_session" in browser.client.cookies


async def named(town: Town, provider: Provider, *roles: str) -> Person:
    """Answer somebody with an account here, whom the provider names by her e-mail."""
    person = await town.person(*roles)
    provider.who = {"sub": f"sub-{person.id}", "email": person.email.upper(), "email_verified": True}
    return person


async def test_whom_the_provider_names_comes_in_and_is_known_by_its_own_name_for_her(
    town: Town, provider: Provider
) -> None:
    person = await named(town, provider)
    async with town.browser() as browser:
        answer = await through(browser, provider)
        assert (answer.status_code, answer.headers["location"]) == (303, "/compte")
        assert person.email in (await browser.look("/compte")).text
        assert "relais_outside" not in browser.client.cookies
    # What was asked: a code, with PKCE, state and nonce, none of which the other tells.
    (sent,) = provider.asked
    assert (sent["response_type"], sent["code_challenge_method"], sent["scope"]) == ("code", "S256", "openid email")
    assert len({sent["state"], sent["nonce"], sent["code_challenge"]}) == 3
    assert all(len(sent[name]) == 43 for name in ("state", "nonce", "code_challenge"))
    # Her e-mail may change there; she stays who she is.
    provider.who = {"sub": f"sub-{person.id}", "email": "married@elsewhere.example", "email_verified": True}
    async with town.browser() as browser:
        await through(browser, provider)
        assert person.email in (await browser.look("/compte")).text


@pytest.mark.parametrize(
    "who",
    [
        {"sub": "s1", "email": "nobody-here@essai.example", "email_verified": True},
        {"sub": "s2"},
        {"sub": "s3", "email_verified": False},
        {"sub": "s4", "email_verified": "true"},
        {"sub": "s5", "email_verified": 1},
        {"sub": "s6", "email_verified": None},
        {"sub": "s7", "email": None, "email_verified": True},
        {"sub": "s8", "email": ["x"], "email_verified": True},
        {"sub": "", "email_verified": True},
        {"sub": None, "email_verified": True},
        {"sub": 7, "email_verified": True},
        {"sub": "x" * 256, "email_verified": True},
    ],
)
async def test_only_a_verified_e_mail_of_an_account_here_binds(
    town: Town, provider: Provider, who: dict[str, Any]
) -> None:
    person = await town.person()
    provider.who = {"email": person.email, **who}
    async with town.browser() as browser:
        answer = await through(browser, provider)
        assert answer.status_code == 403
        assert not inside(browser)
        assert person.email not in answer.text


def told_apart(town: Town, provider: Provider, apart: dict[str, Any]) -> None:
    """Let the provider keep what it says out of its identity tokens, for its userinfo endpoint."""
    provider.apart = {"sub": provider.who["sub"], **apart}
    provider.who = {"sub": provider.who["sub"]}
    town.door.state.provider._document = None  # noqa: SLF001 - as after an hour


async def test_an_e_mail_that_is_told_apart_binds_too(town: Town, provider: Provider) -> None:
    person = await named(town, provider)
    told_apart(town, provider, {"email": person.email.upper(), "email_verified": True})
    async with town.browser() as browser:
        assert (await through(browser, provider)).headers["location"] == "/compte"
        assert person.email in (await browser.look("/compte")).text
    # Whoever is known by the provider's own name for her needs no e-mail any more.
    provider.trouble = "no userinfo"
    async with town.browser() as browser:
        await through(browser, provider)
        assert inside(browser)


@pytest.mark.parametrize("wrong", [{"sub": "another"}, {"sub": None}, {"email_verified": False}, {"email": None}, None])
async def test_what_is_told_apart_is_judged_as_strictly(
    town: Town, provider: Provider, wrong: dict[str, Any] | None
) -> None:
    person = await named(town, provider)
    told_apart(town, provider, {"email": person.email, "email_verified": True, **(wrong or {})})
    if wrong is None:
        provider.trouble = "no userinfo"
    async with town.browser() as browser:
        assert (await through(browser, provider)).status_code == 403
        assert not inside(browser)


async def test_one_address_begins_only_so_often(
    town: Town, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of these writes something down for somebody unknown, or computes a hash."""
    person = await named(town, provider)
    monkeypatch.setattr(town.door.state.door.limiting, "_own", Policy.a_minute("own", 3))
    async with town.browser() as browser:
        await browser.look("/connexion")
        ways: list[Callable[[], Any]] = [
            lambda: browser.look("/connexion/fournisseur"),
            lambda: browser.look("/connexion/retour"),
            lambda: browser.send("/connexion/cle/options"),
            lambda: browser.send("/connexion/cle"),
            lambda: browser.send("/connexion", email=person.email, password="x"),
            lambda: browser.send("/connexion/code", code="1"),
        ]
        for ask in ways:
            town.door.state.door.limiting._limits._buckets.clear()  # noqa: SLF001 - a minute went by
            page = browser.shown
            answers = []
            for _ in range(5):
                browser.shown = page
                answers.append(await ask())
            assert 429 not in [one.status_code for one in answers[:3]]
            refused = next(one for one in answers if one.status_code == 429)
            assert 1 <= int(refused.headers["retry-after"]) <= 20
            browser.shown = page


async def test_an_e_mail_that_another_got_there_opens_nothing_here(town: Town, provider: Provider) -> None:
    """The provider gave the address of somebody who left to somebody new: the account is not hers."""
    person = await named(town, provider)
    async with town.browser() as browser:
        await through(browser, provider)
    provider.who = {"sub": "the-new-one", "email": person.email, "email_verified": True}
    async with town.browser() as browser:
        assert (await through(browser, provider)).status_code == 403
        assert not inside(browser)


async def test_who_is_closed_out_here_stays_out(town: Town, provider: Provider) -> None:
    person = await named(town, provider)
    async with town.browser() as browser:
        await through(browser, provider)
        assert inside(browser)
    await town.door.change("update account set active = false where id = $1", person.id)
    async with town.browser() as browser:
        assert (await through(browser, provider)).status_code == 403


Claims = dict[str, Any]
CLAIMS: dict[str, Claims | Callable[[Claims], Claims]] = {
    "another nonce": {"nonce": "n" * 43},
    "no nonce": {"nonce": None},
    "a nonce that is a list": lambda right: {"nonce": [right["nonce"]]},
    "another issuer": {"iss": "https://evil.example"},
    "the issuer with a slash": lambda right: {"iss": right["iss"] + "/"},
    "another audience": {"aud": "another-client"},
    "no audience": {"aud": []},
    "two audiences without azp": lambda right: {"aud": [right["aud"], "another-client"]},
    "another azp": lambda right: {"aud": [right["aud"], "another-client"], "azp": "another-client"},
    "expired": lambda right: {"exp": right["iat"] - 100},
    "no end": {"exp": None},
    "an end that is no number": {"exp": "tomorrow"},
    "true is no number": {"exp": True},
    "of long ago": lambda right: {"iat": right["iat"] - 3_000},
    "of tomorrow": lambda right: {"iat": right["iat"] + 86_400, "exp": right["iat"] + 90_000},
    "not before tomorrow": lambda right: {"nbf": right["iat"] + 86_400},
}


@pytest.mark.parametrize("what", list(CLAIMS))
async def test_a_token_that_says_anything_else_is_refused(town: Town, provider: Provider, what: str) -> None:
    await named(town, provider)
    twist = CLAIMS[what]
    provider.twist = twist if callable(twist) else lambda _right: twist
    async with town.browser() as browser:
        answer = await through(browser, provider)
        assert answer.status_code == 403, what
        assert not inside(browser)


@pytest.mark.parametrize(
    "how", ["none", "hs256 with our secret", "hs256 with its key", "another key", "at+jwt", "crit", "jwk", "cut"]
)
async def test_a_token_that_is_signed_any_other_way_is_refused(town: Town, provider: Provider, how: str) -> None:
    await named(town, provider)
    provider.forge = how
    async with town.browser() as browser:
        assert (await through(browser, provider)).status_code == 403, how
        assert not inside(browser)


@pytest.mark.parametrize(
    "change",
    [
        {"state": "s" * 43},
        {"state": None},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"code": "made-up"},
        {"code": None},
        {"error": "access_denied"},
    ],
)
async def test_an_answer_that_this_browser_did_not_ask_for_is_refused(
    town: Town, provider: Provider, change: dict[str, str | None]
) -> None:
    """Forged state, the answer of another provider (mix-up), a code of another's, a no."""
    await named(town, provider)
    async with town.browser() as browser:
        back = urlsplit(await visited(provider, await asked(browser)))
        query = {name: value[0] for name, value in parse_qs(back.query).items()} | change
        wrong = httpx.QueryParams({name: value for name, value in query.items() if value is not None})
        assert (await browser.look(f"{back.path}?{wrong}")).status_code == 403
        # And the right answer no longer helps: the round was used up.
        assert (await browser.look(f"{back.path}?{back.query}")).status_code == 403
        assert not inside(browser)


async def test_an_answer_opens_once_and_in_the_browser_that_asked(town: Town, provider: Provider) -> None:
    await named(town, provider)
    async with town.browser() as victim, town.browser() as thief:
        back = await visited(provider, await asked(victim))
        # Somebody who got hold of the address, without and with a round of his own.
        assert (await thief.look(back)).status_code == 403
        await asked(thief)
        assert (await thief.look(back)).status_code == 403
        assert not inside(thief)
        cookies = dict(victim.client.cookies)
        first, second = await asyncio.gather(victim.look(back), victim.look(back))
        assert sorted([first.status_code, second.status_code]) == [303, 403]
        victim.client.cookies.clear()
        victim.client.cookies.update(cookies)
        assert (await victim.look(back)).status_code == 403


async def test_a_code_put_into_another_browsers_round_is_refused_by_pkce_and_nonce(
    town: Town, provider: Provider
) -> None:
    """Code injection: the thief's browser has a round of its own, and brings the victim's code back in it."""
    await named(town, provider)
    async with town.browser() as victim, town.browser() as thief:
        stolen = parse_qs(urlsplit(await visited(provider, await asked(victim))).query)["code"][0]
        own = urlsplit(await visited(provider, await asked(thief)))
        query = {name: value[0] for name, value in parse_qs(own.query).items()} | {"code": stolen}
        assert (await thief.look(f"{own.path}?{httpx.QueryParams(query)}")).status_code == 403
        assert provider.refused == ["pkce"]
        assert not inside(thief)


async def test_who_takes_too_long_begins_again(town: Town, provider: Provider) -> None:
    await named(town, provider)
    async with town.browser() as browser:
        back = await visited(provider, await asked(browser))
        town.later(minutes=11)
        assert (await browser.look(back)).status_code == 403


async def test_one_never_leaves_the_site_afterwards(town: Town, provider: Provider) -> None:
    await named(town, provider)
    async with town.browser() as browser:
        answer = await browser.look(await visited(provider, await asked(browser, "https://evil.example/")))
        assert answer.headers["location"] == "/"


async def test_new_keys_of_the_provider_are_learnt_and_old_ones_forgotten(town: Town, provider: Provider) -> None:
    await named(town, provider)
    async with town.browser() as browser:
        await through(browser, provider)
        assert inside(browser)
    provider.rotate()
    # Asked for again at once would be asked for by everybody who sends nonsense.
    town.door.state.provider._keys = (town.door.state.provider._keys[0] - 31, town.door.state.provider._keys[1])  # noqa: SLF001
    async with town.browser() as browser:
        await through(browser, provider)
        assert inside(browser)
    provider.forge = "the key before"
    async with town.browser() as browser:
        assert (await through(browser, provider)).status_code == 403


async def test_the_provider_sees_to_the_second_step_of_whom_it_names(town: Town, provider: Provider) -> None:
    await named(town, provider, "counsellor", "administrator")
    before = town.door.state.sessions
    object.__setattr__(before, "required", For.EVERYBODY)
    try:
        async with town.browser() as browser:
            await through(browser, provider)
            assert (await browser.look("/recherche")).headers.get("location") != "/compte"
    finally:
        object.__setattr__(before, "required", For.NOBODY)


@pytest.mark.parametrize("trouble", ["down", "no json", "another issuer", "in the clear elsewhere", "no keys"])
async def test_a_provider_in_trouble_is_said_so_and_passwords_still_open(
    town: Town, provider: Provider, trouble: str
) -> None:
    person = await named(town, provider)
    ours = town.door.state.provider
    ours._document = ours._keys = None  # noqa: SLF001 - as after an hour
    provider.trouble = trouble
    async with town.browser() as browser:
        await browser.look("/connexion")
        answer = await browser.look("/connexion/fournisseur")
        if answer.status_code == 303:
            answer = await browser.look(await visited(provider, answer.headers["location"]))
        assert answer.status_code in {503, 403}
        assert not inside(browser)
    ours._document = ours._keys = None  # noqa: SLF001 - as after an hour
    async with town.at_home(person):
        pass


async def test_what_is_written_down_tells_who_and_how(town: Town, provider: Provider) -> None:
    person = await named(town, provider)
    async with town.browser() as browser:
        await through(browser, provider)
    connection = await asyncpg.connect(town.door.dsn)
    rows = await connection.fetch("select action, facts from audit where subject = $1 order by id", str(person.id))
    await connection.close()
    assert [(row["action"], row["facts"]) for row in rows] == [
        ("identity_bound", "{}"), ("signed_in", '{"how": "provider"}'),
    ]  # fmt: skip


async def test_without_a_provider_the_door_offers_none(home: Path, fresh_database: Callable[[str], Access]) -> None:
    del home
    async with opened(fresh_database("gateway")) as door:
        for path in ("/connexion/fournisseur", "/connexion/retour?code=x&state=y"):
            assert (await door.ask("GET", path)).status_code == 404
        assert "fournisseur" not in (await door.ask("GET", "/connexion")).text
