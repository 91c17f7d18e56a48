"""About how many rows there are, by sizes: what is cheap to know."""

from __future__ import annotations

from collections.abc import Sequence

from b2brecs.errors import SourceError
from b2brecs.sources.base import SourceFile
from b2brecs.sources.files.layout import FileTable
from b2brecs.sources.files.pieces import footer_of
from b2brecs.sources.files.sample import beginning, spread
from b2brecs.sources.files.tools import Tools

_FILES = 3
_FOOTERS = 10
_PIECE = 256 * 1024
# Where a piece tells nothing.
_ROWS_PER_MB = {"csv": 20_000, "json": 10_000, "parquet": 100_000}


def estimate_rows(tools: Tools, table: FileTable) -> int | None:
    """Return about how many rows a table has: exactly, for Parquet files of this machine. None: a file is broken."""
    files = [file for file in table.files if file.size]
    try:
        if table.format == "parquet":
            return _from_footers(tools, files)
        return _from_pieces(tools, files, table.format)
    except SourceError:
        # Reading will say what is wrong; here it is only a number that is missing.
        return None


def _from_footers(tools: Tools, files: Sequence[SourceFile]) -> int:
    asked = files if tools.store.local else spread(files, _FOOTERS)
    rows = 0
    for file in asked:
        with footer_of(tools, file) as footer:
            rows += footer.metadata.num_rows
    return _scaled(rows, asked, files)


def _from_pieces(tools: Tools, files: Sequence[SourceFile], kind: str) -> int:
    asked = spread(files, _FILES)
    rows = 0.0
    for file in asked:
        piece = beginning(tools.store, file, _PIECE)
        packed = min(file.size, _PIECE)
        lines = piece.count(b"\n")
        if kind == "json" and piece.lstrip()[:1] == b"[":
            lines = max(lines, piece.count(b"},"))
        elif kind == "csv" and tools.settings.header and lines > 1:
            lines -= 1
        if lines < 1:
            rows += file.size / 2**20 * _ROWS_PER_MB[kind] if packed < file.size else 1
        else:
            rows += lines * file.size / packed
    return _scaled(rows, asked, files)


def _scaled(rows: float, asked: Sequence[SourceFile], files: Sequence[SourceFile]) -> int:
    part = sum(file.size for file in asked)
    return round(rows * sum(file.size for file in files) / part) if part else 0
