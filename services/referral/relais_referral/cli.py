"""The referral app's commands."""

import asyncio
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlmodel import col

from relais_referral.app import MIGRATIONS, create_app
from relais_referral.domain import chain, handshake
from relais_referral.models import EventRow, Referral
from relais_referral.settings import ReferralSettings
from relais_shared import service
from relais_shared.db import async_url
from relais_shared.migrations import upgrade
from relais_shared.settings import SettingsProblem

app = typer.Typer(help="The referral app.", no_args_is_help=True)
audit = typer.Typer(help="The proof of what happened.", no_args_is_help=True)
console = Console()

HANDSHAKE = Path("docs/handshake.md")
BEGIN, END = "<!-- printed from the table -->", "<!-- end of the table -->"


@app.command()
def serve() -> None:
    """Serve the API until told to stop."""
    settings = ReferralSettings.load()
    service.serve(create_app(settings), settings)


@app.command()
def migrate() -> None:
    """Bring the schema to the newest version."""
    upgrade(ReferralSettings.load(), MIGRATIONS)


@app.command()
def diagram(*, check: Annotated[bool, typer.Option(help="Only say whether the page is as the table.")] = False) -> None:
    """Print the handshake's table and diagram into docs/handshake.md."""
    before = HANDSHAKE.read_text(encoding="utf-8")
    head, _, rest = before.partition(BEGIN)
    _, _, tail = rest.partition(END)
    after = f"{head}{BEGIN}\n\n```mermaid\n{handshake.diagram()}\n```\n\n{handshake.table()}\n\n{END}{tail}"
    if check and after != before:
        console.print(f"{HANDSHAKE} is not as the table says. Run: python -m relais_referral diagram")
        raise typer.Exit(1)
    HANDSHAKE.write_text(after, encoding="utf-8")


@audit.command()
def verify() -> None:
    """Find changed, removed or reordered events, over all referrals."""
    faults, count = asyncio.run(_verify(ReferralSettings.load()))
    for fault in faults:
        console.print(fault)
    console.print(f"{count} referrals, {len(faults)} with a broken chain.")
    raise typer.Exit(1 if faults else 0)


async def _verify(settings: ReferralSettings) -> tuple[list[str], int]:
    if settings.owner_dsn is None:
        raise SettingsProblem("RELAIS_REFERRAL_OWNER_DSN is needed: only the owner sees every referral's events.")
    engine = create_async_engine(async_url(settings.owner_dsn.get_secret_value()), hide_parameters=True)
    faults, count = [], 0
    async with AsyncSession(engine) as session:
        heads = {id_: bytes(head) for id_, head in await _heads(session)}
        rows = await session.stream_scalars(select(EventRow).order_by(col(EventRow.referral_id), col(EventRow.number)))
        kept = [_event(row) async for row in rows]
        for id_, events in groupby(kept, key=lambda event: event.referral_id):
            count += 1
            fault = chain.first_fault(events, head=heads.pop(id_, b""))
            if fault:
                faults.append(f"{id_}: {fault}")
        faults += [f"{id_}: every event is missing" for id_ in heads]
        count += len(heads)
    await engine.dispose()
    return faults, count


async def _heads(session: AsyncSession) -> list[tuple[object, bytes]]:
    rows = await session.execute(select(col(Referral.id), col(Referral.event_head)))
    return [(row[0], row[1]) for row in rows]


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
