"""What months came to: counted once, of those who agreed, told of nobody, and the same whenever it is counted."""

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
import pytest
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
    Asserted,
    Handover,
    Structure,
    World,
    a_draft,
    opened,
    problem,
)

from relais_local.databases import Access
from relais_shared.auth import Actor, system

pytestmark = pytest.mark.anyio

STATS = "referral:stats"
COUNT = frozenset({"referral", "statistics"})
DAY = timedelta(days=1)
BEGAN = datetime(2026, 9, 3, 10, tzinfo=UTC)
HERE, NEAR, FAR = "be:52011", "be:52012", "be:52021"


@dataclass
class Month:
    """Some hand-overs of a September, walked at its time, and counted when it was due."""

    world: World
    time: Time
    of: dict[str, list[Handover]] = field(default_factory=dict)

    async def some(
        self,
        name: str,
        count: int,
        sender: Structure,
        recipient: Structure = RECIPIENT,
        *,
        theme: str = "childcare",
        place: str = HERE,
        purposes: frozenset[str] = COUNT,
        answered: timedelta | None = None,
        met: bool = False,
    ) -> None:
        """Hand some persons over, for one need in one municipality."""
        for _ in range(count):
            self.time.now = BEGAN
            handover = self.world.between(sender, recipient)
            person = a_draft(recipient)["person"] | {"area": {"municipality": place}}
            await handover.open(person=person, needs=[{"theme": theme}])
            basis = {"article_9_basis": "her explicit consent"} if theme == "support--health" else {}
            await handover.agree(purposes=sorted(purposes), given_at=BEGAN.isoformat(), **basis)
            await handover.walk("propose")
            if answered is not None:
                self.time.now = BEGAN + answered
                await handover.walk("r.accept")
            if met:
                self.time.now = BEGAN + 3 * DAY
                await handover.walk("confirm_handover")
                self.time.now = BEGAN + 9 * DAY
                await handover.walk("r.confirm_handover")
            self.of.setdefault(name, []).append(handover)

    async def told(self, path: str, structure: Structure, *scopes: str, **query: Any) -> list[dict[str, Any]]:
        """Answer the months that an organisation reads."""
        answer = await self.world.as_(structure, *scopes).get(f"/v1/figures{path}", params=query)
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items


async def _walk(world: World) -> Month:
    time = Time(world)
    world.app.state.clock = time
    month = Month(world, time)
    await month.some("met", 6, SENDER, answered=timedelta(hours=36), met=True)
    await month.some("answered", 5, OUTSIDER, answered=4 * DAY)
    # To who takes off its own, this theme is of three or of five persons: two structures send them.
    await month.some("mobility", 5, SENDER, theme="mobility", place=NEAR)
    await month.some("mobility", 3, OUTSIDER, theme="mobility", place=NEAR)
    await month.some("sensitive", 2, OUTSIDER, theme="support--health", place=FAR)
    await month.some("no", 2, SENDER, purposes=frozenset({"referral"}))
    await month.some("sanctioning", 5, SANCTIONING)
    await month.some("practice", 1, PRACTISING, PRACTISING)
    await month.some("stopped", 2, SENDER)
    for handover, part in zip(month.of["stopped"], ({"purposes": ["statistics"]}, {}), strict=True):
        answer = await handover.sender.post(f"/v1/consents/{handover.consent_id}/withdraw", json=part)
        assert answer.status_code == 200, answer.text
    time.now = datetime(2026, 11, 1, 0, 9, tzinfo=UTC)
    assert "count_months" not in await time.round()
    assert await month.told("", OUTSIDER, STATS) == []
    time.now += timedelta(minutes=1)
    assert (await time.round())["count_months"] == 1
    assert "count_months" not in await time.round()
    return month


@pytest.fixture(scope="module", name="month")
async def _month(home: Path, fresh_database: Callable[[str], Access], anyio_backend: str) -> Any:
    """Walk a September once for all the tests here: they read, and put back what they change."""
    del home, anyio_backend
    async with opened(fresh_database("referral")) as world:
        yield await _walk(world)


def times(handovers: int, answered: int | None = None, met: int | None = None) -> dict[str, int | None]:
    """Answer the figures of a row."""
    return {"handovers": handovers, "answered_within_days": answered, "met_within_days": met}


