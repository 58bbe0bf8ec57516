"""A moved clock walks every state: what is hers stays for its term, and not longer."""

import asyncio
import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from api.referral.her import ANA, asked_by_link, herself, ok
from api.referral.test_conversation import PNG
from api.referral.world import (
    GIVEN,
    HERS,
    NOTE,
    PATHS,
    PRACTISING,
    RECIPIENT,
    SANCTIONING,
    SENDER,
    WORDS,
    Handover,
    World,
    a_consent,
    if_match,
    key,
    problem,
)
from hypothesis import given
from hypothesis import strategies as st

from relais_referral import rewrapping, store, worker
from relais_referral.actions import keeping
from relais_referral.domain.handshake import ENDED, State
from relais_referral.domain.retention import Age, goes_at, is_idle

pytestmark = pytest.mark.anyio

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
BEGAN = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@dataclass
class Time:
    """A clock that a test moves, and the worker's rounds at its time."""

    world: World
    now: datetime = BEGAN

    def __call__(self) -> datetime:
        """Answer the instant that the test set."""
        return self.now

    async def round(self) -> dict[str, int]:
        """Let the worker do what is due now."""
        state = self.world.app.state
        return await worker.one_round(state.database, state.sealer, self)


@pytest.fixture(name="time")
def _time(fresh: World) -> Time:
    time = Time(fresh)
    fresh.app.state.clock = time
    return time


async def filled(handover: Handover, time: Time, **changes: Any) -> None:
    """Open a draft that holds something of every kind, with her card and a session of hers."""
    await handover.open(notes=NOTE, **changes)
    headers = {"Content-Type": "image/png", "Content-Disposition": 'attachment; filename="canari.png"'}
    added = await handover.sender.post(f"{handover.place}/documents", headers=headers, content=PNG)
    assert added.status_code == 201, added.text
    await herself(time.world, handover)


async def left(world: World, handover: Handover) -> dict[str, int]:
    """Answer how much sealed there still is of a referral, by table, her ways in, and whether its key lives."""
    connection = await asyncpg.connect(world.database.owner_dsn)
    try:
        found = {
            table: await connection.fetchval(f"select count(*) from {table} where referral_id = $1", UUID(handover.id))  # noqa: S608 - a name of ours
            for table in ("sealed_part", "message", "document")
        }
        found["access"] = await connection.fetchval(
            "select count(*) from access where referral_id = $1 and ended_at is null", UUID(handover.id)
        )
        found["session"] = await connection.fetchval(
            "select count(*) from person_session join access on access.id = access_id where referral_id = $1",
            UUID(handover.id),
        )
        found["key"] = await connection.fetchval(
            "select count(*) from referral where id = $1 and wrapped_key is not null", UUID(handover.id)
        )
    finally:
        await connection.close()
    return {name: count for name, count in found.items() if count}


TERMS = {
    "draft": timedelta(days=365),
    "proposed": timedelta(days=365),
    "received": timedelta(days=365),
    "accepted": timedelta(days=365),
    "meeting_planned": timedelta(days=365),
    "handed_over": timedelta(days=365),
    "closed": timedelta(days=183),
    "declined": timedelta(days=30),
    "cancelled": timedelta(days=30),
    "withdrawn": timedelta(days=30),
}
"""When something happens to each state: it goes, or its sender is asked whether it goes on."""


