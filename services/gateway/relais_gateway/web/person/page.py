"""Her page: where everything stands, read with her own session."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from relais_gateway.web.api import Api, ApiProblem, Json
from relais_gateway.web.person import words
from relais_gateway.web.person.session import Inside
from relais_gateway.web.person.site import NOT_FOUND, VisitRoute, show

router = APIRouter(route_class=VisitRoute, include_in_schema=False)

UNAVAILABLE: Final = 503
TO_KEEP: Final = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox; default-src 'none'"}
"""A document is kept in a file: nothing in it acts."""


def first_of(items: list[Json]) -> Json | None:
    """Answer the hand-over to show first: the newest that goes on, else the newest."""
    living = [one for one in items if not one.get("erased") and one.get("state") not in words.ENDED]
    found = living or items
    return found[-1] if found else None


async def facts(api: Api, wanted: str = "") -> Json:
    """Answer all that her page shows of one hand-over, and the others in a line.

    Args:
        api: With her session.
        wanted: Id of the hand-over; the one that goes on where empty.

    Raises:
        ApiProblem: The API said no: 404 where none of hers has that id.
    """
    her = (await api.get("/v1/person/referrals")).body
    items = her["items"]
    shown = next((one for one in items if one["id"] == wanted), None) if wanted else first_of(items)
    if wanted and shown is None:
        raise ApiProblem(NOT_FOUND, {})
    found: Json = {"her": her, "items": items, "stands": shown, "whole": None, "read": [], "places": [], "openings": []}
    if shown is None or shown.get("erased") or her["level"] != "full":
        return found
    place = f"/v1/person/referrals/{shown['id']}"
    whole, readers, access = await asyncio.gather(
        api.get(place), api.get(f"{place}/readers"), api.get("/v1/person/access")
    )
    found |= {"whole": whole.body, "read": readers.body["items"], "openings": access.body.get("openings") or []}
    meeting = shown.get("meeting") or {}
    if meeting.get("mode") == "visit" and not her["discreet"]:
        found["places"] = await _places(api, place)
    return found


async def _places(api: Api, place: str) -> list[Json]:
    try:
        items: list[Json] = (await api.get(f"{place}/places")).body["items"]
    except ApiProblem as problem:
        if problem.status != UNAVAILABLE:
            raise
        # Her page stands without the way there.
        return []
    return items


def her_page(  # noqa: PLR0913 - the page, and what to say on it
    request: Request,
    found: Mapping[str, Any],
    status: int = 200,
    *,
    fault: tuple[str, str] = ("", ""),
    typed: Mapping[str, str] | None = None,
    tried: Mapping[str, Any] | None = None,
) -> Response:
    """Answer her page.

    Args:
        request: For whom.
        found: From `facts`.
        status: Of the answer.
        fault: A deed that could not be done, and what to say of it.
        typed: What stood in its form.
        tried: An answer that she tries out: `consent`, `chosen`, and the `previews` that it would give.
    """
    return show(request, "page.html", status, fault=fault, typed=typed or {}, tried=tried, **found)


@router.get("/p/ici")
async def read(request: Request, api: Inside) -> Response:
    """Show her page."""
    return her_page(request, await facts(api))


@router.get("/p/ici/copie.json")
async def take_copy(api: Inside) -> Response:
    """Give her a copy of everything, as data."""
    return _kept(*(await api.file("/v1/person/copy")), "copie.json")


@router.get("/p/ici/copie.pdf")
async def take_printed_copy(api: Inside) -> Response:
    """Give her a copy of everything, to print or to have read aloud."""
    return _kept(*(await api.file("/v1/person/copy.pdf")), "copie.pdf")


@router.get("/p/ici/recus/{consent_id}.pdf")
async def take_receipt(consent_id: UUID, api: Inside) -> Response:
    """Give her the receipt of what she agreed to."""
    return _kept(*(await api.file(f"/v1/person/consents/{consent_id}/receipt?form=pdf")), "accord.pdf")


@router.get("/p/ici/{referral_id}")
async def read_one(request: Request, referral_id: UUID, api: Inside) -> Response:
    """Show her page on one of her hand-overs."""
    return her_page(request, await facts(api, str(referral_id)))


@router.get("/p/ici/{referral_id}/rendez-vous.ics")
async def take_meeting(referral_id: UUID, api: Inside) -> Response:
    """Give her the meeting for her own calendar: when, and nothing more."""
    content, kind = await api.file(f"/v1/person/referrals/{referral_id}/meetings.ics")
    return _kept(content, kind, "rendez-vous.ics")


@router.get("/p/ici/{referral_id}/documents/{document_id}")
async def take_document(referral_id: UUID, document_id: UUID, api: Inside) -> Response:
    """Give her a document, to keep in a file."""
    content, kind = await api.file(f"/v1/person/referrals/{referral_id}/documents/{document_id}")
    return _kept(content, kind, str(document_id))


def _kept(content: bytes, kind: str, name: str) -> Response:
    headers = {**TO_KEEP, "Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=kind, headers=headers)