async def test_nobody_and_who_lacks_the_scope_read_none(month: Month) -> None:
    ways = (("", STATS), ("/sent", SEND), ("/received", RECEIVE))
    for path, scope in ways:
        place = f"/v1/figures{path}"
        assert problem(await month.world.anonymous().get(place)) == (401, "unauthenticated")
        others = {STATS, SEND, RECEIVE, "directory:read", "org:admin", "platform:admin", "trace:read"} - {scope}
        answer = await month.world.as_(SENDER, *others).get(place)
        assert problem(answer) == (403, "scope-missing")
        assert answer.json()["scopes"] == [scope]


async def test_the_territory_is_told_without_telling_of_anybody(month: Month) -> None:
    assert await month.told("", OUTSIDER, STATS) == [
        {
            "month": "2026-09",
            "counted_at": "2026-11-01T00:00:00Z",
            **times(21, 2, 3),
            "by_step": [
                {"step": "answered", "handovers": 5},
                {"step": "met", "handovers": 6},
                {"step": "waiting", "handovers": 10},
            ],
            # Eight for mobility are no few, but three and five where one of the two senders takes off its own.
            "by_theme": [{"theme": "childcare", **times(11, 2, 3)}],
            "by_municipality": [{"municipality": HERE, **times(11, 2, 3)}],
        }
    ]


async def test_each_side_reads_its_own(month: Month) -> None:
    [sent] = await month.told("/sent", SENDER)
    assert times(11, 2, 3).items() <= sent.items()
    assert sent["by_theme"] == [{"theme": "childcare", **times(6, 2, 3)}, {"theme": "mobility", **times(5)}]
    [sent] = await month.told("/sent", OUTSIDER)
    assert times(10, 4).items() <= sent.items()
    # Three and two are left, one of the two a sensitive theme that no figure names.
    assert sent["by_theme"] == [{"theme": "childcare", **times(5, 4)}]
    [received] = await month.told("/received", RECIPIENT)
    assert times(26, 2, 3).items() <= received.items()
    assert await month.told("/received", SENDER) == []
    assert await month.told("/sent", RECIPIENT) == []


async def test_who_may_sanction_learns_nothing(month: Month) -> None:
    """It reads no figures of what it sent, and the territory's are the same without it."""
    assert await month.told("/sent", SANCTIONING) == []
    assert await month.told("", SANCTIONING, STATS) == await month.told("", OUTSIDER, STATS)


async def test_what_it_sent_before_it_could_sanction_is_closed_to_it_too(month: Month) -> None:
    changed = [one.organisation() for one in STRUCTURES]
    for organisation in changed:
        organisation["may_sanction"] = organisation["id"] == str(SENDER.id)
    gateway = month.world.anonymous(Asserted(month.world.gateway, system("gateway")))
    answer = await gateway.put("/internal/registry", json={"version": 2, "organisations": changed})
    assert answer.json() == {"taken": True}
    assert await month.told("/sent", SENDER) == []
    await month.world.tell_registry(3)
    assert len(await month.told("/sent", SENDER)) == 1


async def test_a_rehearsal_is_in_no_figure(month: Month) -> None:
    for path in ("/sent", "/received"):
        assert await month.told(path, PRACTISING) == []


async def test_no_figure_names_anybody(month: Month) -> None:
    """Neither a person, nor an organisation, a service or a counsellor: nobody can be ranked."""
    text = json.dumps(
        [
            await month.told("", SENDER, STATS),
            await month.told("/sent", SENDER),
            await month.told("/received", RECIPIENT),
        ]
    )
    names = [str(value) for one in STRUCTURES for value in (one.id, one.service_id, one.name)]
    counsellors = ["Ana Lopes", "Ben Noel"]
    ids = [handover.id for group in month.of.values() for handover in group]
    for word in (*HERS, *names, *counsellors, *ids, "support", "health"):
        assert word not in text, word


async def test_rows_are_left_out_and_nothing_is_counted_for_a_question(month: Month) -> None:
    [told] = await month.told("", SENDER, STATS, theme="mobility", municipality=NEAR)
    assert (told["handovers"], told["by_theme"], told["by_municipality"]) == (21, [], [])
    [told] = await month.told("", SENDER, STATS, theme="childcare", municipality=HERE)
    assert [len(told[part]) for part in ("by_theme", "by_municipality")] == [1, 1]
    assert await month.told("", SENDER, STATS, since="2026-10") == []
    assert len(await month.told("", SENDER, STATS, since="2026-09", until="2026-09")) == 1
    for wrong in ({"since": "2026-13"}, {"organisation_id": str(SENDER.id)}, {"limit": 0}):
        answer = await month.world.as_(SENDER, STATS).get("/v1/figures", params=wrong)
        assert problem(answer) == (422, "invalid-input")


