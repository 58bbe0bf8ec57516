"""What search keeps of a service: for each of its places one finished card, and the facts that find it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final
from uuid import UUID, uuid5

import orjson

from relais_directory import hours
from relais_directory.data import themes
from relais_directory.domain import closures, quality
from relais_directory.domain.areas import EVERYWHERE
from relais_directory.domain.geo import position
from relais_directory.domain.words import stems
from relais_directory.gazetteer import Place
from relais_directory.judging import Points, home_of
from relais_directory.records import RECEPTION, SHOWN, LocationRecord, ServiceRecord

VERSION: Final = "5"
"""Of what stands in a card; a directory with cards of another version makes them all anew (`migrate`)."""

NO_PLACE: Final = UUID(int=0)
"""The location of a card that stands for a service which comes to the person."""

LONG_AGO: Final = date(2000, 1, 1)
"""The freshness of what nobody ever assured."""

SUMMARY: Final = 400
"""Characters of the description on a card: what can be read at a glance; the service's page has the whole."""

Hours = tuple[str, str, str]
"""Opening hours as spelt, time zone, country."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The service that a card is of."""

    id: UUID
    organisation_id: UUID
    organisation: str
    source: str
    record_id: str


@dataclass(frozen=True, slots=True)
class Site:
    """One place of a service, indexed: where in the record, where on earth."""

    id: UUID
    location_id: UUID
    number: int
    position: tuple[float, float, float] | None
    municipality_code: str | None
    municipality: str | None
    """Its name, where the gazetteer knows it: all that is told of where a confidential place is."""
    confidential: bool


@dataclass(frozen=True, slots=True)
class CardRow:
    """One row of `card`, its terms as codes and its hours as spelt."""

    service_id: UUID
    location_id: UUID
    organisation_id: UUID
    position: tuple[float, float, float] | None
    lead: bool
    areas: list[str]
    themes: list[str]
    audiences: list[str]
    modes: list[str]
    languages: list[str]
    reception: list[str]
    wheelchair: bool | None
    free: bool | None
    confidential: bool
    freshness: date
    assured_by: str | None
    opening: Hours | None
    relay_opening: Hours | None
    has_email: bool
    can_receive: str
    texts: tuple[str, str, str, str]
    body: str


def sites(service_id: UUID, record: ServiceRecord, places: Sequence[Place | None], points: Points) -> list[Site]:
    """Answer the places of a service as they are indexed; a confidential one at its municipality's centre."""
    found = []
    for number, (location, place) in enumerate(zip(record.locations, places, strict=True)):
        location_id = location.id or uuid5(service_id, f"location|{location.record_id or number}")
        town = points.parent(place) if place else None
        where = place
        latitude, longitude = location.latitude, location.longitude
        code = location.address.municipality_code
        if location.confidential:
            # Found at the centre of its municipality and nowhere else; without one it is not found by place.
            where = town
            latitude = longitude = None
            code = town.code if town else code
        if latitude is None and where is not None:
            latitude, longitude = where.latitude, where.longitude
        at = None if latitude is None or longitude is None else position(latitude, longitude)
        found.append(
            Site(
                # Two services may share a location, and HSDS's id of the pair is theirs alone.
                location.at_id or uuid5(service_id, f"at|{location_id}"),
                location_id,
                number,
                at,
                code or (town.code if town else None),
                town.name if town else None,
                location.confidential,
            )
        )
    return found


