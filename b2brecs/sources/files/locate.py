"""Where in a file a row is, found by going through it again: asked only when a reading has failed."""

from __future__ import annotations

from typing import assert_never

from b2brecs.sources.files.guard import Ready, as_text
from b2brecs.sources.files.layout import Format
from b2brecs.sources.files.tools import Tools


def locate(tools: Tools, kind: Format, ready: Ready, row: int) -> str:
    """Say where the row of this index is, as somebody with an editor counts: ``line 3``."""
    if kind == "csv":
        return _csv_line(tools, ready, row)
    if kind == "json":
        if tools.json.shape(ready) == "lines":
            return _json_line(ready, row)
        return f"value {row + 1:,}"
    if kind == "parquet":
        return f"row {row + 1:,}"
    assert_never(kind)


def _csv_line(tools: Tools, ready: Ready, row: int) -> str:
    head = tools.csv.head(ready)
    reader = tools.csv.records(ready)
    left = row + (1 if tools.settings.header else 0)
    begun = False
    before = 0
    for record in reader:
        # Blank lines are no rows, except in a file of one column, where they are NULL.
        begun = begun or bool(record)
        if record or (len(head.names) == 1 and (begun or not tools.settings.header)):
            if left == 0:
                return f"line {before + 1:,}"
            left -= 1
        before = reader.line_num
    return f"row {row + 1:,}"


def _json_line(ready: Ready, row: int) -> str:
    left = row
    with as_text(ready) as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            if left == 0:
                return f"line {number:,}"
            left -= 1
    return f"row {row + 1:,}"
