"""``b2brecs jobs``: what is loaded, and when."""

from __future__ import annotations

import datetime as dt
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from b2brecs.cli.group import opened
from b2brecs.cli.output import Json, Name, save_file, show, show_json

if TYPE_CHECKING:
    from b2brecs.display.runs import RunPage
    from b2brecs.workspace import Workspace

app = typer.Typer(help="What is loaded, and when.", no_args_is_help=True)


@app.command("list")
def list_(context: typer.Context, *, as_json: Json = False) -> None:
    """List the saved jobs."""
    from b2brecs.configs.etl import EtlJob
    from b2brecs.display import Table

    rows: list[list[Any]] = []
    with opened(context) as ws:
        for name in [row[1] for row in ws.list(EtlJob).rows]:
            job = ws.load(EtlJob, name)
            when = f"{job.timetable.cron} {job.timetable.timezone}" if job.timetable else ""
            tables = ", ".join(load.target for load in job.tables)
            rows.append([name, job.connection, tables, when, ", ".join(job.follows)])
    show(Table("Jobs", ["job", "connection", "tables", "timetable", "after"], rows), as_json=as_json)


@app.command("show")
def show_(context: typer.Context, name: Name, *, as_json: Json = False) -> None:
    """Print a job."""
    from b2brecs.configs.etl import EtlJob

    with opened(context) as ws:
        job = ws.load(EtlJob, name)
    if as_json:
        show_json(job.to_dict())
    else:
        typer.echo(repr(job))


@app.command()
def add(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="JSON as `show --json` prints it; - for stdin.", show_default=False)],
    *,
    replace: Annotated[bool, typer.Option("--replace", help="Save over another version.")] = False,
) -> None:
    """Save a job from a JSON file."""
    from b2brecs.configs.etl import EtlJob

    with opened(context) as ws:
        save_file(ws, EtlJob, file, replace=replace)


@app.command()
def run(
    context: typer.Context,
    name: Name,
    *,
    follow: Annotated[bool, typer.Option(help="Run the jobs that follow it, too.")] = True,
    as_json: Json = False,
) -> None:
    """Run a job now and print what it did. A second run is not kept from starting: see `scheduler`."""
    with opened(context) as ws:
        begun = dt.datetime.now(dt.UTC)
        try:
            ws.run(name, follow=follow)
        finally:
            _print(_own(ws, begun), as_json=as_json)


@app.command()
def stream(
    context: typer.Context,
    name: Name,
    *,
    seconds: Annotated[float | None, typer.Option(min=0, help="End after so long; default: when told to.")] = None,
    as_json: Json = False,
) -> None:
    """Load messages as they come, until SIGTERM or Ctrl-C; the batch at hand is finished."""
    with opened(context) as ws:
        begun = dt.datetime.now(dt.UTC)
        try:
            ws.stream(name, seconds=seconds)
        finally:
            _print(_own(ws, begun), as_json=as_json)


@app.command()
def runs(
    context: typer.Context, name: Name, *, limit: Annotated[int, typer.Option(min=1)] = 20, as_json: Json = False
) -> None:
    """List the latest runs of a job."""
    from b2brecs.configs.etl import EtlJob

    with opened(context) as ws:
        show(ws.runs(ws.load(EtlJob, name), limit=limit), as_json=as_json)


@app.command()
def schedule(
    context: typer.Context,
    name: Name,
    *,
    cron: Annotated[str | None, typer.Option(help="minute hour day month weekday: '0 3 * * *'.")] = None,
    timezone: Annotated[str, typer.Option(help="IANA name, such as Europe/Berlin; with --cron.")] = "UTC",
    overlap: Annotated[str, typer.Option(help="skip or queue: what a time does while the job runs.")] = "skip",
    as_json: Json = False,
) -> None:
    """Let a job run by its timetable, or by the one given here."""
    from b2brecs.configs.etl import EtlJob
    from b2brecs.configs.schedule import Schedule

    with opened(context) as ws:
        job = ws.load(EtlJob, name)
        if cron is not None:
            when = Schedule.from_dict({"cron": cron, "timezone": timezone, "overlap": overlap})
            job = job.schedule(when)
        show(ws.schedule(job), as_json=as_json)


@app.command()
def schedules(context: typer.Context, *, as_json: Json = False) -> None:
    """List what runs by itself, and when next."""
    with opened(context) as ws:
        show(ws.schedules(), as_json=as_json)


@app.command()
def unschedule(context: typer.Context, name: Name) -> None:
    """Stop starting a job by its timetable."""
    with opened(context) as ws:
        ws.unschedule(name)
    typer.echo(f"etl_job {name!r} is not scheduled")


@app.command()
def pause(context: typer.Context, name: Name) -> None:
    """Stop starting a job until `resume`."""
    with opened(context) as ws:
        ws.pause(name)
    typer.echo(f"etl_job {name!r} is paused")


@app.command()
def resume(context: typer.Context, name: Name) -> None:
    """Start a paused job again."""
    with opened(context) as ws:
        ws.resume(name)
    typer.echo(f"etl_job {name!r} is resumed")


@app.command()
def delete(context: typer.Context, name: Name) -> None:
    """Delete a job and its timetable; loaded tables stay."""
    with opened(context) as ws:
        ws.delete("etl_job", name)
    typer.echo(f"etl_job {name!r} deleted")


def _own(ws: Workspace, begun: dt.datetime) -> list[RunPage]:
    """Return the pages of what this process ran since a time, in order."""
    me = os.getpid(), socket.gethostname()
    found = [page for page in ws.runs(limit=50) if (page.facts.get("pid"), page.facts.get("host")) == me]
    return [page for page in reversed(found) if page.run.started_at >= begun]


def _print(pages: list[RunPage], *, as_json: bool) -> None:
    if as_json:
        show_json([_run_dict(page) for page in pages])
    else:
        for page in pages:
            typer.echo(str(page))


def _run_dict(page: RunPage) -> dict[str, Any]:
    run = page.run
    return {
        "run": run.id, "name": run.name, "status": page.status, "started_at": run.started_at,
        "finished_at": run.finished_at, "error": run.error, **page.facts,
    }  # fmt: skip
