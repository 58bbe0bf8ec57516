"""The supervisor's side of processes that share what they import (`commands.py`; decision 0036)."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

from relais_local import processes
from relais_local.home import CannotRun, Home
from relais_local.processes import Launch


def _can_wait() -> bool:
    """Answer whether the system tells by a descriptor that a process has ended."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):  # not Linux; an old one, or one that forbids it
        return False
    return True


POSSIBLE = processes.CAN_ADOPT and _can_wait()
"""Elsewhere each command is a process of its own, and so is each service."""
LOG = "services"
"""The log of whoever forks."""


class Fork:
    """A process that runs a service's commands, then serves; a child of ours as any other (`processes.Child`)."""

    def __init__(self, pid: int, talk: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._answers, self._commands = talk
        self._ended = asyncio.Event()
        self._handle = os.pidfd_open(pid)
        asyncio.get_running_loop().add_reader(self._handle, self._reap)

    async def command(self, argv: list[str], env: Mapping[str, str], log: Path) -> int:
        """Have it run a command, printing to `log`; answer the exit code, the process's own if it died instead."""
        await self._tell(argv, env, log)
        said = (await self._answers.readline()).strip()
        return int(said) if said else await self.wait()

    async def serve(self, env: Mapping[str, str], log: Path) -> None:
        """Let it serve, printing to `log`; there are no commands after that."""
        await self._tell(None, env, log)
        self._commands.close()

    async def wait(self) -> int:
        """Wait for its end; answer its exit code, negative for a signal."""
        await self._ended.wait()
        assert self.returncode is not None  # noqa: S101 - set before the event
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.returncode is None:
            os.kill(self.pid, number)

    async def _tell(self, argv: list[str] | None, env: Mapping[str, str], log: Path) -> None:
        with suppress(ConnectionError):
            self._commands.write(json.dumps({"argv": argv, "env": dict(env), "log": str(log)}).encode() + b"\n")
            await self._commands.drain()

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self._handle)
        os.close(self._handle)
        self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self._ended.set()


async def fork(services: Iterable[str], home: Home, env: Mapping[str, str]) -> dict[str, Fork]:
    """Answer a process for each service, which has imported its commands and waits to be told.

    Args:
        services: Their names.
        home: Takes the logs.
        env: What they know until they are told more.

    Raises:
        CannotRun: What services share cannot be imported.
    """
    talks: dict[str, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}
    keep: list[int] = []
    places = []
    with ExitStack() as held, processes.adopting():
        for service in services:
            ours, theirs = socket.socketpair()
            talks[service] = await asyncio.open_connection(sock=ours)
            numbers = (held.enter_context(theirs).fileno(), held.enter_context(home.log(f"{service}-prepare")))
            keep += numbers
            places.append(":".join(map(str, (f"relais_{service}", *numbers))))
        argv = [sys.executable, "-m", "relais_local.commands", str(os.getpid()), *places]
        # What /proc tells of a fork's environment is this one: a longer name must not take its place.
        launch = Launch(argv, {**env, "SPT_NOENV": "1"}, held.enter_context(home.log(LOG)), keep=tuple(keep))
        # When it has ended, its children are ours.
        code = await processes.run(launch)
    if code != 0:
        raise CannotRun(f"The services cannot be imported: {processes.reason_of(code)}{home.told(LOG)}")
    return {service: Fork(int(await talk[0].readline()), talk) for service, talk in talks.items()}
