"""Which files make a table, and of which format they are, told by their names alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from b2brecs.configs.sources import FileSettings
from b2brecs.errors import NotFound, SourceError
from b2brecs.sources.base import SourceFile
from b2brecs.sources.files.patterns import Pattern
from b2brecs.sources.files.store import Store

Format = Literal["csv", "parquet", "json"]

_ENDINGS: dict[str, Format] = {
    ".csv": "csv", ".tsv": "csv", ".parquet": "parquet", ".json": "json", ".jsonl": "json", ".ndjson": "json",
}  # fmt: skip
_COMPRESSED = (".gz", ".zst")


@dataclass(frozen=True)
class FileTable:
    """Files that are one table, in the order in which they are read."""

    name: str
    format: Format
    files: tuple[SourceFile, ...]


def split_name(name: str) -> tuple[str, str]:
    """Return a file's name without folder and known endings, and the ending that tells the format, or ``""``."""
    base = PurePosixPath(name).name
    plain = base
    for ending in _COMPRESSED:
        if base.lower().endswith(ending):
            plain = base[: -len(ending)]
    for ending in _ENDINGS:
        if plain.lower().endswith(ending) and not (ending == ".parquet" and plain != base):
            return plain[: -len(ending)], ending
    return plain, ""


def is_compressed(name: str) -> bool:
    """Whether a file's name says that it is compressed as a whole."""
    return name.lower().endswith(_COMPRESSED)


class Layout:
    """The tables of a store, by its settings."""

    def __init__(self, store: Store, settings: FileSettings) -> None:
        self.store, self.settings = store, settings

    def names(self) -> list[str]:
        """List the tables' names. Nothing is opened."""
        if self.settings.tables:
            return [name for name, _ in self.settings.tables]
        found: set[str] = set()
        for item in self.store.children():
            if not isinstance(item, str):
                if self._is_data(item):
                    found.add(self._stem(item.name))
            elif self._is_table(item):
                found.add(item.rstrip("/"))
        return sorted(found)

    def table(self, name: str) -> FileTable:
        """Find the files of a table.

        Raises
        ------
        NotFound
            There is no such table.
        SourceError
            No file matches its pattern, or its files are of several formats.
        """
        patterns = dict(self.settings.tables)
        if name in patterns:
            files = self._matching(name, patterns[name])
        elif patterns:
            raise NotFound("table", name, patterns, where=self.store.label)
        else:
            files = self._named(name)
        files = sorted(files, key=lambda file: file.name)
        for file in files:
            try:
                file.name.encode()
            except UnicodeEncodeError:
                raise self._error(f"the name of {file.name!a} is not UTF-8.", "Rename the file.") from None
        kinds = {self._format(file.name) or "csv" for file in files}
        if len(kinds) > 1:
            raise self._error(f"table {name!r} mixes {' and '.join(sorted(kinds))} files.",
                              "Give tables={name: pattern} with one format each.")  # fmt: skip
        return FileTable(name, kinds.pop(), tuple(files))

    def _matching(self, table: str, text: str) -> list[SourceFile]:
        try:
            pattern = Pattern(text)
        except ValueError as error:
            raise self._error(f"the pattern {text!r} of table {table!r} is wrong: {error}") from None
        items = self.store.list(pattern.folder) if pattern.deep else self.store.children(pattern.folder)
        files = [
            item for item in items
            if not isinstance(item, str) and pattern.matches(item.name)
            and (pattern.last[:1] in (".", "_") or not _is_marker(item.name))
        ]  # fmt: skip
        if not files:
            raise self._error(f"no file matches {text!r} (table {table!r}).", "Check tables=.")
        return files

    def _named(self, name: str) -> list[SourceFile]:
        found: list[SourceFile] = []
        folder = ""
        items = list(self.store.children())
        for item in items:
            if isinstance(item, str):
                if item == f"{name}/":
                    folder = item
            elif self._is_data(item) and self._stem(item.name) == name:
                found.append(item)
        inside = self._inside(folder) if folder else []
        if found and inside:
            raise self._error(f"{found[0].name} and the folder {folder} are both named {name!r}.",
                              "Say which files you mean: tables={name: pattern}.")  # fmt: skip
        if not found and not inside:
            raise NotFound("table", name, self.names(), where=self.store.label)
        return found or inside

    def _is_table(self, folder: str) -> bool:
        try:
            inside = self._inside(folder)
        except SourceError:
            # Folders of others, such as lost+found, are no business of ours until they are asked for.
            return False
        return len({self._format(item.name) for item in inside}) == 1

    def _inside(self, folder: str) -> list[SourceFile]:
        return [item for item in self.store.children(folder) if not isinstance(item, str) and self._is_data(item)]

    def _is_data(self, file: SourceFile) -> bool:
        return self._format(file.name) is not None and not _is_marker(file.name)

    def _format(self, name: str) -> Format | None:
        if self.settings.format != "auto":
            return self.settings.format
        return _ENDINGS.get(split_name(name)[1])

    def _stem(self, name: str) -> str:
        stem, ending = split_name(name)
        return stem if ending else PurePosixPath(stem).stem

    def _error(self, reason: str, fix: str = "") -> SourceError:
        return SourceError(self.store.label, reason, fix)


def _is_marker(name: str) -> bool:
    """Whether a file tells something about others, as Spark's ``_SUCCESS`` or ``.crc`` do, or is hidden."""
    base = PurePosixPath(name).name
    return base.startswith(".") or (base.startswith("_") and not split_name(base)[1])


def choose(table: FileTable, names: Iterable[str], label: str) -> tuple[SourceFile, ...]:
    """Return the files of these names, in the table's order; no names: all.

    Raises
    ------
    SourceError
        A file is no longer there.
    """
    wanted = set(names)
    if not wanted:
        return table.files
    found = tuple(file for file in table.files if file.name in wanted)
    gone = wanted - {file.name for file in found}
    if gone:
        raise SourceError(label, f"{min(gone)} is gone: it was deleted or renamed since it was listed.", "Run again.",
                          transient=True)  # fmt: skip
    return found
