"""Pieces of files as files of their own, and footers without the rest: looking into what is far away or large."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from b2brecs.errors import SourceError
from b2brecs.sources.base import SourceFile
from b2brecs.sources.files.guard import Ready
from b2brecs.sources.files.sample import PIECE_BYTES, beginning, inner_pieces, whole_lines
from b2brecs.sources.files.store import Store
from b2brecs.sources.files.tools import Tools

if TYPE_CHECKING:
    import pyarrow.parquet as pq

_AT_ONCE = 64 * 1024


@contextmanager
def first_piece(tools: Tools, file: SourceFile, length: int = PIECE_BYTES) -> Iterator[Ready]:
    """Give the beginning of a file as a file.

    Raises
    ------
    SourceError
        It is not text.
    """
    data = beginning(tools.store, file, length)
    text = data.decode(tools.guard.encoding(file, data) or "utf-8", errors="replace")
    with _written(tools, file, text if 0 < file.size <= length else whole_lines(text)) as ready:
        yield ready


def other_pieces(tools: Tools, file: SourceFile) -> Iterator[Ready]:
    """Give pieces from further inside, where a file can be cut: uncompressed, in an encoding that keeps line ends."""
    encoding = tools.guard.encoding(file, tools.store.part(file, 0, _AT_ONCE)) or "utf-8"
    if encoding.startswith(("utf-16", "utf-32")) or tools.store.part(file, 0, 4)[:2] in (b"\x1f\x8b", b"\x28\xb5"):
        return
    for data in inner_pieces(tools.store, file):
        with _written(tools, file, whole_lines(data.decode(encoding, errors="replace"))) as ready:
            yield ready


@contextmanager
def footer_of(tools: Tools, file: SourceFile) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file to look at its footer, wherever it is; no more of it is fetched.

    Raises
    ------
    SourceError
        It is no Parquet file, or cannot be read.
    """
    if tools.store.local:
        path = tools.store.fetch(file, tools.spool.folder)
        with tools.parquet.footer(file.name, path) as footer:
            yield footer
        return
    far = _Far(tools.store, file)
    with io.BufferedReader(far, _AT_ONCE) as stream:
        try:
            footer = tools.parquet.footer(file.name, stream)
        except SourceError as error:
            failure = far.failure or error
        else:
            with footer:
                yield footer
            return
    raise failure


@contextmanager
def _written(tools: Tools, file: SourceFile, text: str) -> Iterator[Ready]:
    path = tools.guard.temporary(".piece")
    data = text.encode()
    path.write_bytes(data)
    try:
        yield Ready(file.name, path, end=data[-_AT_ONCE:])
    finally:
        path.unlink(missing_ok=True)


class _Far(io.RawIOBase):
    """A remote file, read where it is asked for."""

    def __init__(self, store: Store, file: SourceFile) -> None:
        self._store, self._file, self._at = store, file, 0
        # Arrow makes other errors of ours.
        self.failure: SourceError | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._file.size}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        length = min(len(buffer), self._file.size - self._at)
        if length <= 0:
            return 0
        try:
            data = self._store.part(self._file, self._at, length)
        except SourceError as error:
            self.failure = error
            raise
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
