"""The same load by Apache Beam: workers read the parts into files, this process alone writes the warehouse.

The pipeline is ``Create(parts) | Reshuffle | ReadPart | ToList | WriteResult``. Of what it leaves in its folder only
the files of its one result count; the manifest, written last, lists them.
"""

from __future__ import annotations

import contextlib
import json
import pickle
import queue
import re
import shutil
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self, cast

from b2brecs.configs.connection import Connection
from b2brecs.configs.secrets import Secret
from b2brecs.errors import B2BRecsError, Cancelled, ConfigError, LoadError, require
from b2brecs.etl.beam_options import pipeline_options, stays_here
from b2brecs.sources.base import Part, ReadSecret, Reject, open_source
from b2brecs.types import TableSchema

if TYPE_CHECKING:
    import pyarrow as pa
    from apache_beam.options.pipeline_options import PipelineOptions

    from b2brecs.etl.beam_worker import PartFile, Way

MANIFEST = "manifest.json"
_BATCH_ROWS = 65_536
_POLL = 1.0
_LONGEST = 400


@dataclass(frozen=True)
class BeamRead:
    """The rows that Beam has read, in files that go when it is closed."""

    table: str
    folder: str
    parts: tuple[PartFile, ...]

    @property
    def rows(self) -> int:
        """Rows of all parts."""
        return sum(part.rows for part in self.parts)

    @property
    def rejected(self) -> int:
        """Rejected rows of all parts."""
        return sum(part.rejected for part in self.parts)

    def manifest(self) -> dict[str, Any]:
        """Return what is known of the parts, as plain data."""
        parts = [asdict(part) for part in self.parts]
        return {"table": self.table, "rows": self.rows, "rejected": self.rejected, "parts": parts}

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Stream the rows, part after part, in the types that the source gave them.

        Raises
        ------
        LoadError
            A file is not what the worker wrote.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        for part in self.parts:
            rows = 0
            try:
                with _open(part.file) as file, pq.ParquetFile(file) as parquet:
                    for batch in parquet.iter_batches(_BATCH_ROWS):
                        rows += batch.num_rows
                        yield batch
            except (pa.ArrowException, OSError) as error:
                raise LoadError(f"{self._named(part)} cannot be read back: {_short(error)}") from None
            if rows != part.rows:
                raise LoadError(f"{self._named(part)} has {rows:,} rows in its file, and {part.rows:,} were read.")

    def rejects(self) -> Iterator[Reject]:
        """Stream the rows that the source could not represent.

        Raises
        ------
        LoadError
            A file is not what the worker wrote.
        """
        for part in self.parts:
            if part.rejects is None:
                continue
            count = 0
            with _open(part.rejects) as file:
                for line in file:
                    count += 1
                    yield Reject(**json.loads(line))
            if count != part.rejected:
                raise LoadError(f"{self._named(part)} has {count:,} rejects in its file instead of {part.rejected:,}.")

    def close(self) -> None:
        """Remove the files, those of workers that were tried again too."""
        _remove(self.folder)

    def _named(self, part: PartFile) -> str:
        return f"part {part.index + 1} of {len(self.parts)} of table {self.table!r}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_with_beam(
    connection: Connection,
    secrets: str | ReadSecret,
    table: TableSchema,
    parts: Sequence[Part],
    folder: str,
    *,
    options: Mapping[str, str],
    stop: Callable[[], bool] | None = None,
) -> BeamRead:
    """Read the parts of a table by a Beam pipeline, and return when all of them are read.

    Parameters
    ----------
    connection
        Where the rows come from. Its references to secrets travel, never a secret.
    secrets
        The address of a home whose secrets the workers read (``gcp://project/region``), or what reads them: a
        function that can be pickled, or any for a runner in this process.
    table
        The columns to read.
    parts
        What each worker reads; together they are what a plain read would give. Where the source can hold a moment,
        it is held, and all parts are read at it.
    folder
        A local folder or URL (``gs://bucket/path``) that workers can write to; a folder below it is made and removed.
    options
        Options of the pipeline, ``runner`` among them; without, ``FnApiRunner`` works in this process.
    stop
        Asked now and then while another machine works; if true, the pipeline is cancelled.

    Raises
    ------
    SourceError, LoadError
        A part failed, which is named; or a part is missing.
    ConfigError
        The options are wrong.
    MissingExtra
        Apache Beam is not installed.
    """
    _beam("apache_beam")
    here = f"{folder.rstrip('/')}/{uuid.uuid4().hex}"
    made = pipeline_options(options, folder=here, table=table.name, connection=connection)
    if not parts:
        return BeamRead(table.name, here, ())
    with ExitStack() as held:
        undo = held.enter_context(contextlib.ExitStack())
        undo.callback(_remove, here)
        way = _way(secrets, connection, in_process=stays_here(options), held=held)
        frozen = held.enter_context(_at_one_moment(connection, way, parts))
        _make(here)
        try:
            _run(connection, table, frozen, here, way, made, stop)
        except Cancelled:
            raise
        except Exception as error:  # noqa: BLE001
            raise _failed(here, table.name, len(parts), error) from None
        read = BeamRead(table.name, here, _complete(_result(here), table.name, len(parts)))
        _present(read)
        with _create(f"{here}/{MANIFEST}") as file:
            file.write(json.dumps(read.manifest()).encode())
        undo.pop_all()
        return read


