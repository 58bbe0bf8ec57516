"""Generated hand-overs, labelled so: the rows of one that was walked for real, turned into others', by COPY."""

import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from bare import Remap
from walk import TABLES, Seen

BLOCK = 5_000
"""Referrals copied at once: some hundred thousand rows in memory."""
ORGANISATIONS = 2_000
"""Generated ones, whose hand-overs these are."""
STATES = ("propose", "accept", "close")
"""How far the generated ones came, in turn: as of a territory that is at work."""
SIGNS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"


async def fill(admin_dsn: str, remap: Remap, seen: Sequence[Seen], count: int) -> float:
    """Copy so many referrals with all their rows; answer the seconds that it took."""
    admin = await asyncpg.connect(admin_dsn)
    # Whoever generates knows what refers to what: keys are not looked up one by one.
    await admin.execute("set session_replication_role = replica; set statement_timeout = 0")
    began = time.perf_counter()
    stages = [one.after for one in seen if one.step.name in STATES]
    for first in range(0, count, BLOCK):
        numbers = range(first, min(first + BLOCK, count))
        ids = [(number, uuid4()) for number in numbers]
        for table in TABLES:
            if table == "idempotency":
                continue
            columns = list(next(iter(stages[-1][table].values())))
            records = [
                tuple(row.values())
                for number, new in ids
                for row in _turned(table, stages[number % len(stages)][table].values(), remap, number, new)
            ]
            await admin.copy_records_to_table(table, records=records, columns=columns)
    await admin.execute("vacuum analyze")
    await admin.execute("checkpoint")
    await admin.close()
    return time.perf_counter() - began


def _turned(table: str, rows: Any, remap: Remap, number: int, new: UUID) -> list[dict[str, Any]]:  # noqa: ANN401 - a view of rows
    turn = remap.toward(new)
    found = [{name: turn(value) for name, value in row.items()} for row in rows]
    if table == "referral":
        sides = {
            "sender_id": UUID(int=number % ORGANISATIONS),
            "recipient_id": UUID(int=(number * 7 + 1) % ORGANISATIONS),
            "sender_name": "Structure (générée)",
            "recipient_name": "Structure (générée)",
            "short_code": "".join(SIGNS[number >> 5 * place & 31] for place in range(8)),
        }
        found = [row | sides for row in found]
    return found
