"""Endpoints of an organisation, and what was sent to them."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from relais_referral import store
from relais_referral.actions import webhooks
from relais_referral.domain.webhooks import DeliveryState
from relais_referral.models.shared import Idempotency
from relais_referral.models.webhooks import Delivery, Endpoint
from relais_referral.problems import TABLE
from relais_referral.schemas.events import (
    AttemptView,
    DeliveryPage,
    DeliveryView,
    EndpointChange,
    EndpointInput,
    EndpointList,
    EndpointMade,
    EndpointView,
    Health,
    Replayed,
    ReplayRange,
    Rotation,
    link,
)
from relais_referral.settings import ReferralSettings
from relais_referral.signing import SecretBox
from relais_referral.store.callers import Caller
from relais_shared import idempotency, problems
from relais_shared.auth import Actor, requires
from relais_shared.client import Outside
from relais_shared.clock import Now
from relais_shared.db import ReadTx, WriteTx
from relais_shared.http import CursorCodec, IfMatch, etag, next_link
from relais_shared.idempotency import OptionalKey, Replay, recall, remember
from relais_shared.outside import ForbiddenAddress, target
from relais_shared.refusals import (
    Fault,
    InvalidInput,
    MalformedRequest,
    NotFound,
    ScopeMissing,
    StaleVersion,
    Unauthenticated,
    VersionRequired,
)
from relais_shared.service import Router

router = Router(prefix="/v1/webhooks", tags=["webhooks"])

MayManage = Annotated[Actor, requires("webhook:manage")]
"""Whoever looks after an organisation's endpoints."""

_READ: Final[Any] = problems.responses(Unauthenticated, ScopeMissing, NotFound, InvalidInput)
_WRITE: Final[Any] = problems.responses(MalformedRequest, Unauthenticated, ScopeMissing, NotFound, InvalidInput)
_MAKE: Final[Any] = problems.responses(
    MalformedRequest,
    Unauthenticated,
    ScopeMissing,
    NotFound,
    idempotency.StillRunning,
    InvalidInput,
    idempotency.KeyReused,
    table=TABLE,
)
_CHANGE: Final[Any] = problems.responses(
    MalformedRequest, Unauthenticated, ScopeMissing, NotFound, StaleVersion, VersionRequired, InvalidInput
)


def _box(request: Request) -> SecretBox:
    return SecretBox(request.app.state.settings.secret_bytes())


Box = Annotated[SecretBox, Depends(_box)]
"""Opens and closes the secrets of endpoints."""


def _own(actor: Actor) -> UUID:
    if actor.organisation_id is None:
        raise NotFound(store.webhooks.NO_ENDPOINT)
    return actor.organisation_id


async def _judge_url(request: Request, url: str) -> None:
    """Judge an address, and where its host leads now; asked before any transaction opens.

    Raises:
        InvalidInput: It is none that is called.
    """
    settings: ReferralSettings = request.app.state.settings
    outside: Outside = request.app.state.outside
    try:
        await outside.check(target(url, ports=settings.webhook_ports, loopback=settings.webhook_loopback))
    except ForbiddenAddress as no:
        raise InvalidInput("This address is not called.", [Fault("/url", no.detail)]) from None


def _view(row: Endpoint, counts: dict[str, int], box: SecretBox, now: datetime) -> dict[str, Any]:
    return {
        "id": row.id,
        "url": row.url,
        "types": row.types,
        "description": row.description,
        "practice": row.practice,
        "enabled": row.disabled_at is None,
        "disabled_at": row.disabled_at,
        "disabled_reason": row.disabled_reason,
        "public_keys": [pair.public_key for pair in box.open(row.id, bytes(row.secrets)).held(now)],
        "created_at": row.created_at,
        "health": Health(
            failures=row.failures,
            failing_since=row.failing_since,
            last_success_at=row.last_success_at,
            last_failure_at=row.last_failure_at,
            waiting=counts.get(DeliveryState.WAITING, 0),
            set_aside=counts.get(DeliveryState.SET_ASIDE, 0),
        ),
    }


def _told(response: Response, row: Endpoint) -> None:
    response.headers["ETag"] = etag(row.version)
    response.headers["Cache-Control"] = "no-store"


