"""Search: near a place, for a need, in words; a list and a map."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, Response

from relais_gateway.web import phrases, vocabulary
from relais_gateway.web.api import Api, ApiProblem
from relais_gateway.web.drawing import Outline, Position, draw, outlines_of
from relais_gateway.web.languages import _, later
from relais_gateway.web.lookups import area_of, place_label, place_of
from relais_gateway.web.session import AsVisitor, OurForm, inside, text
from relais_gateway.web.site import PageRoute, go, show
from relais_shared.clock import Now
from relais_shared.telemetry import get_logger

router = APIRouter(route_class=PageRoute, include_in_schema=False)

PAGE: Final = 20
"""Cards on one page: as many numbers as the map can hold."""
RADII_KM: Final = (2, 5, 10, 25, 50)
USUAL_KM: Final = 10
WIDER_KM: Final = 25
NOT_UNDERSTOOD: Final = {
    "place": later("Nous ne trouvons pas ce lieu. Écrivez une commune ou un code postal, par exemple 6000 Charleroi."),
    "q": later("Nous n'avons pas compris ces mots. Écrivez ce dont la personne a besoin, en un ou deux mots."),
}
"""What is said beside a field of the search."""
FILTERS: Final = vocabulary.Words(
    {
        "open": later("Ouvert maintenant"),
        "has_capacity": later("Avec des places"),
        "free": later("Gratuit"),
        "wheelchair": later("Accessible en fauteuil roulant"),
    }
)
"""What narrows a search, each a box to tick."""
MOMENTS: Final = vocabulary.Words(
    {
        "daytime": later("En journée"),
        "early": later("Tôt le matin"),
        "late": later("Le soir"),
        "night": later("La nuit"),
        "weekend": later("Le week-end"),
    }
)
"""When a place was missing."""
FEW: Final = 3
"""Fewer answers than this may be signalled as a lack."""
MODES: Final = vocabulary.SERVICE_MODES
SPOKEN: Final = vocabulary.LANGUAGES
INVALID, GONE = 422, 404


@router.get("/lieux")
async def places(api: AsVisitor, q: Annotated[str, Query(max_length=100)]) -> Response:
    """Answer names of places for the field that one types in."""
    found = await api.get("/v1/directory/places", {"q": q, "limit": 8})
    # A town and its centre are two places of the gazetteer, and one for whoever types.
    return JSONResponse(list(dict.fromkeys(place_label(each) for each in found.body["items"])))


@router.get("/recherche")
async def search(  # noqa: PLR0913 - the fields of the form
    request: Request,
    api: AsVisitor,
    place: Annotated[str, Query(max_length=200)] = "",
    q: Annotated[str, Query(max_length=200)] = "",
    theme: Annotated[list[str], Query()] = [],  # noqa: B006 - FastAPI copies it
    radius_km: int = USUAL_KM,
    only: Annotated[list[str], Query()] = [],  # noqa: B006 - FastAPI copies it
    mode: str = "",
    language: str = "",
    cursor: str | None = None,
    numero: Annotated[int, Query(ge=1, le=10_000)] = 1,
    *,
    now: Now,
) -> Response:
    """Search near a place: a list and a map, side by side."""
    place, q = place.strip(), q.strip()
    chosen = [each for each in theme if each in vocabulary.THEMES]
    radius_km = radius_km if radius_km in RADII_KM else USUAL_KM
    asked: dict[str, str | int | list[str]] = {}
    if place:
        asked |= {"place": place, "radius_km": radius_km}
    if q:
        asked["q"] = q
    if chosen:
        asked["theme"] = chosen
    only = [each for each in only if each in FILTERS]
    mode, language = (each if each in known else "" for each, known in ((mode, MODES), (language, SPOKEN)))
    fields: dict[str, Any] = {"place": place, "q": q, "themes": chosen, "radius_km": radius_km, "radii": RADII_KM}
    fields |= {"only": only, "mode": mode, "tongue": language, "filters": FILTERS, "modes": MODES, "spoken": SPOKEN}
    if asked:
        asked |= {name: now.isoformat() if name == "open" else "true" for name in only}
        asked |= {name: given for name, given in (("mode", mode), ("language", language)) if given}
        if "open" in asked:
            asked["open_at"] = asked.pop("open")
    if not asked:
        return show(request, "search.html", **fields, found=None, faults={}, started=False)
    try:
        answer, here, outlines = await asyncio.gather(
            api.get("/v1/directory/search", {**asked, "limit": PAGE, **({"cursor": cursor} if cursor else {})}),
            place_of(api, place),
            background(request, api),
        )
    except ApiProblem as problem:
        if problem.status not in {INVALID, GONE}:
            raise
        at = "q" if any(pointer == "?q" for pointer, _ in problem.faults) or not place else "place"
        return show(
            request, "search.html", INVALID, **fields, found=None, faults={at: _(NOT_UNDERSTOOD[at])}, started=True
        )
    # Typed half, everything on the page says which place was understood.
    fields["place"] = place_label(here, place)
    found = answer.body
    cards = list(enumerate(found["items"], start=numero))
    spots = {number: spot for number, item in cards if (spot := spot_of(item)) is not None}
    wider = None
    if not cards and place and radius_km < WIDER_KM:
        more = await api.get("/v1/directory/search", {**asked, "radius_km": WIDER_KM, "limit": 1})
        wider = {"km": WIDER_KM, "total": more.body["total"]}
    return show(
        request,
        "search.html",
        **fields,
        found=found,
        cards=cards,
        shapes={number: root_of(item, chosen) for number, item in cards},
        drawing=draw(outlines, spots, (here["latitude"], here["longitude"]) if here else None),
        wider=wider,
        lacking=here is not None and found["total"] < FEW,
        moments=MOMENTS,
        more=numero + len(cards),
        faults={},
        started=True,
    )


@router.post("/recherche/manque")
async def signal(api: AsVisitor, form: OurForm) -> Response:
    """Signal that a need found too few places here: what, where and when, and nothing about the person."""
    onward, here = urlsplit(inside(text(form, "vers"))), await place_of(api, text(form, "place"))
    theme, moment = text(form, "theme"), text(form, "hours")
    if here is None or theme not in vocabulary.THEMES:
        return go("/recherche")
    told = {"theme": theme, "municipality": area_of(here)["municipality"], "reason": "no_result"}
    await api.post("/v1/directory/unmet-needs", told | ({"hours": moment} if moment in MOMENTS else {}))
    asked = [(name, value) for name, value in parse_qsl(onward.query) if name != "fait"]
    return go(f"/recherche?{urlencode([*asked, ('fait', 'unmet')])}")


def spot_of(item: Mapping[str, Any]) -> Position | None:
    """Answer where a card stands on the map; what comes to the person stands nowhere."""
    location = item.get("location") or {}
    latitude, longitude = location.get("latitude"), location.get("longitude")
    return (latitude, longitude) if latitude is not None and longitude is not None else None


def root_of(item: Mapping[str, Any], chosen: Sequence[str]) -> str:
    """Answer the family whose shape and colour a card wears: one that was asked for, else its first."""
    families = [phrases.theme_root(slug) for slug in item["service"]["themes"]]
    known = [family for family in families if family in vocabulary.THEMES]
    return next((family for family in known if family in chosen), known[0] if known else "support")


async def background(request: Request, api: Api) -> tuple[Outline, ...]:
    """Answer the outlines behind the map: the same for all, so asked for once and kept."""
    state = request.app.state
    if not hasattr(state, "outlines"):
        try:
            state.outlines = outlines_of((await api.get("/v1/directory/outlines")).body["features"])
        except ApiProblem as problem:
            # Without its background the map still shows the places: that is no reason to show nothing.
            get_logger().warning("no outlines", status=problem.status)
            return ()
    found: tuple[Outline, ...] = state.outlines
    return found
