"""What either side notes of a closed hand-over: its own alone, counted once, and told of nobody."""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from api.referral.her import card, herself
from api.referral.her import opened as session
from api.referral.test_keeping import Time
from api.referral.world import (
    HERS,
    OUTSIDER,
    PRACTISING,
    RECEIVE,
    RECIPIENT,
    SANCTIONING,
    SEND,
    SENDER,
    STRUCTURES,
    THIRD,
    Asserted,
    Handover,
    Structure,
    World,
    if_match,
    opened,
    problem,
)

from relais_local.databases import Access
from relais_shared.auth import Actor
from relais_shared.client import Client

pytestmark = pytest.mark.anyio

STATS = "referral:stats"
ALL = ("propose", "r.accept", "confirm_handover", "r.confirm_handover", "r.close")
SPRING, SUMMER, WINTER = (datetime(2026, month, 3, 10, tzinfo=UTC) for month in (5, 9, 11))
COUNTED = [datetime(2026, 8, 1, 0, 10, tzinfo=UTC), datetime(2026, 11, 1, 0, 10, tzinfo=UTC)]
COUNTED.append(datetime(2027, 2, 1, 0, 10, tzinfo=UTC))
MINUTE = timedelta(minutes=1)


@dataclass
class Year:
    """Some hand-overs of a year, closed and noted at their time, and counted when they were due."""

    world: World
    time: Time
    codes: list[str]
    of: dict[str, list[Handover]] = field(default_factory=dict)

    async def closed(
        self, name: str, sender: Structure, recipient: Structure = RECIPIENT, *, at: datetime, statistics: bool = True
    ) -> Handover:
        """Hand somebody over and close it."""
        self.time.now = at
        handover = self.world.between(sender, recipient)
        await handover.open()
        purposes = ["referral", "statistics"] if statistics else ["referral"]
        await handover.agree(purposes=purposes, given_at=at.isoformat())
        await handover.walk(*ALL)
        self.of.setdefault(name, []).append(handover)
        return handover

    async def both(self, name: str, sender: Structure, sent: set[str], received: set[str], *, at: datetime) -> Handover:
        """Hand somebody over, close it, and let each side note what held but for these."""
        handover = await self.closed(name, sender, at=at)
        for client, missing in ((handover.sender, sent), (handover.recipient, received)):
            await noted(client, handover, [code for code in self.codes if code not in missing])
        return handover

    async def told(self, **query: Any) -> list[dict[str, Any]]:
        """Answer what anybody with the right reads."""
        answer = await self.world.as_(OUTSIDER, STATS).get("/v1/figures/reflections", params=query)
        items: list[dict[str, Any]] = good(answer)["items"]
        return items


def good(answer: httpx.Response) -> Any:
    """Answer the document of an answer that must be a good one."""
    assert answer.is_success, answer.text
    return answer.json()


def place(handover: Handover) -> str:
    """Answer where a side's own note is."""
    return f"{handover.place}/reflection"


async def put(client: Client, handover: Handover, held: list[str], /, **changed: Any) -> httpx.Response:
    """Note what held, on what is read now."""
    headers = if_match(await client.get(place(handover)))
    body = {"criteria": "2026-1", "held": held} | changed
    return await client.put(place(handover), headers=headers, json=body)


async def noted(client: Client, handover: Handover, held: list[str]) -> None:
    """Note what held; it must succeed."""
    good(await put(client, handover, held))


async def rows(world: World, query: str, *values: Any) -> list[Any]:
    """Answer rows as whoever holds the database reads them."""
    connection = await asyncpg.connect(world.database.owner_dsn)
    try:
        found: list[Any] = await connection.fetch(query, *values)
        return found
    finally:
        await connection.close()


