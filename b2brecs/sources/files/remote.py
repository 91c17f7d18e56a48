"""What the stores in clouds have in common: files are fetched in blocks, again if the line breaks."""

from __future__ import annotations

import threading
from abc import abstractmethod
from pathlib import Path
from typing import ClassVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from b2brecs.errors import SourceError
from b2brecs.sources.base import SourceFile, scrub
from b2brecs.sources.files.store import Store, Writer

_TRIES = 3
_WAIT_SECONDS = 5


class RemoteStore(Store):
    """A store behind a network.

    Parameters
    ----------
    label
        As errors name it.
    prefix
        The folder in which all names begin.
    """

    # What the store calls the thing that holds the files.
    holder: ClassVar[str]

    def __init__(self, label: str, prefix: str) -> None:
        super().__init__(label)
        self.prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self.hidden: tuple[str, ...] = ()
        self._stopped = threading.Event()

    @abstractmethod
    def _download(self, file: SourceFile, sink: Writer) -> None:
        """Write a file into ``sink``, from its beginning, if it is still the one that was listed."""

    def fetch(self, file: SourceFile, into: Path) -> Path:
        def once() -> None:
            with into.open("wb") as target:
                self._download(file, Writer(target, self._stopped))
            if into.stat().st_size != file.size:
                raise SourceError(self.label, f"{file.name} did not arrive as a whole.", "Run again.", transient=True)

        self._again(lambda: self.call(once, about=file))
        return into

    def close(self) -> None:
        self._stopped.set()

    def failed(self, reason: str, fix: str = "", *, transient: bool = False) -> SourceError:
        """Make an error without secrets."""
        return SourceError(self.label, scrub(reason, *self.hidden), fix, transient=transient)

    def full(self, name: str) -> str:
        """Return the name under which the store knows a file."""
        return f"{self.prefix}{name}"

    def own(self, name: str) -> str:
        """Return a file's name below our folder."""
        return name[len(self.prefix) :]

    def seen(self, files: int, folders: int, *, more: bool) -> str:
        """Say what a test has found.

        Raises
        ------
        SourceError
            There is nothing below the folder.
        """
        if self.prefix and not files and not folders:
            raise self.failed(f"there is no folder {self.prefix!r}.", "Check prefix=.")
        many = "more than " if more else ""
        return f"{self.holder} with {many}{files:,} files and {folders:,} folders at the top"

    def _again(self, act: object) -> None:
        assert callable(act)

        def passes(error: BaseException) -> bool:
            # A changed file stays changed: the listing must be made again.
            lasting = ("changed", "is gone")
            return (
                isinstance(error, SourceError) and error.transient and not any(word in error.reason for word in lasting)
            )

        def wait(state: RetryCallState) -> None:
            self._stopped.wait(state.upcoming_sleep)

        for attempt in Retrying(
            retry=retry_if_exception(passes),
            stop=stop_after_attempt(_TRIES),
            wait=wait_exponential_jitter(initial=min(0.2, _WAIT_SECONDS), max=_WAIT_SECONDS),
            before_sleep=wait,
            sleep=lambda _seconds: None,
            reraise=True,
        ):
            with attempt:
                act()
