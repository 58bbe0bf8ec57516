"""Beside the steps of a thread: messages, documents, the calendar, tasks, whose it is, another service."""

from typing import Annotated, Final
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Request
from starlette.datastructures import FormData, UploadFile
from starlette.responses import Response

from relais_gateway.web.api import Api, ApiProblem, Json, segment
from relais_gateway.web.languages import _
from relais_gateway.web.session import AsVisitor, OurForm, SignedIn, Visitor, inside, our_form, text, texts
from relais_gateway.web.site import NOT_FOUND, PageRoute, go, trouble
from relais_gateway.web.steps import Counsellor, Typed
from relais_gateway.web.threads import CONFLICT, INVALID, STALE, show_thread
from relais_gateway.web.vocabulary import CATEGORIES, HOW_TOLD
from relais_shared.clock import Now

router = APIRouter(route_class=PageRoute, include_in_schema=False)

LARGE: Final = 413
PARTS: Final = frozenset(CATEGORIES)
COPIES: Final = frozenset({"erased", "kept"})


async def _with_a_file(request: Request) -> FormData:
    return await our_form(request, files=1)


FormWithFile = Annotated[FormData, Depends(_with_a_file)]


@router.post("/relais/taches/{task_id}")
async def finish_task(task_id: UUID, api: AsVisitor, form: OurForm) -> Response:
    """Say what was done about a task, then go back to where it stood."""
    onward = inside(text(form, "vers") or "/relais").partition("?")[0]
    body: Json = {"how": text(form, "how") if text(form, "how") in HOW_TOLD else "done"}
    if text(form, "local_copy") in COPIES:
        body["local_copy"] = text(form, "local_copy")
    if body.get("local_copy") == "kept":
        body["basis"] = text(form, "basis")
    try:
        await api.post(f"/v1/tasks/{task_id}/done", body)
    except ApiProblem as problem:
        if problem.status != INVALID:
            raise
        return go(onward, fait="basis_missing")
    return go(onward, fait="task")


@router.post("/relais/{referral_id}/message")
async def write_message(  # noqa: PLR0913 - who writes, on which thread, what
    request: Request, api: AsVisitor, visitor: SignedIn, referral_id: UUID, form: OurForm, now: Now
) -> Response:
    """Write to the other side."""
    page, words = f"/relais/{referral_id}", text(form, "words")
    fault = "" if words else _("Écrivez votre message.")
    if words:
        try:
            await api.post(f"/v1/referrals/{referral_id}/messages", {"words": words})
        except ApiProblem as problem:
            if problem.status == CONFLICT:
                return go(page, fait="not_now")
            if problem.status != INVALID:
                raise
            fault = _(
                "Ce message ne peut pas partir tel quel. N'y écrivez pas de numéro national ; et tant que le relais "
                "n'est pas pris, ni nom, ni téléphone, ni adresse."
            )
        else:
            return go(page, fait="message")
    typed = Typed("message", {"words": words}, {"words": fault})
    return await show_thread(request, api, visitor, referral_id, now, typed)


@router.post("/relais/{referral_id}/document")
async def add_document(  # noqa: PLR0913 - who adds, to which thread, what
    request: Request, api: AsVisitor, visitor: SignedIn, referral_id: UUID, form: FormWithFile, now: Now
) -> Response:
    """Add a small document."""
    page, file, fault = f"/relais/{referral_id}", form.get("document"), ""
    if isinstance(file, UploadFile) and file.filename:
        kind = (file.content_type or "application/octet-stream").partition(";")[0]
        # A name of the sender's disk may hold a path; only its end is a name.
        title = file.filename.replace("\\", "/").rpartition("/")[2]
        try:
            await api.attach(f"/v1/referrals/{referral_id}/documents", await file.read(), kind, title)
        except ApiProblem as problem:
            if problem.status == CONFLICT:
                return go(page, fait="no_documents" if problem.slug == "consent-missing" else "not_now")
            if problem.status not in {INVALID, LARGE}:
                raise
            fault = _(
                "Ce document ne peut pas être pris. Choisissez un PDF ou une image (JPEG, PNG) d'un mégaoctet au plus, "
                "sans numéro national dans son nom."
            )
        else:
            return go(page, fait="document")
    typed = Typed("document", {}, {"document": fault or _("Choisissez un document.")})
    return await show_thread(request, api, visitor, referral_id, now, typed)


