"""Between a file as it lies there and DuckDB: what is broken, hostile or not UTF-8 is met here.

DuckDB itself does not check the sum at the end of a gzip file and takes half a zstd file for a whole one, so every
compressed file is run through once, in blocks, before a row of it is read; that also counts what it grows to.
"""

from __future__ import annotations

import codecs
import dataclasses
import io
import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from b2brecs.configs.sources import FileSettings
from b2brecs.errors import SourceError
from b2brecs.sources.base import SourceFile
from b2brecs.sources.files.store import BLOCK

if TYPE_CHECKING:
    import pyarrow as pa

# Whatever grows to less than this is harmless.
HARMLESS = 64 * 1024 * 1024
HEAD = 64 * 1024
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_BOMS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_KNOWN = {b"PAR1": "a Parquet file", b"PK\x03\x04": "a ZIP or Excel file", b"%PDF": "a PDF file",
          b"\xd0\xcf\x11\xe0": "an old Excel file", b"ORC": "an ORC file", b"Obj\x01": "an Avro file",
          b"SQLite format": "a SQLite file"}  # fmt: skip
_UTF8 = frozenset({"utf-8", "ascii", "utf-8-sig"})


@dataclass(frozen=True)
class Ready:
    """A file that DuckDB can open.

    ``name`` is the one that users know; ``end`` are its last characters, if known. With ``single`` one thread reads it;
    ``even`` is a copy whose lines end alike. ``others`` are files that are read along with it, as if they were one.
    """

    name: str
    path: Path
    compression: str = "none"
    end: bytes | None = None
    single: bool = False
    even: bool = False
    others: tuple[Ready, ...] = ()

    @property
    def paths(self) -> list[Path]:
        """Where it is, and the others are."""
        return [self.path, *(other.path for other in self.others)]

    @property
    def singles(self) -> list[Ready]:
        """The files one by one."""
        return [dataclasses.replace(self, others=()), *self.others]