def _run(
    connection: Connection,
    table: TableSchema,
    parts: Sequence[Part],
    folder: str,
    way: Way,
    options: PipelineOptions,
    stop: Callable[[], bool] | None,
) -> None:
    result = build(connection, table, parts, folder, way, options).run()
    try:
        state = result.wait_until_finish() if stop is None else _watched(result, stop, table.name)
    except BaseException:
        with contextlib.suppress(Exception):
            result.cancel()
        raise
    if state != "DONE":
        raise LoadError(f"the Beam pipeline ended as {state}.")


def _watched(result: Any, stop: Callable[[], bool], table: str) -> Any:
    """Wait for the end, or until somebody asks to stop."""
    ended: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue()

    def wait() -> None:
        try:
            ended.put((result.wait_until_finish(), None))
        except BaseException as error:  # noqa: BLE001
            ended.put((None, error))

    # Not every runner can be waited for several times, nor for a while.
    threading.Thread(target=wait, daemon=True, name="b2brecs-beam").start()
    while not stop():
        with contextlib.suppress(queue.Empty):
            state, error = ended.get(timeout=_POLL)
            if error is not None:
                raise error
            return state
    raise Cancelled(f"the load of {table!r} was stopped; the table is as it was.")


def build(
    connection: Connection, table: TableSchema, parts: Sequence[Part], folder: str, way: Way, options: PipelineOptions
) -> Any:
    """Return the pipeline, not yet running."""
    from b2brecs.etl.beam_worker import ReadPart, WriteResult

    beam = _beam("apache_beam")

    pipeline = beam.Pipeline(options=options)
    (
        pipeline
        | "Parts" >> beam.Create(list(enumerate(parts)), reshuffle=False)
        | "Spread" >> beam.Reshuffle()
        | "Read" >> beam.ParDo(ReadPart(connection.to_json(), table, folder, way))
        | "Collect" >> beam.combiners.ToList()
        | "Result" >> beam.ParDo(WriteResult(folder))
    )
    return pipeline


def _way(secrets: str | ReadSecret, connection: Connection, *, in_process: bool, held: ExitStack) -> Way:
    """Say how workers get at secrets.

    Raises
    ------
    ConfigError
        What was given does not travel, or would carry a secret with it.
    """
    from b2brecs.etl.beam_worker import Way, forget, keep, spellings

    if isinstance(secrets, str):
        return Way(url=secrets)
    if in_process:
        way = keep(secrets)
        held.callback(forget, way)
        return way
    fix = "Give the workspace's address instead: 'gcp://project/region'."
    try:
        carried = pickle.dumps(secrets)
    except Exception:  # noqa: BLE001
        raise ConfigError.single(
            "Engine", "secrets", type(secrets).__name__, "this function does not travel to Beam's workers.", fix
        ) from None
    settings = connection.source
    known = [value for name in type(settings).model_fields if isinstance(value := getattr(settings, name), Secret)]
    if any(form.encode() in carried for secret in known for form in spellings(secrets(secret))):
        raise ConfigError.single(
            "Engine", "secrets", type(secrets).__name__, "this function would carry a secret along in plain text.", fix
        )
    return Way(travels=secrets)


