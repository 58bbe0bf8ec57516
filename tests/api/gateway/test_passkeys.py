"""Passkeys: a key opens its own account, on our pages, once for each time that it is asked; nothing else does."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from api.gateway.visit import Browser, Person, Town
from api.gateway.world import PUBLIC_URL, opened
from support.authenticator import PRESENT, VERIFIED, Authenticator, block, text

from relais_gateway.own_keys import KEYS
from relais_local.databases import Access

pytestmark = pytest.mark.anyio


@pytest.fixture(name="town", scope="module")
async def _town(home: Path, fresh_database: Callable[[str], Access], anyio_backend: str) -> AsyncIterator[Town]:
    """Run one gateway for all of these tests: each has people of its own."""
    del home, anyio_backend
    async with opened(fresh_database("gateway")) as door:
        yield Town(door)


async def asked(browser: Browser, path: str) -> dict[str, Any]:
    """Answer what the browser is asked for."""
    answer = await browser.send(f"{path}/options")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def made(browser: Browser, device: Authenticator, name: str = "Mon téléphone", **client: Any) -> Any:
    """Make a key; answer what the gateway says to it."""
    await browser.look("/compte/cle")
    options = await asked(browser, "/compte/cle")
    return await browser.send("/compte/cle", answer=device.make(options, **client), name=name)


async def shown(browser: Browser, device: Authenticator, **client: Any) -> Any:
    """Sign in by a key; answer what the gateway says to it."""
    await browser.look("/connexion")
    options = await asked(browser, "/connexion/cle")
    return await browser.send("/connexion/cle", answer=device.show(options, **client), vers="/compte")


def inside(browser: Browser) -> bool:
    return "relais_session" in browser.client.cookies


async def with_key(town: Town, count: int | None = 0) -> tuple[Person, Authenticator, list[str]]:
    """Answer somebody new with a key, and her recovery codes."""
    person, device = await town.person(), Authenticator(PUBLIC_URL, count=count)
    async with town.at_home(person) as browser:
        answer = await made(browser, device)
        assert answer.status_code == 200, answer.text
        codes = re.findall(r"<li><code>([^<]+)</code>", answer.text)
        assert len(codes) == 10
    return person, device, codes


async def test_a_key_opens_without_a_password_and_a_password_no_longer_without_more(town: Town) -> None:
    person, device = await town.person(), Authenticator(PUBLIC_URL)
    async with town.at_home(person) as browser, town.at_home(person) as elsewhere:
        await browser.look("/compte/cle")
        options = await asked(browser, "/compte/cle")
        # The key knows whose it is by a number, asks its owner, and tells nothing of its maker.
        assert block(options["user"]["id"]) == person.id.bytes
        selection = options["authenticatorSelection"]
        assert (selection["residentKey"], selection["userVerification"]) == ("required", "required")
        assert options["attestation"] == "none"
        answer = await browser.send("/compte/cle", answer=device.make(options), name="<b>Clé</b>")
        codes = re.findall(r"<li><code>([^<]+)</code>", answer.text)
        assert (await elsewhere.look("/compte")).status_code == 303
        assert "&lt;b&gt;Clé&lt;/b&gt;" in (await browser.look("/compte")).text
        # A second one brings no new codes, and the first is not made twice on one device.
        await browser.look("/compte/cle")
        options = await asked(browser, "/compte/cle")
        assert [each["id"] for each in options["excludeCredentials"]] == [text(device.id)]
        second = Authenticator(PUBLIC_URL)
        answer = await browser.send("/compte/cle", answer=second.make(options), name="")
        assert answer.headers["location"] == "/compte?fait=cle"
    async with town.browser() as browser:
        answer = await shown(browser, device)
        assert (answer.status_code, answer.headers["location"]) == (303, "/compte")
        assert person.email in (await browser.look("/compte")).text
    async with town.browser() as browser:
        assert (await browser.sign_in(person)).headers["location"].startswith("/connexion/code")
        await browser.look("/connexion/code")
        assert (await browser.send("/connexion/code", code=codes[0])).status_code == 303
        await browser.look("/compte")
        ids = re.findall(r'name="key" value="([^"]+)"', browser.shown)
        assert sorted(ids) == sorted([text(device.id), text(second.id)])
        for id_ in ids:
            await browser.look("/compte")
            assert (await browser.send("/compte/cle/retirer", key=id_)).status_code == 303
    async with town.at_home(person) as browser:
        assert "codes de secours" not in unescape((await browser.look("/compte")).text)
    async with town.browser() as browser:
        assert (await shown(browser, device)).status_code == 422


DISHONEST: dict[str, Callable[[Authenticator], None]] = {
    "its owner was not asked": lambda device: setattr(device, "flags", PRESENT),
    "nobody was there": lambda device: setattr(device, "flags", VERIFIED),
    "another page's": lambda device: setattr(device, "origin", "http://relais.example.evil.example"),
    "another port's": lambda device: setattr(device, "origin", "http://relais.example:8080"),
    "a safer page's": lambda device: setattr(device, "origin", "https://relais.example"),
}


@pytest.mark.parametrize("how", list(DISHONEST))
async def test_what_a_key_shows_elsewhere_or_unasked_opens_nothing(town: Town, how: str) -> None:
    _, device, _ = await with_key(town)
    DISHONEST[how](device)
    async with town.browser() as browser:
        assert (await shown(browser, device)).status_code == 422
        assert not inside(browser)
    person = await town.person()
    async with town.at_home(person) as browser:
        other = Authenticator(PUBLIC_URL)
        DISHONEST[how](other)
        assert (await made(browser, other)).status_code == 422
        assert text(other.id) not in (await browser.look("/compte")).text


async def test_an_answer_opens_once_and_for_the_challenge_of_its_browser(town: Town) -> None:
    # A key that does not count: nothing but the challenge tells one answer from another.
    person, device, _ = await with_key(town, None)
    async with town.browser() as one, town.browser() as other:
        await one.look("/connexion")
        options = await asked(one, "/connexion/cle")
        await other.look("/connexion")
        await asked(other, "/connexion/cle")
        answer = device.show(options)
        assert (await other.send("/connexion/cle", answer=answer)).status_code == 422
        cookies = dict(one.client.cookies)
        assert (await one.send("/connexion/cle", answer=answer)).status_code == 303
        one.client.cookies.clear()
        one.client.cookies.update(cookies)
        await one.look("/connexion")
        assert (await one.send("/connexion/cle", answer=answer)).status_code == 422
        assert not inside(one)
        # Two at once with one answer: one of them.
        options = await asked(one, "/connexion/cle")
        answer = device.show(options)
        both = await asyncio.gather(*(one.send("/connexion/cle", answer=answer) for _ in range(2)))
        assert sorted(each.status_code for each in both) == [303, 422]
    async with town.browser() as late:
        await late.look("/connexion")
        options = await asked(late, "/connexion/cle")
        town.later(minutes=6)
        assert (await late.send("/connexion/cle", answer=device.show(options))).status_code == 422
    async with town.at_home(await town.person()) as browser:
        # What was asked for to sign in makes no key, and what one account was asked for makes none of another's.
        await browser.look("/compte/cle")
        options = await asked(browser, "/connexion/cle")
        made_ = Authenticator(PUBLIC_URL).make(
            {**options, "user": {"id": text(person.id.bytes)}, "rp": {"id": "relais.example"}}
        )
        assert (await browser.send("/compte/cle", answer=made_, name="x")).status_code == 422


async def test_a_copied_key_is_found_out_by_its_count(town: Town) -> None:
    _, device, _ = await with_key(town)
    async with town.browser() as browser:
        assert (await shown(browser, device)).status_code == 303
    device.count = 0
    async with town.browser() as thief:
        assert (await shown(thief, device)).status_code == 422
    device.count = 7
    async with town.browser() as browser:
        assert (await shown(browser, device)).status_code == 303
    # Most keys of telephones do not count at all.
    person, silent = await town.person(), Authenticator(PUBLIC_URL, count=None)
    async with town.at_home(person) as browser:
        await made(browser, silent)
    for _ in range(2):
        async with town.browser() as browser:
            assert (await shown(browser, silent)).status_code == 303


async def test_one_persons_key_opens_no_other_account(town: Town) -> None:
    person, device, _ = await with_key(town)
    victim, hers, _ = await with_key(town)
    async with town.browser() as browser:
        device.handle = victim.id.bytes
        assert (await shown(browser, device)).status_code == 422
        # Her key's name over one's own signature.
        device.id, device.handle = hers.id, hers.handle
        assert (await shown(browser, device)).status_code == 422
    async with town.at_home(await town.person()) as browser:
        # A key that is known already cannot be made somebody else's.
        assert (await made(browser, hers)).status_code == 422
        await browser.look("/compte")
        for id_ in (text(hers.id), "", "%%%", "x" * 2_000):
            assert (await browser.send("/compte/cle/retirer", key=id_)).status_code == 404
    async with town.browser() as browser:
        hers.handle = victim.id.bytes
        assert (await shown(browser, hers)).status_code == 303
    await town.door.change("update account set active = false where id = $1", victim.id)
    async with town.browser() as browser:
        assert (await shown(browser, hers)).status_code == 422
    assert person.id != victim.id


async def test_whatever_comes_in_place_of_an_answer_is_refused(town: Town) -> None:
    _, device, _ = await with_key(town)
    async with town.browser() as browser:
        await browser.look("/connexion")
        options = await asked(browser, "/connexion/cle")
        right = json.loads(device.show(options))
        odd: list[Any] = [None, 7, [], {}, "", "x", {"id": 7}, {**right, "response": {}}, {**right, "response": None}]
        for name in right["response"]:
            odd += [
                {**right, "response": {**right["response"], name: value}}
                for value in (None, "", "AAAA", 7, "é", "A" * 20_000)
            ]
        odd += [{**right, name: value} for name in ("id", "rawId", "type") for value in (None, "", "AAAA", 7, "é")]
        for each in [*(json.dumps(one) for one in odd), "{", "", "\x00", "[" * 5_000]:
            options = await asked(browser, "/connexion/cle")
            answer = await browser.send("/connexion/cle", answer=each)
            assert answer.status_code == 422, each[:100]
        assert not inside(browser)


async def test_nobody_learns_who_has_a_key(town: Town) -> None:
    person, _, _ = await with_key(town)
    async with town.browser() as browser:
        page = await browser.look("/connexion")
        options = await asked(browser, "/connexion/cle")
        assert options["allowCredentials"] == []
        assert person.email not in page.text
        unknown = await browser.send(
            "/connexion/cle", answer=Authenticator(PUBLIC_URL, handle=person.id.bytes).show(options)
        )
        assert unknown.status_code == 422
    async with town.browser() as stranger:
        await stranger.look("/connexion")
        for path in ("/compte/cle", "/compte/cle/options", "/compte/cle/retirer"):
            assert (await stranger.send(path)).headers["location"].startswith("/connexion")


async def test_a_browser_left_open_makes_no_key_and_nobody_makes_a_hundred(town: Town) -> None:
    person = await town.person()
    async with town.at_home(person) as browser:
        for _ in range(KEYS):
            assert (await made(browser, Authenticator(PUBLIC_URL))).status_code in {200, 303}
        await browser.look("/compte/cle")
        assert (await browser.send("/compte/cle/options")).status_code == 404
        town.later(minutes=16)
        for path in ("/compte/cle", "/compte/cle/options", "/compte/cle/retirer"):
            assert (await browser.send(path)).headers["location"] == "/compte"
