"""The `relais` command, gathered from what every installed package offers; `relais up` is ours."""

import ast
import asyncio
import signal
import sys
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from relais_local.home import CannotRun, Home

GROUP = "relais.commands"
"""The entry points that packages name their commands in: a function is a command, a typer app a group of them."""


def gather(called: str | None) -> typer.Typer:
    """Answer the `relais` command with the offer named `called`, ready to run; all of them where none is named.

    Those are only described, from their source: importing every service to print a list costs seconds.
    """
    relais = typer.Typer(add_completion=False, no_args_is_help=True)

    @relais.callback()
    def describe() -> None:
        """Hand a person over to the right local partner.

        Every command works on the installation that RELAIS_HOME names (default: var/).
        """

    offers = sorted(entry_points(group=GROUP), key=lambda offer: offer.name)
    wanted = [offer for offer in offers if offer.name == called]
    for offer in offers if not wanted else ():
        relais.command(offer.name, help=_described(offer))(describe)
    for offer in wanted:
        command = offer.load()
        if isinstance(command, typer.Typer):
            relais.add_typer(command, name=offer.name)
        else:
            relais.command(offer.name)(command)
    return relais


def _described(offer: EntryPoint) -> str:
    """Answer what an offered function's docstring says, or the `help` of an offered typer app."""
    spec = find_spec(offer.module)
    if spec is None or spec.origin is None:
        return ""
    for node in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body:
        match node:
            case ast.FunctionDef(name=offer.attr):
                return ast.get_docstring(node) or ""
            case ast.Assign(targets=[ast.Name(id=offer.attr)], value=ast.Call(keywords=keywords)):
                return "".join(str(ast.literal_eval(word.value)) for word in keywords if word.arg == "help")
    return ""


def up(
    *,
    demo: Annotated[
        bool, typer.Option(envvar="RELAIS_DEMO", help="Load the demonstration territory and its accounts.")
    ] = True,
) -> None:
    """Run everything on this machine until Ctrl-C: PostgreSQL, directory, referral, gateway."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Until the supervisor listens itself there is nothing to end.
        signal.signal(number, lambda *_: sys.exit(0))
    from relais_local.supervisor import Plan, Supervisor  # noqa: PLC0415 - not needed to print help

    asyncio.run(Supervisor(Home.from_environment(), Plan.from_environment(demo=demo), _say).run())


def backup(
    folder: Annotated[Path, typer.Argument(help="Where backups are kept, each in a folder named by its time.")],
    *,
    # An erased person's key is gone within 30 days: a backup kept longer would keep what nobody may have any more.
    keep_days: Annotated[int, typer.Option(min=1, max=30, help="Remove backups of this folder that are older.")] = 30,
) -> None:
    """Write every database to a backup; Relais may run meanwhile. Keys and secrets are kept elsewhere."""
    from relais_local import backups  # noqa: PLC0415 - not needed to print help

    made = asyncio.run(
        backups.backup(Home.from_environment(), folder, datetime.now(UTC), keep_days=keep_days, say=_say)
    )
    _say(f"Backup: {made}")


def restore(
    made: Annotated[Path, typer.Argument(help="The folder of one backup.")],
    *,
    replace: Annotated[bool, typer.Option(help="In the place of the data that are there.")] = False,
) -> None:
    """Put a backup in the place of an installation's data, all of it or nothing; Relais does not run meanwhile."""
    from relais_local import backups  # noqa: PLC0415 - not needed to print help

    asyncio.run(backups.restore(Home.from_environment(), made, replace=replace, say=_say))
    _say("Restored. Start Relais, then see that the keys fit: relais keys show, relais audit verify.")


def _say(line: str) -> None:
    with suppress(OSError):  # a closed terminal or pipe ends no service
        typer.echo(line)


def main() -> None:
    """Run `relais`; what cannot run says so in a line and exits with 1."""
    try:
        gather(next((word for word in sys.argv[1:] if not word.startswith("-")), None))()
    except CannotRun as reason:
        typer.echo(f"relais: {reason}", err=True)
        sys.exit(1)