async def _walk(world: World) -> Year:
    time = Time(world)
    world.app.state.clock = time
    listed = good(await world.as_(SENDER, SEND).get("/v1/reflections/criteria"))
    year = Year(world, time, [one["code"] for one in listed["criteria"]])
    every = set(year.codes)
    for _ in range(3):
        await year.both("spring", SENDER, set(), set(), at=SPRING)
    time.now = COUNTED[0]
    assert (await time.round())["count_quarters"] == 1
    assert await year.told() == []
    for number in range(5):
        await year.both("summer", SENDER, {"her_language", "cooperated"}, {"met_soon"}, at=SUMMER)
        await year.both("summer", OUTSIDER, {"cooperated"} if number < 2 else set(), {"met_soon"}, at=SUMMER)
    # Whatever these noted would hide each criterion: one that did not hold is of one person.
    await year.closed("silent", SENDER, at=SUMMER)
    practice = await year.closed("practice", PRACTISING, PRACTISING, at=SUMMER)
    await noted(practice.sender, practice, [])
    narrowed = await year.both("narrowed", THIRD, every, every, at=SUMMER)
    good(await narrowed.sender.post(f"/v1/consents/{narrowed.consent_id}/withdraw", json={"purposes": ["statistics"]}))
    stopped = await year.both("stopped", THIRD, every, every, at=SUMMER)
    good(await stopped.recipient.post(f"{stopped.place}/withdraw", json={}))
    erased = await year.both("erased", THIRD, every, every, at=SUMMER)
    good(await (await herself(world, erased)).post(f"/v1/person/referrals/{erased.id}/erase", json={}))
    # Closed by a slip at the end of a quarter, and taken back: it is of the quarter in which it was closed.
    slip = await year.closed("winter", OUTSIDER, at=datetime(2026, 9, 30, 23, 50, tzinfo=UTC))
    await slip.walk("r.undo")
    time.now += 11 * MINUTE
    await slip.walk("r.close")
    await noted(slip.sender, slip, year.codes)
    time.now = COUNTED[1] - MINUTE
    assert "count_quarters" not in await time.round()
    assert await year.told() == []
    time.now = COUNTED[1]
    assert (await time.round())["count_quarters"] == 1
    assert "count_quarters" not in await time.round()
    for _ in range(3):
        await year.both("winter", OUTSIDER, set(), set(), at=WINTER)
    # It was counted in summer: closed again, it is in no other quarter.
    again = year.of["summer"][0]
    await again.walk("r.reopen", "r.close")
    assert problem(await put(again.sender, again, [])) == (409, "transition-not-allowed")
    time.now = COUNTED[2]
    assert (await time.round())["count_quarters"] == 1
    return year


@pytest.fixture(scope="module", name="year")
async def _year(home: Path, fresh_database: Callable[[str], Access], anyio_backend: str) -> Any:
    """Walk a year once for all the tests here: they read, and put back what they change."""
    del home, anyio_backend
    async with opened(fresh_database("referral")) as world:
        yield await _walk(world)


async def a_closed(world: World, sender: Structure = SENDER) -> Handover:
    """Answer a hand-over that was closed just now, of somebody who agreed to be counted."""
    handover = world.between(sender, RECIPIENT)
    await handover.open()
    await handover.agree(purposes=["referral", "statistics"])
    if sender.facts.get("may_sanction"):
        await handover.walk("propose", "r.accept", "r.confirm_handover")
        she = await session(world, await card(handover), handover.recipient)
        good(await she.post(f"/v1/person/referrals/{handover.id}/confirm_handover", json={}))
        await handover.walk("r.close")
    else:
        await handover.walk(*ALL)
    return handover


async def test_the_list_is_read_by_whoever_notes_or_reads_figures(world: World) -> None:
    where = "/v1/reflections/criteria"
    assert problem(await world.anonymous().get(where)) == (401, "unauthenticated")
    assert problem(await world.as_(SENDER, "directory:read").get(where)) == (403, "scope-missing")
    first, *others = [good(await world.as_(SENDER, scope).get(where)) for scope in (SEND, RECEIVE, STATS)]
    assert others == [first, first]
    assert (first["version"], len(first["criteria"])) == ("2026-1", 20)
    assert first["criteria"][0]["text"].keys() == {"fr", "nl", "de", "en"}