@pytest.mark.parametrize("state", PATHS)
async def test_no_sealed_datum_outlives_its_row_of_the_table(fresh: World, time: Time, state: str) -> None:
    handover = fresh.between(SENDER, RECIPIENT)
    await filled(handover, time)
    await handover.agree("identity", "contact", "needs", "notes", "documents", given_at=time.now.isoformat())
    kinds = {"sealed_part", "document", "access", "key"}
    for step in PATHS[state]:
        await handover.walk(step)
        if step == "propose":
            said = await handover.sender.post(f"{handover.place}/messages", json={"words": WORDS})
            assert said.status_code == 201, said.text
            kinds.add("message")
    assert (await left(fresh, handover)).keys() == kinds | {"session"}
    time.now = BEGAN + TERMS[state] - SECOND
    await time.round()
    # Her session ended long since; all else stays for its term.
    assert (await left(fresh, handover)).keys() == kinds
    time.now = BEGAN + TERMS[state]
    await time.round()
    if TERMS[state] == timedelta(days=365):
        # Its sender is asked, and a month later it goes.
        tasks = (await handover.sender.get(f"{handover.place}/tasks")).json()["items"]
        assert [task["kind"] for task in tasks].count("idle") == 1
        time.now += timedelta(days=30) - SECOND
        await time.round()
        assert (await left(fresh, handover))["key"] == 1
        time.now += SECOND
        await time.round()
    assert await left(fresh, handover) == {}
    # Another round changes nothing; the wrapping key goes with the next one.
    time.now += timedelta(minutes=2)
    again = await time.round()
    assert again.keys() <= {"sign_days", "turn_keys_over", "forget_requests"}
    for client in (handover.sender, handover.recipient):
        answer = await client.get(handover.place)
        assert answer.status_code in {200, 404}
        assert not [word for word in (*HERS, "Ana Lopes", "Ben Noel") if word in answer.text]
        assert (await client.get(f"{handover.place}/documents")).json().get("items", []) == []
        assert (await client.get(f"{handover.place}/messages")).json().get("items", []) == []
    connection = await asyncpg.connect(fresh.database.owner_dsn)
    try:
        tables = await connection.fetch("select tablename from pg_tables where schemaname = 'public'")
        for table in [row[0] for row in tables]:
            rows = await connection.fetch(f"select {table}::text from {table}")  # noqa: S608 - a name of ours
            for row in rows:
                assert not [word for word in HERS if word in row[0]], table
    finally:
        await connection.close()


async def test_a_draft_without_her_agreement_goes_after_a_week(fresh: World, time: Time) -> None:
    handover = fresh.between(SENDER, RECIPIENT)
    await filled(handover, time)
    time.now = BEGAN + 7 * DAY - SECOND
    await time.round()
    assert (await left(fresh, handover))["key"] == 1
    time.now += SECOND
    assert (await time.round())["erase_past_term"] == 1
    assert await left(fresh, handover) == {}
    seen = await handover.sender.get(handover.place)
    assert GIVEN not in seen.text
    assert problem(await handover.step(handover.sender, "propose"))[0] == 409


@pytest.mark.parametrize("said", ["no", "nothing"])
async def test_what_she_refuses_goes_at_once_and_a_question_without_answer_after_a_week(
    fresh: World, time: Time, said: str
) -> None:
    handover = fresh.between(SENDER, RECIPIENT)
    await filled(handover, time)
    request = await asked_by_link(fresh, handover, ANA)
    assert "erase_past_term" not in await time.round()
    if said == "nothing":
        time.now = BEGAN + 7 * DAY - SECOND
        await time.round()
        assert (await left(fresh, handover))["key"] == 1
        time.now += SECOND
    else:
        she = await herself(fresh, handover)
        ok(await she.post(f"/v1/person/consents/{request}/answer", json={"agreed": False}))
    assert (await time.round())["erase_past_term"] == 1
    assert (await left(fresh, handover)).keys() <= {"session"}


async def test_what_was_erased_is_handed_over_no_more(fresh: World, time: Time) -> None:
    """Neither taken up again nor sent elsewhere: there would be nobody in it."""
    declined, closed, waiting = (fresh.between(SENDER, RECIPIENT) for _ in range(3))
    for one, state in ((declined, "declined"), (closed, "closed"), (waiting, "proposed")):
        await filled(one, time)
        await one.agree(given_at=time.now.isoformat())
        await one.walk(*PATHS[state])
    for days in (30, 335, 31):
        time.now += days * DAY
        await time.round()
    assert [await left(fresh, one) for one in (declined, closed, waiting)] == [{}] * 3
    to = {"organisation_id": str(RECIPIENT.id), "service_id": str(RECIPIENT.service_id)}
    for one, client, action, more in (
        (declined, declined.recipient, "reopen", {}),
        (declined, declined.sender, "redirect", {"recipient": to}),
        (closed, closed.recipient, "reopen", {}),
        (waiting, waiting.recipient, "accept", {"counsellor": {"name": "Ben Noel"}}),
    ):
        read = await client.get(one.place)
        assert action not in read.json()["allowed_actions"]
        answer = await client.post(f"{one.place}/{action}", headers={**if_match(read), **key()}, json=more)
        assert problem(answer) == (409, "transition-not-allowed")
    agreed = await waiting.sender.post(
        f"{waiting.place}/consents", headers=key(), json=a_consent(given_at=time.now.isoformat())
    )
    assert problem(agreed) == (404, "not-found")
    # Stopping is always possible.
    assert (await waiting.walk("cancel")).json()["state"] == "cancelled"
    assert (await closed.walk("withdraw")).json()["state"] == "withdrawn"


