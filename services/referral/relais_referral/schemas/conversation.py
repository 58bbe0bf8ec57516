"""What travels between the two sides: messages, documents, times to meet, tasks."""

from datetime import datetime
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from relais_referral.schemas.common import Input, Line, Text, View, shown


class TaskDone(Input):
    """What was done about a task."""

    how: Literal["told_in_person", "told_by_phone", "told_in_writing", "told_by_relay", "not_possible", "done"] = "done"
    local_copy: Literal["erased", "kept"] | None = Field(default=None, description="For a task `local_copy`.")
    basis: Line | None = Field(default=None, description="On what basis a copy is kept.")

    @model_validator(mode="after")
    def _basis(self) -> Self:
        if (self.local_copy == "kept") != (self.basis is not None):
            raise ValueError("Say on what basis the copy is kept, and only then.")
        return self


class NewMessage(Input):
    """A message to the other side."""

    model_config = shown(words="Elle vient avec sa sœur, qui traduit.")

    words: Text


class TaskView(View):
    """Something that waits for one side."""

    id: UUID
    referral_id: UUID
    short_code: str
    party: str
    kind: str
    reason: str
    opened_at: datetime
    done_at: datetime | None = None
    answer: dict[str, Any] | None = None


class TaskPage(View):
    """Tasks, the oldest first."""

    items: list[TaskView]
    next_cursor: str | None = None


class MessageView(View):
    """A message of the thread."""

    id: UUID
    at: datetime
    party: str
    organisation_id: UUID | None = None
    author: str
    words: str


class MessagePage(View):
    """The thread, the oldest first."""

    items: list[MessageView]


class DocumentView(View):
    """A document of a referral; its content is fetched apart, and never shown in place."""

    id: UUID
    at: datetime
    party: str
    organisation_id: UUID | None = None
    media_type: str
    size: int
    title: str


class DocumentPage(View):
    """The documents, the oldest first."""

    items: list[DocumentView]


class MeetingView(View):
    """The meeting that stands, or the times that were offered."""

    meeting: dict[str, Any] | None = None
    options: list[dict[str, Any]] = Field(default=[])
