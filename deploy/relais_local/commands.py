"""Run several commands of one package in one process: `python -m relais_local.commands PACKAGE`.

Each command does what `python -m PACKAGE …` would; a process for each would pay a second of imports for each. The
commands come as one line of standard input, a JSON list of lists of arguments: the process may be started, and import
what it needs, while the database that the commands need is still starting. Each command that is done is told by its
name on standard output; what the commands print goes to standard error, the log.
"""

import importlib
import json
import os
import runpy
import sys


def run(package: str) -> None:
    """Run the commands in turn; the first that fails ends the process with its exit code."""
    told = os.dup(1)
    os.dup2(2, 1)
    importlib.import_module(f"{package}.cli")
    for command in json.loads(sys.stdin.readline() or "[]"):
        print(f"{package} {' '.join(command)}", flush=True)  # noqa: T201 - its log says where it is
        sys.argv = [package, *command]
        try:
            runpy.run_module(package, run_name="__main__")
        except SystemExit as end:
            if end.code not in {0, None}:
                raise
        os.write(told, f"{command[0]}\n".encode())


if __name__ == "__main__":
    run(sys.argv[1])
