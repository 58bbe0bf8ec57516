"""Rows that are only ever added go to the database together; none is lost, and none outlives its transaction."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from api.referral.world import Handover, World
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from relais_referral import store
from relais_referral.models.conversation import Task
from relais_referral.rewrapping import WORKER
from relais_shared.appending import TOGETHER, append

pytestmark = pytest.mark.anyio

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


async def test_another_session_takes_none(world: World) -> None:
    """It would lose them."""
    async with AsyncSession(world.app.state.database.engine) as tx:
        with pytest.raises(AssertionError):
            add_tasks(tx, str(uuid4()), 1)
