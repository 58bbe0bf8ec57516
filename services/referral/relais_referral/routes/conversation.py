"""What the two sides say to each other: messages, documents, meetings with iCalendar, tasks."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Request, Response

from relais_referral.actions import conversing
from relais_referral.papers.calendar import calendar
from relais_referral.routes import files
from relais_referral.routes.dependencies import READING, WRITING, Either, Pages, asked, keep_nothing, versioned
from relais_referral.schemas.conversation import (
    DocumentPage,
    DocumentView,
    MeetingView,
    MessagePage,
    MessageView,
    NewMessage,
    TaskDone,
    TaskPage,
    TaskView,
)
from relais_shared.clock import Now
from relais_shared.db import WriteTx
from relais_shared.service import Router

router = Router(prefix="/v1", tags=["conversation"])


@router.get("/referrals/{referral_id}/messages", response_model=MessagePage, responses=READING)
async def list_messages(
    request: Request, response: Response, referral_id: UUID, actor: Either, tx: WriteTx, now: Now
) -> MessagePage:
    """Read the thread with the other side; the reading is recorded."""
    keep_nothing(response)
    return MessagePage(items=await conversing.read_messages(tx, asked(request, actor, now), referral_id))


@router.post("/referrals/{referral_id}/messages", status_code=201, response_model=MessageView, responses=WRITING)
async def write_message(
    request: Request, response: Response, referral_id: UUID, body: NewMessage, actor: Either, tx: WriteTx, now: Now
) -> MessageView:
    """Write to the other side; before acceptance nothing that tells who she is."""
    keep_nothing(response)
    who = asked(request, actor, now)
    written = await conversing.write_message(tx, who, referral_id, body.words)
    await versioned(response, tx, who, referral_id)
    return written


@router.get("/referrals/{referral_id}/documents", response_model=DocumentPage, responses=READING)
async def list_documents(
    request: Request, response: Response, referral_id: UUID, actor: Either, tx: WriteTx, now: Now
) -> DocumentPage:
    """List the documents; her consent to `documents` opens them to the recipient, after acceptance."""
    keep_nothing(response)
    return DocumentPage(items=await conversing.list_documents(tx, asked(request, actor, now), referral_id))


@router.post(
    "/referrals/{referral_id}/documents",
    status_code=201,
    response_model=DocumentView,
    responses=WRITING,
    openapi_extra=files.A_DOCUMENT,
)
async def add_document(
    request: Request, response: Response, referral_id: UUID, actor: Either, tx: WriteTx, now: Now
) -> DocumentView:
    """Add a small document: its bytes as the body, its name in `Content-Disposition`."""
    keep_nothing(response)
    who = asked(request, actor, now)
    added = await conversing.add_document(tx, who, referral_id, *(await files.brought(request)))
    await versioned(response, tx, who, referral_id)
    return added


@router.get("/referrals/{referral_id}/documents/{document_id}", response_class=Response, responses=READING)
async def read_document(
    request: Request, referral_id: UUID, document_id: UUID, actor: Either, tx: WriteTx, now: Now
) -> Response:
    """Fetch a document to keep in a file: it is never shown in place, and nothing in it acts."""
    found = await conversing.read_document(tx, asked(request, actor, now), referral_id, document_id)
    return files.to_keep(document_id, *found)


@router.delete("/referrals/{referral_id}/documents/{document_id}", status_code=204, responses=WRITING)
async def remove_document(
    request: Request, response: Response, referral_id: UUID, document_id: UUID, actor: Either, tx: WriteTx, now: Now
) -> None:
    """Remove a document that your side added."""
    who = asked(request, actor, now)
    await conversing.remove_document(tx, who, referral_id, document_id)
    await versioned(response, tx, who, referral_id)


@router.get(
    "/referrals/{referral_id}/meetings",
    response_model=MeetingView,
    response_model_exclude_none=True,
    responses=READING,
)
async def read_meetings(
    request: Request, response: Response, referral_id: UUID, actor: Either, tx: WriteTx, now: Now
) -> MeetingView:
    """Read the meeting that stands, or the times that were offered."""
    keep_nothing(response)
    _referral, view = await conversing.read_meetings(tx, asked(request, actor, now), referral_id)
    return view


@router.get(
    "/referrals/{referral_id}/meetings.ics",
    response_class=Response,
    responses={**READING, 200: {"description": "The meeting.", "content": {files.CALENDAR: {}}}},
)
async def read_meeting_as_calendar(
    request: Request, referral_id: UUID, actor: Either, tx: WriteTx, now: Now
) -> Response:
    """Fetch the meeting for a calendar (iCalendar): that the time is taken, and nothing of her, not even where."""
    who = asked(request, actor, now)
    return files.dated(calendar(await conversing.entries(tx, who, referral_id)))


@router.get(
    "/meetings.ics",
    response_class=Response,
    responses={**READING, 200: {"description": "The meetings.", "content": {files.CALENDAR: {}}}},
)
async def read_meetings_as_calendar(request: Request, actor: Either, tx: WriteTx, now: Now) -> Response:
    """Fetch your side's planned meetings as one iCalendar feed; opening each is recorded.

    Fetch it with a token, as everything else: there is no address that opens it without.
    """
    return files.dated(calendar(await conversing.all_entries(tx, asked(request, actor, now))))


@router.get("/tasks", response_model=TaskPage, response_model_exclude_none=True, responses=READING)
async def list_tasks(
    request: Request,
    response: Response,
    actor: Either,
    tx: WriteTx,
    now: Now,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: str | None = None,
) -> TaskPage:
    """List what waits for your side, the oldest first."""
    pages = Pages.of(request, "tasks")
    items, more = await conversing.list_tasks(tx, asked(request, actor, now), pages.position(cursor), limit)
    return TaskPage(items=items, **pages.more(request, response, more))


@router.get(
    "/referrals/{referral_id}/tasks", response_model=TaskPage, response_model_exclude_none=True, responses=READING
)
async def list_tasks_of_referral(request: Request, referral_id: UUID, actor: Either, tx: WriteTx, now: Now) -> TaskPage:
    """List the tasks of a referral that are your side's."""
    return TaskPage(items=await conversing.tasks_of(tx, asked(request, actor, now), referral_id))


@router.post("/tasks/{task_id}/done", response_model=TaskView, response_model_exclude_none=True, responses=WRITING)
async def finish_task(
    request: Request, task_id: UUID, actor: Either, tx: WriteTx, now: Now, body: TaskDone | None = None
) -> TaskView:
    """Say that a task is done; what became of your own copy is told to her."""
    return await conversing.finish_task(tx, asked(request, actor, now), task_id, body or TaskDone())
