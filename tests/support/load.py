"""So many calls a second, from a process of its own: it tells when a right that was taken away still opened something.

Told on standard input, a line of JSON each: first what to call (`Told`), later when the right was removed. It says
`going` once as many calls a second were answered as are wanted, or this machine answers fewer; and in the end what it
saw (`Seen`), as JSON.
"""

import asyncio
import json
import re
import sys
import time
from dataclasses import asdict, dataclass, field
from urllib.parse import urlsplit

CALLERS = 8
"""Connections to each address, each with one call under way at most."""
OFFERED = 1.1
"""So many times what is wanted: a hiccup is made up for."""
WINDOW_S = 2.0
"""Over so long the rate is taken."""
ENOUGH = 100
"""Calls to each address that are to be refused in the end, of those that began after what is promised."""
PATIENCE_S = 15.0
"""Within this a machine that can answers as many."""
ENDS_WITHIN_S = 120.0


@dataclass(frozen=True, slots=True)
class Told:
    """What to call: one path at several addresses, by one token, how often a second in all, and what is promised."""

    urls: list[str]
    path: str
    token: str
    per_second: int
    within_s: float


@dataclass(slots=True)
class Seen:
    """What came of it.

    Attributes:
        before: Calls answered a second before the right was removed.
        after: The same from then to the end.
        late: Of each address, how many calls succeeded that began later than is promised.
        refused: Of each address, how many of those were refused.
        statuses: All that came.
        last_s: When the last call began that succeeded, in seconds from the removal.
    """

    before: float = 0.0
    after: float = 0.0
    late: list[int] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    last_s: float = 0.0


class Load:
    """The calls: of which address, when each began and ended (monotonic seconds), and its status."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self._calls: list[tuple[int, float, float, int]] = []
        self._stop = False

    def rate(self, since_s: float, until_s: float) -> float:
        """Answer how many calls were answered a second between two instants."""
        return sum(since_s < ended <= until_s for _, _, ended, _ in self._calls) / (until_s - since_s)

    def refused(self, since_s: float) -> list[int]:
        """Answer for each address how many calls that began after an instant were refused."""
        return [
            sum(where == one and began > since_s and status == 403 for where, began, _, status in self._calls)
            for one in range(len(self._told.urls))
        ]

    async def call(self, where: int, offset_s: float) -> None:
        """Call one address on and on, at the times that its connection is due."""
        told, url = self._told, urlsplit(self._told.urls[where])
        pace_s = CALLERS * len(told.urls) / (told.per_second * OFFERED)
        # A flag of its own: what a partner does not sample is not recorded, and the traces are not what is tried here.
        request = (
            f"GET {told.path} HTTP/1.1\r\nHost: {url.netloc}\r\nAuthorization: Bearer {told.token}\r\n"
            "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00\r\n\r\n"
        ).encode()
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
        due_s = time.monotonic() + offset_s * pace_s
        while not self._stop:
            began = time.monotonic()
            if began < due_s:
                await asyncio.sleep(due_s - began)
                began = time.monotonic()
            # Who is late by more than a second lets the rest of it go.
            due_s = max(due_s + pace_s, began - 1)
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
            assert length, head
            await reader.readexactly(int(length[1]))
            self._calls.append((where, began, time.monotonic(), int(head[9:12])))
        writer.close()

    async def run(self, heard: asyncio.StreamReader) -> Seen:
        """Call until enough was refused; answer what was seen."""
        told = self._told
        many = len(told.urls) * CALLERS
        calls = [asyncio.create_task(self.call(one % len(told.urls), one / many * CALLERS)) for one in range(many)]
        seen = Seen()
        async with asyncio.timeout(ENDS_WITHIN_S):
            until_s = time.monotonic() + PATIENCE_S
            while seen.before < told.per_second and time.monotonic() < until_s:
                await asyncio.sleep(0.2)
                now_s = time.monotonic()
                seen.before = self.rate(now_s - WINDOW_S, now_s)
            say("going")
            removed_s = float(await heard.readline())
            while min(self.refused(removed_s + told.within_s)) < ENOUGH:
                await asyncio.sleep(0.1)
                for one in calls:
                    if one.done():
                        one.result()
        self._stop = True
        await asyncio.gather(*calls)
        seen.after = self.rate(removed_s, max(ended for _, _, ended, _ in self._calls))
        seen.refused = self.refused(removed_s + told.within_s)
        good = [(where, began - removed_s) for where, began, _, status in self._calls if status == 200]
        seen.late = [sum(at == one and s > told.within_s for at, s in good) for one in range(len(told.urls))]
        seen.statuses = sorted({status for *_, status in self._calls})
        seen.last_s = max(s for _, s in good)
        return seen


def say(line: str) -> None:
    """Tell whoever started us."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def main() -> None:
    """Hear what to do, do it, say what was seen."""
    heard = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(heard), sys.stdin)
    load = Load(Told(**json.loads(await heard.readline())))
    say(json.dumps(asdict(await load.run(heard))))


if __name__ == "__main__":
    asyncio.run(main())
