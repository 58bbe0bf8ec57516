"""Services and themes: everything that is known of one, and the taxonomy."""

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import Annotated, Any, Literal
from uuid import UUID, uuid5

import orjson
from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from relais_directory import hours, search_store, store, upkeep_store
from relais_directory.cards import facts
from relais_directory.data import audiences as all_audiences
from relais_directory.data import themes as all_themes
from relais_directory.domain import closures, conditions, freshness, quality
from relais_directory.domain.areas import codes_of
from relais_directory.domain.days import day_of
from relais_directory.domain.geo import latitude_longitude
from relais_directory.records import LocationRecord, OrganisationProfile, ServiceRecord
from relais_directory.routes.dependencies import MayRead, Reading, reading
from relais_directory.schemas import AudiencePage, AudienceView, Checked, ServiceView, ThemePage, ThemeView
from relais_shared import problems
from relais_shared.clock import Now
from relais_shared.http import etag
from relais_shared.refusals import (
    Fault,
    InvalidInput,
    MalformedRequest,
    NotFound,
    ScopeMissing,
    Unauthenticated,
    Unavailable,
)
from relais_shared.service import Router

router = Router(prefix="/v1/directory", tags=["directory"])


@router.get("/themes", responses=problems.responses(Unauthenticated, ScopeMissing))
async def themes(_actor: MayRead) -> ThemePage:
    """List the themes, each parent before its children, with labels in four languages."""
    return ThemePage(
        items=[
            ThemeView(
                slug=theme.slug,
                parent=theme.parent,
                labels={str(language): label for language, label in theme.labels.items()},
                sensitive=theme.sensitive,
                shape=theme.shape,
                symbol=theme.symbol,
            )
            for theme in all_themes().values()
        ]
    )


@router.get("/audiences", responses=problems.responses(Unauthenticated, ScopeMissing))
async def audiences(_actor: MayRead) -> AudiencePage:
    """List the audiences that a service can be for, with labels in four languages."""
    return AudiencePage(
        items=[
            AudienceView(slug=one.slug, labels={str(language): label for language, label in one.labels.items()})
            for one in all_audiences().values()
        ]
    )


@router.get(
    "/services/{service_id}",
    response_class=Response,
    responses={
        200: {"model": ServiceView, "description": "The service."},
        **problems.responses(InvalidInput, NotFound, Unauthenticated, ScopeMissing),
    },
)
async def service(request: Request, service_id: UUID, _actor: MayRead, now: Now) -> Response:
    """Read all that is known of a service: who, where, when, on which conditions, and whom to call.

    A confidential place is shown as its municipality alone.
    """
    async with reading(request) as connection:
        row = await store.service(connection, service_id)
        places = await store.sites(connection, service_id) if row else []
        reported = await upkeep_store.open_reports(connection, service_id) if row else []
    if row is None or row["status"] == "draft":
        raise NotFound("The directory has no such service.")
    view = view_of(row, places, now) | {"reports": [dict(one) for one in reported]}
    body = orjson.dumps(view, default=str)
    headers = {"ETag": etag(sha256(body).hexdigest()[:20])}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


class Said(BaseModel):
    """What a person says of herself; leave out what she does not."""

    model_config = ConfigDict(extra="forbid")

    municipality: Annotated[str, StringConstraints(pattern=r"^[a-z]{2}:[0-9A-Z]{4,6}$")] | None = None
    age: int | None = Field(default=None, ge=0, le=150)
    audiences: list[str] | None = Field(default=None, max_length=50)
    level: Literal["A1", "A2", "B1", "B2", "C1", "C2"] | None = None
    prescriber: bool | None = None
    papers: bool | None = None

    @field_validator("audiences")
    @classmethod
    def _known_audiences(cls, given: list[str] | None) -> list[str] | None:
        if any(slug not in all_audiences() for slug in given or ()):
            # Which one is not repeated: nothing of what is said here leaves.
            raise ValueError("Not among /v1/directory/audiences.")
        return given


@router.post(
    "/services/{service_id}/conditions/check",
    response_model=Checked,
    responses=problems.responses(MalformedRequest, InvalidInput, NotFound, Unauthenticated, ScopeMissing, Unavailable),
)
async def check_conditions(service_id: UUID, told: Said, _actor: MayRead, connection: Reading) -> dict[str, Any]:
    """Hold the conditions of a service against what a person says, before a hand-over begins.

    Nothing of what is sent is kept, logged or counted. A rule that fails is named; one that only words tell is
    `to_ask`, and so is one that nothing was said about. You may always ask them.
    """
    row = await store.service(connection, service_id)
    if row is None or row["status"] == "draft":
        raise NotFound("The directory has no such service.")
    record = ServiceRecord.model_validate_json(row["record_text"])
    areas = None
    if told.municipality is not None:
        place = await store.place_by_code(connection, told.municipality)
        if place is None:
            raise InvalidInput.of(Fault("/municipality", "The gazetteer has no such one."))
        areas = codes_of(place["code"], place["parent"])
    said = conditions.Said(
        areas=areas,
        age=told.age,
        audiences=told.audiences,
        level=told.level,
        prescriber=told.prescriber,
        papers=told.papers,
    )
    rules = [conditions.Rule(**one.model_dump()) for one in record.conditions]
    if record.service_area:
        rules.insert(0, conditions.Rule("area", "Pour qui habite la zone.", municipalities=record.service_area))
    if (record.minimum_age, record.maximum_age) != (None, None):
        least, most = record.minimum_age, record.maximum_age
        ages = f"{least or 0:g} ans et plus." if most is None else f"De {least or 0:g} à {most:g} ans."
        rules.insert(0, conditions.Rule("age", ages, minimum_age=least, maximum_age=most))
    outcomes = [(rule, conditions.check(rule, said)) for rule in rules]
    found = {outcome for _rule, outcome in outcomes}
    return {
        "outcome": "fails" if "fails" in found else "to_ask" if "to_ask" in found else "holds",
        "conditions": [{"kind": rule.kind, "text": rule.text, "outcome": outcome} for rule, outcome in outcomes],
    }


