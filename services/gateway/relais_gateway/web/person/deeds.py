"""What she does on her page: each form becomes one call of the API, with her own session."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.datastructures import FormData
from starlette.responses import Response

from relais_gateway.web.api import Answer, Api, ApiProblem, Json, segment
from relais_gateway.web.person import words
from relais_gateway.web.person.door import code_of
from relais_gateway.web.person.page import facts, her_page
from relais_gateway.web.person.session import Inside, VisitForm
from relais_gateway.web.person.site import NOT_FOUND, VisitRoute, go
from relais_gateway.web.session import text, texts

router = APIRouter(route_class=VisitRoute, include_in_schema=False)

CONFLICT, INVALID = 409, 422


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the API: its method, its path, its body."""

    method: str
    path: str
    body: Json


def _consent(form: FormData, action: str) -> str:
    return f"/v1/person/consents/{segment(text(form, 'consent'))}/{action}"


def _conference(form: FormData, action: str) -> str:
    return f"/v1/person/conferences/{segment(text(form, 'conference'))}/{action}"


def _stop(place: str, form: FormData) -> Call:
    return Call("POST", "/v1/person/withdraw" if text(form, "all") else f"{place}/withdraw", {})


def _part(_place: str, form: FormData) -> Call:
    body = {name: texts(form, name) for name in ("data_categories", "purposes") if texts(form, name)}
    return Call("POST", _consent(form, "withdraw"), body)


def _yes(_place: str, form: FormData) -> Call:
    return Call("POST", _consent(form, "answer"), {"agreed": True, "data_categories": texts(form, "data_categories")})


def _no(_place: str, form: FormData) -> Call:
    return Call("POST", _consent(form, "answer"), {"agreed": False})


def _correct(place: str, form: FormData) -> Call:
    return Call("PATCH", place, correction(form))


def correction(form: FormData) -> Json:
    """Answer what she corrects, as the API takes it: only the part whose form was sent."""
    if text(form, "of") == "identity":
        names = ("called", "given_name", "family_name", "birth_date")
        return {"identity": {name: text(form, name) for name in names if text(form, name)}}
    contact: Json = {name: text(form, name) for name in ("phone", "email", "address") if text(form, name)}
    if text(form, "reach") in words.REACH:
        contact["reach"] = text(form, "reach")
    # What she did not tick is no.
    contact["safety"] = {name: name in texts(form, "safety") for name in words.SAFETY}
    if text(form, "times"):
        contact["safety"]["times"] = text(form, "times")
    return {"contact": contact}


def _line(place: str, form: FormData, *, hidden: bool) -> Call:
    body: Json = {"theme": text(form, "theme"), "hidden": hidden}
    # The words name the line: they go back as they came.
    return Call("PUT", f"{place}/hidden", body | ({"words": said} if (said := text(form, "line")) else {}))


def _pause(place: str, form: FormData) -> Call:
    return Call("POST", f"{place}/pause", {"until": text(form, "until")} if text(form, "until") else {})


def _met(place: str, form: FormData) -> Call:
    return Call("POST", f"{place}/confirm_handover", {"on": text(form, "on")} if text(form, "on") else {})


def _join(_place: str, form: FormData) -> Call:
    return Call("POST", "/v1/person/referrals/link", {"link": text(form, "link") or "-", "code": code_of(form)})


def _attend(_place: str, form: FormData) -> Call:
    return Call("POST", _conference(form, "attend"), {"attends": text(form, "attends") == "yes"})


def _away(_place: str, form: FormData) -> Call:
    return Call("POST", _conference(form, f"organisations/{segment(text(form, 'organisation'))}/withdraw"), {})


def _message(place: str, form: FormData) -> Call:
    path = _conference(form, "messages") if text(form, "conference") else f"{place}/messages"
    return Call("POST", path, {"words": text(form, "words")})


