"""Where places are: the municipalities, localities and districts of Belgium and France, read from the package.

`places.csv.gz` is UTF-8 CSV with a header; its columns are the fields of `Place`, several values in one cell
are parted by `;`, an empty cell means unknown. Rows stand in the order of their codes, so a municipality comes
before its localities (`be:52011`, then `be:52011/gilly`), and the bytes are the same for the same sources.
`CREDITS.md` names the sources; `docs/gazetteer.md` says how the file is made and how far its points can be
trusted.

The point of a postcode is that of the localities that carry it (a municipality has a row of its own as locality
where its name is also that of its chief town); where no locality carries it, that of the municipalities that
do. A postcode may belong to several municipalities, and in France to many.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

Kind = Literal["municipality", "locality", "district"]
"""A municipality (commune) · a part of one that people name · a municipal district of Paris, Lyon or Marseille."""

Precision = Literal["exact", "postcode", "region"]
"""The place's own point · the centre of the located places that share its postcode · that of a wider area."""

_FOLDER = resources.files(__name__)


class Place(NamedTuple):
    """One place of the gazetteer: a tuple, for there are forty thousand and a start waits until they are read."""

    code: str
    """`be:52011` (NIS), `fr:97411` (INSEE); a locality adds its name: `be:52011/gilly`. Stable, unique."""
    kind: Kind
    parent: str
    """Code of the municipality of a locality or district; empty for a municipality."""
    country: str
    """`be` or `fr`, overseas included."""
    region: str
    """Region, by its French name."""
    province: str
    """Province in Belgium, département in France, by its French name."""
    name: str
    """In the place's own language."""
    name_fr: str
    name_nl: str
    name_de: str
    other_names: tuple[str, ...]
    """Names it is also found by, in no particular language."""
    postcodes: tuple[str, ...]
    latitude: float
    longitude: float
    precision: Precision
    population: int
    """Inhabitants, to put the better known place first; 0 where unknown. In Belgium of any recent year."""


VERSION = hashlib.sha256(_FOLDER.joinpath("places.csv.gz").read_bytes()).hexdigest()[:16]
"""Changes when the file does; a loader that stored it knows that it has nothing to do."""


def read_places() -> Iterator[Place]:
    """Read every place, one at a time, in the order of their codes."""
    with (
        _FOLDER.joinpath("places.csv.gz").open("rb") as packed,
        gzip.open(packed) as plain,
        io.TextIOWrapper(plain, encoding="utf-8", newline="") as text,
    ):
        rows = csv.reader(text)
        if tuple(next(rows)) != Place._fields:
            message = "places.csv.gz has other columns than a place"
            raise ValueError(message)
        for (
            code, kind, parent, country, region, province, name, name_fr, name_nl, name_de,
            other_names, postcodes, latitude, longitude, precision, population,
        ) in rows:  # fmt: skip
            yield Place(
                code, cast("Kind", kind), parent, country, region, province, name, name_fr, name_nl, name_de,
                _values(other_names), _values(postcodes), float(latitude), float(longitude),
                cast("Precision", precision), int(population),
            )  # fmt: skip


def read_outlines() -> dict[str, Any]:
    """Read the outlines of the Belgian judicial cantons: a GeoJSON FeatureCollection, longitude first.

    Each feature has `id`, `name` (its municipalities), `municipalities` (their codes; a large town lies in several
    cantons) and `province`. They are lines to find one's way by, not the limits of municipalities.
    """
    with _FOLDER.joinpath("outlines-be.json.gz").open("rb") as packed, gzip.open(packed) as plain:
        return cast("dict[str, Any]", json.load(plain))


def _values(cell: str) -> tuple[str, ...]:
    return tuple(cell.split(";")) if cell else ()