def view_of(row: store.Row, places: Sequence[store.Row], now: datetime) -> dict[str, Any]:
    """Answer all that is known of a service, from its row and those of its places."""
    record = ServiceRecord.model_validate_json(row["record_text"])
    profile = OrganisationProfile.model_validate_json(row["organisation_record"])
    told = row["assured_on"]
    today = day_of(now)
    closure = row["status"], record.closed_from, record.closed_until
    terms = all_themes()
    return {
        "id": row["id"],
        "name": record.name,
        "alternate_name": record.alternate_name,
        "description": record.description,
        "status": "inactive" if row["status"] == "retired" else closures.status_on(*closure, today),
        "closed_from": record.closed_from,
        "closed_until": record.closed_until,
        "merged_into": row["merged_into"],
        "alert": record.alert or closures.notice(*closure, today),
        "organisation": {
            "id": row["organisation_id"],
            "name": row["organisation_name"],
            "description": profile.description,
            "website": profile.website,
            "email": profile.email,
        },
        "themes": record.themes,
        "sensitive": any(terms[slug].sensitive for slug in record.themes),
        "keywords": record.keywords,
        "audiences": record.audiences,
        "languages": [one.code for one in record.languages if one.code],
        "modes": record.modes,
        "free": record.free,
        "fees": record.fees,
        "conditions": [one.model_dump(exclude_defaults=True) for one in record.conditions],
        "eligibility_description": record.eligibility_description,
        "application_process": record.application_process,
        "required_documents": [one.document for one in record.required_documents if one.document],
        "reception": record.reception.model_dump() if record.reception else None,
        "service_area": record.service_area,
        "locations": [_location(record, record.locations[place["number"]], place, now) for place in places],
        "phone": record.phones[0].number if record.phones else None,
        "phones": [one.model_dump(exclude_defaults=True, exclude={"id", "attributes"}) for one in record.phones],
        "email": record.email,
        "website": record.website,
        "relay_contact": _relay(row["id"], record, places, now),
        "can_receive": row["receives"],
        "capacity": capacity_view(row, now),
        "freshness": {
            "assured_at": told,
            "assured_by": row["assured_by"],
            "score": freshness.score(told, today),
        },
        "quality": quality.score(facts(record, told), today),
        "source": {"name": row["source"], "record_id": row["record_id"], "url": record.url},
        "updated_at": row["updated_at"],
    }


def capacity_view(row: store.Row, now: datetime) -> dict[str, Any] | None:
    """Answer what was told of open places, with its age."""
    if row["capacity_at"] is None:
        return None
    age = max(0, (now - row["capacity_at"]).days)
    return {
        "available": row["available"],
        "maximum": row["maximum"],
        "unit": row["unit"],
        "waiting_days": row["waiting_days"],
        "description": row["capacity_description"],
        "updated_at": row["capacity_at"],
        "age_days": age,
        "held": age <= search_store.CAPACITY_HELD_DAYS,
    }


def _relay(id_: UUID, record: ServiceRecord, places: Sequence[store.Row], now: datetime) -> dict[str, Any] | None:
    relay = record.relay_contact
    if relay is None:
        return None
    code = next((place["municipality_code"] for place in places if place["municipality_code"]), None)
    code = code or next(iter(record.service_area), None)
    country = record.locations[0].address.country if record.locations else (code or "")[:2].upper()
    reachable = hours.opening(relay.hours, hours.zone_of(code, country), country, now).open_now if relay.hours else None
    return {"id": uuid5(id_, "relay"), **relay.model_dump(), "reachable_now": reachable}


def _location(record: ServiceRecord, location: LocationRecord, place: store.Row, now: datetime) -> dict[str, Any]:
    address = {
        "street": location.address.street,
        "postcode": location.address.postcode,
        "municipality": location.address.municipality or place["municipality"],
        "municipality_code": place["municipality_code"],
        "country": location.address.country,
    }
    if location.confidential:
        # Who told of it may have named a quarter.
        town = place["municipality"] or location.address.municipality
        address |= {"street": None, "postcode": None, "municipality": town}
        return {"id": place["location_id"], "name": None, "confidential": True, "address": address}
    country = location.address.country
    zone = hours.zone_of(place["municipality_code"], country)
    told = closures.hours_with(location.opening_hours, record.status, record.closed_from, record.closed_until)
    here = hours.opening(told, zone, country, now)
    exact = location.latitude is not None
    centre = latitude_longitude(place["position"]) if place["position"] and not exact else (None, None)
    return {
        "id": place["location_id"],
        "name": location.name,
        "confidential": False,
        "address": address,
        "latitude": location.latitude if exact else centre[0],
        "longitude": location.longitude if exact else centre[1],
        "precision": "exact" if exact else "municipality",
        "nearest_stop": location.nearest_stop,
        # From the middle of a municipality nobody walks to a stop.
        "nearest_stops": orjson.loads(place["stops"]) if place["stops"] and exact else [],
        "wheelchair": location.wheelchair,
        "opening_hours": location.opening_hours,
        "time_zone": zone,
        "opening": {"open_now": here.open_now, "next_opening": here.next_opening},
        "week": hours.week(told, zone, country, now) if told else [],
    }
