"""The `relais` command, gathered from what every installed package offers; `relais up` is ours."""

import asyncio
import signal
import sys
from contextlib import suppress
from importlib.metadata import entry_points
from typing import Annotated

import typer

from relais_local.home import CannotRun, Home

GROUP = "relais.commands"
"""The entry points that packages name their commands in: a function is a command, a typer app a group of them."""


def gather(called: str) -> typer.Typer:
    """Answer the `relais` command; when `called` names one that is offered, no other is imported."""
    relais = typer.Typer(add_completion=False, no_args_is_help=True)

    @relais.callback()
    def describe() -> None:
        """Hand a person over to the right local partner.

        Every command works on the installation that RELAIS_HOME names (default: var/).
        """

    offers = sorted(entry_points(group=GROUP), key=lambda offer: offer.name)
    for offer in [offer for offer in offers if offer.name == called] or offers:
        command = offer.load()
        if isinstance(command, typer.Typer):
            relais.add_typer(command, name=offer.name)
        else:
            relais.command(offer.name)(command)
    return relais


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


def _say(line: str) -> None:
    with suppress(OSError):  # a closed terminal or pipe ends no service
        typer.echo(line)


def main() -> None:
    """Run `relais`; what cannot run says so in a line and exits with 1."""
    try:
        gather(sys.argv[1] if len(sys.argv) > 1 else "")()
    except CannotRun as reason:
        typer.echo(f"relais: {reason}", err=True)
        sys.exit(1)