async def test_a_draft_that_is_thrown_away_before_she_agreed_goes_at_once(fresh: World, time: Time) -> None:
    handover = fresh.between(SENDER, RECIPIENT)
    await filled(handover, time)
    await handover.walk("cancel")
    assert (await time.round())["erase_past_term"] == 1
    assert (await left(fresh, handover)).keys() <= {"session"}


async def test_a_worker_killed_in_its_round_is_followed_by_one_that_ends_it(
    fresh: World, time: Time, databases: Any
) -> None:
    """Twelve drafts are due; the fifth is held while its key is being destroyed, and there the worker is killed."""
    time.now = datetime.now(UTC) - 8 * DAY
    drafts = [fresh.between(SENDER, RECIPIENT) for _ in range(12)]
    for draft in drafts:
        await draft.open(notes=NOTE)
    name = fresh.database.dsn.rpartition("/")[2]
    admin = await asyncpg.connect(f"{databases.admin_dsn.rpartition('/')[0]}/{name}")
    try:
        await admin.execute(HOLD_THE_FIFTH)
        await admin.execute("select pg_advisory_lock(77)")
        victim = await work_once(fresh)
        held = await once(admin, "select pid from pg_locks where locktype = 'advisory' and not granted")
        victim.kill()
        await victim.wait()
        assert await admin.fetchval("select count(*) from referral where shredded_at is not null") == 4
        await admin.execute("select pg_advisory_unlock(77)")
        await once(admin, "select not exists (select from pg_stat_activity where pid = $1)", held)
        # What was not confirmed did not happen; the next round does it, and one more finds nothing to do.
        assert await admin.fetchval("select count(*) from referral where shredded_at is not null") == 4
        for _ in range(2):
            assert await (await work_once(fresh)).wait() == 0
            assert [await left(fresh, draft) for draft in drafts] == [{}] * 12
            done = "select count(*), count(distinct referral_id) from event where type = 'referral.erased'"
            assert tuple(await admin.fetchrow(done)) == (12, 12)
    finally:
        await admin.close()


PATIENCE_S = 60
"""A process starts within some seconds; a busy machine gets a minute."""

HOLD_THE_FIFTH = """
create function hold() returns trigger language plpgsql as $$
begin
    if (select count(*) from referral where shredded_at is not null) = 4 then
        perform pg_advisory_xact_lock(77);
    end if;
    return new;
end $$;
create trigger hold before update of shredded_at on referral for each row
    when (new.shredded_at is not null) execute function hold();
"""


async def once(admin: asyncpg.Connection, query: str, *values: object) -> Any:
    """Answer what a query answers, as soon as that is something."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if found := await admin.fetchval(query, *values):
                return found
            await asyncio.sleep(0.05)


async def work_once(world: World) -> asyncio.subprocess.Process:
    """Start the worker as a process of its own, for one round."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "relais_referral", "work", "--once"),
        env={**os.environ, "RELAIS_REFERRAL_DSN": world.database.dsn},
    )


async def test_a_rehearsal_goes_after_a_week_whatever_its_state(fresh: World, time: Time) -> None:
    handover = Handover(fresh.as_(PRACTISING), fresh.as_(PRACTISING), PRACTISING)
    await filled(handover, time)
    await handover.agree(given_at=time.now.isoformat())
    await handover.walk("propose", "r.accept")
    time.now = BEGAN + 7 * DAY - SECOND
    await time.round()
    assert (await left(fresh, handover))["key"] == 1
    time.now += SECOND
    await time.round()
    assert await left(fresh, handover) == {}


async def test_the_sender_that_says_that_it_goes_on_keeps_it(fresh: World, time: Time) -> None:
    handover = fresh.between(SENDER, RECIPIENT)
    await filled(handover, time)
    await handover.agree(given_at=time.now.isoformat())
    await handover.walk("propose", "r.accept")
    time.now = BEGAN + 365 * DAY
    await time.round()
    await handover.walk("r.plan_meeting")
    time.now += 31 * DAY
    await time.round()
    assert (await left(fresh, handover))["key"] == 1


