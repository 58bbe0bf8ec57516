"""Opening hours in memory: each spelling is judged once a minute, however many places have it."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

import asyncpg
import orjson

from relais_directory import hours, store
from relais_directory.cards import Hours

UNKNOWN: Final = b'{"open_now":null,"next_opening":null}'


class Openings:
    """The opening hours that cards refer to by id."""

    def __init__(self) -> None:
        self._spelt: dict[int, Hours] = {}
        self._minute: datetime | None = None
        self._judged: dict[int, tuple[bool | None, bytes]] = {}

    async def know(self, connection: asyncpg.pool.PoolConnectionProxy | asyncpg.Connection, ids: Iterable[int]) -> None:
        """Read the spellings that came since the last time, where one of these is not known."""
        if all(id_ in self._spelt for id_ in ids):
            return
        # Ids come from a sequence and may be seen before lower ones commit: what is missing is looked for by its id.
        for row in await store.openings(connection, list(set(ids) - self._spelt.keys())):
            self._spelt[row["id"]] = (row["text"], row["zone"], row["country"])

    def state(self, id_: int | None, now: datetime) -> tuple[bool | None, bytes]:
        """Answer whether these hours are open at an instant, and the JSON that says it; known for the whole minute."""
        if id_ is None or id_ not in self._spelt:
            return None, UNKNOWN
        minute = now.replace(second=0, microsecond=0)
        if minute != self._minute:
            self._minute = minute
            self._judged.clear()
        found = self._judged.get(id_)
        if found is None:
            here = hours.opening(*self._spelt[id_], minute)
            found = (
                here.open_now,
                orjson.dumps({"open_now": here.open_now, "next_opening": here.next_opening}),
            )
            self._judged[id_] = found
        return found

    def open_ones(self, ids: Iterable[int], at: datetime) -> tuple[int, ...]:
        """Answer those that are open at a moment: an instant, or (naive) that time on each place's own clock."""
        return tuple(id_ for id_ in ids if id_ in self._spelt and hours.is_open(*self._spelt[id_], at))
