"""Results on stdout: for people, or as JSON for machines."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from b2brecs.errors import ConfigError

if TYPE_CHECKING:
    from b2brecs.configs.base import Config
    from b2brecs.display import Table
    from b2brecs.workspace import Workspace

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Name = Annotated[str, typer.Argument(show_default=False)]


def show(table: Table, *, as_json: bool) -> None:
    """Print a table, or a list of objects."""
    if as_json:
        dicts = getattr(table, "to_dicts", None)
        rows = dicts() if dicts else [dict(zip(table.columns, row, strict=True)) for row in table.rows]
        show_json(rows)
    elif table.rows:
        typer.echo(str(table))
    else:
        typer.echo(f"{table.title}: none.")


def show_json(value: Any) -> None:
    """Print plain data as JSON; times as ISO text."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2, default=_plain))


def save_file(workspace: Workspace, kind: type[Config], file: Path, *, replace: bool) -> None:
    """Save a configuration from a JSON file (``-``: stdin) as ``show --json`` prints it.

    Raises
    ------
    ConfigError
        The file does not hold such a configuration.
    VersionConflict
        Another version is saved, and ``replace`` was not said.
    """
    from b2brecs.configs.nouns import from_document
    from b2brecs.errors import NotFound

    text = typer.get_text_stream("stdin").read() if str(file) == "-" else file.read_text(encoding="utf-8")
    try:
        data = json.loads(text)
    except ValueError as error:
        raise ConfigError.single(str(file), "", "", f"this is not JSON: {error}.") from None
    if not isinstance(data, Mapping):
        raise ConfigError.single(str(file), "", data, "this is not a JSON object.")
    config = from_document(kind.KIND, data)
    if replace:
        with contextlib.suppress(NotFound):
            workspace.load(kind, config.name)
    typer.echo(repr(workspace.save(config)))


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
