"""Make the organisations and services of the demonstration from the texts beside this module.

Chance is a hash of the seed and of what is decided, never a running generator: each decision stands alone, so a
new sentence or place changes the entries it concerns and no other, and every machine and Python gives the same
bytes.
"""

from __future__ import annotations

import csv
import hashlib
import math
import re
import tomllib
import unicodedata
import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Json = dict[str, Any]
T = TypeVar("T")

SEED = "relais-demonstration-1"
"""Changed only to draw another territory; every point, name and number would move."""

AS_OF = date(2026, 11, 16)
"""The day the territory is seen on unless another is asked for."""

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://relais.example/demonstration")
"""Under it an organisation keeps one UUID in every installation, as its counsellors' bookmarks expect."""

LABEL = "Fiche de démonstration."
"""Ends every description, so that no copy of an entry can be taken for a real service."""

AGREEMENT_VERSION = "2026-1"
"""The text of the agreement that the organisations signed; the same year and number as the notice shipped."""

RECEPTION = "Accueil"
"""The team of the counsellors who sign in."""

NEAREST_M, FARTHEST_M = 50, 400
"""How far a site lies from the centre of its locality: off the spot, yet still in the municipality."""

STOPS_OF_A_LOCALITY = 3
"""Enough for two names near most sites."""

LEAN_DEGREES = 120
"""How wide a site of an outlying locality may stray from the direction of the middle of its municipality."""

STREETS = (
    "Rue du Wagonnet-Bleu",
    "Place des Trois-Chevalets",
    "Rue du Hérisson-Curieux",
    "Avenue des Parapluies",
    "Rue de la Lampe-Éteinte",
    "Place du Vieux-Ballon",
    "Rue des Sept-Brouettes",
    "Chemin du Renard-Distrait",
    "Rue du Sifflet",
    "Impasse de la Tartine",
    "Rue des Bons-Voisins-Imaginaires",
    "Place de la Chaise-Longue",
    "Rue du Cerf-Volant-Perdu",
    "Avenue du Grand-Tournesol",
    "Rue de l'Encrier-Vert",
    "Quai de la Péniche-Endormie",
    "Rue du Merle-Moqueur-Blanc",
    "Sentier des Trois-Grenouilles",
    "Rue de la Boîte-à-Boutons",
    "Place du Thermos",
    "Rue des Lunettes-Rondes",
    "Rue du Vélo-Rouge",
    "Allée des Nuages-Bas",
    "Rue de la Marmite-Partagée",
)
"""Invented, and meant to sound it."""

ALERTS = (
    "Déménagement prévu au printemps : vérifiez l'adresse par téléphone.",
    "L'ascenseur est en panne ; l'équipe descend sur demande.",
    "Horaire réduit cette semaine : appelez avant de venir.",
)


@dataclass(frozen=True)
class Locality:
    """A real place where something is offered."""

    ring: str
    """`inner`: in Charleroi; `belt`: next to it; `outer`: within some 40 km."""
    key: str
    name: str
    postcode: str
    municipality: str
    municipality_code: str
    latitude: float
    longitude: float


@cache
def localities() -> tuple[Locality, ...]:
    """Every place of the territory, as the gazetteer knows it."""
    return tuple(
        Locality(
            ring=row["ring"],
            key=row["code"].partition("/")[2],
            name=row["name"],
            postcode=row["postcode"],
            municipality=row["municipality"],
            municipality_code=row["municipality_code"],
            latitude=float(row["latitude"]),
            longitude=float(row["longitude"]),
        )
        for row in csv.DictReader(_text("localities.csv").splitlines())
    )


def organisations() -> list[Json]:
    """Make the organisations with their people, clients, scopes and agreements, as the gateway reads them."""
    platform = next(row["name"] for row in _organisations().values() if row["kind"] == "platform")
    made = []
    for key, row in _organisations().items():
        agreed = row.get("agreed_on")
        made.append(
            {
                "id": organisation_id(key),
                "name": row["name"],
                "kind": row["kind"],
                "description": row["description"],
                "municipality": row["municipality"],
                "may_sanction": row.get("may_sanction", False),
                "control_unit": row.get("control_unit", False),
                "secrecy": row["secrecy"],
                "practice": False,
                "answer_within_days": row.get("answer_within_days"),
                "agreement": {
                    "text_version": AGREEMENT_VERSION,
                    "signed_at": agreed,
                    "parties": sorted({row["name"], platform}),
                }
                if agreed
                else None,
                "controller": {
                    "name": row["name"],
                    "address": f"{street(key, 'seat')}, {seat(row).postcode} {seat(row).municipality}",
                    "contact": f"contact@{key}.example",
                    "dpo": f"protection.des.donnees@{key}.example",
                },
                "scopes": row["scopes"],
                "clients": [{"name": elided(f"Logiciel de {short_name(row['name'])}"), "scopes": row["scopes"]}],
                "users": users(key, row),
                "teams": [
                    {
                        "name": RECEPTION,
                        "lead": email(row["team"][0]["name"], key),
                        "members": [email(person["name"], key) for person in row["team"][:2]],
                    }
                ]
                if row["signs_in"] and not row.get("administrator")
                else [],
            }
        )
    return made