async def test_an_agreement_runs_out_with_a_word_beforehand(fresh: World, time: Time) -> None:
    handover = fresh.between(SENDER, RECIPIENT)
    await handover.open()
    until = BEGAN + 30 * DAY
    await handover.agree(given_at=time.now.isoformat(), valid_until=until.isoformat())
    await handover.walk("propose", "r.accept")
    time.now = until - 14 * DAY - SECOND
    assert "warn_of_expiry" not in await time.round()
    time.now += SECOND
    assert (await time.round())["warn_of_expiry"] == 1
    assert "warn_of_expiry" not in await time.round()
    for client in (handover.sender, handover.recipient):
        tasks = (await client.get(f"{handover.place}/tasks")).json()["items"]
        assert [task["kind"] for task in tasks if task["kind"] != "tell_person"] == ["consent_expiring"]
    assert GIVEN in (await handover.recipient.get(handover.place)).text
    time.now = until
    # Nothing is read any more from that instant, whether the worker came by or not.
    assert GIVEN not in (await handover.recipient.get(handover.place)).text
    assert (await time.round())["expire_consents"] == 1
    assert "expire_consents" not in await time.round()
    [consent] = (await handover.sender.get(f"{handover.place}/consents")).json()["items"]
    assert consent["status"] == "expired"
    copies = (await handover.recipient.get(f"{handover.place}/tasks")).json()["items"]
    assert "local_copy" in [task["kind"] for task in copies]


async def test_overdue_is_told_once_and_never_in_a_pause(fresh: World, time: Time) -> None:
    handover = fresh.between(SENDER, RECIPIENT)
    await handover.open(urgency="today")
    await handover.agree(given_at=time.now.isoformat())
    await handover.walk("propose", "pause")
    time.now += timedelta(hours=2)
    assert "tell_overdue" not in await time.round()
    await handover.walk("resume")
    assert (await time.round())["tell_overdue"] == 1
    assert "tell_overdue" not in await time.round()
    for client in (handover.sender, handover.recipient):
        tasks = (await client.get(f"{handover.place}/tasks")).json()["items"]
        assert [task["kind"] for task in tasks] == ["overdue"]


async def test_a_pause_ends_on_its_day(fresh: World, time: Time) -> None:
    handover = fresh.between(SENDER, RECIPIENT)
    await handover.open()
    await handover.agree(given_at=time.now.isoformat())
    await handover.walk("propose")
    until = (BEGAN + 3 * DAY).date().isoformat()
    assert (await handover.step(handover.sender, "pause", until=until)).status_code == 200
    # BEGAN is at ten in the morning in Brussels: its clocks show midnight fourteen hours later.
    time.now = BEGAN + 3 * DAY + 14 * HOUR - SECOND
    assert "end_pauses" not in await time.round()
    time.now += SECOND
    assert (await time.round())["end_pauses"] == 1
    assert "paused" not in (await handover.sender.get(handover.place)).json()


@pytest.mark.parametrize("end", ["withdraw", "r.decline", "closed"])
async def test_a_sender_that_may_sanction_reads_its_own_words_as_long_however_it_ended(
    fresh: World, time: Time, end: str
) -> None:
    handover = fresh.between(SANCTIONING, RECIPIENT)
    await handover.open()
    await handover.agree(given_at=time.now.isoformat())
    await handover.walk("propose")
    if end == "closed":
        await handover.walk("r.accept", "r.confirm_handover")
        async with fresh.app.state.database.write() as tx:
            # The person says so in her own session; here her word stands in the row at once.
            await store.callers.begin(tx, rewrapping.WORKER)
            referral, _ = await store.referrals.lock(tx, UUID(handover.id), rewrapping.WORKER)
            referral.state, referral.state_at, referral.noticed_at = "closed", time.now, time.now
    else:
        await handover.walk(end)
    time.now = BEGAN + 30 * DAY - SECOND
    await time.round()
    assert GIVEN in (await handover.sender.get(handover.place)).text
    time.now += SECOND
    await time.round()
    answer = await handover.sender.get(handover.place)
    assert GIVEN not in answer.text
    assert answer.json()["state"] == "ended"


