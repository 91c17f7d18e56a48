"""A bucket of Google Cloud Storage."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from b2brecs.configs.sources import GCSSettings
from b2brecs.errors import SourceError, require
from b2brecs.sources.base import SourceFile
from b2brecs.sources.files.remote import RemoteStore
from b2brecs.sources.files.source import FileSource
from b2brecs.sources.files.store import ANSWER_SECONDS, CONNECT_SECONDS, QUIET_SECONDS, StoppedError, Store, Writer
from b2brecs.sources.google import Google

EMULATOR = "STORAGE_EMULATOR_HOST"
_ROLE = "roles/storage.objectViewer (on the bucket)"
_FIELDS = "items(name,size,generation),prefixes,nextPageToken"


class GCSSource(FileSource[GCSSettings]):
    """Files in a bucket of Google Cloud Storage."""

    def _open(self) -> Store:
        settings = self.settings
        require("google.cloud.storage", feature="a Google Cloud Storage connection", extra="gcp")
        emulated = bool(os.environ.get(EMULATOR)) and settings.credentials is None
        return GCSStore(
            settings, Google(settings.label(), _ROLE, settings.credentials, self.read_secret, emulated=emulated)
        )


class GCSStore(RemoteStore):
    """A bucket."""

    holder = "a bucket"

    def __init__(self, settings: GCSSettings, google: Google) -> None:
        super().__init__(settings.label(), settings.prefix)
        self.settings, self._google = settings, google
        self._credentials = self.call(google.credentials)
        self._client = self.call(self._connect)

    def list(self, prefix: str = "") -> Iterator[SourceFile]:
        for item in self._pages(prefix, None):
            if not isinstance(item, str):
                yield item

    def children(self, folder: str = "") -> Iterator[SourceFile | str]:
        yield from self._pages(folder, "/")

    def part(self, file: SourceFile, start: int, length: int) -> bytes:
        length = min(length, file.size - start)
        if length <= 0:
            return b""
        return self.call(self._part, file, start, start + length - 1, about=file)

    def check(self) -> str:
        def ask() -> tuple[int, int, bool]:
            found = self._client.list_blobs(
                self.settings.bucket, prefix=self.prefix or None, delimiter="/", max_results=1000, retry=None,
                timeout=(CONNECT_SECONDS, ANSWER_SECONDS),
            )  # fmt: skip
            files = sum(not blob.name.endswith("/") for blob in found)
            return files, len(found.prefixes), files >= 1000

        files, folders, more = self.call(ask)
        return self.seen(files, folders, more=more)

    def close(self) -> None:
        super().close()
        self._client.close()

    def explain(self, error: Exception, about: SourceFile | None) -> SourceError | None:
        from google.api_core import exceptions
        from google.cloud.exceptions import NotFound

        if isinstance(error, StoppedError):
            return self.failed("the reading was stopped.")
        if isinstance(error, exceptions.PreconditionFailed) and about is not None:
            return self.changed(about)
        if isinstance(error, NotFound):
            if about is not None:
                return self.vanished(about)
            return self.failed(f"there is no bucket {self.settings.bucket!r}.", "Check bucket=.")
        if isinstance(error, exceptions.BadRequest) and about is None:
            return self.failed(f"{self.settings.bucket!r} is not a valid name of a bucket.", "Check bucket=.")
        found = self._google.failed(error)
        if found is None and isinstance(error, OSError):
            name = about.name if about is not None else "a file"
            return self.failed(f"{name} did not arrive as a whole.", "Run again.", transient=True)
        return found

    def _part(self, file: SourceFile, first: int, last: int) -> bytes:
        blob = self._blob(file)
        data = blob.download_as_bytes(start=first, end=last, checksum=None, **_just(file))
        self._same(file, blob)
        return bytes(data)

    def _download(self, file: SourceFile, sink: Writer) -> None:
        blob = self._blob(file)
        blob.download_to_file(sink, **_just(file))
        self._same(file, blob)

    def _same(self, file: SourceFile, blob: Any) -> None:
        # Emulators do not heed the condition, but say what they gave.
        if blob.generation is not None and str(blob.generation) != file.stamp:
            raise self.changed(file)

    def _blob(self, file: SourceFile) -> Any:
        return self._client.bucket(self.settings.bucket).blob(self.full(file.name))

    def _pages(self, prefix: str, delimiter: str | None) -> Iterator[SourceFile | str]:
        found = self._client.list_blobs(
            self.settings.bucket, prefix=self.full(prefix) or None, delimiter=delimiter, fields=_FIELDS,
            timeout=(CONNECT_SECONDS, QUIET_SECONDS),
        )  # fmt: skip
        pages = iter(found.pages)
        while (page := self.call(next, pages, None)) is not None:
            for blob in page:
                if not blob.name.endswith("/"):
                    yield SourceFile(self.own(blob.name), int(blob.size or 0), str(blob.generation))
        for name in sorted(found.prefixes):
            yield self.own(name)

    def _connect(self) -> Any:
        from google.cloud import storage  # type: ignore[attr-defined]

        return storage.Client(project=self.settings.project or _project(), credentials=self._credentials)


def _just(file: SourceFile) -> dict[str, Any]:
    """Ask for the file that was listed, as it lies there: one that is stored compressed has its size only then."""
    return {
        "if_generation_match": int(file.stamp),
        "raw_download": True,
        "timeout": (CONNECT_SECONDS, QUIET_SECONDS),
    }


def _project() -> str | None:
    # Reading needs no project; without a name the library searches for one, for seconds.
    return os.environ.get("GOOGLE_CLOUD_PROJECT") or "none"
