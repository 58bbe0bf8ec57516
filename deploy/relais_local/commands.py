"""Prepare a service, then be it, in one process: `python -m relais_local.commands PACKAGE ARGUMENT …`.

Each line of standard input is a command, as JSON: `argv`, `env` (its whole environment), `log` (the file that takes
what it prints). It does what `python -m PACKAGE …` would, without two seconds of imports for each; the package is
imported at once, while the database that the commands need may still be starting. Its exit code is the answer, a line
of standard output; the first that is not nought is the last. Where `argv` is null, the process becomes what its own
arguments say.
"""

import gc
import importlib
import json
import os
import runpy
import sys


def run(package: str, own: list[str]) -> None:
    """Import the package, run the commands that come, in turn, and at last its own."""
    # What loads for seconds has no use for a collector that looks at every import again and again; `serve` begins it.
    gc.disable()
    told = os.dup(1)
    importlib.import_module(f"{package}.cli")
    for line in sys.stdin:
        command = json.loads(line)
        log = os.open(command["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        os.environ.clear()
        os.environ.update(command["env"])
        if command["argv"] is None:
            nothing = os.open(os.devnull, os.O_RDONLY)
            os.dup2(nothing, 0)
            os.close(nothing)
            os.close(told)
            sys.exit(_run(package, own))
        print(package, *command["argv"], flush=True)  # noqa: T201 - the log says where it is
        code = _run(package, command["argv"])
        os.write(told, f"{code}\n".encode())
        if code:
            sys.exit(code)


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
    run(sys.argv[1], sys.argv[2:])
