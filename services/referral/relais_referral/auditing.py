"""The proof of what happened: a signed head for every day, and the search for whatever was changed since."""

import json
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from relais_referral.domain import chain
from relais_referral.domain.heads import START, End, Head, days_due, end_of, head_of
from relais_referral.models.referrals import Referral
from relais_referral.models.trail import DayHead, EventRow
from relais_shared.settings import SettingsProblem

AT_ONCE: Final = 1_000
"""Rows that a verification holds at a time."""
DAY: Final = timedelta(days=1)
ON_TIME: Final = timedelta(hours=1)
"""The worker looks every minute; a day that has been over for an hour more than it waits for should have its head."""


@dataclass
class Verdict:
    """What a verification found.

    Attributes:
        referrals: Chains that were read.
        heads: Daily heads that were read.
        faults: Everything that is not as it was written, each in one line; empty where all is well.
    """

    referrals: int = 0
    heads: int = 0
    faults: list[str] = field(default_factory=list)


def signing_key(home: Path) -> tuple[Ed25519PrivateKey, str]:
    """Answer the service's own signing key, and its id.

    Raises:
        SettingsProblem: `keys/referral.jwk` below `RELAIS_HOME` is not readable.
    """
    try:
        found = json.loads((home / "keys" / "referral.jwk").read_text())
        return Ed25519PrivateKey.from_private_bytes(_decoded(found["d"])), str(found["kid"])
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise SettingsProblem(
            f"$RELAIS_HOME/keys/referral.jwk cannot be read ({type(fault).__name__}). `relais up` makes it."
        ) from None


def public_keys(home: Path) -> dict[str, Ed25519PublicKey]:
    """Answer the keys that verify our signatures, by id; no private key is needed for it.

    Raises:
        SettingsProblem: `keys/internal.jwks.json` below `RELAIS_HOME` is not readable.
    """
    try:
        found = json.loads((home / "keys" / "internal.jwks.json").read_text())["keys"]
        return {
            str(key["kid"]): Ed25519PublicKey.from_public_bytes(_decoded(key["x"]))
            for key in found
            # The other services' keys stand beside it, and sign no head.
            if str(key["kid"]).startswith("referral:")
        }
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise SettingsProblem(
            f"$RELAIS_HOME/keys/internal.jwks.json cannot be read ({type(fault).__name__}). `relais up` makes it."
        ) from None


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


async def write_heads(tx: AsyncSession, key: Ed25519PrivateKey, key_id: str, now: datetime) -> list[Head]:
    """Write the head of every day that is over and has none; twice is no fault.

    Args:
        tx: Writing, as the worker: it sees every referral.
        key: Signs.
        key_id: How the key is called.
        now: The present instant.
    """
    await tx.execute(select(func.pg_advisory_xact_lock(7_236_413)))
    last = await tx.scalar(select(DayHead).order_by(col(DayHead.day).desc()).limit(1))
    first = await tx.scalar(select(func.min(col(EventRow.at))))
    written: list[Head] = []
    previous = bytes(last.hash) if last else START
    for day in days_due(last.day if last else None, first.astimezone(UTC).date() if first else None, now):
        unsigned = await _head_of(tx, day, previous)
        head = replace(unsigned, key_id=key_id, signature=key.sign(unsigned.hash))
        tx.add(
            DayHead(
                day=head.day,
                upto=head.upto,
                referrals=head.referrals,
                events=head.events,
                previous=head.previous,
                hash=head.hash,
                key_id=head.key_id,
                signature=head.signature,
            )
        )
        written.append(head)
        previous = head.hash
    return written


async def _head_of(tx: AsyncSession, day: date, previous: bytes) -> Head:
    """Compute a day's head from the events as they stand."""
    upto = end_of(day)
    since = upto - DAY
    ends: list[End] = []
    events = 0
    rows = await tx.stream(
        select(col(EventRow.referral_id), col(EventRow.number), col(EventRow.hash))
        .where(col(EventRow.at) >= since, col(EventRow.at) < upto)
        .order_by(col(EventRow.referral_id), col(EventRow.number)),
        execution_options={"yield_per": AT_ONCE},
    )
    async for referral_id, number, hash_ in rows:
        events += 1
        end = End(referral_id, number, bytes(hash_))
        if ends and ends[-1].referral_id == referral_id:
            ends[-1] = end
        else:
            ends.append(end)
    return head_of(day, ends, events=events, previous=previous)


async def newest_head(tx: AsyncSession) -> Head | None:
    """Answer the newest head, or nothing where no day was over yet."""
    row = await tx.scalar(select(DayHead).order_by(col(DayHead.day).desc()).limit(1))
    return _kept(row) if row else None


def _kept(row: DayHead) -> Head:
    return Head(
        day=row.day,
        referrals=row.referrals,
        events=row.events,
        previous=bytes(row.previous),
        hash=bytes(row.hash),
        key_id=row.key_id,
        signature=bytes(row.signature),
    )


