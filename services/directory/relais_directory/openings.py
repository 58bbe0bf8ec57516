"""Opening hours in memory: each spelling is judged once a minute, however many places have it."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

import asyncpg
import orjson

from relais_directory import hours, store
from relais_directory.cards import Hours

UNKNOWN: Final = '{"open_now":null,"next_opening":null}'

Judge = Callable[[int | None], tuple[bool | None, str]]
"""Answers whether hours are open, and the JSON that says it."""


class Openings:
    """The opening hours that cards refer to by id."""

    def __init__(self) -> None:
        self._spelt: dict[int, Hours] = {}
        self._minute: datetime | None = None
        self._judged: dict[int | None, tuple[bool | None, str]] = {}

    async def know(self, connection: asyncpg.pool.PoolConnectionProxy | asyncpg.Connection, ids: Iterable[int]) -> None:
        """Read the spellings that came since the last time, where one of these is not known."""
        missing = set(ids) - self._spelt.keys()
        if not missing:
            return
        # Ids come from a sequence and may be seen before lower ones commit: what is missing is looked for by its id.
        for row in await store.openings(connection, list(missing)):
            self._spelt[row["id"]] = (row["text"], row["zone"], row["country"])

    def at(self, now: datetime) -> "Judge":
        """Answer what judges hours at an instant; what it finds is known for the whole minute."""
        minute = now.replace(second=0, microsecond=0)
        if minute != self._minute:
            self._minute = minute
            self._judged = {}
        judged, spelt = self._judged, self._spelt

        def judge(id_: int | None) -> tuple[bool | None, str]:
            found = judged.get(id_)
            if found is None:
                if id_ is None or id_ not in spelt:
                    return None, UNKNOWN
                here = hours.opening(*spelt[id_], minute)
                told = orjson.dumps({"open_now": here.open_now, "next_opening": here.next_opening}).decode()
                found = judged[id_] = (here.open_now, told)
            return found

        return judge

    def open_ones(self, ids: Iterable[int], at: datetime) -> tuple[int, ...]:
        """Answer those that are open at a moment: an instant, or (naive) that time on each place's own clock."""
        return tuple(id_ for id_ in ids if id_ in self._spelt and hours.is_open(*self._spelt[id_], at))
