"""Services for partners of the health side: FHIR R4's HealthcareService, its places and organisation contained."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, field_validator

from relais_directory import store
from relais_directory.routes.dependencies import MayRead, Reading
from relais_directory.routes.services import view_of
from relais_shared import fhir
from relais_shared.clock import Now
from relais_shared.fhir import FhirRouter, without_empty
from relais_shared.http import CursorCodec
from relais_shared.refusals import NotFound

router = FhirRouter(prefix="/fhir", tags=["FHIR R4"])

Json = dict[str, Any]


def _base(request: Request) -> str:
    base: str = request.app.state.settings.public_url.rstrip("/")
    return base


class ServiceQuery(BaseModel):
    """The search parameters of HealthcareService; all are combined."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    organization: UUID | None = Field(default=None, description="Of one organisation, by its id.")
    last_updated: datetime | None = Field(
        default=None, alias="_lastUpdated", description="`ge` with an instant.", examples=["ge2026-11-03"]
    )
    count: int = Field(default=20, alias="_count", ge=1, le=50, description="Looked at; what does not fit is left out.")
    cursor: str | None = Field(default=None, alias="_cursor", description="From the link `next`: kept, it polls.")

    @field_validator("last_updated", mode="before")
    @classmethod
    def _at_or_after(cls, given: object) -> object:
        return fhir.instant(given) if isinstance(given, str) else given


@router.get("/HealthcareService", response_class=Response, responses=fhir.answers("Bundle of HealthcareService"))
async def search_healthcare_services(
    request: Request, _actor: MayRead, query: Annotated[ServiceQuery, Query()], connection: Reading, now: Now
) -> Response:
    """Walk the services in the order of their last change; a page may hold fewer than were looked at.

    For searching near somebody, take `/v1/directory/search`.
    """
    fhir.once_each(request)
    codec = CursorCodec(request.app.state.settings.secret_bytes(), "fhir")
    place = codec.decode(query.cursor) if query.cursor else None
    rows = await store.changes(connection, (place[0], UUID(place[1])) if place else None, query.count + 1)
    items = []
    for row in rows[: query.count]:
        if query.organization is not None and row["organisation_id"] != query.organization:
            continue
        if query.last_updated is not None and row["updated_at"] < query.last_updated:
            continue
        found = await _healthcare_service(request, connection, row["id"], now)
        items += [found] if found else []
    following = None
    if len(rows) > query.count:
        last = rows[query.count - 1]
        own = [one for one in request.scope["query_string"].decode("latin-1").split("&") if one]
        kept = [one for one in own if not one.startswith("_cursor=")]
        following = "&".join([*kept, f"_cursor={codec.encode([last['changed_in'], str(last['id'])])}"])
    base, own_query = f"{_base(request)}/fhir", request.scope["query_string"].decode("latin-1")
    return fhir.answered(
        fhir.searched(
            base,
            items,
            own=f"HealthcareService?{own_query}" if own_query else "HealthcareService",
            following=f"HealthcareService?{following}" if following else None,
        )
    )


@router.get("/HealthcareService/{id}", response_class=Response, responses=fhir.answers("HealthcareService"))
async def read_healthcare_service(
    request: Request,
    id: UUID,  # noqa: A002 - FHIR's name
    _actor: MayRead,
    connection: Reading,
    now: Now,
) -> Response:
    """Read a service with its places; a confidential one is its municipality alone."""
    found = await _healthcare_service(request, connection, id, now)
    if found is None:
        raise NotFound("The directory has no such service.")
    return fhir.answered(found)


async def _healthcare_service(request: Request, connection: Any, id_: UUID, now: datetime) -> Json | None:  # noqa: ANN401 - asyncpg's
    row = await store.service(connection, id_)
    if row is None or row["status"] == "draft":
        return None
    return healthcare_service(view_of(row, await store.sites(connection, id_), now), _base(request))


def healthcare_service(view: Json, base: str) -> Json:
    """Answer a service of the directory as a HealthcareService.

    Args:
        view: As the JSON API shows it.
        base: Our public address, without a slash at its end.
    """
    owner = view["organisation"]
    places = [_location(f"place-{number}", one) for number, one in enumerate(view["locations"], 1)]
    phones = [one["number"] for one in view["phones"]]
    reach = [*(("phone", number) for number in phones), ("email", view["email"]), ("url", view["website"])]
    found: Json = without_empty(
        {
            "resourceType": "HealthcareService",
            "id": str(view["id"]),
            "meta": {"lastUpdated": view["updated_at"]},
            "contained": places,
            "active": view["status"] == "active",
            "providedBy": {
                "type": "Organization",
                "identifier": {"system": f"{base}/organisations", "value": str(owner["id"])},
                "display": owner["name"],
            },
            "type": [
                {"coding": [{"system": f"{base}/v1/directory/themes", "code": theme}]} for theme in view["themes"]
            ],
            "location": [{"reference": f"#{one['id']}"} for one in places],
            "name": view["name"],
            "comment": view["description"],
            "telecom": [{"system": system, "value": value} for system, value in reach if value],
            "communication": [{"coding": [{"system": "urn:ietf:bcp:47", "code": code}]} for code in view["languages"]],
            "eligibility": [{"comment": view["eligibility_description"]}] if view["eligibility_description"] else [],
        }
    )
    return found


def _location(id_: str, place: Json) -> Json:
    address = place.get("address") or {}
    latitude, longitude = place.get("latitude"), place.get("longitude")
    return {
        "resourceType": "Location",
        "id": id_,
        "name": place.get("name"),
        "address": {
            "line": [address.get("street")],
            "city": address.get("municipality"),
            "postalCode": address.get("postcode"),
            "country": address.get("country"),
        },
        "position": {"latitude": latitude, "longitude": longitude} if latitude is not None else None,
    }