class Guard:
    """Looks at files before they are read.

    Parameters
    ----------
    label
        The source, as errors name it.
    folder
        Where copies may be put.
    """

    def __init__(self, label: str, settings: FileSettings, folder: Path) -> None:
        self.label, self.settings, self.folder = label, settings, folder
        self._ends: dict[tuple[str, str], bytes] = {}
        self._numbers = itertools.count()
        self._lock = threading.Lock()

    def parquet(self, file: SourceFile, path: Path) -> Ready:
        """Make a Parquet file ready."""
        return Ready(file.name, self._plain_path(path))

    def text(self, file: SourceFile, path: Path) -> Ready:
        """Make a file of text ready; a copy of it, when it is not UTF-8. ``done`` removes the copy.

        Raises
        ------
        SourceError
            It is not text, or is cut off, or grows beyond all measure, or is of another encoding.
        """
        with path.open("rb") as raw:
            magic = raw.read(4)
        compression = next((kind for start, kind in _MAGIC.items() if magic.startswith(start)), "none")
        head = self._head(file, path, compression)
        encoding = self.encoding(file, head)
        key = (file.name, file.stamp)
        if encoding is not None:
            return self._copied(file, path, compression, encoding)
        if compression == "none":
            return Ready(file.name, self._plain_path(path))
        if key not in self._ends:
            end = b""
            for block in self._blocks(file, path, compression):
                end = (end + block)[-HEAD:]
            self._ends[key] = end
        return Ready(file.name, self._plain_path(path), compression, self._ends[key])

    def done(self, ready: Ready, path: Path) -> None:
        """Remove what was made for a file."""
        if ready.path != path:
            ready.path.unlink(missing_ok=True)

    def even(self, ready: Ready) -> Ready:
        """Return a copy all of whose lines end alike; those within quotes, too."""
        import pyarrow as pa

        packed = "none" if ready.compression == "none" else "zstd"
        target = self.temporary(".copy")
        held = b""
        with opened(ready.path, ready.compression) as source, pa.OSFile(str(target), "wb") as raw:
            sink: Any = raw if packed == "none" else pa.CompressedOutputStream(raw, packed)
            with sink:
                while block := bytes(source.read(BLOCK)):
                    block = held + block
                    # The two halves of a line's end may lie in two blocks.
                    held = b"\r" if block.endswith(b"\r") else b""
                    block = block.removesuffix(held) if held else block
                    sink.write(block.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))
                sink.write(held.replace(b"\r", b"\n"))
        return dataclasses.replace(ready, path=target, compression=packed, even=True)

    def temporary(self, ending: str) -> Path:
        """Return a new name in the folder of copies."""
        with self._lock:
            return self.folder / f"{next(self._numbers)}{ending}"

    def _plain_path(self, path: Path) -> Path:
        """Return a way to the file that DuckDB takes for no pattern."""
        text = str(path)
        try:
            text.encode()
            tame = not any(char in text for char in "*?[]{}\\")
        except UnicodeEncodeError:
            tame = False
        if tame:
            return path
        link = self.temporary(".link")
        link.symlink_to(path.absolute())
        return link

    def _head(self, file: SourceFile, path: Path, compression: str) -> bytes:
        try:
            with opened(path, compression) as stream:
                return bytes(stream.read(HEAD))
        except OSError as error:
            raise self._damaged(file, compression, error) from None

    def encoding(self, file: SourceFile, head: bytes) -> str | None:
        """Return the encoding of a file that begins so; None for UTF-8.

        Raises
        ------
        SourceError
            It is not text.
        """
        marked = next((name for bom, name in _BOMS.items() if head.startswith(bom)), None)
        try:
            named = codecs.lookup(self.settings.encoding).name
        except LookupError:
            raise SourceError(
                self.label, f"there is no encoding {self.settings.encoding!r}.", "Check encoding=."
            ) from None
        if marked is None and named.startswith(("utf-16", "utf-32")):
            return named
        for start, what in _KNOWN.items():
            if head.startswith(start):
                raise self._error(file, f"this is {what}.", "Check format= and tables=.")
        if marked != "utf-16" and b"\0" in head:
            raise self._error(file, "this is not text: it holds NUL bytes.",
                              "Check format= and tables=; say encoding='utf-16' if that is what it is.")  # fmt: skip
        if marked is not None:
            return None if marked == "utf-8" else marked
        return None if named in _UTF8 else named

    def _blocks(self, file: SourceFile, path: Path, compression: str) -> Iterator[bytes]:
        limit = max(HARMLESS, file.size * self.settings.max_expansion)
        total = 0
        try:
            with opened(path, compression) as stream:
                while block := stream.read(BLOCK):
                    total += len(block)
                    if compression != "none" and total > limit:
                        raise self._error(
                            file,
                            f"it grows to more than {self.settings.max_expansion} times its size, as an attack would.",
                            "Raise max_expansion= if you trust it.",
                        )  # fmt: skip
                    yield bytes(block)
        except OSError as error:
            raise self._damaged(file, compression, error) from None

    def _copied(self, file: SourceFile, path: Path, compression: str, encoding: str) -> Ready:
        import pyarrow as pa

        # What was compressed stays so, or the copy would need the room that compression saved.
        packed = "none" if compression == "none" else "zstd"
        target = self.temporary(".copy")
        decoder = codecs.getincrementaldecoder(encoding)()
        end, at = b"", 0
        try:
            with pa.OSFile(str(target), "wb") as raw:
                sink: Any = raw if packed == "none" else pa.CompressedOutputStream(raw, packed)
                with sink:
                    for block in itertools.chain(self._blocks(file, path, compression), (b"",)):
                        waiting = len(decoder.getstate()[0])
                        text = decoder.decode(block, final=not block).encode("utf-8", "surrogatepass")
                        sink.write(text)
                        end, at = (end + text)[-HEAD:], at + len(block)
        except UnicodeDecodeError as error:
            target.unlink(missing_ok=True)
            place = at - waiting + error.start
            raise self._error(file, f"byte {place:,} is not {encoding}: {error.reason}.", "Check encoding=.") from None
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        return Ready(file.name, target, packed, end)

    def _damaged(self, file: SourceFile, compression: str, error: OSError) -> SourceError:
        if compression == "none":
            return self._error(file, f"it cannot be read: {error.strerror or error}.")
        if "truncated" in str(error).lower():
            return self._error(file, f"the {compression} file is cut off.", "Write or upload it again.")
        return self._error(file, f"the {compression} file is damaged.", "Write or upload it again.")

    def _error(self, file: SourceFile, reason: str, fix: str = "") -> SourceError:
        return SourceError(self.label, f"{file.name}: {reason}", fix)


def opened(path: Path, compression: str) -> IO[bytes] | pa.NativeFile:
    """Open a file for reading what it holds, uncompressed."""
    if compression == "none":
        return path.open("rb")
    import pyarrow as pa

    return pa.CompressedInputStream(pa.OSFile(str(path)), compression)


def as_text(ready: Ready) -> io.TextIOWrapper:
    """Open a ready file as text, its line ends as they are; what is not UTF-8 becomes lone surrogates."""
    stream: Any = opened(ready.path, ready.compression)
    return io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")


def last_bytes(ready: Ready) -> bytes:
    """Return the last bytes of a ready file."""
    if ready.end is not None:
        return ready.end
    with ready.path.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(max(0, size - HEAD))
        return file.read()