@router.get("/relais/{referral_id}/documents/{document_id}")
async def take_document(api: AsVisitor, referral_id: UUID, document_id: UUID) -> Response:
    """Give a document to keep in a file: it is never shown in place, and nothing in it acts."""
    content, kind = await api.file(f"/v1/referrals/{referral_id}/documents/{document_id}")
    # Without a name here the link's own `download` names the file, so that the title stands in no address.
    return Response(content, media_type=kind, headers={"Content-Disposition": "attachment"})


@router.post("/relais/{referral_id}/documents/{document_id}/retirer")
async def remove_document(api: AsVisitor, referral_id: UUID, document_id: UUID, _form: OurForm) -> Response:
    """Remove a document that this side added."""
    await api.delete(f"/v1/referrals/{referral_id}/documents/{document_id}")
    return go(f"/relais/{referral_id}", fait="document_removed")


@router.get("/relais/{referral_id}/rendez-vous.ics")
async def take_meeting(api: AsVisitor, referral_id: UUID) -> Response:
    """Give the meeting for a calendar: that the time is taken, and nothing of her."""
    content, kind = await api.file(f"/v1/referrals/{referral_id}/meetings.ics")
    return Response(content, media_type=kind, headers={"Content-Disposition": 'attachment; filename="rendez-vous.ics"'})


@router.post("/relais/{referral_id}/assign")
async def assign(api: AsVisitor, referral_id: UUID, form: OurForm) -> Response:
    """Give the thread to a colleague, a team, or back to everybody; who gives it away may not see it any more."""
    kind, _colon, id_ = text(form, "to").partition(":")
    body: Json = {"account": {"account_id": id_}, "team": {"team_id": id_}}.get(kind, {})
    await api.post(f"/v1/referrals/{referral_id}/assign", body)
    return go("/relais", fait="assign")


@router.post("/relais/{referral_id}/part")
async def withdraw_part(api: AsVisitor, referral_id: UUID, form: OurForm) -> Response:
    """Stop a part of the sharing, at her word."""
    body: Json = {"method": "counsellor", "data_categories": [each for each in texts(form, "parts") if each in PARTS]}
    if text(form, "feedback"):
        body["purposes"] = ["feedback"]
    if not (body["data_categories"] or body.get("purposes")):
        # Without a part everything would stop: that has its own button.
        return go(f"/relais/{referral_id}", fait="nothing_ticked")
    await api.post(f"/v1/consents/{segment(text(form, 'consent'))}/withdraw", body)
    return go(f"/relais/{referral_id}", fait="part")


@router.post("/relais/{referral_id}/redirect")
async def redirect(request: Request, api: AsVisitor, visitor: SignedIn, referral_id: UUID, form: OurForm) -> Response:
    """Open a linked draft toward another service, after a no; her agreement is asked anew there."""
    page = f"/relais/{referral_id}"
    try:
        service = UUID(text(form, "service"))
    except ValueError:
        return trouble(request, NOT_FOUND)
    try:
        made = await _redirected(api, visitor, referral_id, service, text(form, "version"))
    except ApiProblem as problem:
        if problem.status in {STALE, CONFLICT}:
            return go(page, fait="changed" if problem.status == STALE else "not_now")
        if problem.status != INVALID:
            raise
        return go(page, fait="not_theirs")
    return go(f"/relais/{made}", fait="redirect")


async def _redirected(api: Api, visitor: Visitor, referral_id: UUID, service: UUID, version: str) -> str:
    """Answer the id of the new draft."""
    offered = (await api.get(f"/v1/directory/services/{service}")).body
    by = Counsellor(visitor.name, visitor.email, visitor.function)
    to = {"organisation_id": offered["organisation"]["id"], "service_id": str(service)}
    body = {"recipient": to, "counsellor": by.body()}
    made = await api.post(f"/v1/referrals/{referral_id}/redirect", body, version=version, key=str(uuid4()))
    return str(made.body["id"])
