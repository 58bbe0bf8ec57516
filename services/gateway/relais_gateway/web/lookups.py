"""What several pages look up: themes, places of the gazetteer, what a service page names."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import Request

from relais_gateway.web.api import Api, Json


def place_label(place: Mapping[str, Any] | None, written: str = "") -> str:
    """Answer a place as one writes it in the field: 6000 Charleroi.

    Args:
        place: Of the gazetteer; none leaves what was written.
        written: By whoever looked for it; a postcode there, one of the place's own, stays.
    """
    if place is None:
        return written
    postcodes = place.get("postcodes") or []
    code = next((each for each in postcodes if each in written), next(iter(postcodes), ""))
    return f"{code} {place.get('name') or ''}".strip()


async def place_of(api: Api, written: str) -> Json | None:
    """Answer the place of the gazetteer that somebody wrote (a name, a postcode, both), if there is one."""
    code = next(iter(re.findall(r"\b\d{4,5}\b", written)), "")
    name = written.replace(code, "").strip() if code else written
    if not (name or code):
        return None
    found: list[Json] = (await api.get("/v1/directory/places", {"q": name or code, "limit": 50})).body["items"]
    borne = [each for each in found if code in (each.get("postcodes") or ())]
    return next(iter(borne or found), None)


async def themes_of(request: Request, api: Api) -> dict[str, Json]:
    """Answer the themes by slug: the same for all, so asked for once and kept."""
    state = request.app.state
    if not hasattr(state, "themes"):
        found = (await api.get("/v1/directory/themes")).body["items"]
        state.themes = {each["slug"]: each for each in found}
    kept: dict[str, Json] = state.themes
    return kept


async def audiences_of(request: Request, api: Api) -> dict[str, Json]:
    """Answer for whom a service can be, by slug: the same for all, so asked for once and kept."""
    state = request.app.state
    if not hasattr(state, "audiences"):
        state.audiences = {each["slug"]: each for each in (await api.get("/v1/directory/audiences")).body["items"]}
    kept: dict[str, Json] = state.audiences
    return kept


def offered_id(offered: Mapping[str, Any]) -> str:
    """Answer the id of a service page's service."""
    return str((offered.get("service") or offered)["id"])


def offered_themes(offered: Mapping[str, Any]) -> tuple[str, ...]:
    """Answer the themes of a service page's service."""
    return tuple((offered.get("service") or offered).get("themes") or ())


def area_of(place: Mapping[str, Any]) -> dict[str, str]:
    """Answer the municipality of a place of the gazetteer as the referral wants it, with its postcode."""
    code = str(place["code"]).partition("/")[0]
    postcodes = place.get("postcodes") or []
    return {"municipality": code, **({"postcode": postcodes[0]} if postcodes else {})}


async def notices_of(request: Request, api: Api, version: str, languages: Sequence[str]) -> dict[str, Json]:
    """Answer the notice that is read aloud, by language: the same for all, so asked for once and kept."""
    state = request.app.state
    if not hasattr(state, "notices"):
        found = await asyncio.gather(*(api.get(f"/v1/notices/{version}/{language}") for language in languages))
        state.notices = {each.body["language"]: each.body for each in found}
    kept: dict[str, Json] = state.notices
    return kept