def users(key: str, row: Json) -> list[Json]:
    """Say who signs in: an administrator, or two counsellors.

    Where that is granted, the first of the two administers the organisation, and the second keeps its entries.
    """
    made: list[Json] = [
        {
            "name": person["name"],
            "email": email(person["name"], key),
            "function": person["function"],
            "roles": ["administrator" if row.get("administrator") else "counsellor"],
        }
        for person in (row["team"][:2] if row["signs_in"] else ())
    ]
    if made and not row.get("administrator") and "org:admin" in row["scopes"]:
        made[0]["roles"].append("administrator")
    if len(made) > 1 and "directory:write" in row["scopes"]:
        made[1]["roles"].append("data_manager")
    return made


def services(as_of: date) -> list[Json]:
    """Make the services as canonical import records, in the order of the offers."""
    return [service(offer, place, number, as_of) for offer in _offers() for number, place in enumerate(sites(offer))]


def stops() -> list[Json]:
    """Make the bus stops, as a table of stops names its columns: invented, around each locality."""
    made: list[Json] = []
    for place in localities():
        streets = dict.fromkeys(pick(STREETS, "stop", place.key, str(number)) for number in range(STOPS_OF_A_LOCALITY))
        for name in streets:
            latitude, longitude = shifted(place, f"stop-{place.key}-{name}")
            short = name.rpartition(" ")[2].removeprefix("l'")
            made.append(
                {
                    "stop_id": f"{place.key}-{len(made)}",
                    "stop_name": f"{place.name} {short}",
                    "stop_lat": latitude,
                    "stop_lon": longitude,
                }
            )
    return made


def sites(offer: Json) -> list[Locality]:
    """Choose where an offer is given: the places it names, or some of each ring."""
    by_key = {place.key: place for place in localities()}
    if "at" in offer:
        return [by_key[key] for key in offer["at"]]
    chosen = []
    for ring in ("inner", "belt", "outer"):
        there = [place for place in localities() if place.ring == ring]
        there.sort(key=lambda place: roll("site", offer["key"], place.key))
        chosen += there[: offer.get(ring, 0)]
    return chosen


def service(offer: Json, place: Locality, number: int, as_of: date) -> Json:
    """Make one service: an offer, at a place (and now and then at a second one)."""
    record_id = f"{offer['organisation']}-{offer['key']}-{place.key}"
    organisation = _organisations()[offer["organisation"]]
    spoken = languages(offer, record_id)
    record: Json = {
        "record_id": record_id,
        "organisation": organisation_of(offer["organisation"]),
        "name": elided(offer["name"].format(place=place.name, nick=nickname(offer, number))),
        "description": description(offer, record_id),
        "themes": offer["themes"],
        "keywords": [*offer["keywords"], "démonstration"],
        "audiences": offer["audiences"],
        "languages": spoken,
        "modes": offer["modes"],
    }
    if offer.get("free"):
        record["free"] = True
    elif "fees" in offer:
        fees = pick(offer["fees"], "fees", record_id)
        record |= {"free": fees == "Gratuit.", "fees": fees}
    conditions = list(offer.get("conditions", ()))
    if offer.get("sometimes") and chance(35, "condition", record_id):
        conditions.append(pick(offer["sometimes"], "which condition", record_id))
    if conditions:
        record["conditions"] = conditions
    assured_at = as_of - timedelta(days=roll("assured", record_id) % 14 ** (1 + roll("stale", record_id) % 2))
    record["reception"] = reception(offer, record_id, spoken, assured_at)
    record["locations"] = list(locations(offer, place, number, record_id))
    if area := service_area(offer, place):
        record["service_area"] = area
    record |= {
        "phones": [{"number": phone("service", record_id)}],
        "email": f"{place.key}@{offer['organisation']}.example",
        "website": f"https://{offer['organisation']}.example/",
    }
    if chance(92, "relay contact", record_id):
        record["relay_contact"] = relay_contact(offer["organisation"], organisation["team"], record_id)
    record["can_receive"] = organisation["can_receive"]
    if capacity := offer.get("capacity"):
        record |= told_capacity(capacity, record_id, as_of)
    record |= {
        "assured_at": assured_at.isoformat(),
        "assured_by": short_name(organisation["name"]),
        "updated_at": instant(assured_at, "updated", record_id),
        "url": f"https://{offer['organisation']}.example/services/{record_id}",
    }
    if chance(3, "alert", record_id):
        record["alert"] = pick(ALERTS, "which alert", record_id)
    return record