async def verify(
    tx: AsyncSession, public: Mapping[str, Ed25519PublicKey], now: datetime, exported: Head | None = None
) -> Verdict:
    """Find changed, removed, added or reordered events over all referrals, and heads that do not fit them.

    Args:
        tx: As the owner, who sees every referral; nothing was asked in it yet.
        public: The keys that verify our signatures, by id.
        now: The present instant: days that were over an hour ago have a head.
        exported: A head that was handed out earlier: with it, chains and heads that were both rewritten show too.
    """
    # Steps go on being taken meanwhile: all that is read is read as it stood at one moment.
    await tx.connection(execution_options={"isolation_level": "REPEATABLE READ", "postgresql_readonly": True})
    verdict = Verdict()
    await _verify_chains(tx, verdict)
    heads = await _verify_heads(tx, public, verdict, now)
    if exported is not None:
        if not signed(exported, public.get(exported.key_id)):
            verdict.faults.append(f"head of {exported.day}: the one that was handed in bears no signature of ours")
        elif exported not in heads:
            verdict.faults.append(f"head of {exported.day}: it is not the one that was handed out")
    return verdict


async def _verify_chains(tx: AsyncSession, verdict: Verdict) -> None:
    heads = await tx.stream(
        select(col(Referral.id), col(Referral.event_head), col(Referral.event_count)).order_by(col(Referral.id)),
        execution_options={"yield_per": AT_ONCE},
    )
    chains = _chains(tx)
    at_hand = await anext(chains, None)
    async for id_, head, count in heads:
        verdict.referrals += 1
        while at_hand is not None and at_hand[0] < id_:
            verdict.faults.append(_orphans(at_hand[0]))
            at_hand = await anext(chains, None)
        events: list[chain.Event] = []
        if at_hand is not None and at_hand[0] == id_:
            events = at_hand[1]
            at_hand = await anext(chains, None)
        if fault := chain.first_fault(events, head=bytes(head), count=count):
            verdict.faults.append(f"{id_}: {fault}")
    while at_hand is not None:
        verdict.faults.append(_orphans(at_hand[0]))
        at_hand = await anext(chains, None)


def _orphans(referral_id: UUID) -> str:
    return f"{referral_id}: event 1 and those after it are there, the referral itself is not"


async def _chains(tx: AsyncSession) -> AsyncIterator[tuple[UUID, list[chain.Event]]]:
    """Answer the events by referral, one referral at a time."""
    rows = await tx.stream_scalars(
        select(EventRow).order_by(col(EventRow.referral_id), col(EventRow.number)),
        execution_options={"yield_per": AT_ONCE},
    )
    events: list[chain.Event] = []
    async for row in rows:
        one = _event(row)
        tx.expunge(row)  # What was read is not kept: there may be millions.
        if events and events[0].referral_id != one.referral_id:
            yield events[0].referral_id, events
            events = []
        events.append(one)
    if events:
        yield events[0].referral_id, events


def _event(row: EventRow) -> chain.Event:
    return chain.Event(
        referral_id=row.referral_id,
        number=row.number,
        at=row.at,
        type=row.type,
        actor=row.actor,
        organisation_id=row.organisation_id,
        data=row.data,
        previous=bytes(row.previous),
        hash=bytes(row.hash),
    )


async def _verify_heads(
    tx: AsyncSession, public: Mapping[str, Ed25519PublicKey], verdict: Verdict, now: datetime
) -> list[Head]:
    """Verify the head of every day, from that of the first event on; answer those that are there."""
    oldest = await tx.scalar(select(func.min(col(EventRow.at))))
    first = oldest.astimezone(UTC).date() if oldest else None
    rows = (await tx.scalars(select(DayHead).order_by(col(DayHead.day)))).all()
    heads = [_kept(row) for row in rows]
    verdict.heads = len(heads)
    previous, last = START, None
    for row, head in zip(rows, heads, strict=True):
        due = last + DAY if last else first
        if due and due < head.day:
            verdict.faults.append(f"head of {due}: it is missing")
        if head.previous != previous:
            verdict.faults.append(f"head of {head.day}: it does not follow the one before it")
        if not signed(head, public.get(head.key_id)):
            verdict.faults.append(f"head of {head.day}: its signature is not ours")
        fresh = await _head_of(tx, head.day, head.previous)
        if (fresh.hash, fresh.referrals, fresh.events) != (head.hash, head.referrals, head.events):
            verdict.faults.append(f"head of {head.day}: the events of that day are not those that were signed")
        if row.upto != head.upto:
            verdict.faults.append(f"head of {head.day}: it was changed")
        previous, last = head.hash, head.day
    if missing := days_due(last, first, now - ON_TIME):
        more = f", and {len(missing) - 1} after it" if missing[1:] else ""
        verdict.faults.append(f"head of {missing[0]}: it is missing{more}")
    return heads


def signed(head: Head, key: Ed25519PublicKey | None) -> bool:
    """Answer whether a key signed a head."""
    if key is None:
        return False
    try:
        key.verify(head.signature, head.hash)
    except InvalidSignature:
        return False
    return True
