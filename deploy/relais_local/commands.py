"""Run commands of several packages in one process: `python -m relais_local.commands PACKAGE …`.

Each command does what `python -m PACKAGE …` would; a process for each would pay a second of imports for each. The
packages are imported at once: the process may start while the database that the commands need is still starting. Each
line of standard input is a command, as JSON: `package`, `argv`, `env` (its whole environment), `log` (the file that
takes what it prints). Its exit code is the answer, a line of standard output; the first that is not nought is the last.
"""

import gc
import importlib
import json
import os
import runpy
import sys


def run(packages: list[str]) -> None:
    """Import the packages, then run the commands that come, in turn."""
    # A process of seconds has no use for a collector that looks at every import again and again.
    gc.disable()
    told = os.dup(1)
    for package in packages:
        importlib.import_module(f"{package}.cli")
    for line in sys.stdin:
        command = json.loads(line)
        log = os.open(command["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        os.environ.clear()
        os.environ.update(command["env"])
        code = _run(command["package"], command["argv"])
        os.write(told, f"{code}\n".encode())
        if code:
            sys.exit(code)


def _run(package: str, argv: list[str]) -> int:
    """Run one command; answer its exit code."""
    print(f"{package} {' '.join(argv)}", flush=True)  # noqa: T201 - its log says where it is
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
    run(sys.argv[1:])