async def test_a_side_notes_once_changes_it_and_reads_its_own(world: World) -> None:
    handover = await a_closed(world)
    ana, ben = handover.sender, handover.recipient
    unread = await ana.get(place(handover))
    assert unread.headers["etag"] == '"0"'
    blank = good(unread)
    assert datetime.fromisoformat(blank.pop("until")) > datetime.now(UTC)
    assert blank == {"noted": False, "criteria": None, "held": []}
    body = {"criteria": "2026-1", "held": ["own_pace", "right_lever", "own_pace"]}
    assert problem(await ana.put(place(handover), json=body)) == (428, "version-required")
    first = await ana.put(place(handover), headers=if_match(unread), json=body)
    assert (first.headers["etag"], first.headers["cache-control"]) == ('"1"', "no-store")
    assert good(first)["held"] == ["right_lever", "own_pace"], "in the order of the form, each once"
    # Sent again, because its answer was lost: the same. Something else on the same reading is refused.
    repeated = await ana.put(place(handover), headers=if_match(unread), json=body)
    assert (repeated.headers["etag"], good(repeated)) == ('"1"', good(first))
    other = await ana.put(place(handover), headers=if_match(unread), json={**body, "held": []})
    assert problem(other) == (412, "stale-version")
    # The other side has its own, and nothing of this one.
    assert good(await ben.get(place(handover))) == {**blank, "until": good(first)["until"]}
    await noted(ben, handover, ["met_soon"])
    assert good(await ana.get(place(handover))) == good(first)
    await noted(ana, handover, [])
    assert good(await ana.get(place(handover))) == good(first) | {"held": []}


async def test_codes_of_the_list_and_nothing_else_are_taken(world: World) -> None:
    handover = await a_closed(world)
    for wrong, where in (
        ({"held": ["own_pace", "she_was_late"]}, "/held/1"),
        ({"held": ["Elle ne voulait pas"]}, "/held/0"),
        ({"criteria": "2025-1"}, "/criteria"),
        ({"words": "Elle ne voulait pas."}, "/words"),
        ({"held": "own_pace"}, "/held"),
    ):
        answer = await put(handover.sender, handover, ["own_pace"], **wrong)
        assert problem(answer) == (422, "invalid-input")
        assert [one["pointer"] for one in answer.json()["errors"]] == [where]
        assert "voulait" not in answer.text
    assert good(await handover.sender.get(place(handover)))["noted"] is False


async def test_noting_leaves_no_trace_of_itself(world: World) -> None:
    """Neither version, date, event, disclosure nor task; sealed, so that nothing is read without her key."""
    handover = await a_closed(world)
    she = await herself(world, handover)

    async def seen() -> list[Any]:
        found: list[Any] = []
        for client in (handover.sender, handover.recipient):
            read = await client.get(handover.place)
            found += [read.headers["etag"], read.json()]
            parts = ("events", "tasks", "messages", "consents")
            found += [good(await client.get(f"{handover.place}/{part}")) for part in parts]
        hers = good(await she.get("/v1/person/referrals"))["items"]
        return [*found, hers]

    before = await seen()
    await noted(handover.sender, handover, ["told_what_came_of_it"])
    await noted(handover.recipient, handover, ["told_what_came_of_it"])
    assert await seen() == before
    assert "told_what_came_of_it" not in json.dumps(before)
    parts = await rows(world, "select part, content from sealed_part where referral_id::text = $1", handover.id)
    kept = {row["part"]: row["content"] for row in parts}
    assert {"reflection.sender", "reflection.recipient"} <= kept.keys()
    assert not any(b"came_of_it" in content for content in kept.values())
    copy = good(await she.get("/v1/person/copy"))
    assert "told_what_came_of_it" not in json.dumps(copy)