async def test_a_sender_that_is_marked_later_reads_no_more_of_what_it_had_begun(fresh: World, time: Time) -> None:
    handover = fresh.between(SENDER, RECIPIENT)
    await handover.open()
    await handover.agree(given_at=time.now.isoformat())
    await handover.walk("propose", "r.decline")
    full = await handover.sender.get(handover.place)
    assert full.json()["state"] == "declined"
    assert (await handover.sender.get("/v1/tasks")).json()["items"]
    await fresh.tell_registry(2, **{SENDER.name: {"may_sanction": True}})
    assert (await time.round())["heed_marking"] == 1
    plain = await handover.sender.get(handover.place)
    assert plain.json()["state"] == "ended"
    assert "decline" not in plain.json()
    assert plain.headers["etag"] != full.headers["etag"]
    assert (await handover.sender.get("/v1/tasks")).json()["items"] == []
    assert "heed_marking" not in await time.round()


async def test_a_job_that_fails_keeps_none_of_the_others_from_their_work(
    fresh: World, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    handover = fresh.between(SENDER, RECIPIENT)
    await filled(handover, time)

    async def fails(*_: object) -> int:
        raise RuntimeError("a fault of this test")

    monkeypatch.setattr(worker, "JOBS", (fails, *keeping.JOBS))
    time.now = BEGAN + 7 * DAY
    assert (await time.round())["erase_past_term"] == 1


async def test_what_the_worker_does_is_dated_after_what_came_before_it(
    fresh: World, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step that is taken while a round looks for work stands before that work, in number and in time."""
    handover = fresh.between(SENDER, RECIPIENT)
    await handover.open()
    await handover.agree(given_at=time.now.isoformat())
    await handover.walk("propose")
    time.now += 30 * DAY
    begin, begun = store.callers.begin, 0

    async def begins(tx: Any, caller: store.callers.Caller) -> None:
        nonlocal begun
        begun += caller.working
        if caller.working and begun == 2:
            # It has found what is overdue, and not locked it yet.
            time.now += timedelta(minutes=1)
            sent = await handover.recipient.post(f"{handover.place}/messages", json={"words": "Bientôt"})
            assert sent.status_code == 201, sent.text
            time.now += timedelta(minutes=1)
        await begin(tx, caller)

    monkeypatch.setattr(store.callers, "begin", begins)
    assert await keeping.tell_overdue(fresh.app.state.database, fresh.app.state.sealer, time) == 1
    events = (await handover.recipient.get(f"{handover.place}/events")).json()["items"]
    assert [one["type"] for one in events][-2:] == ["message.written", "referral.overdue"]
    assert [one["at"] for one in events] == sorted(one["at"] for one in events)


async def test_old_request_keys_are_forgotten(fresh: World, time: Time) -> None:
    await fresh.between(SENDER, RECIPIENT).open()
    time.now = BEGAN + DAY - SECOND
    assert "forget_requests" not in await time.round()
    time.now += SECOND
    assert (await time.round())["forget_requests"] == 1


ages = st.builds(
    Age,
    state=st.sampled_from(State),
    created_at=st.just(BEGAN),
    state_at=st.integers(0, 400).map(lambda days: BEGAN + days * DAY),
    updated_at=st.integers(0, 800).map(lambda days: BEGAN + days * DAY),
    agreed=st.booleans(),
    refused=st.booleans(),
    practice=st.booleans(),
    idle_asked_at=st.none() | st.integers(0, 800).map(lambda days: BEGAN + days * DAY),
    erased_at=st.none() | st.integers(0, 800).map(lambda days: BEGAN + days * DAY),
)


@given(ages, st.integers(0, 2_000).map(lambda days: BEGAN + days * DAY))
def test_everything_goes_or_is_asked_about(age: Age, now: datetime) -> None:
    term = goes_at(age)
    if age.state in ENDED:
        assert term is not None
        assert term <= age.state_at + 30 * DAY
    if age.practice:
        assert term is not None
        assert term <= age.created_at + 7 * DAY
    if term is None:
        # What has no term yet is asked about a year after it was last touched, and that starts one.
        assert is_idle(age, max(now, age.updated_at + 365 * DAY))


def test_the_table_names_a_term_for_every_state() -> None:
    assert set(TERMS) == {str(state) for state in State}
