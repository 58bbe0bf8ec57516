"""One's own account and the second step: who finds a password, a code or an open browser does not get far with it."""

import asyncio
import hmac
import re
from base64 import b32decode
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from hashlib import sha1
from html import unescape
from pathlib import Path
from urllib.parse import quote

import asyncpg
import pytest
from api.gateway.visit import Browser, Person, Town
from api.gateway.world import opened
from support.rows import _tables

from relais_gateway import store
from relais_gateway.domain.second_steps import For
from relais_gateway.tries import TRIES
from relais_local.databases import Access

pytestmark = pytest.mark.anyio

OPENED = {"/", "/recherche"}
CHANGES = {
    "/compte/a-nouveau", "/compte/mot-de-passe", "/compte/appareils", "/compte/application",
    "/compte/application/confirmer", "/compte/application/retirer", "/compte/codes",
}  # fmt: skip


@pytest.fixture(name="access", scope="module")
def _access(home: Path, fresh_database: Callable[[str], Access]) -> Access:
    del home
    return fresh_database("gateway")


@pytest.fixture(name="town", scope="module")
async def _town(access: Access, anyio_backend: str) -> AsyncIterator[Town]:
    """Run one gateway for all of these tests: each has people of its own."""
    del anyio_backend
    async with opened(access) as door:
        yield Town(door)


