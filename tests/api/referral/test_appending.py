"""Rows that are only ever added go to the database together; none is lost, and none outlives its transaction."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from api.referral.world import Handover, World
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm.exc import StaleDataError
from sqlmodel import col

from relais_referral import store
from relais_referral.models.conversation import Task
from relais_referral.models.referrals import Referral, SealedPart
from relais_referral.rewrapping import WORKER
from relais_shared.appending import TOGETHER, append, leave

pytestmark = pytest.mark.anyio

HIDDEN = text("select set_config('relais.worker', '', true)")
"""Nobody asks any more: nothing is there for nobody."""
SEVERAL = 2 * TOGETHER + 3
"""More rows than one statement takes."""


def add_tasks(tx: AsyncSession, referral_id: str, count: int) -> None:
    """Append tasks to a hand-over."""
    for _ in range(count):
        facts: dict[str, Any] = {"party": "sender", "kind": "tell_person", "reason": "test"}
        append(tx, Task, id=uuid4(), referral_id=UUID(referral_id), opened_at=datetime.now(UTC), **facts)


async def there(tx: AsyncSession, referral_id: str) -> int:
    """Count the tasks of a hand-over."""
    query = select(func.count()).select_from(Task).where(col(Task.referral_id) == UUID(referral_id))
    return await tx.scalar(query) or 0


async def test_rows_are_written_though_no_object_changed(world: World, handover: Handover) -> None:
    """Neither a commit nor a question of the same transaction passes them by, however many there are."""
    await handover.open()
    async with world.app.state.database.write() as tx:
        await store.callers.begin(tx, WORKER)
        add_tasks(tx, handover.id, SEVERAL)
        assert await there(tx, handover.id) == SEVERAL
        add_tasks(tx, handover.id, 1)
    async with world.app.state.database.write() as tx:
        await store.callers.begin(tx, WORKER)
        assert await there(tx, handover.id) == SEVERAL + 1


async def test_rows_go_with_the_transaction_that_was_given_up(world: World, handover: Handover) -> None:
    """What was written and what still waited are gone, though the session goes on."""
    await handover.open()
    async with world.app.state.database.session() as tx:
        await store.callers.begin(tx, WORKER)
        add_tasks(tx, handover.id, 1)
        assert await there(tx, handover.id) == 1
        add_tasks(tx, handover.id, 1)
        await tx.rollback()
        await store.callers.begin(tx, WORKER)
        assert await there(tx, handover.id) == 0
        await tx.commit()


async def held(tx: AsyncSession, referral_id: str) -> Referral:
    """Lock a hand-over as the worker."""
    return (await store.holding.hold(tx, UUID(referral_id), WORKER)).referral


async def test_a_row_that_leaves_is_changed_with_the_rows(world: World, handover: Handover) -> None:
    """One statement writes all of it; the row still reads as it was left."""
    await handover.open()
    asked: list[str] = []
    async with world.app.state.database.write() as tx:
        referral = await held(tx, handover.id)
        add_tasks(tx, handover.id, SEVERAL)
        referral.outcome = "completed"
        leave(tx, referral)
        assert referral not in tx
        assert referral.outcome == "completed"
        driver = (await (await tx.connection()).get_raw_connection()).driver_connection
        assert driver is not None
        with driver.query_logger(lambda one: asked.append(one.query)):
            await tx.flush()
    assert [one.count("INSERT INTO task") for one in asked] == [TOGETHER, TOGETHER, 3]
    assert [one.count("UPDATE referral") for one in asked] == [0, 0, 1]
    async with world.app.state.database.write() as tx:
        assert (await held(tx, handover.id)).outcome == "completed"
        assert await there(tx, handover.id) == SEVERAL


async def test_a_row_does_not_leave_where_more_changed(world: World, handover: Handover) -> None:
    """The session knows the order; nothing is lost either."""
    await handover.open()
    async with world.app.state.database.write() as tx:
        referral = await held(tx, handover.id)
        referral.outcome = "completed"
        tx.add(SealedPart(referral_id=referral.id, part="test", content=b"sealed"))
        leave(tx, referral)
        assert referral in tx
    async with world.app.state.database.write() as tx:
        now = await store.holding.hold(tx, UUID(handover.id), WORKER)
        assert (now.referral.outcome, now.sealed["test"]) == ("completed", b"sealed")


@pytest.mark.parametrize("adds", [False, True])
async def test_a_row_that_is_not_there_is_not_changed_in_silence(
    world: World, handover: Handover, *, adds: bool
) -> None:
    """What row-level security hides from its author is a fault, and nothing else of the transaction stands."""
    await handover.open()
    async with world.app.state.database.session() as tx:
        referral = await held(tx, handover.id)
        add_tasks(tx, handover.id, int(adds))
        referral.outcome = "completed"
        leave(tx, referral)
        await (await tx.connection()).execute(HIDDEN)  # The session itself would write first.
        with pytest.raises(DBAPIError if adds else StaleDataError):
            await tx.commit()
    async with world.app.state.database.write() as tx:
        assert (await held(tx, handover.id)).outcome is None
        assert await there(tx, handover.id) == 0


async def test_a_change_goes_with_the_transaction_that_was_given_up(world: World, handover: Handover) -> None:
    """The session writes it in no later one."""
    await handover.open()
    async with world.app.state.database.session() as tx:
        referral = await held(tx, handover.id)
        referral.outcome = "completed"
        leave(tx, referral)
        await tx.rollback()
        assert (await held(tx, handover.id)).outcome is None
        await tx.commit()
    async with world.app.state.database.write() as tx:
        assert (await held(tx, handover.id)).outcome is None


async def test_another_session_takes_none(world: World) -> None:
    """It would lose them."""
    async with AsyncSession(world.app.state.database.engine) as tx:
        with pytest.raises(AssertionError):
            add_tasks(tx, str(uuid4()), 1)
        with pytest.raises(AssertionError):
            leave(tx, Referral())
