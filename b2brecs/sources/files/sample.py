"""Pieces of large files: from the beginning, the middle and the end, of some files spread over all."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator, Sequence
from typing import TypeVar

from b2brecs.sources.base import SourceFile
from b2brecs.sources.files.store import Store

T = TypeVar("T")

# Files of a table that are small together are looked at as a whole.
SEEN_BYTES = 200 * 1024 * 1024
# What a compressed file is taken to grow to, as long as nobody has looked.
GROWTH = 5
PIECE_BYTES = 1024 * 1024
FILES = 20
_MOST_BYTES = 4 * PIECE_BYTES


def spread(items: Sequence[T], count: int) -> list[T]:
    """Return some of the items, the first and the last among them, at even distances."""
    if len(items) <= count:
        return list(items)
    return [items[round(index * (len(items) - 1) / (count - 1))] for index in range(count)]


def beginning(store: Store, file: SourceFile, length: int = PIECE_BYTES) -> bytes:
    """Return about the first bytes of what a file holds, uncompressed."""
    data = store.part(file, 0, length)
    if data.startswith(b"\x1f\x8b"):
        try:
            return zlib.decompressobj(31).decompress(data, _MOST_BYTES)
        except zlib.error:
            # Whoever reads the whole file will say what is wrong with it.
            return b""
    return _zstd(data) if data.startswith(b"\x28\xb5\x2f\xfd") else data


def inner_pieces(store: Store, file: SourceFile) -> Iterator[bytes]:
    """Give pieces from the middle and the end of an uncompressed file that is large enough; they begin with a line."""
    if file.size < 4 * PIECE_BYTES:
        return
    for start in (file.size // 2, file.size - PIECE_BYTES):
        data = store.part(file, start, PIECE_BYTES)
        yield data[data.find(b"\n") + 1 :]


def whole_lines(text: str) -> str:
    """Return a piece of a larger text without its last line, which is cut."""
    end = max(text.rfind("\n"), text.rfind("\r"))
    return text[: end + 1] if end >= 0 else text


def _zstd(data: bytes) -> bytes:
    import pyarrow as pa

    out = io.BytesIO()
    try:
        with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
            while out.tell() < _MOST_BYTES and (block := stream.read(65536)):
                out.write(block)
    except OSError:
        # It is only a piece, so it has no end.
        pass
    return out.getvalue()