def organisation_of(key: str) -> Json:
    """Describe the organisation of a service, with the UUID it has in the registry."""
    row = _organisations()[key]
    return {
        "id": organisation_id(key),
        "record_id": key,
        "name": row["name"],
        "description": row["description"],
        "email": f"contact@{key}.example",
        "phones": [{"number": phone("organisation", key)}],
        "website": f"https://{key}.example/",
    }


def organisation_id(key: str) -> str:
    """The UUID of an organisation: the same in every installation."""
    return str(uuid.uuid5(NAMESPACE, f"organisation/{key}"))


def nickname(offer: Json, number: int) -> str:
    """The invented name of the house, where the offer has some; each is borne once."""
    names = sorted(offer.get("nicks", [""]), key=lambda name: roll("nick", offer["key"], name))
    return str(names[number % len(names)])


def description(offer: Json, record_id: str) -> str:
    """Two to four sentences: what it is, perhaps one or two things worth knowing, and the label."""
    more = sorted(offer.get("adds", ()), key=lambda sentence: roll("adds", record_id, sentence))
    return " ".join([pick(offer["says"], "says", record_id), *more[: roll("how many", record_id) % 3], LABEL])


def languages(offer: Json, record_id: str) -> list[str]:
    """French, and about half of the other languages that the offer may be given in."""
    first, *others = offer["languages"]
    return [first, *(code for code in others if chance(50, "language", record_id, code))]


def reception(offer: Json, record_id: str, spoken: Sequence[str], assured_at: date) -> Json:
    """How one is received; what the offer does not say is drawn."""
    return {
        "private_room": bool(offer.get("private")) or chance(45, "private", record_id),
        "children_welcome": bool(offer.get("children")) or chance(25, "children", record_id),
        "may_come_accompanied": chance(80, "accompanied", record_id),
        "calm": chance(35, "calm", record_id),
        "languages": list(spoken),
        "confirmed_at": assured_at.isoformat(),
    }


def locations(offer: Json, place: Locality, number: int, record_id: str) -> Iterator[Json]:
    """Where one goes: nowhere for what comes to the person, one place as a rule, sometimes two."""
    if "on_site" not in offer["modes"]:
        return
    own_house = "nicks" in offer or bool(offer.get("confidential"))
    site = record_id if own_house else f"{offer['organisation']}-{place.key}"
    yield location(offer, place, site, f"{record_id}-1")
    if not own_house and chance(8, "second place", record_id):
        ring = [other for other in localities() if other.ring == place.ring and other != place]
        other = ring[(roll("where else", record_id) + number) % len(ring)]
        yield location(offer, other, f"{offer['organisation']}-{other.key}", f"{record_id}-2")


def location(offer: Json, place: Locality, site: str, record_id: str) -> Json:
    """Describe one place; services of one organisation in one locality share its house."""
    latitude, longitude = shifted(place, site)
    made: Json = {
        "record_id": record_id,
        "name": f"{short_name(_organisations()[offer['organisation']]['name'])}, {place.name}",
        "address": {
            "postcode": place.postcode,
            "municipality": place.municipality,
            "municipality_code": place.municipality_code,
            "country": "BE",
        },
        "latitude": latitude,
        "longitude": longitude,
        "opening_hours": pick(offer["hours"], "hours", record_id),
    }
    if offer.get("street", True):
        made["address"] = {"street": street("site", site), **made["address"]}
    if chance(75, "wheelchair known", site):
        made["wheelchair"] = chance(80, "wheelchair", site)
    if offer.get("confidential"):
        made["confidential"] = True
    return made