def code(secret: str, town: Town, ahead: int = 0) -> str:
    """Answer what an app shows, by RFC 4226 and RFC 6238 written anew."""
    moving = (int(town.now.timestamp()) // 30 + ahead).to_bytes(8, "big")
    mac = hmac.digest(b32decode(secret), moving, sha1)
    at = mac[-1] & 15
    return f"{(int.from_bytes(mac[at : at + 4], 'big') & 0x7FFFFFFF) % 1_000_000:06}"


async def set_up(browser: Browser, town: Town) -> tuple[str, list[str]]:
    """Set up an app; answer what it shares with the gateway, and the recovery codes."""
    await browser.look("/compte")
    assert (await browser.send("/compte/application")).headers["location"] == "/compte/application"
    page = await browser.look("/compte/application")
    secret = re.search(r"<code>([A-Z2-7 ]+)</code>", page.text)
    assert secret is not None
    key = secret[1].replace(" ", "")
    answer = await browser.send("/compte/application/confirmer", code=code(key, town))
    assert answer.status_code == 200
    codes = re.findall(r"<li><code>([^<]+)</code>", answer.text)
    return key, codes


async def halfway(browser: Browser, person: Person) -> None:
    """Give the password; a second step follows, and nobody is in."""
    answer = await browser.sign_in(person)
    assert answer.headers["location"].startswith("/connexion/code")
    assert "relais_session" not in browser.client.cookies
    assert (await browser.look("/connexion/code")).status_code == 200


def inside(browser: Browser) -> bool:
    return "relais_session" in browser.client.cookies


@pytest.mark.parametrize("path", sorted(CHANGES | {"/compte", "/connexion/code"}))
async def test_nobody_reaches_an_account_and_no_other_site_changes_one(town: Town, path: str) -> None:
    async with town.browser() as stranger:
        if path in {"/compte", "/compte/application", "/connexion/code"}:
            assert (await stranger.look(path)).headers["location"].startswith("/connexion")
        await stranger.look("/connexion")
        if path in CHANGES:
            answer = await stranger.send(path, code="000000", session="")
            assert answer.headers["location"].startswith("/connexion"), path
    person = await town.person()
    if path in CHANGES:
        async with town.at_home(person) as browser:
            assert (await browser.client.post(path, data={"proof": "x"})).status_code == 403
            await browser.look("/compte")
            browser.client.headers["Sec-Fetch-Site"] = "cross-site"
            assert (await browser.send(path)).status_code == 403


async def test_with_an_app_a_password_alone_opens_nothing(town: Town) -> None:
    person = await town.person()
    async with town.at_home(person) as browser, town.at_home(person) as elsewhere:
        await browser.look("/compte")
        await browser.send("/compte/application")
        await browser.look("/compte/application")
        assert (await browser.send("/compte/application/confirmer", code="000000")).status_code == 422
        key, codes = await set_up(browser, town)
        assert len(codes) == len(set(codes)) == 10
        # What was opened without it ends; this one goes on.
        assert (await elsewhere.look("/compte")).headers["location"].startswith("/connexion")
        assert "il vous reste 10 codes" in unescape((await browser.look("/compte")).text).casefold()
        # The codes are shown this once, and the secret never again.
        assert (await browser.look("/compte/application")).status_code == 404

    used = code(key, town)
    async with town.browser() as browser:
        await halfway(browser, person)
        # The code that set the app up was used by that: somebody who watched it cannot come in with it.
        assert (await browser.send("/connexion/code", code=used)).status_code == 422
        for wrong in ("", "000000", "12345", "\uff11\uff12\uff13\uff14\uff15\uff16", "0000-0000-0000", "x" * 5_000):
            assert (await browser.send("/connexion/code", code=wrong)).status_code == 422, wrong
        assert not inside(browser)
        town.later(seconds=30)
        fresh = code(key, town)
        answer = await browser.send("/connexion/code", code=f" {fresh[:3]} {fresh[3:]} ", vers="https://evil.example")
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert inside(browser)
    async with town.browser() as thief:
        await halfway(thief, person)
        assert (await thief.send("/connexion/code", code=fresh)).status_code == 422
        # Telephones run a little ahead; a code once used, all before it are.
        assert (await thief.send("/connexion/code", code=code(key, town, 2))).status_code == 422
        assert (await thief.send("/connexion/code", code=code(key, town, 1))).status_code == 303
    async with town.browser() as late:
        await halfway(late, person)
        assert (await late.send("/connexion/code", code=code(key, town))).status_code == 422
        town.later(minutes=11)
        answer = await late.send("/connexion/code", code=code(key, town))
        assert answer.headers["location"].startswith("/connexion?")
        assert not inside(late)


async def test_a_recovery_code_helps_once_even_for_two_at_once(town: Town) -> None:
    person = await town.person()
    async with town.at_home(person) as browser:
        _, codes = await set_up(browser, town)
        async with town.browser() as one, town.browser() as other:
            await halfway(one, person)
            await halfway(other, person)
            typed = codes[0].upper().replace("-", " ").replace("0", "O")
            answers = await asyncio.gather(*(each.send("/connexion/code", code=typed) for each in (one, other)))
            assert sorted(each.status_code for each in answers) == [303, 422]
            assert inside(one) != inside(other)
        assert "il vous reste 9 codes" in unescape((await browser.look("/compte")).text).casefold()
        new = re.findall(r"<li><code>([^<]+)</code>", (await browser.send("/compte/codes")).text)
        assert len(new) == 10
        assert not set(new) & set(codes)
        async with town.browser() as again:
            await halfway(again, person)
            assert (await again.send("/connexion/code", code=codes[1])).status_code == 422
            assert (await again.send("/connexion/code", code=new[1])).status_code == 303
        # Without the app nothing remains: neither a second step nor codes.
        await browser.look("/compte")
        await browser.send("/compte/application/retirer")
        await browser.look("/compte")
        assert (await browser.send("/compte/codes")).status_code == 404
    async with town.at_home(person):
        pass


async def test_codes_are_guessed_no_faster_than_passwords(town: Town) -> None:
    person = await town.person()
    async with town.at_home(person) as browser:
        key, codes = await set_up(browser, town)
    async with town.browser() as thief:
        await halfway(thief, person)
        town.later(seconds=30)
        # All at once, as whoever guesses would: they count each other.
        wrong = await asyncio.gather(*(thief.send("/connexion/code", code=f"{n:06}") for n in range(TRIES)))
        assert {each.status_code for each in wrong} == {422}
        # From now on right and wrong are answered alike, for both kinds of codes.
        for right in (code(key, town), codes[0]):
            answer = await thief.send("/connexion/code", code=right)
            assert (answer.status_code, normal(answer.text)) == (422, normal(wrong[0].text))
    town.later(minutes=16)
    async with town.browser() as browser:
        await halfway(browser, person)
        assert (await browser.send("/connexion/code", code=code(key, town))).status_code == 303


async def test_a_browser_in_which_she_signed_in_before_is_kept_out_by_no_stranger(town: Town) -> None:
    person = await town.person()
    async with town.at_home(person) as desk, town.browser() as thief:
        mark = desk.client.cookies["relais_known"]
        # It names nobody, and stays when she goes home.
        assert person.email not in mark
        await desk.look("/compte")
        await desk.send("/deconnexion")
        for _ in range(TRIES):
            assert (await thief.sign_in(person, "guess")).status_code == 422
        assert "relais_known" not in thief.client.cookies
        assert (await thief.sign_in(person)).status_code == 422
        # A mark belongs to one browser and one account.
        browser, _, marks = mark.partition(".")
        for forged in (f"{browser}x.{marks}", browser, f"{browser}.x", "é.x", "." * 300):
            thief.client.cookies.set("relais_known", quote(forged, safe="."))
            assert (await thief.sign_in(person)).status_code == 422
        assert (await desk.sign_in(person)).status_code == 303


async def test_a_thousand_passwords_at_once_are_no_more_than_ten(town: Town) -> None:
    person = await town.person()
    at = town.door.state.sessions
    judged: list[bool] = []

    class Watched(type(at)):  # type: ignore[misc]
        async def password_fits(self, hash_: str | None, password: str) -> bool:
            del hash_
            # The slowness of hashing is not what is tried here, only how many were taken for good.
            return password == person.password

    watched = Watched(*(getattr(at, name) for name in at.__slots__))
    guesses = [f"guess {n}" for n in range(100)] + [person.password]
    judged = [
        one is not None
        for one in await asyncio.gather(*(watched.sign_in(person.email, each, town.now) for each in guesses))
    ]
    assert not any(judged)


async def test_the_door_tells_nobody_who_has_an_account_or_a_second_step(town: Town) -> None:
    plain, enrolled = await town.person(), await town.person()
    async with town.at_home(enrolled) as browser:
        await set_up(browser, town)
    unknown = replace(plain, email="nobody-at-all@essai.example")
    told = []
    for person in (plain, enrolled, unknown):
        async with town.browser() as browser:
            answer = await browser.sign_in(person, "wrong wrong wrong")
            assert answer.status_code == 422
            assert "set-cookie" not in answer.headers
            told.append(normal(answer.text).replace(person.email, ""))
    assert told[0] == told[1] == told[2]
    async with town.browser() as browser:
        # What no address can be is answered as one that nobody has.
        assert (await browser.sign_in(replace(plain, email="nobody\0@essai.example"))).status_code == 422


async def test_nothing_that_opens_a_door_is_readable_in_the_database(town: Town, access: Access) -> None:
    person = await town.person()
    async with town.at_home(person) as browser:
        key, codes = await set_up(browser, town)
        cookie = browser.client.cookies["relais_session"]
    async with town.browser() as browser:
        await halfway(browser, person)
        step = browser.client.cookies["relais_step"]
    kept = str(await _tables(access.owner_dsn.replace("+asyncpg", "")))
    assert person.email in kept
    hidden = [key, b32decode(key).hex(), cookie, step, person.password, *codes]
    assert not [each for each in hidden if each in kept or each.replace("-", "") in kept]


async def test_whoever_administers_can_be_made_to_have_a_second_step(town: Town) -> None:
    """Until she has one, nothing opens but her account: at the API as on the pages."""
    before = town.door.state.sessions
    administrator, counsellor = await town.person("counsellor", "administrator"), await town.person()
    async with town.at_home(administrator) as browser, town.at_home(counsellor) as other:
        town.door.state.sessions = strict = replace(before, required=For.ADMINISTRATORS)
        try:
            assert (await browser.look("/recherche")).headers["location"] == "/compte"
            assert (await other.look("/recherche")).headers.get("location") != "/compte"
            visitor = await strict.visitor(browser.client.cookies["relais_session"], town.now)
            assert visitor is not None
            assert (visitor.must_enrol, visitor.scopes) == (True, frozenset())
            assert not town.door.state.keys.verify(visitor.token, town.now).scopes
            assert "second pas" in (await browser.look("/compte")).text
            await set_up(browser, town)
            assert (await browser.look("/recherche")).headers.get("location") != "/compte"
            await browser.look("/compte")
            await browser.send("/compte/application/retirer")
            assert (await browser.look("/recherche")).headers["location"] == "/compte"
            town.door.state.sessions = replace(before, required=For.EVERYBODY)
            assert (await other.look("/recherche")).headers["location"] == "/compte"
        finally:
            town.door.state.sessions = before


async def test_a_new_password_ends_what_the_old_one_opened(town: Town) -> None:
    person = await town.person()
    wanted = "quatre chats sous la pluie"
    async with town.at_home(person) as browser, town.at_home(person) as elsewhere:
        await browser.look("/compte")
        right = {"current": person.password, "wanted": wanted, "repeated": wanted}
        for wrong, said in (
            ({"current": "not this one"}, "mot de passe actuel"),
            ({"repeated": "something else"}, "pas pareils"),
            ({"wanted": "court", "repeated": "court"}, "Choisissez au moins 12 caractères"),
            ({"wanted": "abcabcabcabcabc", "repeated": "abcabcabcabcabc"}, "se répètent"),
            ({"wanted": person.email, "repeated": person.email}, "Prenez d'autres mots"),
        ):
            answer = await browser.send("/compte/mot-de-passe", **{**right, **wrong})
            assert answer.status_code == 422
            assert said in unescape(answer.text)
        assert (await elsewhere.look("/compte")).status_code == 200
        answer = await browser.send("/compte/mot-de-passe", **right)
        assert answer.headers["location"].startswith("/compte")
        assert (await browser.look("/compte?fait=mot_de_passe")).status_code == 200
        assert (await elsewhere.look("/compte")).status_code == 303
    async with town.browser() as browser:
        assert (await browser.sign_in(person)).status_code == 422
        assert (await browser.sign_in(person, wanted)).status_code == 303


async def test_the_current_password_is_guessed_no_faster_inside_than_at_the_door(town: Town) -> None:
    person = await town.person()
    async with town.at_home(person) as browser:
        await browser.look("/compte")
        fields = {"wanted": "quatre chats sous la pluie", "repeated": "quatre chats sous la pluie"}
        for _ in range(TRIES):
            assert (await browser.send("/compte/mot-de-passe", current="guess", **fields)).status_code == 422
        assert (await browser.send("/compte/mot-de-passe", current=person.password, **fields)).status_code == 422


async def test_everybody_sees_and_ends_their_own_sessions_and_nobody_elses(town: Town) -> None:
    person, other = await town.person(), await town.person()
    agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1 (KHTML, like Gecko) Safari/604.1"
    async with town.at_home(person) as desk, town.at_home(person, agent) as phone, town.at_home(other) as stranger:
        page = (await desk.look("/compte")).text
        assert "Firefox, Windows" in page
        assert "Safari, iPhone" in page
        (id_,) = re.findall(r'name="session" value="([^"]+)"', page)
        await stranger.look("/compte")
        assert (await stranger.send("/compte/appareils", session=id_)).status_code == 303
        assert (await stranger.send("/compte/appareils", session="what?")).status_code == 404
        assert (await stranger.send("/compte/appareils")).status_code == 303
        assert (await phone.look("/compte")).status_code == 200
        await desk.send("/compte/appareils", session=id_)
        assert (await phone.look("/compte")).status_code == 303
    async with town.at_home(person) as one, town.at_home(person) as two:
        await two.look("/compte")
        await two.send("/compte/appareils")
        assert (await one.look("/compte")).status_code == 303
        assert (await two.look("/compte")).status_code == 200


async def test_a_browser_left_open_changes_nothing_of_how_one_signs_in(town: Town) -> None:
    person = await town.person()
    wanted = "quatre chats sous la pluie"
    fields = {"current": person.password, "wanted": wanted, "repeated": wanted}
    async with town.at_home(person) as browser:
        town.later(minutes=16)
        page = await browser.look("/compte")
        assert "/compte/a-nouveau" in page.text
        assert "/compte/mot-de-passe" not in page.text
        for path in CHANGES - {"/compte/a-nouveau", "/compte/appareils"}:
            answer = await browser.send(path, **fields, code="000000")
            assert (answer.status_code, answer.headers["location"]) == (303, "/compte"), path
        assert (await browser.look("/compte/application")).headers["location"] == "/compte"
        await browser.look("/compte")
        assert (await browser.send("/compte/a-nouveau")).headers["location"].startswith("/connexion")
        assert (await browser.look("/compte")).status_code == 303
        # The old password still is the one.
        assert (await browser.sign_in(person)).status_code == 303


async def test_every_change_is_written_down_without_a_word_of_what_opens(town: Town, access: Access) -> None:
    person = await town.person()
    async with town.at_home(person) as browser:
        await set_up(browser, town)
        await browser.look("/compte")
        await browser.send("/compte/codes")
        await browser.look("/compte")
        await browser.send("/compte/appareils")
        await browser.send("/compte/application/retirer")
    connection = await asyncpg.connect(access.dsn)
    rows = await connection.fetch("select * from audit where subject = $1 order by id", str(person.id))
    await connection.close()
    assert [row["action"] for row in rows] == [
        "signed_in", "app_set_up", "recovery_codes_renewed", "sessions_ended", "app_removed",
    ]  # fmt: skip
    assert {row["actor"] for row in rows} == {f"user:{person.id}"}
    assert [row["facts"] for row in rows][1:] == ["{}"] * 4


async def test_who_is_closed_out_halfway_stays_out(town: Town) -> None:
    person = await town.person()
    async with town.at_home(person) as browser:
        key, _ = await set_up(browser, town)
    async with town.browser() as browser:
        await halfway(browser, person)
        await town.door.change("update account set active = false where id = $1", person.id)
        town.later(seconds=30)
        answer = await browser.send("/connexion/code", code=code(key, town))
        assert answer.headers["location"].startswith("/connexion?")


def normal(page: str) -> str:
    """Answer a page without what belongs to one browser alone."""
    return re.sub(r'name="proof" value="[^"]+"', "", page)


async def test_her_letters_speak_the_language_in_which_she_reads(town: Town) -> None:
    person = await town.person()

    async def known() -> str | None:
        connection = await asyncpg.connect(town.door.dsn)
        found = {row["email"]: row["language"] for row in await store.mailboxes(connection)}
        await connection.close()
        return found[person.email]

    assert await known() is None
    async with town.browser() as browser:
        browser.client.headers["Accept-Language"] = "de-BE, de;q=0.9, fr;q=0.5"
        await browser.sign_in(person)
        assert await known() == "de"
        await browser.look("/compte")
        for chosen in ("en", "xx"):
            await browser.send("/langue", langue=chosen)
            assert await known() == "en"
