"""The referral app's commands."""

import asyncio
import gc
import json
from collections.abc import Awaitable, Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from relais_referral.domain import handshake, retention
from relais_referral.domain.heads import Head
from relais_referral.settings import MIGRATIONS, ReferralSettings
from relais_shared.clock import utc_now
from relais_shared.db import Database, async_url
from relais_shared.settings import SettingsProblem

T = TypeVar("T")

app = typer.Typer(help="The referral app.", no_args_is_help=True)
audit = typer.Typer(help="The proof of what happened.", no_args_is_help=True)
mail = typer.Typer(help="E-mail that came back.", no_args_is_help=True)
figures = typer.Typer(help="The figures of past months.", no_args_is_help=True)
keys = typer.Typer(help="The wrapping keys of sealed data.", no_args_is_help=True)
console = Console()

AUDITS = "relais.audits"
"""The entry points of other packages' logs: a function that answers what it read and, line by line, what is wrong."""

BEGIN, END = "<!-- printed from the table -->", "<!-- end of the table -->"


@app.command()
def serve() -> None:
    """Serve the API until told to stop."""
    gc.disable()  # What it imports stays for as long as it serves: `service.serve` lets the collector begin.
    from relais_referral.app import create_app
    from relais_shared import service

    settings = ReferralSettings.load()
    service.serve(create_app(settings), settings)


@app.command()
def work(*, once: Annotated[bool, typer.Option(help="One round, then the end.")] = False) -> None:
    """Do what is due every minute: agreements that run out, answers overdue, data past their term, keys, proof."""
    from relais_referral import worker

    asyncio.run(worker.work(ReferralSettings.load(), once=once))


@app.command()
def migrate() -> None:
    """Bring the schema to the newest version."""
    from relais_shared.migrations import upgrade  # Alembic takes a tenth of a server's start.

    upgrade(ReferralSettings.load(), MIGRATIONS)


@app.command()
def diagram(
    *, check: Annotated[bool, typer.Option(help="Only say whether the pages are as the tables.")] = False
) -> None:
    """Print the rule tables into the docs: the handshake's two with their diagram, and how long data stay."""
    pages = {
        Path("docs/handshake.md"): (
            f"```mermaid\n{handshake.diagram()}\n```\n\n{handshake.table()}\n\n"
            f"### By telephone\n\n{handshake.table(handshake.BY_PHONE)}"
        ),
        Path("docs/retention.md"): retention.table(),
    }
    stale = [page for page, printed in pages.items() if not _print(page, printed, check=check)]
    for page in stale:
        console.print(f"{page} is not as the table says. Run: python -m relais_referral diagram")
    raise typer.Exit(1 if stale else 0)


def _print(page: Path, printed: str, *, check: bool) -> bool:
    """Put what is printed between a page's marks; answer whether it stands there in the end."""
    before = page.read_text(encoding="utf-8")
    head, _, rest = before.partition(BEGIN)
    _, _, tail = rest.partition(END)
    after = f"{head}{BEGIN}\n\n{printed}\n\n{END}{tail}"
    if not check:
        page.write_text(after, encoding="utf-8")
    return not check or after == before


@audit.command()
def verify(
    *,
    head: Annotated[
        Path | None, typer.Option(help="A head that was handed out earlier, as `audit head` printed it.")
    ] = None,
) -> None:
    """Find changed, removed, added or reordered events over all referrals, and daily heads that do not fit them.

    What else keeps a log that can be verified is verified with it: the gateway's of who changed what.
    """
    from relais_referral import auditing

    settings = ReferralSettings.load()
    public = auditing.public_keys(settings.home)
    exported = _handed_out(head) if head else None
    verdict = asyncio.run(
        _as_owner(settings, lambda tx: auditing.verify(tx, public, utc_now(), exported)),
    )
    # One line each, however narrow the terminal is: other programs read them.
    for fault in verdict.faults:
        typer.echo(fault)
    typer.echo(f"{verdict.referrals} referrals and {verdict.heads} daily heads, {len(verdict.faults)} faults.")
    wrong = len(verdict.faults)
    for offer in entry_points(group=AUDITS):
        said, faults = offer.load()()
        for fault in faults:
            typer.echo(fault)
        typer.echo(f"{said}, {len(faults)} faults.")
        wrong += len(faults)
    raise typer.Exit(1 if wrong else 0)


