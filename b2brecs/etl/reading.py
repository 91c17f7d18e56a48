"""Several parts of a table read at the same time, and handed on as one stream through a bounded queue."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from b2brecs.sources import OnReject, Part, Source
from b2brecs.types import TableSchema

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class _End:
    error: BaseException | None = None


def read_parts(
    source: Source[Any], table: TableSchema, parts: Sequence[Part], *, workers: int, on_reject: OnReject | None = None
) -> Iterator[pa.RecordBatch]:
    """Stream the rows of all parts, in no order among them.

    Memory is bounded by the queue: two batches for each reader. What a reader raises is raised here, and the
    others stop. Where the source can hold a moment, all parts are read at that moment.
    """
    if len(parts) == 1:
        yield from source.read(table, parts[0], on_reject=on_reject)
        return
    with source.snapshot() as snapshot:
        frozen = [replace(part, snapshot=snapshot) for part in parts]
        if workers == 1:
            for part in frozen:
                yield from source.read(table, part, on_reject=on_reject)
            return
        yield from _parallel(source, table, frozen, workers, _locked(on_reject))


def _parallel(
    source: Source[Any], table: TableSchema, parts: Sequence[Part], workers: int, on_reject: OnReject | None
) -> Iterator[pa.RecordBatch]:
    ready: queue.Queue[pa.RecordBatch | _End] = queue.Queue(maxsize=2 * workers)
    stop = threading.Event()

    def put(item: pa.RecordBatch | _End) -> bool:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def read(part: Part) -> None:
        try:
            reader = source.read(table, part, on_reject=on_reject)
            with reader:
                for batch in reader:
                    if not put(batch):
                        return
        except BaseException as error:  # noqa: BLE001
            put(_End(error))
        else:
            put(_End())

    pool = ThreadPoolExecutor(workers, thread_name_prefix="b2brecs-read")
    try:
        for part in parts:
            pool.submit(read, part)
        left = len(parts)
        while left:
            item = ready.get()
            if not isinstance(item, _End):
                yield item
            elif item.error is not None:
                raise item.error
            else:
                left -= 1
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _locked(on_reject: OnReject | None) -> OnReject | None:
    if on_reject is None:
        return None
    lock = threading.Lock()

    def take(reject: Any) -> None:
        with lock:
            on_reject(reject)

    return take
