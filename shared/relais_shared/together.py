"""Many who ask the same at nearly one time are answered together: one transaction instead of one for each."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class Together(Generic[Asked, Answer]):
    """While one turn of work is done, those who ask gather for the next; nobody waits for a moment to fill up.

    Args:
        work: Answers several at once, each in its place.
    """

    def __init__(self, work: Callable[[list[Asked]], Awaitable[Sequence[Answer]]]) -> None:
        self._work = work
        self._waiting: list[tuple[Asked, asyncio.Future[Answer]]] = []
        self._turns: asyncio.Task[None] | None = None

    async def __call__(self, asked: Asked) -> Answer:
        """Answer one; what the work raised is raised to all of its turn."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, answer))
        if self._turns is None or self._turns.done():
            self._turns = asyncio.create_task(self._take_turns())
        return await answer

    async def _take_turns(self) -> None:
        while self._waiting:
            turn, self._waiting = self._waiting, []
            try:
                answers = await self._work([asked for asked, _ in turn])
            except BaseException as fault:
                for _, answer in turn:
                    if not answer.done():
                        # A work that was cancelled is over for whoever asked, too.
                        answer.set_exception(fault) if isinstance(fault, Exception) else answer.cancel()
                if not isinstance(fault, Exception):
                    raise
            else:
                for (_, answer), found in zip(turn, answers, strict=True):
                    if not answer.done():
                        answer.set_result(found)
