"""Those who ask at nearly one time are answered in one turn."""

import asyncio
from collections.abc import Sequence

import pytest

from relais_shared.together import Together

pytestmark = pytest.mark.anyio

WITHIN_S = 20
"""Whoever is forgotten waits in vain: that is to be seen soon."""


class Work:
    """Doubles numbers, when it is let; remembers its turns."""

    def __init__(self) -> None:
        self.turns: list[list[int]] = []
        self.begun, self.free = asyncio.Event(), asyncio.Event()

    async def __call__(self, asked: Sequence[int]) -> list[int]:
        """Double them."""
        self.turns.append(list(asked))
        self.begun.set()
        await self.free.wait()
        if 0 in asked:
            raise ZeroDivisionError
        return [2 * number for number in asked]


async def test_who_asks_while_a_turn_is_taken_is_answered_in_the_next() -> None:
    work = Work()
    double = Together(work)
    first = asyncio.create_task(double(1))
    await work.begun.wait()
    others = [asyncio.create_task(double(number)) for number in range(2, 6)]
    await asyncio.sleep(0)
    work.free.set()
    async with asyncio.timeout(WITHIN_S):
        assert await asyncio.gather(first, *others) == [2, 4, 6, 8, 10]
        assert work.turns == [[1], [2, 3, 4, 5]]
        assert await double(7) == 14, "it goes on after a pause"


async def test_a_fault_is_of_its_turn_alone() -> None:
    work = Work()
    work.free.set()
    double = Together(work)
    async with asyncio.timeout(WITHIN_S):
        found = await asyncio.gather(double(0), double(1), return_exceptions=True)
        assert all(isinstance(one, ZeroDivisionError) for one in found)
        assert await double(3) == 6


async def test_who_no_longer_waits_holds_up_nobody() -> None:
    work = Work()
    double = Together(work)
    gone, there = asyncio.create_task(double(1)), asyncio.create_task(double(2))
    await work.begun.wait()
    gone.cancel()
    work.free.set()
    async with asyncio.timeout(WITHIN_S):
        assert await there == 4
    assert gone.cancelled() or gone.cancelling()
