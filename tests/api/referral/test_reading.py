"""What a hot path reads past the session is the session's all the same; a transaction is told as one span."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from api.referral.world import SENDER, SENSITIVE, Handover, World
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import inspect, select, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import SQLModel, col

from relais_referral import store
from relais_referral.actions.common import in_force
from relais_referral.domain.consent import Consent
from relais_referral.models.consents import ConsentRecord, ConsentState
from relais_referral.models.referrals import Referral
from relais_referral.rewrapping import WORKER
from relais_shared import telemetry
from relais_shared.db import Database
from relais_shared.driver import begun_by

pytestmark = pytest.mark.anyio


def facts(row: SQLModel) -> dict[str, object]:
    """Answer every column of an object."""
    return {one.key: getattr(row, one.key) for one in inspect(type(row)).column_attrs}


async def test_what_is_read_is_what_the_session_reads(world: World, handover: Handover) -> None:
    await handover.proposed()
    await handover.walk("r.accept", "r.plan_meeting")
    id_ = UUID(handover.id)
    async with world.app.state.database.session() as tx:
        await store.callers.begin(tx, WORKER)
        referral, _ = await store.referrals.lock(tx, id_, WORKER)
        [(record, state)] = await store.consents.of_referral(tx, id_, lock=True)
        read = [facts(one) for one in (referral, record, state)]
    async with world.app.state.database.session() as tx:
        await store.callers.begin(tx, WORKER)
        others = [
            await tx.scalar(select(Referral).where(col(Referral.id) == id_)),
            await tx.scalar(select(ConsentRecord).where(col(ConsentRecord.referral_id) == id_)),
            await tx.scalar(select(ConsentState).where(col(ConsentState.referral_id) == id_)),
        ]
        assert read == [facts(one) for one in others]
    assert {"version", "wrapped_key", "themes", "undo", "due_at"} <= read[0].keys()


@pytest.mark.parametrize(
    "said",
    [
        {"purposes": ["referral"], "seen_alone": "yes"},
        {"seen_alone": "no", "interpreter": "relative"},
        {"valid_until": "2099-01-01T00:00:00Z"},
    ],
)
async def test_what_is_held_is_the_agreement_in_force(world: World, said: dict[str, Any]) -> None:
    """As the rows themselves say it: none before she agreed, the last one, none once she withdrew."""
    handover = world.between(SENDER, SENSITIVE)
    basis = {"article_9_basis": "explicit consent (art. 9.2.a)"}
    await handover.open()
    assert await consents_of(world, handover) == (None, None)
    await handover.agree("identity", "needs", **basis)
    first, _ = await consents_of(world, handover)
    await handover.agree(**basis, **said)
    held, stands = await consents_of(world, handover)
    assert held == stands
    assert held is not None
    assert first is not None
    assert held.id != first.id
    await handover.walk("propose", "withdraw")
    assert await consents_of(world, handover) == (None, None)


async def consents_of(world: World, handover: Handover) -> tuple[Consent | None, Consent | None]:
    """Answer the agreement in force as a hold has it, and as all of them say it."""
    id_ = UUID(handover.id)
    async with world.app.state.database.session() as tx:
        held = await store.holding.hold(tx, id_, WORKER)
        return held.consent, in_force(held.referral, await store.consents.of_referral(tx, id_))


async def test_what_changes_is_written_and_read_anew(world: World, handover: Handover) -> None:
    """A change waits for its reading no more than for the end; what others changed is seen in the same object."""
    await handover.open()
    id_ = UUID(handover.id)
    async with world.app.state.database.session() as tx:
        await store.callers.begin(tx, WORKER)
        referral, _ = await store.referrals.lock(tx, id_, WORKER, reading=True)
        referral.outcome = "under_way"
        again, _ = await store.referrals.lock(tx, id_, WORKER)
        assert again is referral
        assert again.outcome == "under_way"
        await tx.execute(text("update referral set outcome = 'completed' where id = :id"), {"id": id_})
        await store.referrals.lock(tx, id_, WORKER)
        assert referral.outcome == "completed"
        await tx.rollback()


async def test_a_lost_connection_is_said_as_ever(world: World, handover: Handover) -> None:
    """Whoever catches what SQLAlchemy raises catches this; the next transaction has another connection."""
    await handover.open()
    id_ = UUID(handover.id)
    async with world.app.state.database.session() as tx:
        await store.callers.begin(tx, WORKER)
        driver = (await (await tx.connection()).get_raw_connection()).driver_connection
        assert isinstance(driver, asyncpg.Connection)
        closed = asyncio.Event()
        driver.add_termination_listener(lambda _: closed.set())
        admin = await asyncpg.connect(world.database.dsn)
        await admin.execute("select pg_terminate_backend($1)", driver.get_server_pid())
        await admin.close()
        await closed.wait()
        with pytest.raises(DBAPIError) as fault:
            await store.referrals.lock(tx, id_, WORKER)
        assert fault.value.connection_invalidated
    async with world.app.state.database.session() as tx:
        await store.callers.begin(tx, WORKER)
        referral, _ = await store.referrals.lock(tx, id_, WORKER)
        assert referral.id == id_


async def test_a_connection_lost_while_nobody_used_it_is_said_as_ever(world: World, handover: Handover) -> None:
    """The first statement of a transaction finds out; the next transaction has another connection."""
    await handover.open()
    async with alone(world) as database:
        async with database.session() as tx:
            await store.callers.begin(tx, WORKER)
            driver = (await (await tx.connection()).get_raw_connection()).driver_connection
            assert isinstance(driver, asyncpg.Connection)
            await tx.rollback()
            await tx.connection()  # The same one, taken and not yet asked.
            other = await asyncpg.connect(world.database.dsn)
            await other.execute("select pg_terminate_backend($1)", driver.get_server_pid())
            await other.close()
            with pytest.raises(DBAPIError) as fault:
                await store.callers.begin(tx, WORKER)
            assert fault.value.connection_invalidated
        async with database.session() as tx:
            held = await store.holding.hold(tx, UUID(handover.id), WORKER)
            assert held.referral.id == UUID(handover.id)


@asynccontextmanager
async def alone(world: World) -> AsyncIterator[Database]:
    """Open the world's database once more, by a single connection."""
    database = Database(world.app.state.settings.model_copy(update={"database_connections": 1}))
    try:
        yield database
    finally:
        await database.close()


