"""What Beam's workers do: read one part, write one Parquet file. They never see the warehouse.

A worker that is tried again writes a new file; the one before is listed nowhere and goes with the folder.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from io import TextIOWrapper
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import quote

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from b2brecs.configs.connection import Connection
from b2brecs.configs.secrets import Secret
from b2brecs.errors import B2BRecsError, LoadError, SourceError
from b2brecs.etl.cast import finite_max, json_value
from b2brecs.sources.base import Part, ReadSecret, Reject, open_source, scrub
from b2brecs.types import TableSchema

if TYPE_CHECKING:
    from b2brecs.backends.protocols import TaskSpec

_ATTEMPTS = 3
_LONGEST = 500

# Readers of secrets that stay in this process, for runners that do too.
_KEPT: dict[str, ReadSecret] = {}


@dataclass(frozen=True)
class PartFile:
    """What one part became: its file and rows, the file of its rejects, and its greatest watermark (JSON text)."""

    index: int
    file: str
    rows: int
    rejects: str | None = None
    rejected: int = 0
    high: str | None = None


@dataclass(frozen=True)
class Way:
    """How a worker gets at secrets: by a home's address, by a function that travels, or by one kept in the process."""

    url: str | None = None
    travels: ReadSecret | None = None
    kept: str | None = None

    def open(self) -> ReadSecret:
        """Return what reads secrets."""
        if self.travels is not None:
            return self.travels
        if self.kept is not None:
            return _KEPT[self.kept]
        from b2brecs.backends.resolve import from_url

        assert self.url is not None
        return from_url(self.url, _no_tasks).secrets.get


def keep(read_secret: ReadSecret) -> Way:
    """Keep a reader of secrets in this process, until ``forget``."""
    way = Way(kept=uuid.uuid4().hex)
    assert way.kept is not None
    _KEPT[way.kept] = read_secret
    return way


def forget(way: Way) -> None:
    """Let go of what was kept."""
    _KEPT.pop(way.kept or "", None)


class ReadPart(beam.DoFn):  # type: ignore[misc, unused-ignore]
    """Read one part and write it as one Parquet file, in the types that the source gives.

    All that it holds is plain: the connection as JSON, with references to secrets only.
    """

    def __init__(self, connection: str, table: TableSchema, folder: str, way: Way) -> None:
        self.connection, self.table, self.folder, self.way = connection, table, folder, way

    def process(self, element: tuple[int, Part]) -> Iterator[dict[str, Any]]:
        index, part = element
        secrets = _Listening(self.way)
        try:
            patiently = Retrying(
                retry=retry_if_exception(lambda error: isinstance(error, SourceError) and error.transient),
                stop=stop_after_attempt(_ATTEMPTS),
                wait=wait_random_exponential(multiplier=0.5, max=30),
                reraise=True,
            )
            done = patiently(self._read, index, part, secrets)
        except Exception as error:  # noqa: BLE001
            found = _plain(error, secrets.heard)
            # The launcher finds it there, whatever the runner makes of the error; the error itself starts a retry.
            with suppress(Exception), FileSystems.create(_new(self.folder, "failure", index, "json")) as file:
                file.write(json.dumps({"index": index, **found}).encode())
            raise restored(found) from None
        yield asdict(done)

    def _read(self, index: int, part: Part, read_secret: ReadSecret) -> PartFile:
        path = _new(self.folder, "part", index, "parquet")
        watermark = part.since.column if part.since is not None else None
        rows, high = 0, None
        source = open_source(Connection.from_json(self.connection), read_secret)
        rejects = _Rejects(_new(self.folder, "rejects", index, "jsonl"))
        with ExitStack() as held:
            held.callback(source.close)
            held.callback(rejects.close)
            reader = held.enter_context(source.read(self.table, part, on_reject=rejects))
            file = held.enter_context(FileSystems.create(path))
            writer = held.enter_context(pq.ParquetWriter(file, reader.schema, compression="zstd"))
            for batch in reader:
                writer.write_batch(batch)
                rows += batch.num_rows
                if watermark is not None and _orders(batch, watermark, self.table):
                    here = finite_max(batch.column(watermark))
                    high = here if high is None or (here is not None and here > high) else high
        found = None if high is None else json_value(high)
        return PartFile(index, path, rows, rejects.path if rejects.count else None, rejects.count, found)


class WriteResult(beam.DoFn):  # type: ignore[misc, unused-ignore]
    """Write down what the parts became, all in one file, where the launcher looks for it."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def process(self, element: list[dict[str, Any]]) -> None:
        with FileSystems.create(f"{self.folder}/result-{uuid.uuid4().hex}.json") as file:
            file.write(json.dumps(element).encode())


class _Rejects:
    """Write rejects as lines of JSON; without any, no file is made."""

    def __init__(self, path: str) -> None:
        self.path, self.count = path, 0
        self._file: IO[str] | None = None

    def __call__(self, reject: Reject) -> None:
        if self._file is None:
            self._file = TextIOWrapper(FileSystems.create(self.path), "utf-8", "surrogatepass", newline="\n")
        self.count += 1
        self._file.write(json.dumps(asdict(reject)) + "\n")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


class _Listening:
    """Read secrets, and remember them, so that they can be taken out of messages."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self._read: Callable[[Secret], str] | None = None
        self.heard: set[str] = set()

    def __call__(self, secret: Secret) -> str:
        if self._read is None:
            self._read = self._way.open()
        value = self._read(secret)
        self.heard |= spellings(value)
        return value


def spellings(secret: str) -> set[str]:
    """Return the forms in which a secret may stand in a text; a key in JSON has its values too."""
    found = {secret, quote(secret, safe=""), json.dumps(secret)[1:-1]}
    with suppress(ValueError):
        plain = json.loads(secret)
        if isinstance(plain, dict):
            for value in plain.values():
                if isinstance(value, str) and len(value) > 8:
                    found |= {value, json.dumps(value)[1:-1]}
    return found - {""}


def restored(found: dict[str, Any]) -> B2BRecsError:
    """Return the error that a failure's plain form describes."""
    if found["source"] is None:
        return LoadError(found["reason"])
    return SourceError(found["source"], found["reason"], found["fix"], transient=found["transient"])


def _plain(error: Exception, secrets: set[str]) -> dict[str, Any]:
    if isinstance(error, SourceError):
        found = {"source": error.source, "reason": error.reason, "fix": error.fix, "transient": error.transient}
    else:
        known = isinstance(error, B2BRecsError)
        text = str(error) if known else f"{type(error).__name__}: {error}"
        found = {"source": None, "reason": text, "fix": "", "transient": False}
    longest = sorted(secrets, key=len, reverse=True)
    return {key: scrub(value, *longest)[:_LONGEST] if isinstance(value, str) else value for key, value in found.items()}


def _orders(batch: pa.RecordBatch, column: str, table: TableSchema) -> bool:
    """Say whether the column's values order as they stand: not where they are the text of something else."""
    if column not in table or column not in batch.schema.names:
        return False
    kind = batch.schema.field(column).type
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)
    return not text or (pa.types.is_string(kind) and table.column(column).type == "STRING")


def _new(folder: str, what: str, index: int, ending: str) -> str:
    return f"{folder}/{what}-{index:05d}-{uuid.uuid4().hex}.{ending}"


def _no_tasks(spec: TaskSpec, _progress: object) -> object:
    raise LoadError(f"Beam's workers read parts and do no task {spec.task!r}.")
