"""What DuckDB says of a file, and what a value is not, in words that name the place and the remedy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from b2brecs.errors import show
from b2brecs.sources.files.guard import Ready
from b2brecs.sources.files.scan import LINE_BYTES, NOT_UTF8
from b2brecs.sources.files.texts import Trust
from b2brecs.types import Column

if TYPE_CHECKING:
    import duckdb

_LINE = re.compile(r"CSV Error on Line: (\d+)")
_ITEM = re.compile(r"in (?:line|record/value) (\d+)")
_WIDTHS = re.compile(r"Expected Number of Columns: (\d+) Found: (\d+)")
_CHUNK = 1000
_LIMIT = f"{LINE_BYTES // 2**20} MB"


@dataclass(frozen=True)
class Trouble:
    """Why a file was not read to its end.

    ``remedy`` says how to try again: with its lines made even, by one thread, or looking at every value before the
    cast.
    """

    reason: str
    fix: str = ""
    remedy: Literal["", "even", "single", "careful"] = ""
    transient: bool = False


def explain(ready: Ready, error: Exception) -> Trouble | None:
    """Say an error of reading in words; None: it is none of reading."""
    import duckdb
    import pyarrow as pa

    if not isinstance(error, duckdb.Error | OSError | pa.ArrowException):
        return None
    said = str(error)
    if "state machine reached an invalid state" in said:
        return Trouble(
            f"{ready.name}: its lines end in different ways.", "Write it again with one kind of line end.", "even"
        )
    if "Parallel CSV Reader" in said:
        return Trouble(f"{ready.name}: it cannot be cut into lines.", "Check quote= and delimiter=.", "single")
    if "Conversion Error" in said or "Error when converting" in said:
        return Trouble(f"{ready.name}: {_first_line(said)}", remedy="careful")
    line = _LINE.search(said)
    if line is not None:
        reason, fix = _line_reason(said)
        return Trouble(f"{ready.name}, line {line[1]}: {reason}", fix)
    item = _ITEM.search(said)
    if "Malformed JSON" in said:
        return Trouble(
            f"{ready.name}{f', value {item[1]}' if item else ''}: this is not JSON: {_detail(said)}",
            NOT_UTF8 if "utf-8" in said.lower() else "",
            "careful",
        )
    if "maximum_object_size" in said or "out of memory" in said.lower() or "failed to allocate" in said.lower():
        return Trouble(f"{ready.name}: a value, or a piece that is read at once, is too large.",
                       f"Lines and objects may have {_LIMIT}; write Parquet in smaller row groups.")  # fmt: skip
    if isinstance(error, FileNotFoundError) or "No such file" in said or "No files found" in said:
        return Trouble(f"{ready.name} is gone: it was deleted while it was read.", "Run again.", transient=True)
    return Trouble(f"{ready.name} cannot be read: {_first_line(said)}")


def rejected_lines(connection: duckdb.DuckDBPyConnection) -> Iterator[tuple[str, int, str, str]]:
    """Give the lines that DuckDB put aside: path, number, text, reason. A line with several faults is given once."""
    import duckdb

    try:
        found = connection.execute(
            "SELECT any_value(s.file_path), e.line, any_value(e.csv_line), min(e.error_message) "
            "FROM reject_errors e JOIN reject_scans s USING (scan_id, file_id) "
            "GROUP BY file_id, e.line ORDER BY file_id, e.line"
        )
    except duckdb.CatalogException:
        # Nothing was read that could have been put aside.
        return
    while rows := found.fetchmany(_CHUNK):
        for path, line, text, said in rows:
            reason, fix = _line_reason(said)
            yield path, line, text or "", f"{reason} {fix}".strip()


def misfit(value: str | None, column: Column, trust: Trust) -> tuple[str, str]:
    """Say why a value does not fit its column, and what to do."""
    if trust == "sampled" and value is not None and re.match(r"\s*[-+]?0\d", value):
        return (
            f"{show(value)} has leading zeros, so it may be a code and no {column.type}.",
            f"Say types={{{column.name!r}: 'STRING'}} in the connection, or {column.type!r} if it is a number.",
        )
    return f"{show(value)} is no {column.type}.", f"Say types={{{column.name!r}: 'STRING'}} to read it as text."


def _line_reason(said: str) -> tuple[str, str]:
    widths = _WIDTHS.search(said)
    if widths is not None:
        more = int(widths[2]) > int(widths[1])
        return f"there are {'more' if more else 'fewer'} values than the {widths[1]} columns.", ""
    if "unterminated quote" in said or "quote should be followed" in said:
        return "a quote is not closed, or text follows it.", "Check quote=."
    if "nicode" in said or "utf-8" in said:
        return "this is not UTF-8.", NOT_UTF8
    if "aximum line size" in said:
        return f"the line is longer than {_LIMIT}.", "Check quote= and delimiter=."
    return _first_line(said), ""


def _detail(said: str) -> str:
    text = _first_line(said)
    return text.rpartition(": ")[2] if ": " in text else text


def _first_line(said: str) -> str:
    lines = said.strip().splitlines()
    text = re.sub(r"^[A-Z][A-Za-z ]* Error: ", "", lines[0] if lines else "").strip()
    # Paths of copies mean nothing to anybody.
    text = re.sub(r'(in file )?"/[^"]*"', "", text).strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."