@router.post("", status_code=201, response_model=EndpointMade, responses=_MAKE)
async def create_webhook(
    request: Request,
    response: Response,
    wanted: EndpointInput,
    actor: MayManage,
    key: OptionalKey,
    box: Box,
    tx: WriteTx,
    now: Now,
) -> EndpointMade:
    """Register where your events are sent; the answer shows the secret, this once (and to a repeat with its key).

    Sent is what your organisation may know of with its other scopes: `webhook:manage` alone receives nothing of
    referrals.
    """
    await _judge_url(request, wanted.url)
    await store.callers.begin(tx, Caller(actor))
    own = _own(actor)
    done = await recall(tx, Idempotency, key, own, now) if key is not None else None
    if done is not None:
        row = await store.webhooks.endpoint(tx, done.resource_id, own)
        secrets = box.open(row.id, bytes(row.secrets))
    else:
        row, secrets = await webhooks.register(tx, box, own, wanted, now)
        if key is not None:
            remember(tx, Idempotency, key, own, now, done=Replay(201, row.id))
    response.headers["Location"] = f"/v1/webhooks/{row.id}"
    _told(response, row)
    return EndpointMade(**_view(row, {}, box, now), secret=secrets.current.secret)


@router.get("", response_model=EndpointList, responses=_READ)
async def list_webhooks(response: Response, actor: MayManage, box: Box, tx: ReadTx, now: Now) -> EndpointList:
    """List your endpoints with how they do."""
    response.headers["Cache-Control"] = "no-store"
    await store.callers.begin(tx, Caller(actor))
    rows = await store.webhooks.endpoints(tx, _own(actor))
    counts = await store.webhooks.waiting(tx, [row.id for row in rows])
    return EndpointList(items=[EndpointView(**_view(row, counts.get(row.id, {}), box, now)) for row in rows])


@router.get("/{webhook_id}", response_model=EndpointView, responses=_READ)
async def read_webhook(
    response: Response, webhook_id: UUID, actor: MayManage, box: Box, tx: ReadTx, now: Now
) -> EndpointView:
    """Read an endpoint with how it does."""
    await store.callers.begin(tx, Caller(actor))
    row = await store.webhooks.endpoint(tx, webhook_id, _own(actor))
    _told(response, row)
    counts = await store.webhooks.waiting(tx, [row.id])
    return EndpointView(**_view(row, counts.get(row.id, {}), box, now))


@router.patch("/{webhook_id}", response_model=EndpointView, responses=_CHANGE)
async def change_webhook(
    request: Request,
    response: Response,
    webhook_id: UUID,
    wanted: EndpointChange,
    actor: MayManage,
    version: IfMatch,
    box: Box,
    tx: WriteTx,
    now: Now,
) -> EndpointView:
    """Change an endpoint, switch it off, or on again after a repair."""
    if wanted.url is not None:
        await _judge_url(request, wanted.url)
    await store.callers.begin(tx, Caller(actor))
    row = await webhooks.change(tx, _own(actor), webhook_id, wanted, version, now)
    await tx.flush()
    _told(response, row)
    counts = await store.webhooks.waiting(tx, [row.id])
    return EndpointView(**_view(row, counts.get(row.id, {}), box, now))


@router.delete("/{webhook_id}", status_code=204, responses=_READ)
async def remove_webhook(webhook_id: UUID, actor: MayManage, tx: WriteTx) -> None:
    """Remove an endpoint with its deliveries; what waits is not sent."""
    await store.callers.begin(tx, Caller(actor))
    await webhooks.remove(tx, _own(actor), webhook_id)


@router.post("/{webhook_id}/rotate", response_model=EndpointMade, responses=_WRITE)
async def rotate_webhook(
    response: Response,
    webhook_id: UUID,
    actor: MayManage,
    box: Box,
    tx: WriteTx,
    now: Now,
    wanted: Rotation | None = None,
) -> EndpointMade:
    """Change the secrets: until the overlap ends every message is signed with the old and the new ones."""
    await store.callers.begin(tx, Caller(actor))
    overlap = timedelta(hours=(wanted or Rotation()).overlap_hours)
    row, secrets = await webhooks.rotate(tx, box, _own(actor), webhook_id, overlap, now)
    await tx.flush()
    _told(response, row)
    counts = await store.webhooks.waiting(tx, [row.id])
    return EndpointMade(**_view(row, counts.get(row.id, {}), box, now), secret=secrets.current.secret)