async def test_a_grant_with_limits_reaches_rows_alone(month: Month) -> None:
    async def read(**limits: list[str]) -> dict[str, Any]:
        actor = Actor("client", "client:x", SENDER.id, SENDER.name, frozenset({STATS}), limits={STATS: limits})
        answer = await month.world.anonymous(Asserted(month.world.gateway, actor)).get("/v1/figures")
        [told] = answer.json()["items"]
        assert (told["handovers"], told["by_step"]) == (None, [])
        return told  # type: ignore[no-any-return]  # JSON

    told = await read(themes=["childcare"])
    assert (len(told["by_theme"]), told["by_municipality"]) == (1, [])
    told = await read(municipalities=[NEAR])
    assert (told["by_theme"], told["by_municipality"]) == ([], [])


async def rebuild(month: Month, *words: str) -> tuple[int, list[str]]:
    """Count anew by the command, in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from relais_referral.cli import figures; figures()", "rebuild", *words),
        env={**os.environ, "RELAIS_REFERRAL_DSN": month.world.database.dsn},
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode().splitlines()


async def as_owner(month: Month, statement: str) -> None:
    """Change what is kept, as whoever holds the database could."""
    connection = await asyncpg.connect(month.world.database.owner_dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


ALTER = """
alter table figure_month disable row level security;
update figure_month set territory = jsonb_set(territory, '{whole,handovers}', '22');
alter table figure_month enable row level security;
"""


async def test_the_log_says_to_the_unit_what_is_kept(month: Month) -> None:
    """Whatever happens later, a month is counted anew to the same; what was altered shows, and is put right."""
    before = await month.told("", SENDER, STATS)
    month.time.now = datetime(2027, 9, 2, tzinfo=UTC)
    late = month.of["met"][0]
    answer = await late.sender.post(f"/v1/consents/{late.consent_id}/withdraw", json={})
    assert answer.status_code == 200, answer.text
    await month.of["mobility"][0].walk("r.accept")
    done = await month.time.round()
    assert done["count_months"] == 10, "from October to July, each with nothing to tell"
    assert await rebuild(month, "--check") == (0, ["11 months, 0 differ."])
    await as_owner(month, ALTER)
    assert await rebuild(month, "--check") == (
        1,
        ["2026-09: something else was kept than the event log says", "11 months, 1 differ."],
    )
    assert (await month.told("", SENDER, STATS))[0]["handovers"] == 22
    code, said = await rebuild(month)
    assert (code, said[-1]) == (0, "11 months, 1 put right.")
    assert await month.told("", SENDER, STATS) == before
    assert await rebuild(month, "--check") == (0, ["11 months, 0 differ."])


async def test_the_database_shows_each_organisation_its_own(month: Month) -> None:
    """Behind the routes, row-level security says the same; only the worker finds steps, and only it writes."""
    connection = await asyncpg.connect(month.world.database.dsn)
    try:
        assert await connection.fetch("select * from figure_step") == []
        assert await connection.fetch("select * from figure_own") == []
        for structure, count in ((SENDER, 1), (OUTSIDER, 1), (RECIPIENT, 1), (PRACTISING, 0), (SANCTIONING, 0)):
            await connection.execute("select set_config('relais.organisation', $1, false)", str(structure.id))
            rows = await connection.fetch("select organisation_id from figure_own")
            assert [row["organisation_id"] for row in rows] == [structure.id] * count
        assert await connection.execute("delete from figure_month") == "DELETE 0"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("insert into figure_month (month, counted_at) values ('2020-01-01', now())")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("update figure_month set territory = null")
        names = {row["column_name"] for row in await connection.fetch(COLUMNS)}
        assert not names & {"actor", "organisation_id", "data", "decline_reason", "outcome", "postcode", "languages"}
    finally:
        await connection.close()


COLUMNS = "select column_name from information_schema.columns where table_name = 'figure_step'"
