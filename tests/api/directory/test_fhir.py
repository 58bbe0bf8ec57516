"""HealthcareService: valid FHIR R4, walked in the order of change, and a confidential place stays one."""

from typing import Any

import httpx
import pytest
from fhir.resources.R4B import get_fhir_model_class

pytestmark = pytest.mark.anyio


async def asked(reader: httpx.AsyncClient, path: str, kind: str, status: int = 200) -> dict[str, Any]:
    """Answer a resource that the public models take for valid."""
    answer = await reader.get(f"/fhir/{path}")
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/fhir+json"
    found: dict[str, Any] = answer.json()
    get_fhir_model_class(kind).model_validate(found)
    for one in found.get("entry", ()):
        get_fhir_model_class(one["resource"]["resourceType"]).model_validate(one["resource"])
    return found


async def test_services_are_walked_page_by_page_and_each_is_valid(reader: httpx.AsyncClient) -> None:
    path, seen = "HealthcareService?_count=50", []
    for _ in range(3):
        page = await asked(reader, path, "Bundle")
        seen += [one["resource"]["id"] for one in page["entry"]]
        path = next(one["url"] for one in page["link"] if one["relation"] == "next").partition("/fhir/")[2]
    assert len(seen) == len(set(seen)) == 150
    one = await asked(reader, f"HealthcareService/{seen[0]}", "HealthcareService")
    plain = (await reader.get(f"/v1/directory/services/{seen[0]}")).json()
    assert (one["name"], one["providedBy"]["display"]) == (plain["name"], plain["organisation"]["name"])
    assert [place["id"] for place in one.get("contained", ())] == [
        place["reference"].removeprefix("#") for place in one.get("location", ())
    ]


async def test_of_one_organisation_since_an_instant(reader: httpx.AsyncClient) -> None:
    first = (await reader.get("/v1/directory/search", params={"limit": 1})).json()["items"][0]
    organisation = first["organisation"]["id"]
    path = f"HealthcareService?organization={organisation}&_lastUpdated=ge2020-01-01&_count=50"
    found: list[dict[str, Any]] = []
    while path:
        page = await asked(reader, path, "Bundle")
        found += [one["resource"] for one in page.get("entry", ())]
        path = next((one["url"] for one in page["link"] if one["relation"] == "next"), "").partition("/fhir/")[2]
    assert found
    assert {one["providedBy"]["identifier"]["value"] for one in found} == {organisation}
    assert "entry" not in await asked(reader, "HealthcareService?_lastUpdated=ge2999-01-01", "Bundle")


async def test_a_confidential_place_is_its_municipality_alone(reader: httpx.AsyncClient) -> None:
    shown = (await reader.get("/v1/directory/search", params={"q": "refuge", "limit": 50})).json()["items"]
    services = [(await reader.get(f"/v1/directory/services/{one['id']}")).json() for one in shown]
    hidden = next(one for one in services if any(place["confidential"] for place in one["locations"]))
    one = await asked(reader, f"HealthcareService/{hidden['id']}", "HealthcareService")
    [place] = one["contained"]
    assert place["address"].keys() <= {"city", "country"}
    assert "position" not in place


async def test_what_cannot_be_answered_is_an_operation_outcome(reader: httpx.AsyncClient) -> None:
    absent = "HealthcareService/00000000-0000-4000-8000-000000000000"
    assert (await asked(reader, absent, "OperationOutcome", 404))["issue"][0]["code"] == "not-found"
    wrong = await asked(reader, "HealthcareService?_lastUpdated=lt2026-01-01", "OperationOutcome", 422)
    assert wrong["issue"][0]["code"] == "invalid"
    nobody = await reader.get("/fhir/HealthcareService", headers={"Authorization": ""})
    assert nobody.status_code == 401
    get_fhir_model_class("OperationOutcome").model_validate(nobody.json())