@pytest.mark.parametrize("state", ["proposed", "accepted", "handed_over", "declined", "cancelled"])
async def test_nothing_is_noted_before_it_is_closed(world: World, state: str) -> None:
    handover = world.between(SENDER, RECIPIENT)
    await handover.open()
    await handover.agree(purposes=["referral", "statistics"])
    paths = {"proposed": ALL[:1], "accepted": ALL[:2], "handed_over": ALL[:4]}
    await handover.walk(*paths.get(state, ("propose", "r.decline" if state == "declined" else "cancel")))
    for client in (handover.sender, handover.recipient):
        assert good(await client.get(place(handover)))["until"] is None
        assert problem(await put(client, handover, [])) == (409, "transition-not-allowed")


async def test_who_was_not_asked_to_be_counted_is_not_noted(world: World) -> None:
    handover = await a_closed(world)
    await noted(handover.sender, handover, ["own_pace"])
    good(await handover.sender.post(f"/v1/consents/{handover.consent_id}/withdraw", json={"purposes": ["statistics"]}))
    assert good(await handover.sender.get(place(handover))) == {
        "until": None, "noted": False, "criteria": None, "held": [],
    }  # fmt: skip
    assert problem(await put(handover.sender, handover, [])) == (409, "transition-not-allowed")


async def test_where_the_sender_may_sanction_nobody_notes(world: World) -> None:
    """It would be in no sum; and what its sender reads is the same as of one that was never closed."""
    handover = await a_closed(world, SANCTIONING)
    open_ = await world.between(SANCTIONING, RECIPIENT).proposed()
    for client in (handover.sender, handover.recipient):
        assert good(await client.get(place(handover))) == good(await client.get(place(open_)))
        answers = [(await put(client, each, [])) for each in (handover, open_)]
        assert [problem(answer) for answer in answers] == [(409, "transition-not-allowed")] * 2
        assert answers[0].json()["detail"] == answers[1].json()["detail"]


async def test_nobody_and_who_lacks_the_right_read_no_sums(year: Year) -> None:
    where = "/v1/figures/reflections"
    assert problem(await year.world.anonymous().get(where)) == (401, "unauthenticated")
    for scope in (SEND, RECEIVE, "org:admin", "platform:admin", "trace:read", "directory:read"):
        answer = await year.world.as_(SENDER, scope).get(where)
        assert problem(answer) == (403, "scope-missing")
        assert answer.json()["scopes"] == [STATS]
    for wrong in ({"limit": 0}, {"organisation_id": str(SENDER.id)}, {"cursor": "x"}):
        assert problem(await year.world.as_(SENDER, STATS).get(where, params=wrong)) == (422, "invalid-input")


async def test_the_sums_tell_of_nobody(year: Year) -> None:
    whole, summer = await year.told()
    assert (summer["period"], summer["quarters"]) == ("2026-Q3", ["2026-Q3"])
    assert (summer["counted_at"], summer["criteria_version"]) == ("2026-11-01T00:00:00Z", "2026-1")
    # That they cooperated was not said by five of one organisation and two of another: whoever knows its five, knows.
    assert {one["code"] for one in summer["criteria"]} == {*year.codes} - {"cooperated"}
    assert {one["of"] for one in summer["criteria"]} == {20}, "ten persons, two sides; nobody else is among them"
    held = {one["code"]: one["held"] for one in summer["criteria"]}
    assert (held.pop("her_language"), held.pop("met_soon")) == (15, 10)
    assert set(held.values()) == {20}
    # Three in spring and four in winter were too few: they are told together, and not which had any.
    assert (whole["period"], whole["quarters"]) == ("2026", ["2026-Q1", "2026-Q2", "2026-Q4"])
    assert {(one["held"], one["of"]) for one in whole["criteria"]} == {(13, 13)}
    assert len(whole["criteria"]) == 20


async def test_pages_of_it(year: Year) -> None:
    reader = year.world.as_(SENDER, STATS)
    first = good(await reader.get("/v1/figures/reflections", params={"limit": 1}))
    second = good(await reader.get("/v1/figures/reflections", params={"limit": 1, "cursor": first["next_cursor"]}))
    assert [one["period"] for one in (*first["items"], *second["items"])] == ["2026", "2026-Q3"]
    assert second["next_cursor"] is None


