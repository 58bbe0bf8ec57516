"""What an organisation does with its endpoints: register, change, test, rotate their secrets, replay."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from relais_referral import store
from relais_referral.domain.events import TEST
from relais_referral.domain.webhooks import DeliveryState, Disabled
from relais_referral.models.webhooks import Delivery, Endpoint
from relais_referral.schemas.events import USUAL_TYPES, EndpointChange, EndpointInput, ReplayRange
from relais_referral.signing import Pair, SecretBox, Secrets
from relais_shared.refusals import InvalidInput, NotFound, StaleVersion

MOST: Final = 20
"""Endpoints of one organisation: several systems with several purposes each."""


async def register(
    tx: AsyncSession, box: SecretBox, organisation_id: UUID, wanted: EndpointInput, now: datetime
) -> tuple[Endpoint, Secrets]:
    """Register an endpoint whose address was judged; answer it with its secrets.

    Raises:
        InvalidInput: The organisation has as many as it may.
    """
    if len(await store.webhooks.endpoints(tx, organisation_id)) >= MOST:
        raise InvalidInput(f"You have {MOST} endpoints: remove one first.")
    id_, secrets = uuid4(), Secrets(Pair.new())
    row = Endpoint(
        id=id_,
        organisation_id=organisation_id,
        url=wanted.url,
        description=wanted.description,
        types=sorted(set(wanted.types or USUAL_TYPES)),
        practice=wanted.practice,
        secrets=box.close(id_, secrets),
        created_at=now,
    )
    tx.add(row)
    await tx.flush()
    return row, secrets


async def change(  # noqa: PLR0913 - whose, which, how, on which version
    tx: AsyncSession, organisation_id: UUID, id_: UUID, wanted: EndpointChange, version: str, now: datetime
) -> Endpoint:
    """Change an endpoint; switched on again, it begins without a past.

    Raises:
        NotFound: Absent, or another's.
        StaleVersion: It changed since it was read.
    """
    row = await store.webhooks.endpoint(tx, id_, organisation_id, lock=True)
    if version != str(row.version):
        raise StaleVersion("It changed since you read it: read it again, then decide again.")
    given = wanted.model_dump(exclude_unset=True)
    if wanted.url is not None:
        row.url = wanted.url
    if wanted.types is not None:
        row.types = sorted(set(wanted.types))
    if "description" in given:
        row.description = wanted.description
    if wanted.enabled is False and row.disabled_at is None:
        await store.webhooks.disable(tx, row, Disabled.BY_OWNER, now)
    if wanted.enabled is True and row.disabled_at is not None:
        row.disabled_at = row.disabled_reason = row.rests_until = row.failing_since = None
        row.failures = 0
    row.version += 1
    return row


async def remove(tx: AsyncSession, organisation_id: UUID, id_: UUID) -> None:
    """Remove an endpoint with its log.

    Raises:
        NotFound: Absent, or another's.
    """
    await store.webhooks.endpoint(tx, id_, organisation_id)
    await tx.execute(delete(Endpoint).where(col(Endpoint.id) == id_))


async def rotate(  # noqa: PLR0913 - whose, which, how
    tx: AsyncSession, box: SecretBox, organisation_id: UUID, id_: UUID, overlap: timedelta, now: datetime
) -> tuple[Endpoint, Secrets]:
    """Give an endpoint new secrets; the present ones sign beside them until the overlap ends.

    Raises:
        NotFound: Absent, or another's.
    """
    row = await store.webhooks.endpoint(tx, id_, organisation_id, lock=True)
    secrets = box.open(id_, bytes(row.secrets)).rotated(now, overlap)
    row.secrets = box.close(id_, secrets)
    row.version += 1
    return row, secrets


async def test(tx: AsyncSession, organisation_id: UUID, id_: UUID, now: datetime) -> Delivery:
    """Put a test in line: it is sent once, at once, whatever types the endpoint wants.

    Raises:
        NotFound: Absent, or another's.
        InvalidInput: The endpoint is switched off.
    """
    endpoint = await store.webhooks.endpoint(tx, id_, organisation_id)
    if endpoint.disabled_at is not None:
        raise InvalidInput("It is switched off: switch it on first.")
    row = Delivery(
        endpoint_id=id_,
        event_id=uuid4(),
        organisation_id=organisation_id,
        position=await store.feed.last_position(tx),
        type=TEST,
        at=now,
        # The endpoint itself: no event of a referral waits for a test.
        subject_id=id_,
        practice=endpoint.practice,
        state=DeliveryState.WAITING,
        tries=[],
        next_at=now,
    )
    tx.add(row)
    await store.feed.call_worker(tx)
    return row


async def replay(tx: AsyncSession, organisation_id: UUID, id_: UUID, event_id: UUID, now: datetime) -> Delivery:
    """Put one delivery in line again, whatever became of it.

    Raises:
        NotFound: No such delivery of an endpoint of yours.
    """
    await store.webhooks.endpoint(tx, id_, organisation_id)
    await store.webhooks.put_in_line(tx, id_, now, event_id=event_id)
    row = await store.webhooks.delivery(tx, id_, event_id)
    if row is None:
        raise NotFound("There is no such delivery.")
    return row


async def replay_range(tx: AsyncSession, organisation_id: UUID, id_: UUID, wanted: ReplayRange, now: datetime) -> int:
    """Put deliveries in line again, in their order; answer how many.

    Raises:
        NotFound: Absent, or another's.
    """
    await store.webhooks.endpoint(tx, id_, organisation_id)
    return await store.webhooks.put_in_line(
        tx, id_, now, states=[str(state) for state in wanted.states], since=wanted.since, until=wanted.until
    )
