"""``b2brecs runs``: what ran, and how it came out."""

from __future__ import annotations

from typing import Annotated

import typer

from b2brecs.cli.group import opened
from b2brecs.cli.jobs import _run_dict
from b2brecs.cli.output import Json, Name, show, show_json

app = typer.Typer(help="What ran, and how it came out.", no_args_is_help=True)


@app.command("list")
def list_(
    context: typer.Context,
    *,
    name: Annotated[str | None, typer.Option(help="Only those of this name.")] = None,
    limit: Annotated[int, typer.Option(min=1)] = 20,
    as_json: Json = False,
) -> None:
    """List the latest runs."""
    with opened(context) as ws:
        show(ws.runs(name, limit=limit), as_json=as_json)


@app.command("show")
def show_(context: typer.Context, run: Name, *, as_json: Json = False) -> None:
    """Print all that is known of a run, given its id or the beginning of it."""
    with opened(context) as ws:
        page = ws.run_page(run)
    if as_json:
        show_json(_run_dict(page))
    else:
        typer.echo(str(page))


@app.command()
def logs(context: typer.Context, run: Name) -> None:
    """Print the log of a run."""
    with opened(context) as ws:
        typer.echo(ws.run_log(run))
