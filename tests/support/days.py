"""The day on which a test runs, for tests that speak of it: `one_day` keeps it from ending meanwhile."""

import time
from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

A_TEST_TAKES = timedelta(minutes=1)
"""Far more than a test that speaks of today takes, on a busy machine too."""


BRUSSELS = ZoneInfo("Europe/Brussels")


def today(zone: tzinfo = UTC) -> date:
    """Answer the day, in UTC as the days of grants are; of absences it is that of Brussels."""
    return datetime.now(zone).date()


def wait_for_a_day() -> None:
    """Wait until the day lasts for a test more: shortly before a midnight that counts, until the next one has begun."""
    for zone in (UTC, BRUSSELS):
        while (datetime.now(zone) + A_TEST_TAKES).date() != datetime.now(zone).date():
            time.sleep(0.1)
