"""A guest's pages: a one-time link, a code by telephone, secrecy undertaken, then the recipient's view and steps."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.datastructures import FormData
from starlette.responses import Response

from relais_gateway.web.api import Api, ApiProblem, Json
from relais_gateway.web.languages import language
from relais_gateway.web.person import words
from relais_gateway.web.person.session import FORM_COOKIE, GUEST, Inside, VisitForm, forget, keep, outside
from relais_gateway.web.person.site import NOT_FOUND, VisitRoute, go, show
from relais_gateway.web.session import text, texts
from relais_gateway.web.steps import STEPS, Counsellor

router = APIRouter(route_class=VisitRoute, include_in_schema=False)

UNDERTAKING: Final = "2026-1"
"""The text that a guest undertakes to keep to."""
UNKNOWN, CONFLICT, STALE, INVALID = 401, 409, 412, 422
HERE: Final = "/v1/guest/referral"
ACTIONS: Final = frozenset({"accept", "decline", "plan_meeting", "confirm_handover", "close"})
NOBODY: Final = Counsellor("", "", "")
"""A guest's steps are in her own name, which the API knows."""


@dataclass(frozen=True, slots=True)
class _Fields:
    form: FormData

    def one(self, name: str) -> str:
        return text(self.form, name)

    def all(self, name: str) -> list[str]:
        return texts(self.form, name)


async def _door(
    request: Request, status: int = 200, typed: Mapping[str, str] | None = None, said: str = ""
) -> Response:
    notice = (await outside(request).get(f"/v1/guest/undertaking/{UNDERTAKING}/{language()}")).body
    return show(request, "guest_door.html", status, notice=notice, typed=typed or {}, said=said)


@router.get("/g")
async def guests_door(request: Request, fait: str = "") -> Response:
    """Ask for link and code, and the first time who it is and that she keeps it secret."""
    return await _door(request, said="fin" if fait == "fin" else "")


@router.post("/g")
async def come_in(request: Request, form: VisitForm) -> Response:
    """Open a guest's session, and show the link that opens the next one: this answer alone holds it."""
    card: Json = {"link": text(form, "link"), "code": text(form, "code").replace(" ", ""), "language": language()}
    if text(form, "undertaking"):
        named = ("name", "function", "secrecy")
        card |= {"undertaking": UNDERTAKING} | {name: text(form, name) for name in named if text(form, name)}
    try:
        opened = (await outside(request).post(GUEST.session_path, card)).body
    except ApiProblem as problem:
        if problem.status not in {UNKNOWN, INVALID}:
            raise
        typed = {name: text(form, name) for name in ("link", "name", "function", "secrecy")}
        said = "wrong" if problem.status == UNKNOWN else "incomplete"
        return await _door(request, problem.status, typed, said)
    response = show(request, "guest_in.html", opened=opened)
    keep(request, response, GUEST.cookie, opened["session"])
    forget(response, FORM_COOKIE)
    return response


@router.get("/g/ici")
async def read(request: Request, api: Inside) -> Response:
    """Show the hand-over as its recipient reads it."""
    return await _page(request, api)


@router.get("/g/ici/documents/{document_id}")
async def take_document(document_id: UUID, api: Inside) -> Response:
    """Give a document that she agreed to share, to keep in a file."""
    content, kind = await api.file(f"{HERE}/documents/{document_id}")
    headers = {"Content-Disposition": f'attachment; filename="{document_id}"'}
    return Response(content, media_type=kind, headers=headers)


@router.post("/g/ici/message")
async def write(request: Request, api: Inside, form: VisitForm) -> Response:
    """Write to the sender and to her."""
    try:
        await api.post(f"{HERE}/messages", {"words": text(form, "words")})
    except ApiProblem as problem:
        return await _again(request, api, problem, "message", form)
    return go("/g/ici", "message")


@router.post("/g/ici/taches/{task_id}")
async def finish(task_id: UUID, api: Inside, form: VisitForm) -> Response:
    """Say what was done about a task."""
    body: Json = {"how": "done"}
    if text(form, "local_copy") in {"erased", "kept"}:
        body["local_copy"] = text(form, "local_copy")
    if body.get("local_copy") == "kept":
        body["basis"] = text(form, "basis") or "-"
    await api.post(f"{HERE}/tasks/{task_id}/done", body)
    return go("/g/ici", "task")


@router.post("/g/ici/{action}")
async def step(request: Request, action: str, api: Inside, form: VisitForm) -> Response:
    """Take a step on the version that was read; a page that is no longer true is shown anew."""
    if action not in ACTIONS:
        raise ApiProblem(NOT_FOUND, {})
    body: Json | None = None
    faults: Mapping[str, str] = {}
    # Taking over without a body is in the guest's own name.
    if action != "accept":
        body, faults = STEPS[action](_Fields(form), NOBODY)
    if faults:
        return await _again(request, api, ApiProblem(INVALID, {}), action, form)
    try:
        await api.post(f"{HERE}/{action}", body, version=text(form, "version"))
    except ApiProblem as problem:
        return await _again(request, api, problem, action, form)
    return go("/g/ici", action)


async def _again(request: Request, api: Api, problem: ApiProblem, action: str, form: FormData) -> Response:
    if problem.status not in {CONFLICT, STALE, INVALID}:
        raise problem
    typed = {name: value for name, value in form.items() if isinstance(value, str) and name not in {"proof", "version"}}
    return await _page(request, api, problem.status, fault=(action, words.fault(problem.slug)), typed=typed)


async def _page(
    request: Request,
    api: Api,
    status: int = 200,
    fault: tuple[str, str] = ("", ""),
    typed: Mapping[str, Any] | None = None,
) -> Response:
    seen = await api.get(HERE)
    found = await asyncio.gather(*(api.get(f"{HERE}/{name}") for name in ("messages", "documents", "tasks")))
    messages, documents, tasks = (one.body["items"] for one in found)
    return show(
        request,
        "guest.html",
        status,
        referral=seen.body,
        version=seen.version,
        messages=messages,
        documents=documents,
        tasks=[one for one in tasks if not one.get("done_at")],
        fault=fault,
        typed=typed or {},
    )
