"""What the FHIR endpoint can do: one CapabilityStatement for what the referral app and the directory serve."""

from typing import Any, Final

import orjson
from fastapi import Request, Response

from relais_shared.auth import public
from relais_shared.service import Router

router = Router(tags=["FHIR R4"])

MEDIA_TYPE: Final = "application/fhir+json"

RESOURCES: Final[dict[str, dict[str, str]]] = {
    "Task": {"_id": "token", "status": "token", "requester": "reference", "owner": "reference", "_lastUpdated": "date"},
    "ServiceRequest": {},
    "Consent": {"data": "reference"},
    "HealthcareService": {"organization": "reference", "_lastUpdated": "date"},
}
"""What is served, with its search parameters; a test holds it against the services' own documents."""

SINCE: Final = "2026-11-28"
"""The day of the last change of this statement."""


def statement(base: str) -> dict[str, Any]:
    """Answer the CapabilityStatement (R4).

    Args:
        base: Our public address, without a slash at its end.
    """
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": SINCE,
        "kind": "instance",
        "fhirVersion": "4.0.1",
        "format": ["json"],
        "software": {"name": "Relais"},
        "implementation": {"description": "Hand-overs of persons to local services.", "url": f"{base}/fhir"},
        "rest": [
            {
                "mode": "server",
                "security": {
                    "cors": False,
                    "description": f"OAuth 2 client credentials at {base}/oauth2/token: directory:read for"
                    " HealthcareService, referral:send or referral:receive for the others.",
                },
                "resource": [
                    {
                        "type": type_,
                        "interaction": [{"code": "read"}] + ([{"code": "search-type"}] if parameters else []),
                    }
                    | (
                        {"searchParam": [{"name": name, "type": kind} for name, kind in parameters.items()]}
                        if parameters
                        else {}
                    )
                    for type_, parameters in RESOURCES.items()
                ],
            }
        ],
    }


@router.get(
    "/fhir/metadata",
    response_class=Response,
    responses={200: {"description": "`CapabilityStatement` (R4).", "content": {MEDIA_TYPE: {"schema": {}}}}},
    openapi_extra=public("what a FHIR client asks first"),
)
async def read_capability_statement(request: Request) -> Response:
    """Read what the FHIR endpoint can do."""
    base = request.app.state.settings.public_url.rstrip("/")
    return Response(orjson.dumps(statement(base)), media_type=MEDIA_TYPE)
