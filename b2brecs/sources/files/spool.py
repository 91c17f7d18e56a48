"""Remote files, brought here one after the other, the next while one is read; a small table's for a second look."""

from __future__ import annotations

import functools
import itertools
import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from b2brecs.sources.base import SourceFile
from b2brecs.sources.files.store import Store

# Kept in all, so that finding types and reading a small table fetches its files once.
KEPT_BYTES = 256 * 1024 * 1024
# Small files are fetched and read together: a query for each would take longer than its rows.
_GROUP_BYTES = 16 * 1024 * 1024
_GROUP_FILES = 128
_WORKERS = 4


class Spool:
    """A temporary folder of files from a store. A local store's files are used where they lie."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.folder = Path(tempfile.mkdtemp(prefix="b2brecs-files-"))
        self._numbers = itertools.count()
        self._kept: dict[tuple[str, str], Path] = {}
        self._kept_bytes = 0
        self._lock = threading.Lock()

    def groups(self, files: Sequence[SourceFile]) -> Iterator[list[tuple[SourceFile, Path]]]:
        """Give the files, in order, with the paths where they lie; small ones together.

        Paths are good until the next group is asked for.

        Raises
        ------
        SourceError
            A file is gone, changed, or cannot be fetched.
        """
        planned = list(_grouped(files))
        if self.store.local:
            for group in planned:
                yield [(file, self.store.fetch(file, self.folder)) for file in group]
            return
        pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="b2brecs-fetch")
        fetched: list[list[Future[Path]]] = []
        try:
            for index, group in enumerate(planned):
                while len(fetched) < min(index + 2, len(planned)):
                    fetched.append([pool.submit(self._fetch, file) for file in planned[len(fetched)]])
                paths = [future.result() for future in fetched[index]]
                yield list(zip(group, paths, strict=True))
                for file, path in zip(group, paths, strict=True):
                    self._release(file, path)
                fetched[index] = []
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for group, futures in zip(planned, fetched, strict=False):
                for file, future in zip(group, futures, strict=False):
                    future.add_done_callback(functools.partial(self._drop, file))

    def close(self) -> None:
        """Remove everything; downloads that are under way end by themselves."""
        self.store.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _fetch(self, file: SourceFile) -> Path:
        kept = self._kept.get((file.name, file.stamp))
        if kept is not None:
            return kept
        # A number, never the file's own name: that is hostile data.
        target = self.folder / f"fetched-{next(self._numbers)}"
        try:
            return self.store.fetch(file, target)
        except BaseException:
            target.unlink(missing_ok=True)
            raise

    def _release(self, file: SourceFile, path: Path) -> None:
        key = (file.name, file.stamp)
        with self._lock:
            if self._kept.get(key) == path:
                return
            if key not in self._kept and self._kept_bytes + file.size <= KEPT_BYTES:
                self._kept[key] = path
                self._kept_bytes += file.size
                return
        path.unlink(missing_ok=True)

    def _drop(self, file: SourceFile, done: Future[Path]) -> None:
        with suppress(Exception, CancelledError):
            self._release(file, done.result())


def _grouped(files: Sequence[SourceFile]) -> Iterator[list[SourceFile]]:
    group: list[SourceFile] = []
    size = 0
    for file in files:
        if group and (size + file.size > _GROUP_BYTES or len(group) == _GROUP_FILES):
            yield group
            group, size = [], 0
        group.append(file)
        size += file.size
    if group:
        yield group
