"""Child processes that never outlive us: their own group, their own log, and death with their parent."""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

_PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that the kernel sends to a process when its parent is gone."""
_PR_SET_CHILD_SUBREAPER = 36
"""prctl(2): whether what a child of ours leaves behind becomes ours."""
_PR_GET_CHILD_SUBREAPER = 37
"""prctl(2): whether that is so."""
_PRCTL = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
"""Looked up once, before any fork: a child between fork and exec must not load anything."""
CAN_ADOPT = _PRCTL is not None and _PRCTL(_PR_GET_CHILD_SUBREAPER, ctypes.byref(ctypes.c_int()), 0, 0, 0) == 0
"""Whether `adopting` works here."""


class Child(Protocol):
    """A process that we are the parent of, as asyncio's own are."""

    @property
    def pid(self) -> int:
        """Its number."""

    @property
    def returncode(self) -> int | None:
        """How it ended; none while it runs."""

    async def wait(self) -> int:
        """Wait for its end; answer its exit code, negative for a signal."""

    def send_signal(self, signal: int, /) -> None:
        """Send it a signal."""


@dataclass(frozen=True)
class Account:
    """Whom a child runs as, when that is not ourselves."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Launch:
    """How to start one child.

    Args:
        argv: The program and its arguments.
        env: The whole environment of the child; none is ours.
        log: File descriptor that takes its output; none throws it away.
        cwd: Where it starts; ours if none.
        account: Another account to run as (we are root).
        keep: File descriptors that the child inherits under the same numbers.
        orphaned: What the kernel sends the child when we die; Linux only.
    """

    argv: Sequence[str | Path]
    env: Mapping[str, str] | None = None
    log: int | None = None
    cwd: str | None = None
    account: Account | None = None
    keep: tuple[int, ...] = field(default=())
    orphaned: signal.Signals = signal.SIGKILL


async def start(launch: Launch) -> Child:
    """Start a child in a process group of its own, so that Ctrl-C on the terminal reaches us alone.

    Raises:
        OSError: The program cannot be executed.
    """
    other: dict[str, Any] = {}
    if launch.account is not None:
        other = {"user": launch.account.uid, "group": launch.account.gid, "extra_groups": []}
    output = asyncio.subprocess.DEVNULL if launch.log is None else launch.log
    return await asyncio.create_subprocess_exec(
        *launch.argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=launch.env,
        cwd=launch.cwd,
        umask=0o077,
        pass_fds=launch.keep,
        process_group=0,
        # Runs after the change of user, which would otherwise undo it; what it calls is loaded already.
        preexec_fn=die_with_parent(os.getpid(), launch.orphaned),
        **other,
    )


def die_with_parent(parent: int, number: signal.Signals) -> Callable[[], None]:
    """Answer what a child does before it becomes another program: it asks for a signal when its parent is gone."""

    def ask() -> None:
        if _PRCTL is not None:
            _PRCTL(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
            if os.getppid() != parent:
                # We were orphaned before the kernel knew what to do about it.
                os._exit(1)

    return ask


@contextmanager
def adopting() -> Iterator[None]:
    """Become meanwhile the parent of what our children leave behind; whoever does so must wait for it."""
    assert _PRCTL is not None  # noqa: S101 - see CAN_ADOPT
    _PRCTL(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        _PRCTL(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


async def run(launch: Launch) -> int:
    """Start a child, wait for its end, answer its exit code; kills it when we are cancelled.

    Raises:
        OSError: The program cannot be executed.
    """
    child = await start(launch)
    try:
        return await child.wait()
    finally:
        await kill(child)


async def ask_to_end(child: Child, number: signal.Signals, patience_s: float) -> bool:
    """Send a child a signal and wait for its end; answers whether it came in time."""
    if child.returncode is None:
        child.send_signal(number)
    try:
        async with asyncio.timeout(patience_s):
            await child.wait()
    except TimeoutError:
        return False
    return True


async def kill(child: Child) -> None:
    """End a child that does not listen, with what it started (its group)."""
    if child.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    await child.wait()


def reason_of(code: int) -> str:
    """Answer in words how a process ended, by its exit code (negative: the signal that ended it)."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
