"""Run several commands of one package in one process: `python -m relais_local.commands PACKAGE 'JSON list of lists'`.

Each command is what `python -m PACKAGE …` would do; a process for each would pay a second of imports for each.
"""

import json
import runpy
import sys


def run(package: str, commands: list[list[str]]) -> None:
    """Run the commands in turn; the first that fails ends the process with its exit code."""
    for command in commands:
        sys.argv = [package, *command]
        print(f"{package} {' '.join(command)}", flush=True)  # noqa: T201 - its log says where it is
        try:
            runpy.run_module(package, run_name="__main__")
        except SystemExit as end:
            if end.code not in {0, None}:
                raise


if __name__ == "__main__":
    run(sys.argv[1], json.loads(sys.argv[2]))
