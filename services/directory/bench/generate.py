"""Generated services for the benches: real places, real mixes of categories, texts and prices; labelled as generated.

The stops of TEC (Wallonia) give the places, with their clusters; each service takes category, price, audience, hours
and text of a real service of La Réunion. Both stand in `../shared/data` beside the checkout; where they are absent, the
gazetteer's municipalities and the demonstration's services take their places, and the bench says so.
"""

import csv
import gzip
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from relais_directory.formats import mapping
from relais_directory.gazetteer import read_places
from relais_local.territory import generate

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
STOPS = DATA / "resources" / "be_tec_stops_2013.csv.gz"
SERVICES = DATA / "resources" / "fr_974_data_inclusion_services.json"
SEED = 7
SHIFT_DEGREES = 0.00135
"""150 metres of latitude: as far as a service stands from its stop, at most."""
LATE = date(2026, 11, 16)
HOURS = (None, "Mo-Fr 08:00-18:00; PH off", "Mo-Fr 09:00-12:00,13:00-16:30", "Tu,Th 13:00-17:00", "Mo-Sa 07:00-19:00")
CHARLEROI = (50.4108, 4.4446)
COUNTRY = (50.05, 4.49)
"""Couvin: few services within fifty kilometres, compared with the city."""


@dataclass(frozen=True)
class Drawn:
    """What services are drawn from."""

    points: list[tuple[float, float]]
    models: list[dict[str, Any]]
    real: bool


def drawn() -> Drawn:
    """Answer the places and models, the real ones where they are beside the checkout."""
    if STOPS.exists() and SERVICES.exists():
        with gzip.open(STOPS, "rt", encoding="utf-8") as file:
            points = [(float(row["lat"]), float(row["lon"])) for row in csv.DictReader(file)]
        chosen = mapping.named("data-inclusion-974-2025")
        models = [chosen.apply(row) for row in json.loads(SERVICES.read_text(encoding="utf-8"))]
        return Drawn(
            [one for one in points if 49 < one[0] < 52], [one for one in models if one.get("themes")], real=True
        )
    places = [place for place in read_places() if place.country == "be" and place.kind == "locality"]
    return Drawn([(one.latitude, one.longitude) for one in places], list(generate.services(LATE)), real=False)


def records(count: int, source: Drawn | None = None) -> Iterator[dict[str, Any]]:
    """Answer so many canonical records, the same for the same count."""
    source = source or drawn()
    chance = random.Random(SEED)  # noqa: S311 - the same data in every run, no secret
    for number in range(count):
        latitude, longitude = chance.choice(source.points)
        model = chance.choice(source.models)
        record = {
            "record_id": str(number),
            "organisation": {"record_id": str(number % 2_000), "name": f"Structure {number % 2_000} (générée)"},
            "name": f"{model['name'][:80]} {number}",
            "description": f"Généré pour mesurer. {(model.get('description') or model['name'])[:300]}",
            "themes": model["themes"],
            "modes": model.get("modes") or ["on_site"],
            "assured_at": (LATE - timedelta(days=chance.randrange(700))).isoformat(),
            "assured_by": f"Structure {number % 2_000} (générée)",
            "locations": [
                {
                    "record_id": "1",
                    "address": {"country": "BE"},
                    "latitude": round(latitude + chance.uniform(-SHIFT_DEGREES, SHIFT_DEGREES), 6),
                    "longitude": round(longitude + chance.uniform(-SHIFT_DEGREES, SHIFT_DEGREES), 6),
                }
            ],
        }
        for name in ("audiences", "free"):
            if model.get(name) not in (None, []):
                record[name] = model[name]
        if hours := chance.choice(HOURS):
            record["locations"][0]["opening_hours"] = hours
        yield record


def write(file: Path, count: int, source: Drawn | None = None) -> None:
    """Write so many records as JSON Lines."""
    with file.open("w", encoding="utf-8") as out:
        for record in records(count, source):
            out.write(json.dumps(record, ensure_ascii=False) + "\n")