def _delivery(request: Request, row: Delivery) -> DeliveryView:
    # What the organisation was not to know when it was due, its log does not tell either.
    known = row.state != DeliveryState.WITHHELD
    return DeliveryView(
        event_id=row.event_id,
        type=row.type if known else None,
        time=row.at,
        subject=link(request.app.state.settings.public_url, row.type, row.subject_id) if known else None,
        sequence=row.sequence if known else None,
        state=DeliveryState(row.state),
        attempts=[AttemptView.model_validate(one) for one in row.tries],
        next_attempt_at=row.next_at,
    )


@router.post("/{webhook_id}/test", status_code=202, response_model=DeliveryView, responses=_WRITE)
async def test_webhook(
    request: Request, response: Response, webhook_id: UUID, actor: MayManage, tx: WriteTx, now: Now
) -> DeliveryView:
    """Send a `webhook.test` at once, one time; read how it went where `Location` leads."""
    await store.callers.begin(tx, Caller(actor))
    row = await webhooks.test(tx, _own(actor), webhook_id, now)
    response.headers["Location"] = f"/v1/webhooks/{webhook_id}/deliveries/{row.event_id}"
    return _delivery(request, row)


class DeliveryQuery(BaseModel):
    """The filters of the log."""

    model_config = ConfigDict(extra="forbid")

    state: list[DeliveryState] = Field(default=[], description="Repeat for several; `set_aside` is what needs you.")
    limit: int = Field(default=50, ge=1, le=100)
    cursor: str | None = None


@router.get("/{webhook_id}/deliveries", response_model=DeliveryPage, responses=_READ)
async def list_deliveries(
    request: Request,
    response: Response,
    webhook_id: UUID,
    actor: MayManage,
    query: Annotated[DeliveryQuery, Query()],
    tx: ReadTx,
) -> DeliveryPage:
    """List what was sent to an endpoint and what waits, the newest first; what a receiver answered is not kept."""
    response.headers["Cache-Control"] = "no-store"
    codec = CursorCodec(request.app.state.settings.secret_bytes(), f"deliveries:{webhook_id}")
    before = None
    if query.cursor is not None:
        position, event_id = codec.decode(query.cursor)
        before = (int(position), UUID(event_id))
    await store.callers.begin(tx, Caller(actor))
    await store.webhooks.endpoint(tx, webhook_id, _own(actor))
    states = [str(state) for state in query.state]
    rows = await store.webhooks.deliveries(tx, webhook_id, states=states, before=before, limit=query.limit + 1)
    shown = rows[: query.limit]
    page = DeliveryPage(items=[_delivery(request, row) for row in shown])
    if len(rows) > query.limit:
        page.next_cursor = codec.encode([shown[-1].position, str(shown[-1].event_id)])
        response.headers["Link"] = next_link(request, page.next_cursor)
    return page


@router.get("/{webhook_id}/deliveries/{event_id}", response_model=DeliveryView, responses=_READ)
async def read_delivery(
    request: Request, response: Response, webhook_id: UUID, event_id: UUID, actor: MayManage, tx: ReadTx
) -> DeliveryView:
    """Read how one delivery went."""
    response.headers["Cache-Control"] = "no-store"
    await store.callers.begin(tx, Caller(actor))
    await store.webhooks.endpoint(tx, webhook_id, _own(actor))
    row = await store.webhooks.delivery(tx, webhook_id, event_id)
    if row is None:
        raise NotFound("There is no such delivery.")
    return _delivery(request, row)


@router.post(
    "/{webhook_id}/deliveries/{event_id}/replay", status_code=202, response_model=DeliveryView, responses=_WRITE
)
async def replay_delivery(
    request: Request, webhook_id: UUID, event_id: UUID, actor: MayManage, tx: WriteTx, now: Now
) -> DeliveryView:
    """Send one event again, under the same id; whether you may know of it is looked at anew."""
    await store.callers.begin(tx, Caller(actor))
    return _delivery(request, await webhooks.replay(tx, _own(actor), webhook_id, event_id, now))


@router.post("/{webhook_id}/replay", status_code=202, response_model=Replayed, responses=_WRITE)
async def replay_deliveries(
    webhook_id: UUID, actor: MayManage, tx: WriteTx, now: Now, wanted: ReplayRange | None = None
) -> Replayed:
    """Send a range again, in its order: what was set aside, unless told."""
    await store.callers.begin(tx, Caller(actor))
    return Replayed(count=await webhooks.replay_range(tx, _own(actor), webhook_id, wanted or ReplayRange(), now))
