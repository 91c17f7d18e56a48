"""JSON: objects, one a line, or in a list, or one after the other.

What DuckDB makes of a document, measured: a key that stands twice counts once at the top (the first time) and is kept
within a value; whole numbers keep all their digits; a number with a fraction is written as a double is (``1.10`` as
``1.1``, and no more than 17 digits).
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence

from sqlglot import exp

from b2brecs.configs.sources import FileSettings
from b2brecs.errors import SourceError
from b2brecs.sources.files.guard import HEAD, Ready, last_bytes, opened
from b2brecs.sources.files.scan import LINE_BYTES, PATH, TEXT, Scan, line_options
from b2brecs.sources.files.sql import (
    both,
    call,
    cast,
    column,
    csv_table,
    either,
    files,
    is_set,
    named,
    number,
    select,
    text,
    texts,
)
from b2brecs.types import Column

# No line of JSON may hold it, so that a line stays in one piece.
_NEVER = "\x01"


class JsonFormat:
    """How a source's JSON files are written."""

    def __init__(self, label: str, settings: FileSettings) -> None:
        self.label, self.settings = label, settings

    def likeness(self, ready: Ready) -> Hashable:
        """Return what files have in common that one query can read."""
        return self.shape(ready), ready.compression

    def scan(
        self, ready: Ready, columns: Sequence[Column], *, rejects: bool, path: bool = False, careful: bool = True
    ) -> Scan:
        """Return the values under these keys as text: for JSON and lists as JSON text, in which texts have quotes."""
        as_json = [item.type == "JSON" or item.type.startswith("ARRAY<") for item in columns]
        kept: list[exp.Expr] = [column("j"), column("w"), *([column(PATH)] if path else [])]
        lists: list[exp.Expr] = []
        chosen: list[exp.Expr] = list(kept)
        for flag, function in ((False, "json_extract_string"), (True, "json_extract")):
            indices = [index for index, item in enumerate(as_json) if item is flag]
            if not indices:
                continue
            group = f"l{int(flag)}"
            # All at once: each call parses the whole document.
            taken = exp.Case(ifs=[exp.If(this=column("w"), true=column("j"))])
            keys = texts(pointer(columns[index].name) for index in indices)
            lists.append(named(call(function, taken, keys), group))
            for place, index in enumerate(indices):
                item: exp.Expr = call("list_extract", column(group), number(place + 1))
                if flag:
                    item = exp.Nullif(this=cast(item, TEXT), expression=text("null"))
                chosen.append(named(item, f"c{index}"))
        parts = select([*kept, *lists], self.objects(ready, rejects=rejects, path=path, careful=careful))
        kinds = tuple("JSON" if item.type == "JSON" else TEXT for item in columns)
        return Scan(select(chosen, parts), kinds, column("j"), column("w"), path)

    def objects(self, ready: Ready, *, rejects: bool, path: bool = False, careful: bool = True) -> exp.Select:
        """Return the query of a file's rows: their text ``j``, and whether they are objects, ``w``.

        Unless ``careful``, an object is what begins like one; one that is broken then ends the query that looks into
        it.
        """
        whole = begins = either(_opens(), call("regexp_matches", column("j"), text(r"^\s*\{")))
        if careful:
            whole = exp.Case(ifs=[exp.If(this=begins, true=call("json_valid", column("j")))], default=exp.false())
        chosen = [column("j"), named(whole, "w"), *([column(PATH)] if path else [])]
        return select(chosen, self._rows(ready, rejects=rejects, path=path))

    def shape(self, ready: Ready, *, whole: bool = True) -> str:
        """Return how a file, or the beginning of one, is written: ``lines``, ``array`` or ``unstructured``.

        Raises
        ------
        SourceError
            It is a list without an end, which DuckDB would take for a shorter one.
        """
        with opened(ready.path, ready.compression) as stream:
            head = bytes(stream.read(HEAD)).decode(errors="replace").lstrip("\ufeff \t\r\n")
        if head.startswith("["):
            if whole and not last_bytes(ready).rstrip().endswith(b"]"):
                raise SourceError(self.label, f"{ready.name}: the list has no end: the file is cut off.",
                                  "Write or upload it again.")  # fmt: skip
            return "array"
        name = ready.name.lower().removesuffix(".gz").removesuffix(".zst")
        first = head.partition("\n")[0]
        lines = name.endswith((".jsonl", ".ndjson")) or not first or _is_json(first)
        return "lines" if lines else "unstructured"

    def _rows(self, ready: Ready, *, rejects: bool, path: bool) -> exp.Select:
        shape = self.shape(ready)
        more = [column(PATH)] if path else []
        if shape == "lines":
            options = {
                **line_options(ready, rejects=rejects, path=path),
                "header": exp.false(),
                "delim": text(_NEVER),
                "quote": text(""),
                "escape": text(""),
            }
            filled = either(_opens(), call("regexp_matches", column("j"), text(r"\S")))
            query = select([column("j"), *more], csv_table(ready.paths, {"j": TEXT}, options))
            return query.where(both(is_set(column("j")), filled), copy=False)
        options = {
            "format": text(shape),
            "compression": text(ready.compression),
            "maximum_object_size": number(LINE_BYTES),
        }
        if path:
            options["filename"] = text(PATH)
        table = call("read_json_objects", files(ready.paths), **options)
        return select([named(cast(column("json"), TEXT), "j"), *more], table)


def pointer(key: str) -> str:
    """Return the path that leads to a key, whatever is in it."""
    return "/" + key.replace("~", "~0").replace("/", "~1")


def _opens() -> exp.Expr:
    return call("starts_with", column("j"), text("{"))


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
