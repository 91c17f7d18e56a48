"""``b2brecs connections``: where customer data comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from b2brecs.cli.group import opened
from b2brecs.cli.output import Json, Name, save_file, show, show_json

app = typer.Typer(help="Where customer data comes from.", no_args_is_help=True)


@app.command("list")
def list_(context: typer.Context, *, as_json: Json = False) -> None:
    """List the connections, who uses them, and how the last test came out."""
    with opened(context) as ws:
        show(ws.connections(), as_json=as_json)


@app.command("show")
def show_(context: typer.Context, name: Name, *, as_json: Json = False) -> None:
    """Print a connection; secrets are references."""
    from b2brecs.configs.connection import Connection

    with opened(context) as ws:
        connection = ws.load(Connection, name)
    if as_json:
        show_json(connection.to_dict())
    else:
        typer.echo(repr(connection))


@app.command()
def add(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="JSON as `show --json` prints it; - for stdin.", show_default=False)],
    *,
    replace: Annotated[bool, typer.Option("--replace", help="Save over another version.")] = False,
) -> None:
    """Save a connection from a JSON file."""
    from b2brecs.configs.connection import Connection

    with opened(context) as ws:
        save_file(ws, Connection, file, replace=replace)


@app.command()
def test(context: typer.Context, name: Name) -> None:
    """Try a connection, for at most ten seconds."""
    with opened(context) as ws:
        typer.echo(ws.test(name))


@app.command()
def tables(context: typer.Context, name: Name, *, as_json: Json = False) -> None:
    """List the tables at the source."""
    with opened(context) as ws:
        show(ws.source_tables(name), as_json=as_json)


@app.command()
def schema(context: typer.Context, name: Name, table: Name, *, as_json: Json = False) -> None:
    """List the columns of a table at the source."""
    from b2brecs.display import Table

    with opened(context) as ws:
        found = ws.source_schema(name, table)
    rows = [[c.name, c.type, c.nullable, c.name in found.primary_key] for c in found]
    show(Table(f"{name}: {table}", ["column", "type", "nullable", "key"], rows), as_json=as_json)


@app.command()
def preview(
    context: typer.Context,
    name: Name,
    table: Name,
    *,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 10,
    as_json: Json = False,
) -> None:
    """Print the first rows of a table at the source."""
    from b2brecs.display import Table

    with opened(context) as ws:
        frame = ws.source_preview(name, table, limit=limit)
    plain = frame.astype(object).where(frame.notna(), None)
    rows = plain.to_numpy().tolist()
    if as_json:
        show_json([dict(zip(frame.columns, row, strict=True)) for row in rows])
    else:
        show(Table(f"{name}: {table}", list(map(str, frame.columns)), rows), as_json=False)


@app.command()
def delete(context: typer.Context, name: Name) -> None:
    """Delete a connection that no job uses."""
    with opened(context) as ws:
        ws.delete("connection", name)
    typer.echo(f"connection {name!r} deleted")
