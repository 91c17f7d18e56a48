"""What the formats give: a file as a query."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp

from b2brecs.errors import SourceError
from b2brecs.sources.files.sql import number, text

if TYPE_CHECKING:
    from b2brecs.sources.files.guard import Ready

# A line, an object: what is longer is no row of a table.
LINE_BYTES = 16 * 1024 * 1024
_BUFFER = 2 * LINE_BYTES
# Of a line that cannot be taken apart, so much is shown.
SHOWN_BYTES = 16 * 1024
MANY_COLUMNS = 10_000
TEXT = "VARCHAR"
# DuckDB's type of nothing but NULL.
NOTHING = '"NULL"'
PATH = "b2b_path"
NOT_UTF8 = "Say encoding='latin-1', 'cp1252' or 'utf-16', whichever wrote the file."


@dataclass(frozen=True)
class Scan:
    """A file as a query.

    ``query`` gives columns ``c0``, ``c1``, …: text, or values of the DuckDB types in ``kinds``. ``row`` is the row as
    it is written, where it has a text of its own; a row for which ``whole`` is not true cannot be taken apart. With
    ``path`` there is a column ``PATH`` that says where the file lies.
    """

    query: exp.Select
    kinds: tuple[str, ...]
    row: exp.Expr | None = None
    whole: exp.Expr | None = None
    path: bool = False


def line_options(ready: Ready, *, rejects: bool, path: bool) -> dict[str, exp.Expr]:
    """Return what DuckDB's reader of lines is always told.

    With ``rejects``, broken lines go to ``reject_errors``; with ``path``, there is the column ``PATH``.
    """
    options: dict[str, exp.Expr] = {
        "compression": text(ready.compression),
        "max_line_size": number(LINE_BYTES),
        "buffer_size": number(_BUFFER),
    }
    if path:
        options["filename"] = text(PATH)
    if ready.single:
        options["parallel"] = exp.false()
    if rejects:
        options |= {
            "store_rejects": exp.true(),
            "rejects_limit": number(0),
            "rejects_line_size_limit": number(SHOWN_BYTES),
        }
    return options


def distinct(names: Iterable[str]) -> list[str]:
    """Tell columns of one name apart (``a``, ``a_2``) and name those without."""
    found: list[str] = []
    taken: set[str] = set()
    for index, name in enumerate(names):
        base = name if name.strip() else f"column_{index}"
        new, count = base, 2
        while new in taken:
            new, count = f"{base}_{count}", count + 1
        taken.add(new)
        found.append(new)
    return found


class Names:
    """Columns that are there, to be found by name."""

    def __init__(self, there: Iterable[str]) -> None:
        self.there = list(there)
        self._exact = {name: index for index, name in enumerate(self.there)}
        self._folded: dict[str, list[int]] = {}
        for index, name in enumerate(self.there):
            self._folded.setdefault(name.casefold(), []).append(index)

    def find(self, name: str, others: Collection[str]) -> int | None:
        """Return where a column is: of just this name, or of this name in other letters if no other wants that one."""
        if name in self._exact:
            return self._exact[name]
        alike = [index for index in self._folded.get(name.casefold(), ()) if self.there[index] not in others]
        return alike[0] if len(alike) == 1 else None


def check_width(label: str, name: str, width: int) -> None:
    """Refuse what has so many columns that it is no table.

    Raises
    ------
    SourceError
        There are more than ``MANY_COLUMNS``.
    """
    if width > MANY_COLUMNS:
        raise SourceError(
            label, f"{name}: there are more than {MANY_COLUMNS:,} columns.", "Check delimiter= and quote=."
        )
