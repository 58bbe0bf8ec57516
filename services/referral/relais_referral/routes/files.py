"""Files that come and go: a document as a body, a paper as a page or PDF, a calendar."""

import asyncio
from email.message import Message as Header
from enum import StrEnum
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Depends, Query, Request, Response
from pydantic import TypeAdapter

from relais_referral.domain.documents import KINDS
from relais_referral.papers.paper import Paper, as_html, as_pdf
from relais_referral.schemas.common import Line
from relais_shared.refusals import Fault, InvalidInput

PAGE, PDF, JSON_LD, CALENDAR = "text/html", "application/pdf", "application/ld+json", "text/calendar"

PRIVATE: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
"""Nobody keeps it, and nothing in it is taken for something else."""

A_DOCUMENT: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in KINDS},
    }
}
"""How OpenAPI says that the body is a document."""


class Form(StrEnum):
    """How a paper is read."""

    JSON = "json"  # as facts, where it has them
    PAGE = "page"  # to print from a browser
    PDF = "pdf"  # to keep, and to have read aloud


def _form(
    request: Request,
    form: Annotated[Form | None, Query(description="Where absent, the first of these that `Accept` names.")] = None,
) -> Form | None:
    if form is not None:
        return form
    wanted = request.headers.get("accept", "")
    named = {PDF: Form.PDF, PAGE: Form.PAGE, JSON_LD: Form.JSON, "application/json": Form.JSON}
    found = [(wanted.index(name), form) for name, form in named.items() if name in wanted]
    return min(found)[1] if found else None


WantedForm = Annotated[Form | None, Depends(_form)]
"""In which form the caller wants a paper; None where it names none."""


def papers(*more: str) -> dict[int | str, Any]:
    """Answer how OpenAPI says that a paper comes as a page or PDF, or as these media types too."""
    media = {name: {"schema": {"type": "string"}} for name in (PAGE, *more)}
    return {200: {"description": "The paper.", "content": {**media, PDF: {"schema": {"type": "string"}}}}}


async def printed(paper: Paper, form: Form | None) -> Response:
    """Answer a paper as a page, or as a PDF."""
    if form is Form.PDF:
        # Setting a page takes a moment of computing: other requests go on meanwhile.
        content = await asyncio.to_thread(as_pdf, paper)
        return Response(content, media_type=PDF, headers={**PRIVATE, "Content-Disposition": "attachment"})
    # Its style stands in the page, and nothing else may be loaded or run.
    policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
    return Response(as_html(paper), media_type=PAGE, headers={**PRIVATE, "Content-Security-Policy": policy})


def dated(calendar: bytes) -> Response:
    """Answer meetings for a calendar."""
    return Response(calendar, media_type=CALENDAR, headers={**PRIVATE, "Content-Disposition": "attachment"})


def to_keep(document_id: UUID, media_type: str, content: bytes) -> Response:
    """Answer a document to keep in a file: it is never shown in place, and nothing in it acts."""
    headers = {
        **PRIVATE,
        "Content-Disposition": f'attachment; filename="{document_id}"',
        "Content-Security-Policy": "sandbox; default-src 'none'",
    }
    return Response(content, media_type=media_type, headers=headers)


_TITLE: Final = TypeAdapter[str](Line)


async def brought(request: Request) -> tuple[str, str, bytes]:
    """Answer the title, media type and bytes of a document that is sent as a body.

    Raises:
        InvalidInput: Its name is none that can stand on a line.
    """
    header = Header()
    header["content-type"] = request.headers.get("content-type", "")
    header["content-disposition"] = request.headers.get("content-disposition", "")
    try:
        title = _TITLE.validate_python((header.get_filename() or "document")[:200])
        title.encode()  # What some charsets decode to is no text that can be kept.
    except ValueError:
        raise InvalidInput(
            "This name cannot be taken.", [Fault("?title", "One line, no control characters.")]
        ) from None
    return title, header.get_content_type(), await request.body()