def _handed_out(path: Path) -> Head:
    try:
        return Head.of(json.loads(path.read_text()))
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise typer.BadParameter(f"That is no head as `audit head` prints it ({type(fault).__name__}).") from None


@audit.command()
def head() -> None:
    """Print the newest daily head, to hand to partners: with it, even a log that was rewritten whole shows."""
    from relais_referral import auditing

    found = asyncio.run(_as_owner(ReferralSettings.load(), auditing.newest_head))
    if found is None:
        console.print("There is no daily head yet: the worker writes one when a day is over.")
        raise typer.Exit(1)
    typer.echo(json.dumps(found.told(), indent=1))


async def _as_owner(settings: ReferralSettings, work: Callable[[AsyncSession], Awaitable[T]]) -> T:
    if settings.owner_dsn is None:
        raise SettingsProblem("RELAIS_REFERRAL_OWNER_DSN is needed: only the owner sees every referral's events.")
    engine = create_async_engine(async_url(settings.owner_dsn.get_secret_value()), hide_parameters=True)
    try:
        async with AsyncSession(engine) as session:
            return await work(session)
    finally:
        await engine.dispose()


@figures.callback()
def _figures() -> None:
    """What the months came to."""


@figures.command()
def rebuild(
    *, check: Annotated[bool, typer.Option(help="Only say which months are not as the event log says.")] = False
) -> None:
    """Count every month anew out of the event log, and the quality criteria of the last year out of its notes."""
    from relais_referral.actions import counting, reflecting

    months, differing = asyncio.run(
        _with_database(ReferralSettings.load(), lambda database: counting.rebuild(database, keep=not check))
    )
    for month in differing:
        typer.echo(f"{month:%Y-%m}: something else was kept than the event log says")
    typer.echo(f"{months} months, {len(differing)} {'differ' if check else 'put right'}.")
    periods, others = asyncio.run(
        _with_database(ReferralSettings.load(), lambda database: reflecting.rebuild(database, keep=not check))
    )
    for period in others:
        typer.echo(f"{period}: something else was kept than the notes on quality say")
    if periods:
        typer.echo(f"{periods} periods of notes, {len(others)} {'differ' if check else 'put right'}.")
    raise typer.Exit(1 if check and (differing or others) else 0)


@keys.command()
def show() -> None:
    """Show the wrapping keys: how old they are and how many referrals live under each; never a key."""
    from relais_referral import rewrapping
    from relais_referral.sealing import Sealer

    settings = ReferralSettings.load()
    under = asyncio.run(_with_database(settings, rewrapping.rows_by_key))
    for key_id, key in Sealer.load(settings.home).file.held().items():
        state = f"retiring since {key.retiring:%Y-%m-%d %H:%M}" if key.retiring else "living"
        console.print(f"{key_id}  made {key.made}  {state}  {under.get(key_id, 0)} referrals")


@keys.command()
def rotate() -> None:
    """Let every wrapping key turn over now: living referrals are wrapped anew, then the old keys are destroyed."""
    from relais_referral import rewrapping
    from relais_referral.sealing import Sealer

    settings = ReferralSettings.load()
    sealer = Sealer.load(settings.home)
    old = list(sealer.file.held())
    count = asyncio.run(
        _with_database(settings, lambda database: rewrapping.turn_over(database, sealer, old, utc_now()))
    )
    console.print(f"{count} referrals were wrapped anew. The worker destroys the {len(old)} old keys in a minute.")


async def _with_database(settings: ReferralSettings, work: Callable[[Database], Awaitable[T]]) -> T:
    database = Database(settings)
    try:
        return await work(database)
    finally:
        await database.close()


@mail.command("bounce")
def take_bounce(
    *, recipient: Annotated[str, typer.Option(help="The address that it came back to, as the envelope has it.")]
) -> None:
    """Take a message that came back, from standard input: the mail server pipes it here."""
    import sys

    from relais_referral.actions import mailing
    from relais_referral.mailing import undelivered

    settings = ReferralSettings.load()
    if not undelivered(sys.stdin.buffer.read()):
        # A delay, an absence note: nothing of it is final.
        return

    async def run() -> bool:
        database = Database(settings)
        try:
            return await mailing.bounce(database, settings, recipient, utc_now())
        finally:
            await database.close()

    console.print("noted" if asyncio.run(run()) else "not one of ours")