def cards(
    owner: Owner, record: ServiceRecord, places: Sequence[Place | None], indexed: Sequence[Site]
) -> Iterator[CardRow]:
    """Answer the cards of a service: one for each place, one more where it comes to the person; none unless shown."""
    if record.status not in SHOWN:
        return
    home = home_of(record, places)
    relay = record.relay_contact
    base = CardRow(
        service_id=owner.id,
        location_id=NO_PLACE,
        organisation_id=owner.organisation_id,
        position=None,
        lead=False,
        areas=list(dict.fromkeys(record.service_area)) or [EVERYWHERE],
        themes=list(dict.fromkeys(part for slug in record.themes for part in (slug, themes()[slug].parent) if part)),
        audiences=[] if "everyone" in record.audiences else record.audiences,
        modes=list(dict.fromkeys(record.modes)),
        languages=list(dict.fromkeys(one.code.lower() for one in record.languages if one.code)),
        reception=[name for name in RECEPTION if record.reception and getattr(record.reception, name)],
        wheelchair=None,
        free=record.free,
        confidential=False,
        freshness=record.assured_at or LONG_AGO,
        assured_by=record.assured_by,
        opening=None,
        relay_opening=(relay.hours, *home) if relay and relay.hours else None,
        has_email=record.email is not None,
        can_receive=record.can_receive,
        texts=_texts(owner, record, places, indexed),
        body="",
    )
    made = []
    for site in indexed:
        if site.position is None:
            continue
        location = record.locations[site.number]
        secret = location.confidential
        country = location.address.country
        zone = hours.zone_of(site.municipality_code, country)
        opened = closures.hours_with(location.opening_hours, record.status, record.closed_from, record.closed_until)
        made.append(
            replace(
                base,
                location_id=site.location_id,
                position=site.position,
                wheelchair=None if secret else location.wheelchair,
                confidential=secret,
                opening=(opened, zone, country) if opened and not secret else None,
                body=_body(owner, record, location, site, places[site.number]),
            )
        )
    if {"remote", "at_home"} & set(record.modes):
        made.append(replace(base, body=_body(owner, record, None, None, None)))
    for number, card in enumerate(made):
        yield replace(card, lead=number == 0)


def facts(record: ServiceRecord, assured_on: date | None) -> quality.Facts:
    """Answer what the quality score looks at."""
    changed = max(filter(None, (assured_on, record.updated_at and record.updated_at.date())), default=None)
    return quality.Facts(
        on_site="on_site" in record.modes,
        address=any(one.address.street or one.latitude is not None for one in record.locations),
        phone=bool(record.phones or any(one.phones for one in record.locations)),
        email=record.email is not None,
        link=record.website is not None,
        relay=record.relay_contact is not None or bool(record.application_process),
        changed_on=changed,
        themes=bool(record.themes),
        audiences=bool(record.audiences),
        description=len(record.description or ""),
        free=record.free,
        fees=bool(record.fees or record.cost_options),
    )


def _body(
    owner: Owner, record: ServiceRecord, location: LocationRecord | None, site: Site | None, place: Place | None
) -> str:
    """Answer the JSON of a card, left open in its relay contact: each reading adds what the moment tells."""
    relay = record.relay_contact
    contact = None
    if relay:
        contact = {
            "id": uuid5(owner.id, "relay"),
            "function": relay.function,
            "email": relay.email,
            "phone": relay.phone,
            "hours": relay.hours,
            # Last, since there always is one: a card that ends in null has no relay contact.
            "name": relay.name,
        }
    # As text: the ids that come from the database are of a kind that the serialiser does not know.
    id_ = str(owner.id)
    card = {
        # First: a search that reads it sees at once whether the moment changes anything in it.
        "status": record.status,
        "id": id_,
        "service": {
            "id": id_,
            "name": record.name,
            "themes": record.themes,
            "description": _summary(record.description),
            "phone": _phone(record, location),
        },
        "organisation": {"id": str(owner.organisation_id), "name": owner.organisation},
        "location": _location(location, site, place),
        "closed_from": record.closed_from,
        "closed_until": record.closed_until,
        "modes": record.modes,
        "audiences": record.audiences,
        "languages": [one.code for one in record.languages if one.code],
        "free": record.free,
        "alert": record.alert,
        "conditions": [one.text for one in record.conditions],
        "reception": record.reception.model_dump() if record.reception else None,
        "source": {"name": owner.source, "record_id": owner.record_id, "url": record.url},
        "relay_contact": contact,
    }
    text = orjson.dumps(card, default=str).decode()
    # Open at its end: `"relay_contact":{…` or `"relay_contact":null`.
    return text[:-2] if contact else text[:-1]


