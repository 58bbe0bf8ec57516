"""Generated hand-overs, labelled so: the rows of one that was walked for real, turned into others', by COPY."""

import time
from collections.abc import Iterable, Sequence
from io import BytesIO
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg
from bare import Remap
from walk import TABLES, Seen

BLOCK = 5_000
"""Referrals copied at once: some ten megabytes of each table in memory."""
ORGANISATIONS = 2_000
"""Generated ones, whose hand-overs these are."""
STATES = ("propose", "accept", "close")
"""How far the generated ones came, in turn: as of a territory that is at work."""
SIGNS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
SENDER, RECIPIENT, CODE = UUID(int=1), UUID(int=2), "CODECODE"
"""What stands in a pattern where each generated hand-over has its own."""
SIDES: Final = {
    "sender_id": SENDER,
    "recipient_id": RECIPIENT,
    "sender_name": "Structure (générée)",
    "recipient_name": "Structure (générée)",
    "short_code": CODE,
}


async def fill(admin_dsn: str, remap: Remap, seen: Sequence[Seen], count: int) -> float:
    """Copy so many referrals with all their rows; answer the seconds that it took."""
    admin = await asyncpg.connect(admin_dsn)
    # Whoever generates knows what refers to what: keys are not looked up one by one.
    await admin.execute("set session_replication_role = replica; set statement_timeout = 0")
    began = time.perf_counter()
    tables = [table for table in TABLES if table != "idempotency"]
    stages = [
        {table: await _pattern(admin, table, one.after[table].values(), remap) for table in tables}
        for one in seen
        if one.step.name in STATES
    ]
    for first in range(0, count, BLOCK):
        facts = [(number, _facts(remap, number)) for number in range(first, min(first + BLOCK, count))]
        for table in tables:
            rows = "".join(stages[number % len(stages)][table] % own for number, own in facts)
            await admin.copy_to_table(table, source=BytesIO(rows.encode()))
    await admin.execute("vacuum analyze")
    await admin.execute("checkpoint")
    await admin.close()
    return time.perf_counter() - began


async def _pattern(admin: asyncpg.Connection, table: str, rows: Iterable[dict[str, Any]], remap: Remap) -> str:
    """Answer rows as PostgreSQL itself writes them for COPY, with a place for each value that differs."""
    pattern = f"pattern_of_{table}"
    await admin.execute(f"create temp table if not exists {pattern} (like {table}); truncate {pattern}")
    records = [tuple((row | SIDES if table == "referral" else row).values()) for row in rows]
    await admin.copy_records_to_table(pattern, records=records)
    written = BytesIO()
    await admin.copy_from_table(pattern, output=written)
    text = written.getvalue().decode().replace("%", "%%")
    for word in (*map(str, remap.own), str(SENDER), str(RECIPIENT), CODE):
        text = text.replace(word, f"%({word})s")
    return text


def _facts(remap: Remap, number: int) -> dict[str, str]:
    """Answer what differs for one generated hand-over, by what stands in the patterns."""
    turn = remap.toward(uuid4())
    return {
        **{str(id_): str(turn(id_)) for id_ in remap.own},
        str(SENDER): str(UUID(int=number % ORGANISATIONS)),
        str(RECIPIENT): str(UUID(int=(number * 7 + 1) % ORGANISATIONS)),
        CODE: "".join(SIGNS[number >> 5 * place & 31] for place in range(8)),
    }
