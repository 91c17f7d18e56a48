"""A folder of this machine."""

from __future__ import annotations

import builtins
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from b2brecs.configs.sources import FilesSettings
from b2brecs.errors import SourceError
from b2brecs.sources.base import SourceFile
from b2brecs.sources.files.source import FileSource
from b2brecs.sources.files.store import Store


class FilesSource(FileSource[FilesSettings]):
    """Files below a folder."""

    def _open(self) -> Store:
        return LocalStore(self.settings.label(), Path(self.settings.path).expanduser())


class LocalStore(Store):
    """A folder. Links are followed, each folder once, so that a loop ends."""

    local = True

    def __init__(self, label: str, root: Path) -> None:
        super().__init__(label)
        self.root = root

    def list(self, prefix: str = "") -> Iterator[SourceFile]:
        folder = prefix[: prefix.rfind("/") + 1]
        seen: set[tuple[int, int]] = set()
        waiting = [folder]
        while waiting:
            current = waiting.pop()
            found = self.call(self._identity, current)
            if found is None or found in seen:
                continue
            seen.add(found)
            for item in self.children(current):
                if isinstance(item, str):
                    waiting.append(item)
                elif item.name.startswith(prefix):
                    yield item

    def children(self, folder: str = "") -> Iterator[SourceFile | str]:
        yield from self.call(self._children, folder)

    def part(self, file: SourceFile, start: int, length: int) -> bytes:
        return self.call(self._part, file, start, length, about=file)

    def fetch(self, file: SourceFile, into: Path) -> Path:  # noqa: ARG002
        self.part(file, 0, 0)
        return self.root / file.name

    def check(self) -> str:
        found = list(self.children())
        files = sum(not isinstance(item, str) for item in found)
        return f"a folder with {files:,} files and {len(found) - files:,} sub-folders"

    def explain(self, error: Exception, about: SourceFile | None) -> SourceError | None:
        if not isinstance(error, OSError):
            return None
        name = about.name if about is not None else ""
        if isinstance(error, FileNotFoundError):
            if about is not None:
                return self.vanished(about)
            return SourceError(self.label, "there is no such folder.", "Check the connection's path=.")
        if isinstance(error, NotADirectoryError):
            return SourceError(self.label, "this is a file, not a folder.",
                               "Give the folder as path= and the file as a pattern in tables=.")  # fmt: skip
        if isinstance(error, PermissionError):
            where = name or _below(error.filename, self.root) or "the folder"
            return SourceError(self.label, f"{where} may not be read.", "Give this user the right to read it.")
        return SourceError(self.label, f"{name or 'the folder'} cannot be read: {error.strerror or error}.")

    def _identity(self, folder: str) -> tuple[int, int] | None:
        if folder and not (self.root / folder).is_dir():
            return None
        found = (self.root / folder).stat()
        return found.st_dev, found.st_ino

    def _children(self, folder: str) -> builtins.list[SourceFile | str]:
        found: builtins.list[SourceFile | str] = []
        # As in the stores of clouds, a folder below the root is there if something is in it.
        if folder and not (self.root / folder).is_dir():
            return found
        with os.scandir(self.root / folder) as entries:
            for entry in sorted(entries, key=lambda item: item.name):
                name = f"{folder}{entry.name}"
                try:
                    facts = entry.stat()
                except OSError:
                    # A link that leads nowhere, or a file deleted this very moment.
                    continue
                if stat.S_ISDIR(facts.st_mode):
                    found.append(f"{name}/")
                elif stat.S_ISREG(facts.st_mode):
                    found.append(SourceFile(name, facts.st_size, str(facts.st_mtime_ns)))
        return found

    def _part(self, file: SourceFile, start: int, length: int) -> bytes:
        with (self.root / file.name).open("rb") as handle:
            facts = os.fstat(handle.fileno())
            if (facts.st_size, str(facts.st_mtime_ns)) != (file.size, file.stamp):
                raise self.changed(file)
            handle.seek(start)
            return handle.read(length)


def _below(path: object, root: Path) -> str:
    text = os.fsdecode(path) if isinstance(path, str | bytes) else ""
    return os.path.relpath(text, root) if text and Path(text) != root else ""
