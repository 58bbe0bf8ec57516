"""Run several commands of one package in one process: `python -m relais_local.commands PACKAGE COMMANDS [DESCRIPTOR]`.

The commands (a JSON list of lists of arguments) do what `python -m PACKAGE …` would; a process for each would pay a
second of imports for each. Into the descriptor a byte is written when the first one is done.
"""

import json
import os
import runpy
import sys


def run(package: str, commands: list[list[str]], told: int | None) -> None:
    """Run the commands in turn; the first that fails ends the process with its exit code."""
    for number, command in enumerate(commands):
        print(f"{package} {' '.join(command)}", flush=True)  # noqa: T201 - its log says where it is
        sys.argv = [package, *command]
        try:
            runpy.run_module(package, run_name="__main__")
        except SystemExit as end:
            if end.code not in {0, None}:
                raise
        if number == 0 and told is not None:
            os.write(told, b".")


if __name__ == "__main__":
    run(sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3]) if sys.argv[3:] else None)
