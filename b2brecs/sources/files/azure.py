"""A container of Azure Blob Storage."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from typing import Any, cast

from b2brecs.configs.sources import AzureSettings
from b2brecs.errors import SourceError, require
from b2brecs.sources.base import SourceFile
from b2brecs.sources.files.remote import RemoteStore
from b2brecs.sources.files.source import FileSource
from b2brecs.sources.files.store import ANSWER_SECONDS, CONNECT_SECONDS, QUIET_SECONDS, StoppedError, Store, Writer

_PAGE = 1000
_VARIABLE = "AZURE_STORAGE_CONNECTION_STRING"
_RIGHTS = "Give the account the role Storage Blob Data Reader on the container, or a SAS token with read and list."
_SECRETS = ("account_key", "sas_token", "connection_string")


_WRONG_KEY = ("AuthenticationFailed", "InvalidAuthenticationInfo", "NoAuthenticationInformation")


class AzureSource(FileSource[AzureSettings]):
    """Files in a container of Azure Blob Storage."""

    def _open(self) -> Store:
        settings = self.settings
        given = [name for name in _SECRETS if getattr(settings, name) is not None]
        if len(given) > 1:
            raise SourceError(settings.label(), f"{' and '.join(given)} are given.", "Give one of them.")
        secret = self.read_secret(getattr(settings, given[0])).strip() if given else ""
        return AzureStore(settings, given[0] if given else "", secret)


class AzureStore(RemoteStore):
    """A container."""

    holder = "a container"

    def __init__(self, settings: AzureSettings, way: str, secret: str) -> None:
        super().__init__(settings.label(), settings.prefix)
        require("azure.storage.blob", feature="an Azure Blob Storage connection", extra="azure")
        if not way and not (settings.account or settings.endpoint) and os.environ.get(_VARIABLE):
            way, secret = "connection_string", os.environ[_VARIABLE]
        self.settings, self._way, self._secret = settings, way, secret
        self.hidden = (secret, *_pieces(secret))
        self._client = self.call(self._connect, QUIET_SECONDS, 3)

    def list(self, prefix: str = "") -> Iterator[SourceFile]:
        pages = self._client.list_blobs(name_starts_with=self.full(prefix) or None, results_per_page=_PAGE).by_page()
        while (page := self.call(lambda: _listed(pages))) is not None:
            for item in page:
                yield from cast("Iterator[SourceFile]", self._item(item))

    def children(self, folder: str = "") -> Iterator[SourceFile | str]:
        pages = self._client.walk_blobs(
            name_starts_with=self.full(folder) or None, delimiter="/", results_per_page=_PAGE
        ).by_page()
        while (page := self.call(lambda: _listed(pages))) is not None:
            for item in page:
                yield from self._item(item)

    def part(self, file: SourceFile, start: int, length: int) -> bytes:
        length = min(length, file.size - start)
        return self.call(lambda: bytes(self._get(file, start, length).readall()), about=file) if length > 0 else b""

    def check(self) -> str:
        client = self.call(self._connect, ANSWER_SECONDS, 0)
        pages = client.walk_blobs(
            name_starts_with=self.prefix or None, delimiter="/", timeout=int(ANSWER_SECONDS)
        ).by_page()
        page = self.call(lambda: _listed(pages)) or []
        folders = sum(item.name.endswith("/") for item in page)
        return self.seen(len(page) - folders, folders, more=bool(pages.continuation_token))

    def close(self) -> None:
        super().close()
        self._client.close()

    def explain(self, error: Exception, about: SourceFile | None) -> SourceError | None:
        from azure.core import exceptions

        if isinstance(error, StoppedError):
            return self.failed("the reading was stopped.")
        found = getattr(error, "error_code", None)
        code = str(getattr(found, "value", found) or "")
        if isinstance(error, exceptions.ResourceModifiedError) and about is not None:
            return self.changed(about) if self._is_there(about) else self.vanished(about)
        if isinstance(error, exceptions.ResourceNotFoundError) and code != "ResourceNotFound":
            if about is not None and code != "ContainerNotFound":
                return self.vanished(about)
            return self.failed(f"there is no container {self.settings.container!r}.", "Check container= and account=.")
        signing = isinstance(error, exceptions.ClientAuthenticationError) and error.status_code is None
        if isinstance(error, ValueError) or signing:
            # What the library says of a damaged key or connection string may hold a piece of it.
            where = f" behind {self._way}=" if self._way else ""
            return self.failed(f"the secret{where} is damaged, or the address is wrong.",
                               "Copy the secret again; check account= and endpoint=.")  # fmt: skip
        if isinstance(error, exceptions.HttpResponseError):
            return self._refused(error, code)
        if isinstance(error, exceptions.ServiceRequestError | exceptions.ServiceResponseError):
            return self.failed("the server cannot be reached, or does not answer.",
                               "Check account=, endpoint= and the network.", transient=True)  # fmt: skip
        if isinstance(error, exceptions.AzureError | OSError):
            name = about.name if about is not None else "the answer"
            return self.failed(f"{name} did not arrive as a whole.", "Run again.", transient=True)
        return None

    def _is_there(self, file: SourceFile) -> bool:
        from azure.core.exceptions import AzureError

        try:
            return bool(self._client.get_blob_client(self.full(file.name)).exists())
        except AzureError:
            return True

    def _refused(self, error: Any, code: str) -> SourceError:
        status = error.status_code
        if code in _WRONG_KEY or status == 401:
            fix = f"Check the secret behind {self._way}=." if self._way else f"Give one of {', '.join(_SECRETS)}."
            return self.failed(f"the credentials are not accepted ({code or status}).", fix)
        if status in (403, 404, 409):
            also = f" Or check the secret behind {self._way}=." if self._way else ""
            return self.failed(f"access is refused ({code or status}).", f"{_RIGHTS}{also}")
        if code in ("InvalidResourceName", "InvalidUri", "OutOfRangeInput"):
            return self.failed(f"{self.settings.container!r} is not a valid name of a container.", "Check container=.")
        passes = status is not None and (status >= 500 or status == 429)
        return self.failed(f"the server refused ({code or status or type(error).__name__}).", transient=passes)

    def _download(self, file: SourceFile, sink: Writer) -> None:
        self._get(file, None, None).readinto(sink)

    def _get(self, file: SourceFile, start: int | None, length: int | None) -> Any:
        from azure.core import MatchConditions

        return self._client.download_blob(
            self.full(file.name), offset=start, length=length, etag=f'"{file.stamp}"',
            match_condition=MatchConditions.IfNotModified, max_concurrency=1,
        )  # fmt: skip

    def _item(self, item: Any) -> Iterator[SourceFile | str]:
        if item.name.endswith("/"):
            # A folder, or the empty file that some tools make for one.
            if not hasattr(item, "size") or item.size is None:
                yield self.own(item.name)
        else:
            yield SourceFile(self.own(item.name), item.size, str(item.etag).strip('"'))

    def _connect(self, seconds: float, tries: int) -> Any:
        from azure.core.credentials import AzureSasCredential
        from azure.storage.blob import ContainerClient

        settings = self.settings
        options: dict[str, Any] = {
            "connection_timeout": min(CONNECT_SECONDS, seconds), "read_timeout": seconds,
            "retry_total": tries, "retry_connect": tries, "retry_read": tries, "retry_status": tries,
        }  # fmt: skip
        if self._way == "connection_string":
            return ContainerClient.from_connection_string(self._secret, settings.container, **options)
        address = settings.endpoint or (f"https://{settings.account}.blob.core.windows.net" if settings.account else "")
        if not address:
            raise SourceError(self.label, "it is not said which account this is.",
                              "Give account=, endpoint= or connection_string=.")  # fmt: skip
        credential: Any = None
        if self._way == "account_key":
            if not settings.account:
                raise SourceError(self.label, "an account key belongs to an account.", "Give account= too.")
            credential = {"account_name": settings.account, "account_key": self._secret}
        elif self._way == "sas_token":
            credential = AzureSasCredential(self._secret.lstrip("?"))
        elif importlib.util.find_spec("azure.identity") is not None:
            from azure.identity import DefaultAzureCredential

            credential = DefaultAzureCredential()
        return ContainerClient(address, settings.container, credential=credential, **options)


def _listed(pages: Any) -> list[Any] | None:
    page = next(pages, None)
    return None if page is None else list(page)


def _pieces(secret: str) -> list[str]:
    """Return what in a connection string or token must not be shown: its key, its signature."""
    found = []
    for piece in secret.replace("&", ";").split(";"):
        name, _, value = piece.partition("=")
        if name.lstrip("?").lower() in ("accountkey", "sig", "sharedaccesssignature") and value:
            found.append(value)
    return found