async def test_a_first_statement_that_is_refused_leaves_its_connection_as_it_was(world: World) -> None:
    async with world.app.state.database.session() as tx:
        with pytest.raises(DBAPIError) as fault:
            await tx.run_sync(begun_by, "select 1 / $1::int", (0,))
        assert not fault.value.connection_invalidated
        assert isinstance(fault.value.orig.__cause__ if fault.value.orig else None, asyncpg.DivisionByZeroError)
        await tx.rollback()
        await tx.run_sync(begun_by, "select 1 / $1::int", (1,))
        assert await tx.scalar(text("select 1")) == 1


async def test_whoever_is_cancelled_leaves_the_next_no_transaction(world: World, handover: Handover) -> None:
    """At each wait of a reading, on the only connection there is: what is written after it stands."""
    await handover.open()
    id_ = UUID(handover.id)
    other = await asyncpg.connect(world.database.dsn, server_settings={"relais.worker": "on"})
    async with alone(world) as database:

        async def read() -> None:
            async with database.session(read_only=True) as tx:
                await store.callers.begin(tx, WORKER)
                await store.feed.last_position(tx)

        ended = False
        waits = 0
        while not ended:
            waits += 1
            reading = asyncio.create_task(read())
            for _ in range(waits):
                await asyncio.sleep(0)
            # Each time a turn of the loop later, until it comes to its end by itself.
            ended = not reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            async with database.write() as tx:
                (await store.holding.hold(tx, id_, WORKER)).referral.version = 1_000 + waits
            assert await other.fetchval("select version from referral where id = $1", id_) == 1_000 + waits
    await other.close()


@pytest.fixture(name="spans")
def _spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    monkeypatch.setattr(telemetry, "_tracer", provider.get_tracer("test"))
    monkeypatch.setattr(telemetry, "_off", False)
    yield kept
    provider.shutdown()


async def test_a_transaction_is_one_span(world: World, spans: InMemorySpanExporter) -> None:
    """Whatever it asks, and whether it ends well; nothing where the worker looks for work."""
    with telemetry.tracer().start_as_current_span("asked") as around:
        async with world.app.state.database.session() as tx:
            await store.callers.begin(tx, WORKER)
            begun = time.time_ns()
            async with tx.begin_nested():
                await tx.execute(text("select 1"))
            await tx.commit()
            await store.callers.begin(tx, WORKER)
        with suppress_instrumentation():
            async with world.app.state.database.write() as tx:
                await store.callers.begin(tx, WORKER)
    mine = [one for one in spans.get_finished_spans() if one.context.trace_id == around.get_span_context().trace_id]
    assert [one.name for one in mine] == ["transaction", "transaction", "asked"]
    assert (mine[0].start_time or begun) < begun, "A savepoint took the transaction's place."
    assert mine[0].attributes is not None
    assert mine[0].attributes["db.system.name"] == "postgresql"
    assert mine[0].parent is not None
    assert mine[0].parent.span_id == around.get_span_context().span_id


async def test_a_statement_without_a_session_is_a_span(world: World, spans: InMemorySpanExporter) -> None:
    """With its text and its fault, never what a fault says."""
    async with asyncpg.create_pool(world.database.dsn, min_size=1, max_size=1, init=telemetry.tell_statements) as pool:
        with telemetry.tracer().start_as_current_span("asked") as around:
            assert await pool.fetchval("select $1::int", 1) == 1
            with pytest.raises(asyncpg.PostgresError):
                await pool.fetchval("select 1 / $1::int", 0)
            with suppress_instrumentation():
                await pool.fetchval("select 2")
            await asyncio.sleep(0)  # They are told once what was asked goes on.
    mine = [one for one in spans.get_finished_spans() if one.context.trace_id == around.get_span_context().trace_id]
    # The pool's own, by which it leaves nothing behind, begin with capitals.
    told = {(one.attributes or {}).get("db.query.text"): one.status.is_ok for one in mine if one.name == "select"}
    assert told == {"select $1::int": True, "select 1 / $1::int": False}
