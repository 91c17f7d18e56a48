"""The command line: ``b2brecs --help``. Results go to stdout, the log and errors to stderr."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Annotated

import typer

from b2brecs.cli import connections, jobs, runs, scheduler, secrets
from b2brecs.cli.group import Commands, Options

app = typer.Typer(
    name="b2brecs",
    cls=Commands,
    help="Connections, jobs, runs and schedules of a b2brecs home.\n\n"
    "Exit codes: 0 ok, 1 a run or a test failed, 2 wrong usage or configuration, 130 cancelled.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(connections.app, name="connections")
app.add_typer(jobs.app, name="jobs")
app.add_typer(runs.app, name="runs")
app.add_typer(secrets.app, name="secrets")
app.command("scheduler")(scheduler.scheduler)


@app.callback()
def options(
    context: typer.Context,
    *,
    home: Annotated[
        str,
        typer.Option(
            envvar="B2BRECS_HOME",
            help="Where to work: a folder, local, local:folder, or gcp://project/region.",
        ),
    ] = "local",
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks, and log more.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Log warnings and errors only.")] = False,
) -> None:
    """Take what all commands share."""
    context.obj = Options(home, debug)
    level = logging.DEBUG if debug else logging.WARNING if quiet else logging.INFO
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log = logging.getLogger("b2brecs")
    log.handlers = [handler]
    log.setLevel(level)
    log.propagate = False
    signal.signal(signal.SIGTERM, _interrupt)


@app.command()
def version() -> None:
    """Print the version."""
    from b2brecs import __version__

    typer.echo(__version__)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """End as Ctrl-C does: what runs takes back what is half done."""
    signal.raise_signal(signal.SIGINT)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; ends the process with its exit code."""
    app(args=list(arguments) if arguments is not None else None, prog_name="b2brecs")
