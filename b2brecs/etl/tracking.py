"""Which files of a table are new, changed or gone since they were loaded. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from b2brecs.sources import SourceFile

Stamps = Mapping[str, tuple[int, str]]


@dataclass(frozen=True)
class FileChanges:
    """What happened to a table's files: names, in the source's order."""

    new: tuple[str, ...]
    modified: tuple[str, ...]
    gone: tuple[str, ...]
    same: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.new or self.modified or self.gone)

    @property
    def to_read(self) -> tuple[str, ...]:
        """The files whose rows are not in the table as they are now."""
        return (*self.new, *self.modified)


def compare(files: Sequence[SourceFile], before: Stamps) -> FileChanges:
    """Compare the files that are there with those that were loaded.

    A file is the same if its size and its stamp are.
    """
    there = {file.name: (file.size, file.stamp) for file in files}
    return FileChanges(
        new=tuple(name for name in there if name not in before),
        modified=tuple(name for name, stamp in there.items() if name in before and tuple(before[name]) != stamp),
        gone=tuple(name for name in before if name not in there),
        same=tuple(name for name, stamp in there.items() if name in before and tuple(before[name]) == stamp),
    )