@contextlib.contextmanager
def _at_one_moment(connection: Connection, way: Way, parts: Sequence[Part]) -> Iterator[tuple[Part, ...]]:
    if len(parts) == 1 or any(part.snapshot is not None for part in parts):
        yield tuple(parts)
        return
    with contextlib.closing(open_source(connection, way.open())) as source, source.snapshot() as moment:
        yield tuple(replace(part, snapshot=moment) for part in parts)


def _result(folder: str) -> list[dict[str, Any]]:
    """Return what the parts became; of several whole results, each is as good as another."""
    for path in sorted(_list(folder, "result-*")):
        with contextlib.suppress(ValueError), _open(path) as file:
            return cast("list[dict[str, Any]]", json.loads(file.read()))
    raise LoadError("the Beam pipeline ended without a result.")


def _complete(found: Sequence[Mapping[str, Any]], table: str, count: int) -> tuple[PartFile, ...]:
    """Return the parts in order, if each is there exactly once.

    Raises
    ------
    LoadError
        One is missing, or there twice.
    """
    from b2brecs.etl.beam_worker import PartFile

    times = Counter(item["index"] for item in found)
    wrong = [f"part {index + 1} was read {times[index]} times" for index in range(count) if times[index] != 1]
    wrong += [f"there is no part {index + 1}" for index in sorted(times.keys() - set(range(count)))]
    if wrong:
        raise LoadError(f"table {table!r} was not read once by Beam: {', '.join(wrong)} of {count}.")
    return tuple(PartFile(**item) for item in sorted(found, key=lambda item: int(item["index"])))


def _present(read: BeamRead) -> None:
    there = {path.rpartition("/")[2] for path in _list(read.folder, "*")}
    named = [path for part in read.parts for path in (part.file, part.rejects) if path is not None]
    gone = [path for path in named if path.rpartition("/")[2] not in there]
    if gone:
        raise LoadError(f"table {read.table!r}: Beam's workers wrote {gone[0]!r}, but it is not there.")


def _failed(folder: str, table: str, count: int, error: Exception) -> B2BRecsError:
    """Return the library's own error for a pipeline that failed, naming the first part that did."""
    from b2brecs.etl.beam_worker import restored

    found = []
    with contextlib.suppress(Exception):
        for path in _list(folder, "failure-*"):
            with _open(path) as file:
                found.append(json.loads(file.read()))
    if found:
        first = min(found, key=lambda item: int(item["index"]))
        where = f"part {first['index'] + 1} of {count} of table {table!r} failed: "
        return restored({**first, "reason": where + first["reason"]})
    if isinstance(error, B2BRecsError):
        return error
    return LoadError(f"the Beam pipeline of table {table!r} failed: {_short(error)}")


def _beam(module: str) -> Any:
    return require(module, feature="the Beam engine", extra="dataflow")


def _short(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:_LONGEST]


# Files, where Beam's workers see them


def _files() -> Any:
    return _beam("apache_beam.io.filesystems").FileSystems


def _list(folder: str, names: str) -> list[str]:
    """List files of a folder by a pattern of their names."""
    if "://" not in folder:
        return [str(path) for path in Path(folder).glob(names)]
    # Beam cannot quote what is a pattern to it. The folder's own name is random, so that any character will do.
    return [item.path for item in _files().match([re.sub(r"[\[\]*?]", "?", folder) + f"/{names}"])[0].metadata_list]


def _open(path: str) -> IO[bytes]:
    return cast("IO[bytes]", _files().open(path))


def _create(path: str) -> IO[bytes]:
    return cast("IO[bytes]", _files().create(path))


def _make(folder: str) -> None:
    _files().mkdirs(folder)


def _remove(folder: str) -> None:
    if "://" not in folder:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            Path(folder).parent.rmdir()
        return
    # What is left behind costs space only; it must not hide what came before.
    with contextlib.suppress(Exception):
        _files().delete([f"{folder}/"])


__all__ = ["BeamRead", "read_with_beam"]
