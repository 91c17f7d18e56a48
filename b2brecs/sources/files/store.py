"""What a place of files does: list, hand out a piece, hand out a whole file. Reading is not its business."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, ClassVar, TypeVar

from b2brecs.errors import SourceError
from b2brecs.sources.base import SourceFile

T = TypeVar("T")

# A test of a connection may take this long in all, and may wait this long for a server to accept or to answer.
TEST_SECONDS = 10.0
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 4.0
# Of a large file's download: how long nothing may arrive.
QUIET_SECONDS = 60.0
BLOCK = 1024 * 1024


class Store(ABC):
    """A place of files. Names are paths below its root, with ``/``; all errors are ``SourceError``.

    A file is what a listing said: ``part`` and ``fetch`` refuse, as transient, a file that changed since.
    """

    # Whether files lie on this machine, so that looking into them costs nothing.
    local: ClassVar[bool] = False

    def __init__(self, label: str) -> None:
        self.label = label

    @abstractmethod
    def list(self, prefix: str = "") -> Iterator[SourceFile]:
        """List every file whose name begins so, whatever its depth."""

    @abstractmethod
    def children(self, folder: str = "") -> Iterator[SourceFile | str]:
        """List one folder (``""`` or ``"a/b/"``): its files, and its sub-folders as names with a ``/`` at the end."""

    @abstractmethod
    def part(self, file: SourceFile, start: int, length: int) -> bytes:
        """Return a piece of a file; shorter at its end."""

    @abstractmethod
    def fetch(self, file: SourceFile, into: Path) -> Path:
        """Bring a file here, to ``into`` or to wherever it already lies; return where that is."""

    @abstractmethod
    def check(self) -> str:
        """Reach the root quickly and return a sentence about it."""

    def close(self) -> None:  # noqa: B027 - most hold nothing
        """Give back what is held."""

    def changed(self, file: SourceFile) -> SourceError:
        """Make the error for a file that is not what the listing said."""
        return SourceError(self.label, f"{file.name} changed while it was read.", "Run again.", transient=True)

    def vanished(self, file: SourceFile) -> SourceError:
        """Make the error for a file that is gone."""
        return SourceError(self.label, f"{file.name} is gone: it was deleted while it was read.", "Run again.",
                           transient=True)  # fmt: skip

    def call(self, act: Callable[..., T], *arguments: Any, about: SourceFile | None = None) -> T:
        """Do something with the client library and say its errors in words."""
        try:
            return act(*arguments)
        except Exception as error:
            failure = _alone(error) if isinstance(error, SourceError) else self.explain(error, about)
            if failure is None:
                raise
        # Outside the handler: what the library says may hold a secret, and must not travel along.
        raise failure

    def explain(self, error: Exception, about: SourceFile | None) -> SourceError | None:  # noqa: ARG002
        """Say an error of the client library in words; None: it is not one."""
        return None


def _alone(error: SourceError) -> SourceError:
    """Return an error without those that led to it."""
    return SourceError(error.source, error.reason, error.fix, transient=error.transient)


class Writer:
    """A file being written, in blocks; stopping it ends the download that feeds it."""

    def __init__(self, file: IO[bytes], stopped: threading.Event) -> None:
        self._file, self._stopped = file, stopped

    def write(self, data: bytes) -> int:
        """Write a block."""
        if self._stopped.is_set():
            raise StoppedError
        return self._file.write(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move, as a library does that starts a download again."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return how much is written."""
        return self._file.tell()

    def truncate(self, size: int | None = None) -> int:
        """Cut what is written."""
        return self._file.truncate(size)

    def flush(self) -> None:
        """Pass on what is buffered."""
        self._file.flush()

    def seekable(self) -> bool:
        """Whether ``seek`` works."""
        return True

    def writable(self) -> bool:
        """Whether ``write`` works."""
        return True


class StoppedError(Exception):
    """Nobody wants the file any more."""


def in_time(label: str, act: Callable[[], T], seconds: float = TEST_SECONDS) -> T:
    """Do something, and give up when it takes longer: name resolution and sign-in heed no deadline.

    Raises
    ------
    SourceError
        There was no answer in time.
    """
    answers: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            answers.append(act())
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    thread = threading.Thread(target=work, name="b2brecs-test", daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not answers:
        raise SourceError(label, f"there was no answer in {seconds:g} s.", "Look at the network.", transient=True)
    return answers[0]
