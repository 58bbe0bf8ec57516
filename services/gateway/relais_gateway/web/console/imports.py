"""Imports: a file sent in blocks from the browser, how far it came, and what became of each of its rows."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from starlette.datastructures import FormData, UploadFile
from starlette.responses import JSONResponse, Response

from relais_gateway.web.api import Api, ApiProblem, Json
from relais_gateway.web.console import words
from relais_gateway.web.console.desk import (
    CONFLICT,
    HOME,
    INVALID,
    back,
    exported,
    faults_by_field,
    page,
    rows,
    wants_file,
)
from relais_gateway.web.languages import _
from relais_gateway.web.session import AsVisitor, OurForm, SignedIn, Visitor, our_form, text
from relais_gateway.web.site import PageRoute

router = APIRouter(prefix=HOME, route_class=PageRoute, include_in_schema=False)

PATH: Final = f"{HOME}/imports"
API: Final = "/v1/directory/imports"
BLOCK: Final = 512 << 10
"""Bytes that go on at a time: the door takes a mebibyte, and a form's frame is part of it."""
MAPPINGS: Final = (
    "be-fwb-schools",
    "be-houses-of-justice",
    "be-sncb-facilities",
    "data-inclusion-974-2025",
    "fr-employment-services",
    "lu-osm-amenities",
)
"""The mappings that come with Relais; without one the file's own form is found out."""


async def _with_file(request: Request) -> FormData:
    return await our_form(request, files=1)


FileForm = Annotated[FormData, Depends(_with_file)]
"""A form of ours that carries a file, or a block of one."""


def _writes(visitor: Visitor) -> bool:
    return "directory:write" in visitor.scopes


@router.get("/imports")
async def imports(
    request: Request, api: AsVisitor, visitor: SignedIn, cursor: Annotated[str, Query(max_length=500)] = ""
) -> Response:
    """List the imports, the latest first."""
    if wants_file(request):
        header = [_("Fichier"), _("Source"), _("État"), _("Envoyé le"), *(_(one) for one in words.COUNTS.values())]
        lines = [
            (
                each["file"],
                each["source"],
                words.said(words.IMPORTS)[each["state"]],
                each["created_at"],
                *((each["report"] or {}).get(name) for name in words.COUNTS),
            )
            for each in await rows(api, API)
        ]
        return exported("imports", header, lines)
    body = (await api.get(API, {"limit": 20, **({"cursor": cursor} if cursor else {})})).body
    return page(
        request, "imports.html", items=body["items"], next_cursor=body["next_cursor"], writes=_writes(visitor),
        mappings=MAPPINGS, faults={}, typed={}, block=BLOCK, words=words,
    )  # fmt: skip


@router.post("/imports")
async def start_import(request: Request, api: AsVisitor, visitor: SignedIn, form: FileForm) -> Response:
    """Take a file whole; with a script the browser sends it in blocks instead, and sees it go."""
    file = form.get("file")
    content = await file.read() if isinstance(file, UploadFile) else b""
    name = file.filename or "" if isinstance(file, UploadFile) else ""
    faults = {} if content else {"file": _("Choisissez un fichier qui n'est pas vide.")}
    if not faults:
        try:
            id_ = await _announced(api, form, name, len(content))
            for start in range(0, len(content), BLOCK):
                await api.upload(f"{API}/{id_}/content", content[start : start + BLOCK], start)
            await api.post(f"{API}/{id_}/start", {})
        except ApiProblem as problem:
            faults = _said(problem)
        else:
            return back(f"{PATH}/{id_}", "importe")
    body = (await api.get(API)).body
    typed = {each: text(form, each) for each in ("source", "mapping")}
    return page(
        request, "imports.html", INVALID, items=body["items"], next_cursor=body["next_cursor"],
        writes=_writes(visitor), mappings=MAPPINGS, faults=faults, typed=typed, block=BLOCK, words=words,
    )  # fmt: skip


