"""Processes that a test starts: they end with it, however it ends."""

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from relais_local.processes import die_with_parent


def start(
    command: Sequence[str | Path], *, orphaned: signal.Signals = signal.SIGKILL, **options: Any
) -> subprocess.Popen[Any]:
    """Start a process; should this one be ended before it ends that one, the kernel does.

    Args:
        command: The program and its arguments.
        orphaned: What the kernel sends it then; Linux only.
        options: Popen's own.
    """
    ask = die_with_parent(os.getpid(), orphaned)
    return subprocess.Popen(command, preexec_fn=ask, **options)  # noqa: PLW1509 - what it calls is loaded already
