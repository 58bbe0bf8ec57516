"""The proof of what happened: a signed head for every day, and the search for whatever was changed since."""

import json
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from relais_referral.domain import chain
from relais_referral.domain.heads import START, End, Head, days_due, end_of, head_of
from relais_referral.models import DayHead, EventRow, Referral
from relais_shared.settings import SettingsProblem

AT_ONCE = 1_000
"""Rows that a verification holds at a time."""


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


def keys_of(home: Path) -> tuple[Ed25519PrivateKey, str, Ed25519PublicKey]:
    """Answer the service's own signing key, its id, and its public half.

    Raises:
        SettingsProblem: `keys/referral.jwk` below `RELAIS_HOME` is not readable.
    """
    try:
        found = json.loads((home / "keys" / "referral.jwk").read_text())
        secret = urlsafe_b64decode(found["d"] + "=" * (-len(found["d"]) % 4))
        key = Ed25519PrivateKey.from_private_bytes(secret)
        return key, str(found["kid"]), key.public_key()
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise SettingsProblem(
            f"$RELAIS_HOME/keys/referral.jwk cannot be read ({type(fault).__name__}). `relais up` makes it."
        ) from None


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
    since = upto - timedelta(days=1)
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
    tx: AsyncSession, public: Callable[[str], Ed25519PublicKey | None], exported: Head | None = None
) -> Verdict:
    """Find changed, removed, added or reordered events over all referrals, and heads that do not fit them.

    Args:
        tx: Reading, as the owner: it sees every referral.
        public: Answers the public key of an id, or nothing.
        exported: A head that was handed out earlier: with it, chains and heads that were both rewritten show too.
    """
    verdict = Verdict()
    await _verify_chains(tx, verdict)
    await _verify_heads(tx, public, verdict, exported)
    return verdict


async def _verify_chains(tx: AsyncSession, verdict: Verdict) -> None:
    heads = await tx.stream(
        select(col(Referral.id), col(Referral.event_head)).order_by(col(Referral.id)),
        execution_options={"yield_per": AT_ONCE},
    )
    chains = _chains(tx)
    at_hand = await anext(chains, None)
    async for id_, head in heads:
        verdict.referrals += 1
        while at_hand is not None and at_hand[0] < id_:
            verdict.faults.append(f"{at_hand[0]}: its events are there, the referral itself is not")
            at_hand = await anext(chains, None)
        if at_hand is None or at_hand[0] != id_:
            verdict.faults.append(f"{id_}: every event is missing")
            continue
        if fault := chain.first_fault(at_hand[1], head=bytes(head)):
            verdict.faults.append(f"{id_}: {fault}")
        at_hand = await anext(chains, None)
    while at_hand is not None:
        verdict.faults.append(f"{at_hand[0]}: its events are there, the referral itself is not")
        at_hand = await anext(chains, None)


async def _chains(tx: AsyncSession) -> AsyncIterator[tuple[Any, list[chain.Event]]]:
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
    tx: AsyncSession,
    public: Callable[[str], Ed25519PublicKey | None],
    verdict: Verdict,
    exported: Head | None,
) -> None:
    previous, day = START, None
    found_exported = exported is None
    for row in (await tx.scalars(select(DayHead).order_by(col(DayHead.day)))).all():
        head = _kept(row)
        verdict.heads += 1
        if day is not None and (head.day - day).days != 1:
            verdict.faults.append(f"head of {head.day}: a day before it is missing")
        if head.previous != previous:
            verdict.faults.append(f"head of {head.day}: it does not follow the one before it")
        if not signed(head, public(head.key_id)):
            verdict.faults.append(f"head of {head.day}: its signature is not ours")
        fresh = await _head_of(tx, head.day, head.previous)
        if (fresh.hash, fresh.referrals, fresh.events) != (head.hash, head.referrals, head.events):
            verdict.faults.append(f"head of {head.day}: the events of that day are not those that were signed")
        if row.upto != head.upto:
            verdict.faults.append(f"head of {head.day}: it was changed")
        if exported is not None and head.day == exported.day:
            found_exported = head.hash == exported.hash
        previous, day = head.hash, head.day
    if not found_exported and exported is not None:
        verdict.faults.append(f"head of {exported.day}: it is not the one that was handed out")


def signed(head: Head, key: Ed25519PublicKey | None) -> bool:
    """Answer whether a key signed a head."""
    if key is None:
        return False
    try:
        key.verify(head.signature, head.hash)
    except InvalidSignature:
        return False
    return True