def shifted(place: Locality, site: str) -> tuple[float, float]:
    """Move off the centre of the locality by `NEAREST_M` to `FARTHEST_M`, and never over the municipal border.

    A locality may lie on the border, so the move leans towards the middle of its municipality.
    """
    metres = NEAREST_M + roll("how far", site) % (FARTHEST_M - NEAREST_M)
    metres_per_degree = 111_320.0
    squeeze = math.cos(math.radians(place.latitude))
    home = [other for other in localities() if other.municipality_code == place.municipality_code]
    north = sum(other.latitude for other in home) / len(home) - place.latitude
    east = (sum(other.longitude for other in home) / len(home) - place.longitude) * squeeze
    leaning = math.hypot(north, east) * metres_per_degree > FARTHEST_M
    spread = roll("which way", site) % 1000 / 1000 - 0.5
    bearing = math.atan2(east, north) + math.radians(spread * (LEAN_DEGREES if leaning else 360))
    latitude = place.latitude + metres * math.cos(bearing) / metres_per_degree
    longitude = place.longitude + metres * math.sin(bearing) / (metres_per_degree * squeeze)
    return round(latitude, 5), round(longitude, 5)


def service_area(offer: Json, place: Locality) -> list[str]:
    """The municipalities that the service comes to: its own, or those of whole rings."""
    rings = offer.get("area", ())
    codes = {other.municipality_code for other in localities() if other.ring in rings}
    if rings:
        codes.add(place.municipality_code)
    return sorted(codes)


def relay_contact(key: str, team: Sequence[Json], record_id: str) -> Json:
    """A colleague who takes hand-overs; her or his direct line, and when it is answered."""
    person = pick(team, "relay", record_id)
    hours = ("Mo-Fr 09:00-12:00,13:00-16:00; PH off", "Mo-Fr 08:30-12:30; PH off", "Mo,Tu,Th 09:00-16:30; PH off")
    return {
        "name": person["name"],
        "function": person["function"],
        "phone": phone("person", key, person["name"]),
        "email": email(person["name"], key),
        "hours": pick(hours, "relay hours", key, person["name"]),
    }


def told_capacity(capacity: Json, record_id: str, as_of: date) -> Json:
    """The open places as the organisation last told them; a part of them never told any."""
    if not chance(capacity["chance"], "capacity", record_id):
        return {}
    available = roll("places", record_id) % (capacity["most"] + 1) if chance(70, "any place", record_id) else 0
    waiting = 0 if available else 1 + roll("waiting", record_id) % capacity["waiting"]
    told = as_of - timedelta(days=roll("told", record_id) % 4 ** (1 + roll("told long ago", record_id) % 3))
    told_at = instant(told, "told", record_id)
    return {"capacity": {"available": available, "waiting_days": waiting, "updated_at": told_at}}


def seat(organisation: Json) -> Locality:
    """The first locality of the municipality where an organisation has its seat."""
    return next(place for place in localities() if place.municipality_code == organisation["municipality"])


def short_name(name: str) -> str:
    """`Tournebise, accueil de l'enfance (démonstration)` → `Tournebise`."""
    return re.split(r"[,(]", name)[0].strip()


def elided(text: str) -> str:
    """Write `de Aiseau` as `d'Aiseau`."""
    return re.sub(r"\bde (?=[AEIOUÉ])", "d'", text)


def street(*key: str) -> str:
    """An invented street and a number."""
    return f"{pick(STREETS, 'street', *key)} {1 + roll('number', *key) % 98}"


def phone(*key: str) -> str:
    """A number that nobody can have: no subscriber of the 071 zone has one that begins with 00."""
    digits = f"{roll('phone', *key) % 10_000:04}"
    return f"+32 71 00 {digits[:2]} {digits[2:]}"


def email(name: str, key: str) -> str:
    """An address under `.example`, which is reserved and leads nowhere."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", name.lower()) if c.isascii())
    return f"{re.sub(r'[^a-z]+', '.', bare).strip('.')}@{key}.example"


def instant(day: date, *key: str) -> str:
    """An instant of that day, in office hours, as RFC 3339 in UTC."""
    at = time(8 + roll("hour", *key) % 9, roll("minute", *key) % 60, tzinfo=UTC)
    return datetime.combine(day, at).isoformat().replace("+00:00", "Z")


def roll(*key: str) -> int:
    """Draw a large number that depends on the seed and the key alone."""
    return int.from_bytes(hashlib.sha256("/".join((SEED, *key)).encode()).digest()[:8], "big")


def chance(percent: int, *key: str) -> bool:
    """Decide yes in about so many cases of a hundred."""
    return roll(*key) % 100 < percent


def pick(options: Sequence[T], *key: str) -> T:
    """Choose one of the options."""
    return options[roll(*key) % len(options)]


@cache
def _organisations() -> dict[str, Json]:
    return {row["key"]: row for row in tomllib.loads(_text("organisations.toml"))["organisation"]}


@cache
def _offers() -> list[Json]:
    return list(tomllib.loads(_text("offers.toml"))["offer"])


def _text(name: str) -> str:
    return resources.files(__package__ or "relais_local.territory").joinpath(name).read_text(encoding="utf-8")
