"""The worker: what is due every minute, and what leaves as it happens."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from opentelemetry.instrumentation.utils import suppress_instrumentation

from relais_referral.actions.delivering import Deliverer
from relais_referral.actions.keeping import JOBS
from relais_referral.actions.mailing import Mailer
from relais_referral.actions.rehearsing import rehearse
from relais_referral.actions.sequencing import follow_directory, sequence
from relais_referral.colleagues import Colleagues
from relais_referral.directory import Directory
from relais_referral.sealing import Sealer
from relais_referral.settings import ReferralSettings
from relais_referral.store.feed import EVENTS_CHANNEL, FEED_CHANNEL
from relais_shared import telemetry
from relais_shared.auth import Keyring
from relais_shared.client import Outside, open_client
from relais_shared.clock import Clock, utc_now
from relais_shared.db import Bell, Database
from relais_shared.refusals import Unavailable

EVERY_S: Final = 60
"""Nothing of the rounds is waited for by anybody within a minute."""

LOOK_EVERY_S: Final = 1.0
"""Events ring when they are written; where a ring is lost they are found this soon."""

GATHER_S: Final = 0.03
"""What comes while there is much is taken together: the first of it leaves at once, what follows so much later."""

GATHER_MOST_S: Final = 0.2
"""The more was found the longer what follows is gathered, at most so long: a look costs as much as placing a dozen."""

DIRECTORY_EVERY_S: Final = 2.0
"""The directory does not ring: its changes are asked for."""

MAIL_EVERY_S: Final = 10.0
"""What happens together is told in one letter."""

AGAIN_S: Final = 1.0
"""After a fault, such as a database that is away, the work goes on this soon."""


async def one_round(database: Database, sealer: Sealer, clock: Clock) -> dict[str, int]:
    """Do everything that is due now; answer how much of what was done.

    A job that fails is told of and tried again in the next round; the others go on.
    """
    done: dict[str, int] = {}
    for job in JOBS:
        try:
            if count := await job(database, sealer, clock):
                done[job.__name__] = count
        except Exception as fault:  # noqa: BLE001 - a fault of one job must not keep data of others past their term
            telemetry.get_logger().error("job failed", job=job.__name__, fault=type(fault).__name__)
    if done:
        telemetry.get_logger().info("round", **done)
    return done


class Worker:
    """The parts of the work, each done again and again.

    Args:
        settings: Of the referral app; no owner's rights are needed.
        clock: Answers the present instant.
    """

    def __init__(self, settings: ReferralSettings, clock: Clock) -> None:
        self._clock = clock
        self._database = Database(settings)
        self._sealer = Sealer.load(settings.home)
        self._outside = Outside()
        self._directory = Directory(open_client(settings.directory_url), Keyring.load(settings))
        self._colleagues = Colleagues(open_client(settings.gateway_url), Keyring.load(settings))
        self._mailer = Mailer(self._database, settings, self._colleagues, clock)
        self._deliverer = Deliverer(self._database, settings, self._outside, clock)
        # One for each: giving positions rings the second, and must not wake itself.
        self._written = Bell(settings.dsn.get_secret_value(), EVENTS_CHANNEL)
        self._placed = Bell(settings.dsn.get_secret_value(), FEED_CHANNEL)

    async def once(self) -> None:
        """Do one round of everything."""
        await one_round(self._database, self._sealer, self._clock)
        await self._follow()
        await rehearse(self._database, self._sealer, self._clock)
        await sequence(self._database, self._clock())
        await self._deliverer.round()
        await self._tell_by_mail()

    async def on_and_on(self) -> None:
        """Work until cancelled."""
        self._written.start()
        self._placed.start()
        parts = (self._rounds, self._changes, self._rehearsals, self._events, self._deliveries, self._mail)
        await asyncio.gather(*(_again(part) for part in parts))

    async def close(self) -> None:
        """End what is under way, close every connection."""
        await self._deliverer.stop()
        await self._written.stop()
        await self._placed.stop()
        await self._outside.close()
        await self._directory.client.aclose()
        await self._colleagues.client.aclose()
        await self._database.close()

    async def _rounds(self) -> None:
        await one_round(self._database, self._sealer, self._clock)
        await asyncio.sleep(EVERY_S)

    async def _follow(self) -> None:
        try:
            await follow_directory(self._database, self._directory, self._clock())
        except Unavailable:
            telemetry.get_logger().info("directory not followed")

    async def _changes(self) -> None:
        await self._follow()
        await asyncio.sleep(DIRECTORY_EVERY_S)

    async def _rehearsals(self) -> None:
        if not await rehearse(self._database, self._sealer, self._clock):
            await asyncio.sleep(LOOK_EVERY_S)

    async def _tell_by_mail(self) -> None:
        try:
            await self._mailer.round()
        except Unavailable:
            telemetry.get_logger().info("colleagues not asked")

    async def _mail(self) -> None:
        await self._tell_by_mail()
        await asyncio.sleep(MAIL_EVERY_S)

    async def _events(self) -> None:
        # Asked for before looking: whatever is written after the look sets it, also while what comes is gathered.
        ring = self._written.next()
        found = await sequence(self._database, self._clock())
        await asyncio.sleep(min((1 + found) * GATHER_S, GATHER_MOST_S))
        await self._written.within(ring, LOOK_EVERY_S)

    async def _deliveries(self) -> None:
        ring = self._placed.next()
        if await self._deliverer.turn():
            await asyncio.sleep(GATHER_S)
        else:
            await _either(self._placed.within(ring, LOOK_EVERY_S), self._deliverer.some_ended(LOOK_EVERY_S))


async def work(settings: ReferralSettings, *, once: bool = False, clock: Clock = utc_now) -> None:
    """Work until told to stop (SIGTERM or Ctrl-C), or one round of everything.

    Whatever was not confirmed when it stops is rolled back, and done later.

    Args:
        settings: Of the referral app; no owner's rights are needed.
        once: One round, then the end.
        clock: Answers the present instant.
    """
    telemetry.set_up(settings)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    worker = Worker(settings, clock)
    try:
        # Nobody asked for these rounds: only what goes on with somebody's trace leaves one.
        with suppress_instrumentation():
            working = asyncio.ensure_future(worker.once() if once else worker.on_and_on())
        ending = asyncio.ensure_future(stop.wait())
        await asyncio.wait({working, ending}, return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        if working.done():
            working.result()
        working.cancel()
        await asyncio.gather(working, ending, return_exceptions=True)
    finally:
        await worker.close()
        telemetry.stop()


async def _again(part: Callable[[], Awaitable[None]]) -> None:
    """Do a part of the work again and again, whatever goes wrong in it."""
    while True:
        try:
            await part()
        except Exception as fault:  # noqa: BLE001 - what is wrong now may be right in a moment
            telemetry.get_logger().error("work failed", part=part.__name__, exc_info=fault)
            await asyncio.sleep(AGAIN_S)


async def _either(*waits: Coroutine[Any, Any, object]) -> None:
    """Wait for the first of several."""
    tasks = [asyncio.create_task(one) for one in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
