"""Workers are killed while they send: every event arrives, in order for each referral.

`RELAIS_EVENTS=10000` sends more than a submission does, and kills more often.
"""

import asyncio
import os
import select
import subprocess
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
from api.referral.receiver import Moment, Receiver, receiving
from api.referral.test_webhooks import MANAGE, of_referrals
from api.referral.world import RECIPIENT, SENDER, opened
from support import children

from relais_local.databases import Access

EVENTS = int(os.environ.get("RELAIS_EVENTS", "30"))
WITHIN_S = 120 + EVENTS / 5
"""For what has not arrived when the last event is written."""

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600 + EVENTS / 2 + WITHIN_S)]

HANDOVERS = 6 if EVENTS < 1_000 else 40
STEPS = ("r.receive", "r.accept", "r.plan_meeting", *["r.replan"] * (EVENTS // HANDOVERS - 4))
AT_ONCE = 6
"""Steps under way: the app of this process has ten connections, and the killed ones hold some for a while."""
KILLED_EVERY_S = 10.0
"""Where more is sent, a worker dies this often, until most has arrived; to start takes half of it on a busy machine."""
MOSTLY = 0.9
"""Of the events: so many have arrived when the killing ends, so that the last ones are sent in peace."""


class _Now(Moment):
    """The time that it is: the workers are processes of their own."""

    def __call__(self) -> datetime:
        """Answer it."""
        return datetime.now(UTC)


def a_worker(dsn: str) -> subprocess.Popen[bytes]:
    """Start a worker."""
    own = {
        "RELAIS_REFERRAL_DSN": dsn,
        "RELAIS_REFERRAL_DIRECTORY_URL": "http://127.0.0.1:9",
        "RELAIS_REFERRAL_WEBHOOK_LOOPBACK": "true",
    }
    command = [sys.executable, "-m", "relais_referral", "work"]
    return children.start(command, env={**os.environ, **own}, stderr=subprocess.DEVNULL)


def end(workers: list[subprocess.Popen[bytes]]) -> None:
    """End workers."""
    for one in workers:
        one.kill()
        one.wait()


def replace_one(workers: list[subprocess.Popen[bytes]], dsn: str) -> None:
    """Kill the oldest worker and start another."""
    victim = workers.pop(0)
    victim.kill()
    victim.wait()
    workers.append(a_worker(dsn))


async def killed_on_and_on(workers: list[subprocess.Popen[bytes]], dsn: str) -> None:
    """Kill a worker again and again, while events are written and sent."""
    while True:
        await asyncio.sleep(KILLED_EVERY_S)
        replace_one(workers, dsn)


async def let_go(owner: asyncpg.Connection) -> None:
    """End the leases of dead workers a little sooner: what has been held for some seconds is one's."""
    await owner.execute(
        "update webhook_delivery set leased_until = now()"
        " where state = 'waiting' and leased_until between now() and now() + interval '55 s'"
    )


async def let_go_on_and_on(owner: asyncpg.Connection) -> None:
    """Do so while workers die."""
    while True:
        await asyncio.sleep(1)
        await let_go(owner)


@pytest.mark.skipif(sys.platform != "linux", reason="Only Linux tells a child that its parent died.")
def test_a_worker_ends_with_the_run_that_started_it() -> None:
    """A run that is ended by a signal comes to none of its own endings."""
    program = "from support import children; print(children.start(['sleep', '600']).pid, flush=True); input()"
    tests = str(Path(__file__).parents[1])
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": tests},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as run:
        assert run.stdout is not None
        worker = os.pidfd_open(int(run.stdout.readline()))
        run.terminate()
    try:
        assert select.select([worker], [], [], 60)[0], "it goes on"
    finally:
        os.close(worker)


async def test_killed_senders_lose_nothing_and_turn_nothing_around(
    home: Path, fresh_database: Callable[[str], Access], anyio_backend: str
) -> None:
    """Two workers, three receivers; one worker is killed whenever a receiver is in the middle of taking something."""
    del home, anyio_backend
    access = fresh_database("referral")
    workers: list[subprocess.Popen[bytes]] = []
    owner = await asyncpg.connect(access.dsn)
    await owner.execute("select set_config('relais.worker', 'on', false)")
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(opened(access))
        receivers: list[Receiver] = [await stack.enter_async_context(receiving(_Now())) for _ in range(3)]
        stack.callback(end, workers)
        manager = world.as_(RECIPIENT, MANAGE)
        for receiver in receivers:
            assert (await manager.post("/v1/webhooks", json={"url": receiver.url})).status_code == 201
            # The second that comes is never answered: whoever sent it will be killed over it.
            receiver.answers = [204, "slow"]
        workers += [a_worker(access.dsn) for _ in range(2)]
        kills = [killed_on_and_on(workers, access.dsn), let_go_on_and_on(owner)] if EVENTS >= 1_000 else []
        under_way = [asyncio.ensure_future(one) for one in kills]
        handovers = [await world.between(SENDER, RECIPIENT).proposed() for _ in range(HANDOVERS)]
        for step in STEPS:
            for at in range(0, HANDOVERS, AT_ONCE):
                await asyncio.gather(*(one.walk(step) for one in handovers[at : at + AT_ONCE]))

        async def killed_in_the_middle(receiver: Receiver) -> None:
            while len(receiver.asked) < 2 or receiver.answers:  # noqa: ASYNC110 - a receiver tells nobody
                await asyncio.sleep(0.02)
            replace_one(workers, access.dsn)

        for receiver in receivers:
            await killed_in_the_middle(receiver)
        wanted = {one.id: list(range(1, 2 + len(STEPS))) for one in handovers}
        async with asyncio.timeout(WITHIN_S):
            while under_way and min(len(one.taken) for one in receivers) < MOSTLY * EVENTS:  # noqa: ASYNC110 - as above
                await asyncio.sleep(1)
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
            while any(of_referrals(receiver) != wanted for receiver in receivers):
                await let_go(owner)
                await asyncio.sleep(0.2)
    await owner.close()
