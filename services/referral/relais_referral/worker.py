"""The worker: every minute it does what is due, one small transaction after the other."""

import asyncio
import signal
from datetime import datetime
from typing import Final

from relais_referral.actions.keeping import JOBS
from relais_referral.sealing import Sealer
from relais_referral.settings import ReferralSettings
from relais_shared import telemetry
from relais_shared.clock import Clock, utc_now
from relais_shared.db import Database

EVERY_S: Final = 60
"""Nothing that the worker does is waited for by anybody within a minute."""


async def one_round(database: Database, sealer: Sealer, now: datetime) -> dict[str, int]:
    """Do everything that is due at an instant; answer how much of what was done.

    A job that fails is told of and tried again in the next round; the others go on.
    """
    done: dict[str, int] = {}
    for job in JOBS:
        try:
            if count := await job(database, sealer, now):
                done[job.__name__] = count
        except Exception as fault:  # noqa: BLE001 - a fault of one job must not keep data of others past their term
            telemetry.get_logger().error("job failed", job=job.__name__, fault=type(fault).__name__)
    if done:
        telemetry.get_logger().info("round", **done)
    return done


async def work(settings: ReferralSettings, *, once: bool = False, clock: Clock = utc_now) -> None:
    """Work until told to stop (SIGTERM or Ctrl-C), or one round.

    Args:
        settings: Of the referral app; no owner's rights are needed.
        once: One round, then the end.
        clock: Answers the present instant.
    """
    telemetry.set_up_logs(settings.service)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    database, sealer = Database(settings), Sealer.load(settings.home)
    try:
        while not stop.is_set():
            round_ = asyncio.ensure_future(one_round(database, sealer, clock()))
            ending = asyncio.ensure_future(stop.wait())
            await asyncio.wait({round_, ending}, return_when=asyncio.FIRST_COMPLETED)
            if not round_.done():
                # Whatever was not confirmed is rolled back, and done in a later round.
                round_.cancel()
            ending.cancel()
            await asyncio.gather(round_, ending, return_exceptions=True)
            if once:
                break
            await _sleep(stop)
    finally:
        await database.close()


async def _sleep(stop: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(EVERY_S):
            await stop.wait()
    except TimeoutError:
        return