DEEDS: Final[Mapping[str, Callable[[str, FormData], Call]]] = {
    "stop": _stop,
    "part": _part,
    "yes": _yes,
    "no": _no,
    "alone": lambda _place, form: Call("POST", _consent(form, "confirm"), {}),
    "met": _met,
    "correct": _correct,
    "words": lambda place, form: Call(
        "POST", f"{place}/needs", {"theme": text(form, "theme"), "words": text(form, "words")}
    ),
    "hide": lambda place, form: _line(place, form, hidden=True),
    "show": lambda place, form: _line(place, form, hidden=False),
    "message": _message,
    "pause": _pause,
    "resume": lambda place, _form: Call("POST", f"{place}/resume", {}),
    "erase": lambda place, _form: Call("POST", f"{place}/erase", {}),
    "restore": lambda place, _form: Call("POST", f"{place}/restore", {}),
    "link": _join,
    "unlink": lambda place, _form: Call("POST", f"{place}/unlink", {}),
    "attend": _attend,
    "end": lambda _place, form: Call("POST", _conference(form, "end"), {}),
    "away": _away,
}
"""What each form becomes."""


@router.post("/p/ici/{referral_id}/essai")
async def try_out(request: Request, referral_id: UUID, api: Inside, form: VisitForm) -> Response:
    """Show exactly what the other side would read if she agreed to what she ticked; nothing is answered yet."""
    chosen = texts(form, "data_categories")
    found = await facts(api, str(referral_id))
    if not chosen:
        return _untaken(request, found, "yes", form, NOTHING_TICKED)
    previews = await api.get(f"/v1/person/referrals/{referral_id}/preview", {"data_categories": chosen})
    tried = {"consent": text(form, "consent"), "chosen": chosen, "previews": previews.body["items"]}
    return her_page(request, found, tried=tried)


@router.post("/p/ici/{referral_id}/{deed}")
async def do(request: Request, referral_id: UUID, deed: str, api: Inside, form: VisitForm) -> Response:
    """Do what she asks; where the API cannot take it, the page says why, with what she wrote."""
    if deed not in DEEDS:
        raise ApiProblem(NOT_FOUND, {})
    if deed == "yes" and not texts(form, "data_categories"):
        # To the API an answer without categories is a yes to all of them; on a page it is a slip of the finger.
        return _untaken(request, await facts(api, str(referral_id)), deed, form, NOTHING_TICKED)
    call = DEEDS[deed](f"/v1/person/referrals/{referral_id}", form)
    try:
        await _sent(api, call)
    except ApiProblem as problem:
        wrong_card = deed == "link" and problem.status == NOT_FOUND
        if problem.status not in {CONFLICT, INVALID} and not wrong_card:
            raise
        slug = "not-found" if wrong_card else problem.slug
        return _untaken(request, await facts(api, str(referral_id)), deed, form, slug, problem.status)
    # A hand-over that left this card has no page of its own any more.
    return go("/p/ici" if deed == "unlink" else f"/p/ici/{referral_id}", deed)


def _untaken(  # noqa: PLR0913 - the page, and what could not be taken on it
    request: Request, found: Json, deed: str, form: FormData, slug: str, status: int = INVALID
) -> Response:
    typed = {name: value for name, value in form.items() if isinstance(value, str) and name not in SECRETS}
    # Several boxes have one name; the form itself would answer the last alone.
    typed["safety"] = " ".join(texts(form, "safety"))
    return her_page(request, found, status, fault=(deed, words.fault(slug)), typed=typed)


NOTHING_TICKED: Final = "nothing-ticked"
SECRETS: Final = frozenset({"proof", "link", "digits", "picture1", "picture2", "picture3", "picture4"})
"""What no page shows again."""


async def _sent(api: Api, call: Call) -> Answer:
    match call.method:
        case "PATCH":
            return await api.patch(call.path, call.body)
        case "PUT":
            return await api.put(call.path, call.body)
        case _:
            return await api.post(call.path, call.body)