def _said(problem: ApiProblem) -> dict[str, str]:
    """Answer what to say beside which field.

    Raises:
        ApiProblem: None of them is the reason.
    """
    if problem.status == CONFLICT:
        return {"file": _("Trop d'imports attendent encore. Laissez-les finir, puis recommencez.")}
    if problem.status != INVALID:
        raise problem
    said = {
        "file": _("Le nom ou la taille de ce fichier ne peut pas être pris."),
        "source": _("Un nom de source s'écrit en minuscules, chiffres et tirets, par exemple liste-communale."),
        "mapping": _("Cette correspondance ne peut pas être prise."),
    }
    pointers = {"/file": "file", "/size": "file", "/source": "source", "/mapping": "mapping"}
    return {name: said.get(name, detail) for name, detail in faults_by_field(problem, pointers).items()}


async def _announced(api: Api, form: FormData, name: str, size: int) -> str:
    told: Json = {"file": name, "size": size, "source": text(form, "source") or "import"}
    if mapping := text(form, "mapping"):
        told["mapping"] = mapping
    return str((await api.post(API, told)).body["id"])


@router.post("/imports/annonce")
async def announce(api: AsVisitor, form: OurForm) -> Response:
    """Announce a file that the browser sends in blocks: answers its import, or what is wrong by field."""
    size = text(form, "size")
    try:
        id_ = await _announced(api, form, text(form, "name"), int(size) if size.isdecimal() else 0)
    except ApiProblem as problem:
        return JSONResponse({"faults": _said(problem)}, INVALID)
    return JSONResponse({"id": id_, "page": f"{PATH}/{id_}"})


@router.post("/imports/{import_id}/bloc")
async def send_block(api: AsVisitor, import_id: UUID, form: FileForm) -> Response:
    """Pass the next block on; with the last one the import starts."""
    block = form.get("block")
    if not isinstance(block, UploadFile) or not text(form, "offset").isdecimal():
        return JSONResponse({}, INVALID)
    content = await block.read()
    await api.upload(f"{API}/{import_id}/content", content, int(text(form, "offset")))
    if text(form, "last"):
        await api.post(f"{API}/{import_id}/start", {})
    return JSONResponse({"offset": int(text(form, "offset")) + len(content)})


@router.get("/imports/{import_id}")
async def one_import(request: Request, api: AsVisitor, visitor: SignedIn, import_id: UUID) -> Response:
    """Show one import: how far it came, its counts, and each row that was not taken with the reason."""
    job = (await api.get(f"{API}/{import_id}")).body
    report = job["report"] or {}
    if wants_file(request):
        header = [_("Ligne"), _("Fiche"), _("Champ"), _("Raison"), _("Refusée")]
        lines = [
            (one.get("line"), one.get("record"), one.get("field"), one["reason"], _("oui") if refused else _("non"))
            for refused, remarks in ((True, report.get("refusals", ())), (False, report.get("flags", ())))
            for one in remarks
        ]
        return exported("rapport", header, lines)
    whole = job["bytes_total"] * 2 if job["state"] != "receiving" else job["bytes_total"]
    done = job["bytes_received"] if job["state"] == "receiving" else job["bytes_read"]
    return page(
        request,
        "import.html",
        job=job,
        report=report,
        running=job["state"] in {"receiving", "waiting", "running"},
        percent=min(99, round(100 * done / whole)) if whole else 0,
        writes=_writes(visitor),
        words=words,
    )


@router.post("/imports/{import_id}/oublier")
async def forget_import(api: AsVisitor, import_id: UUID, _form: OurForm) -> Response:
    """Forget an import that ended, or that never started."""
    try:
        await api.delete(f"{API}/{import_id}")
    except ApiProblem as problem:
        if problem.status == CONFLICT:
            return back(f"{PATH}/{import_id}", "plus_tard")
        raise
    return back(PATH, "oublie")
