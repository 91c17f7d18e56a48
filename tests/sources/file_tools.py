"""What the tests of files have in common."""

from __future__ import annotations

from typing import Any

from b2brecs import Connection
from b2brecs.sources import Part, Reject, Source, open_source


def opened(path: object, **settings: Any) -> Any:
    """Open a folder as a source."""
    return open_source(Connection.files("f", path=str(path), **settings), lambda _secret: "")


def types(source: Source[Any], table: str) -> dict[str, str]:
    """Return a table's columns and types."""
    return {column.name: column.type for column in source.schema(table)}


def read(source: Source[Any], table: str, part: Part | None = None, **more: Any) -> list[dict[str, Any]]:
    """Read a table by its own schema."""
    found: list[dict[str, Any]] = source.read(source.schema(table), part or Part(), **more).read_all().to_pylist()
    return found


def tried(source: Source[Any], table: str, part: Part | None = None) -> tuple[list[dict[str, Any]], list[Reject]]:
    """Read a table; return what fits and what does not."""
    rejects: list[Reject] = []
    return read(source, table, part, on_reject=rejects.append), rejects
