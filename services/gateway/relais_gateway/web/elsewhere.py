"""Other services for the same need: where a sender turns after a no, what a recipient proposes with one."""

from collections.abc import Mapping
from typing import Any, Final

from relais_gateway.web.api import Api, ApiProblem, Json
from relais_gateway.web.steps import WAITING

NEAR_KM: Final = 25
"""How far from her municipality another service is looked for."""
MOST: Final = 6
"""Services proposed at most: a list that is read to its end."""


async def others(api: Api, referral: Mapping[str, Any], sides: frozenset[str], scopes: frozenset[str]) -> list[Json]:
    """Answer other services for what a thread asks for: `service_id`, `name`, `organisation`, where, open places.

    Nothing where the thread stands so that nobody needs one, and nothing while the directory does not answer: the
    thread is whole without.
    """
    allowed = frozenset(referral["allowed_actions"])
    late = bool(referral.get("overdue")) and referral["state"] in WAITING
    try:
        if "sender" in sides and ("redirect" in allowed or late):
            found: list[Json] = (await api.get(f"/v1/referrals/{referral['id']}/alternatives")).body["items"]
            return found[:MOST]
        if "recipient" in sides and allowed & {"decline", "release"} and "directory:read" in scopes:
            return await _near(api, referral)
    except ApiProblem:
        pass
    return []


async def _near(api: Api, referral: Mapping[str, Any]) -> list[Json]:
    """Answer what stands near her municipality for the same themes, without the service that was asked."""
    area, themes = (referral.get("person") or {}).get("area") or {}, referral.get("themes")
    if not (area.get("municipality") and themes):
        return []
    asked = {"municipality": area["municipality"], "radius_km": NEAR_KM, "theme": list(themes), "limit": MOST + 1}
    cards: list[Json] = (await api.get("/v1/directory/search", asked)).body["items"]
    asked_of = str((referral.get("recipient") or {}).get("service_id"))
    return [_told(card) for card in cards if str(card["service"]["id"]) != asked_of][:MOST]


def _told(card: Mapping[str, Any]) -> Json:
    """Answer a card of the search as the API tells of an alternative."""
    place = ((card.get("location") or {}).get("address") or {}).get("municipality")
    capacity = card.get("capacity") or {}
    return {
        "service_id": str(card["service"]["id"]),
        "name": card["service"]["name"],
        "organisation": card["organisation"]["name"],
        "municipality": place,
        "distance_m": card.get("distance_m"),
        "available": capacity.get("available") if capacity.get("held", True) else None,
        "suggested": False,
    }
