"""Processes that share what they import: `python -m relais_local.commands SUPERVISOR PACKAGE:TALK:LOG …`.

What all services share is imported once, then a process is forked for each package: what takes two seconds takes a
moment for all but the first. Whoever forked ends, which makes the forks the children of `SUPERVISOR` (a process number;
`forks.py` is its side).

`TALK` is a socket, on which the fork's process number is said; then the fork reads commands, a line of JSON each:
`argv`, `env` (its whole environment), `log` (the file that takes what it prints). It does what `python -m PACKAGE …`
would; the exit code is the answer, and the first that is not nought is the last, with which it ends. Where `argv` is
null, the fork serves and says no more. `LOG` takes what it prints before its first command.
"""

import gc
import importlib
import json
import os
import runpy
import signal
import sys
import time

from setproctitle import setproctitle

from relais_local.processes import die_with_parent

SHARED = (
    "relais_shared.service",
    "relais_shared.client",
    "relais_shared.migrations",
    "requests",
    "typer",
)
"""What imports nearly all that two services both need, or will (a telemetry exporter sends by `requests`)."""
_LOOK_EVERY_S = 0.002
"""How often a fork looks whether the process that forked it has gone: that one has nothing else left to do."""


def main(supervisor: int, places: list[str]) -> int:
    """Import what is shared and fork; answer the exit code, in each of the processes that come back from here."""
    # What loads for seconds has no use for a collector that looks at every import again and again; `serve` begins it.
    gc.disable()
    for name in SHARED:
        importlib.import_module(name)
    gc.freeze()
    numbers = {package: (int(talk), int(log)) for package, talk, log in (place.split(":") for place in places)}
    own = os.getpid()
    for package, (talk, log) in numbers.items():
        if pid := os.fork():
            os.write(talk, f"{pid}\n".encode())
        else:
            for other in {number for pair in numbers.values() for number in pair} - {talk, log}:
                os.close(other)
            return _live(package, talk, log, parents=(own, supervisor))
    return 0


def _live(package: str, talk: int, log: int, *, parents: tuple[int, int]) -> int:
    """Run the commands that come, in turn, and at last serve; answer the exit code."""
    os.setpgid(0, 0)
    # As `ps` shows it when it was started anew.
    setproctitle(f"{sys.executable} -m {package} serve")
    first, supervisor = parents
    while os.getppid() == first:
        time.sleep(_LOOK_EVERY_S)
    die_with_parent(supervisor, signal.SIGKILL)()
    _print_to(log)
    importlib.import_module(f"{package}.cli")
    with os.fdopen(talk, "rb") as told:
        for line in told:
            command = json.loads(line)
            _print_to(os.open(command["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
            os.environ.clear()
            os.environ.update(command["env"])
            if command["argv"] is None:
                break
            print(package, *command["argv"], flush=True)  # noqa: T201 - the log says where it is
            code = _run(package, command["argv"])
            os.write(talk, f"{code}\n".encode())
            if code:
                return code
        else:
            return 0  # Whoever would have told it is gone.
    return _run(package, ["serve"])


def _print_to(log: int) -> None:
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


def _run(package: str, argv: list[str]) -> int:
    """Run one command; answer its exit code."""
    sys.argv = [package, *argv]
    try:
        runpy.run_module(package, run_name="__main__")
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)  # noqa: T201 - as the interpreter does
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