CLOSING: Final = b'{"status":"temporarily_closed"'
"""How the card of a service begins that is closed for a while; whether it is so today shows when it is read."""


def closed_or_not(body: bytes, today: date) -> bytes:
    """Answer a card's JSON (open at its end) with its closure judged on a day: status and what is to be told of it."""
    card = orjson.loads(body + b"}" * (1 + (not body.endswith(b"null"))))
    first, last = [card[name] and date.fromisoformat(card[name]) for name in ("closed_from", "closed_until")]
    closure = card["status"], first, last
    card["status"], told = closures.status_on(*closure, today), closures.notice(*closure, today)
    card["alert"] = card["alert"] or told
    text = orjson.dumps(card, default=str)
    return text[:-2] if card["relay_contact"] else text[:-1]


def _phone(record: ServiceRecord, location: LocationRecord | None) -> str | None:
    """Answer the number that anybody may call: the service's, else that of the place; never a confidential place's."""
    there = location.phones if location is not None and not location.confidential else []
    return next((one.number for one in (*record.phones, *there)), None)


def _summary(text: str | None) -> str | None:
    if text is None or len(text) <= SUMMARY:
        return text
    return text[:SUMMARY].rsplit(" ", 1)[0] + " …"


def _location(location: LocationRecord | None, site: Site | None, place: Place | None) -> Mapping[str, Any]:
    shown = site is not None and location is not None
    secret = bool(shown and location.confidential)  # type: ignore[union-attr]  # shown says that it is there
    address = location.address if location else None
    exact = location is not None and location.latitude is not None
    return {
        "id": site.location_id if site else None,
        "type": "physical" if shown else "virtual",
        "name": None if secret or location is None else location.name,
        "address": {
            "street": None if secret or address is None else address.street,
            "postcode": None if secret or address is None else address.postcode,
            "municipality": site.municipality
            if site is not None and secret
            else (address.municipality if address else None) or (place.name if place else None),
            "country": address.country if address else None,
        },
        "latitude": None if secret else _point(location, place, 0),
        "longitude": None if secret else _point(location, place, 1),
        "precision": ("exact" if exact and not secret else "municipality") if shown else None,
        "confidential": secret,
        "nearest_stop": None if secret or location is None else location.nearest_stop,
        "wheelchair": None if secret or location is None else location.wheelchair,
    }


def _point(location: LocationRecord | None, place: Place | None, axis: int) -> float | None:
    if location is not None and location.latitude is not None:
        return (location.latitude, location.longitude)[axis]
    return (place.latitude, place.longitude)[axis] if place else None


def _texts(
    owner: Owner, record: ServiceRecord, places: Sequence[Place | None], indexed: Sequence[Site]
) -> tuple[str, str, str, str]:
    """Answer the stems that a service is found by: its name, its themes, who and where, the rest."""
    labels = [label for slug in record.themes for label in themes()[slug].labels.values()]
    where = [owner.organisation]
    for location, place, site in zip(record.locations, places, indexed, strict=True):
        if location.confidential:
            # Its municipality, as it is shown; not the quarter that it may stand in.
            where.append(site.municipality or "")
        else:
            where += [place.name if place else "", location.address.municipality or "", location.name or ""]
    groups = (
        [record.name, record.alternate_name or ""],
        [*labels, *record.keywords],
        where,
        [record.description or "", record.eligibility_description or "", *(one.text for one in record.conditions)],
    )
    name, about, who, rest = (" ".join(word for text in texts for word in stems(text)) for texts in groups)
    return name, about, who, rest
