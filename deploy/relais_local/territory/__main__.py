"""Write the demonstration territory into a folder."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from datetime import date
from pathlib import Path

from relais_local.territory import sandbox
from relais_local.territory.generate import AS_OF, organisations, services, stops


def main() -> None:
    """Write `organisations.json`, `services.json` and `stops.csv`; the same day gives the same bytes."""
    parser = argparse.ArgumentParser(prog="python -m relais_local.territory", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR", help="where to write; made if it is not there")
    parser.add_argument(
        "--as-of",
        type=date.fromisoformat,
        default=AS_OF,
        metavar="DATE",
        help=f"the day the territory is seen on: dates of confirmation and places lie before it (default {AS_OF})",
    )
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    made = {
        "organisations": organisations() + sandbox.organisations(),
        "services": services(given.as_of) + sandbox.services(given.as_of),
    }
    for name, content in made.items():
        text = json.dumps(content, ensure_ascii=False, indent=1)
        (given.folder / f"{name}.json").write_text(f"{text}\n", encoding="utf-8")
        sys.stdout.write(f"{len(content)} {name}\n")
    rows = stops()
    with (given.folder / "stops.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    sys.stdout.write(f"{len(rows)} stops\n")


if __name__ == "__main__":
    main()