async def test_no_sum_names_anybody(year: Year) -> None:
    text = json.dumps(await year.told())
    names = [str(value) for one in STRUCTURES for value in (one.id, one.service_id, one.name)]
    ids = [handover.id for group in year.of.values() for handover in group]
    for word in (*HERS, *names, *ids, "Ana Lopes", "Ben Noel", 'childcare"', "be:52011"):
        assert word not in text, word


async def test_a_grant_with_limits_reads_none(year: Year) -> None:
    actor = Actor("client", "client:x", SENDER.id, SENDER.name, frozenset({STATS}), limits={STATS: {"themes": ["x"]}})
    answer = await year.world.anonymous(Asserted(year.world.gateway, actor)).get("/v1/figures/reflections")
    assert good(answer) == {"items": [], "next_cursor": None}


async def test_what_was_noted_is_gone_once_it_is_counted(year: Year) -> None:
    """Counted or not, of its hand-over nothing is left; what was counted names none, and the worker alone reads it."""
    assert await rows(year.world, "select 1 from sealed_part where part like 'reflection.%'") == []
    kept = await rows(year.world, "select * from reflection_ballot")
    assert len(kept) == 6 + 20 + 7
    assert len({row["person"] for row in kept}) == 3 + 10 + 4
    ids = {handover.id for group in year.of.values() for handover in group}
    assert not ids & {str(row[name]) for row in kept for name in ("id", "person")}
    assert not {str(row["organisation_id"]) for row in kept} & {str(THIRD.id), str(PRACTISING.id)}
    [silent] = year.of["silent"]
    assert good(await silent.sender.get(place(silent))) == {
        "until": None, "noted": False, "criteria": None, "held": [],
    }  # fmt: skip
    connection = await asyncpg.connect(year.world.database.dsn)
    try:
        for structure in (SENDER, RECIPIENT):
            await connection.execute("select set_config('relais.organisation', $1, false)", str(structure.id))
            assert await connection.fetch("select * from reflection_ballot") == []
        assert len(await connection.fetch("select * from reflection_period")) == 4
        assert await connection.execute("delete from reflection_period") == "DELETE 0"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("update reflection_period set told = null")
    finally:
        await connection.close()


async def rebuild(year: Year, *words: str) -> tuple[int, list[str]]:
    """Count anew by the command, in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from relais_referral.cli import figures; figures()", "rebuild", *words),
        env={**os.environ, "RELAIS_REFERRAL_DSN": year.world.database.dsn},
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode().splitlines()[1:]


ALTER = """
alter table reflection_period disable row level security;
update reflection_period set told = jsonb_set(told, '{rows,0,held}', '19') where told is not null;
alter table reflection_period enable row level security;
"""


async def test_what_was_altered_shows_and_is_put_right(year: Year) -> None:
    before = await year.told()
    assert await rebuild(year, "--check") == (0, ["4 periods of notes, 0 differ."])
    connection = await asyncpg.connect(year.world.database.owner_dsn)
    try:
        await connection.execute(ALTER)
    finally:
        await connection.close()
    other = "something else was kept than the notes on quality say"
    told = [f"2026: {other}", f"2026-Q3: {other}"]
    assert await rebuild(year, "--check") == (1, [*told, "4 periods of notes, 2 differ."])
    assert await rebuild(year) == (0, [*told, "4 periods of notes, 2 put right."])
    assert await year.told() == before
    assert await rebuild(year, "--check") == (0, ["4 periods of notes, 0 differ."])


async def test_at_last_what_was_counted_is_gone_too(year: Year) -> None:
    """With the first quarter of the next year the notes go; what was told of them stays."""
    before = await year.told()
    year.time.now = datetime(2027, 5, 1, 0, 10, tzinfo=UTC)
    assert (await year.time.round())["count_quarters"] == 1
    assert await rows(year.world, "select 1 from reflection_ballot") == []
    assert await year.told() == before
    assert await rebuild(year, "--check") == (0, ["1 periods of notes, 0 differ."])
