"""What travels of events and webhooks: thin, and never anything of hers."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StrictBool

from relais_referral.domain.events import OF_DIRECTORY, TYPES
from relais_referral.domain.webhooks import DeliveryState, Disabled
from relais_referral.schemas.common import Input, Line


def _known(type_: str) -> str:
    if type_ not in TYPES:
        raise ValueError("There is no such type of event.")
    return type_


EventType = Annotated[str, AfterValidator(_known), Field(json_schema_extra={"enum": list(TYPES)})]
"""One of the types that leave."""

USUAL_TYPES = tuple(one for one in TYPES if one not in OF_DIRECTORY)
"""What an endpoint is sent unless it chooses: the directory's changes are many, and must be asked for."""


LONGEST_URL = 2_000
"""Characters: more than any server takes."""


class EventItem(BaseModel):
    """An event: what happened to what, and where to read more; nothing of hers."""

    id: UUID = Field(description="The same in the feed, in the stream and as `webhook-id`: know a repeat by it.")
    type: str
    time: datetime
    subject: str = Field(description="Where to read how it stands now, with your own rights.")
    subject_id: UUID
    sequence: int | None = Field(
        default=None,
        description="Of a referral: the number of this event among all that you are told of it, from 1, without gaps.",
    )
    practice: bool = Field(default=False, description="Of a rehearsal; nothing real happened.")


class EventFeed(BaseModel):
    """Events in the order of their positions."""

    items: list[EventItem]
    more: bool = Field(description="There is more at once; else ask again later.")
    next_cursor: str = Field(description="Give it as `cursor`, now or tomorrow, here or to the stream.")


class EndpointInput(Input):
    """A new endpoint."""

    url: str = Field(max_length=LONGEST_URL, description="https, a public host, port 443 or 8443.")
    types: list[EventType] | None = Field(
        default=None,
        min_length=1,
        description="What is sent; all but the directory's changes unless told.",
    )
    description: Line | None = None
    practice: StrictBool = Field(default=False, description="It is sent what happens in rehearsals, and nothing else.")


class EndpointChange(Input):
    """What changes of an endpoint; what is absent stays."""

    url: str | None = Field(default=None, max_length=LONGEST_URL)
    types: list[EventType] | None = Field(default=None, min_length=1)
    description: Line | None = None
    enabled: StrictBool | None = Field(
        default=None, description="`true` after a repair; what was set aside is replayed apart."
    )


class Health(BaseModel):
    """How an endpoint does."""

    failures: int = Field(description="In a row; 0 when the last one was taken.")
    failing_since: datetime | None
    last_success_at: datetime | None
    last_failure_at: datetime | None
    waiting: int = Field(description="Deliveries that will be tried.")
    set_aside: int = Field(description="Deliveries that nobody tries until you replay them.")


class EndpointView(BaseModel):
    """An endpoint."""

    id: UUID
    url: str
    types: list[str]
    description: str | None
    practice: bool
    enabled: bool
    disabled_at: datetime | None
    disabled_reason: Disabled | None
    public_keys: list[str] = Field(description="For `v1a` (Ed25519); two while an old one still signs.")
    created_at: datetime
    health: Health


class EndpointMade(EndpointView):
    """An endpoint with its secret."""

    secret: str = Field(description="For `v1` (HMAC). Shown here once: keep it as you keep a password.")


class EndpointList(BaseModel):
    """An organisation's endpoints."""

    items: list[EndpointView]


class Rotation(Input):
    """How long the old secret still signs beside the new one."""

    overlap_hours: int = Field(default=24, ge=0, le=168, description="0: the old one is worth nothing from now on.")


class AttemptView(BaseModel):
    """One attempt of a delivery."""

    model_config = ConfigDict(extra="ignore")

    at: datetime
    duration_ms: int
    status: int | None = None
    fault: str | None = Field(
        default=None, description="Where no answer came: timeout, connection, tls, address (none that is called)."
    )


class DeliveryView(BaseModel):
    """One event for one endpoint."""

    event_id: UUID
    type: str | None = Field(description="None of what was withheld: nor its subject, nor its sequence.")
    time: datetime
    subject: str | None
    sequence: int | None
    state: DeliveryState
    attempts: list[AttemptView] = Field(description="The last ones, the oldest first.")
    next_attempt_at: datetime | None


class DeliveryPage(BaseModel):
    """Deliveries, the newest first."""

    items: list[DeliveryView]
    next_cursor: str | None = None


class ReplayRange(Input):
    """Which deliveries are put in line again."""

    since: AwareDatetime | None = Field(default=None, description="Of events from then on.")
    until: AwareDatetime | None = None
    states: list[Literal[DeliveryState.SET_ASIDE, DeliveryState.WITHHELD, DeliveryState.DELIVERED]] = Field(
        default=[DeliveryState.SET_ASIDE], min_length=1
    )


class Replayed(BaseModel):
    """How many deliveries were put in line again."""

    count: int


def link(public_url: str, type_: str, subject_id: UUID) -> str:
    """Answer where the subject of an event is read."""
    kind = "services" if type_ in OF_DIRECTORY else type_.partition(".")[0]
    path = {"services": "directory/services", "webhook": "webhooks"}.get(kind, "referrals")
    return f"{public_url.rstrip('/')}/v1/{path}/{subject_id}"


def item(public_url: str, told: Any) -> EventItem:  # noqa: ANN401 - a row of the feed, or a delivery
    """Represent an event; a delivery is one too, by its event's id."""
    event_id = getattr(told, "event_id", None) or told.id
    return EventItem(
        id=event_id,
        type=told.type,
        time=told.at,
        subject=link(public_url, told.type, told.subject_id),
        subject_id=told.subject_id,
        sequence=told.sequence,
        practice=told.practice,
    )
