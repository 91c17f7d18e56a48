"""A bucket of S3, or of a service that speaks its protocol."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from b2brecs.configs.sources import S3Settings
from b2brecs.errors import SourceError, require
from b2brecs.sources.base import SourceFile
from b2brecs.sources.files.remote import RemoteStore
from b2brecs.sources.files.source import FileSource
from b2brecs.sources.files.store import (
    ANSWER_SECONDS,
    BLOCK,
    CONNECT_SECONDS,
    QUIET_SECONDS,
    StoppedError,
    Store,
    Writer,
)

_PAGE = 1000
_RIGHTS = "Grant s3:ListBucket on the bucket and s3:GetObject on its objects."
_WRONG_KEY = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "TokenRefreshRequired",
              "AuthorizationHeaderMalformed", "401", "InvalidClientTokenId", "AuthFailure")  # fmt: skip
_PASSES = ("SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "Throttling",
           "500", "502", "503", "504")  # fmt: skip
_CHANGED = ("PreconditionFailed", "412")
_GONE = ("NoSuchKey", "404", "NotFound", "NoSuchVersion")


class S3Source(FileSource[S3Settings]):
    """Files in a bucket of S3."""

    def _open(self) -> Store:
        settings = self.settings
        secrets = {
            "aws_access_key_id": settings.access_key_id,
            "aws_secret_access_key": settings.secret_access_key,
            "aws_session_token": settings.session_token,
        }
        if (settings.access_key_id is None) != (settings.secret_access_key is None):
            raise SourceError(settings.label(), "an access key has two parts.",
                              "Give both access_key_id= and secret_access_key=, or neither.")  # fmt: skip
        read = {name: self.read_secret(secret).strip() for name, secret in secrets.items() if secret is not None}
        return S3Store(settings, read)


class S3Store(RemoteStore):
    """A bucket."""

    holder = "a bucket"

    def __init__(self, settings: S3Settings, secrets: dict[str, str]) -> None:
        super().__init__(settings.label(), settings.prefix)
        require("boto3", feature="an S3 connection", extra="aws")
        self.settings, self._secrets = settings, secrets
        self.hidden = tuple(secrets.values())
        self._client = self.call(self._connect, QUIET_SECONDS, 3)

    def list(self, prefix: str = "") -> Iterator[SourceFile]:
        for item in self._pages(prefix, ""):
            if not isinstance(item, str):
                yield item

    def children(self, folder: str = "") -> Iterator[SourceFile | str]:
        yield from self._pages(folder, "/")

    def part(self, file: SourceFile, start: int, length: int) -> bytes:
        length = min(length, file.size - start)
        if length <= 0:
            return b""
        wanted = f"bytes={start}-{start + length - 1}"
        return self.call(lambda: bytes(self._get(file, Range=wanted).read()), about=file)

    def check(self) -> str:
        client = self.call(self._connect, ANSWER_SECONDS, 1)
        answer = self.call(lambda: client.list_objects_v2(**self._asked("", "/")))
        found = list(self._items(answer))
        folders = sum(isinstance(item, str) for item in found)
        return self.seen(len(found) - folders, folders, more=bool(answer.get("IsTruncated")))

    def close(self) -> None:
        super().close()
        self._client.close()

    def explain(self, error: Exception, about: SourceFile | None) -> SourceError | None:
        from botocore import exceptions

        if isinstance(error, StoppedError):
            return self.failed("the reading was stopped.")
        if isinstance(error, exceptions.ClientError):
            return self._refused(error, about)
        if isinstance(error, RecursionError):
            # The library follows whoever says that a bucket is elsewhere.
            return self.failed("the server sends us in a circle.", "Check region= and endpoint=.")
        if isinstance(error, exceptions.NoCredentialsError | exceptions.PartialCredentialsError):
            fix = "Give access_key_id= and secret_access_key=, or set them up in the environment."
            return self.failed("there are no credentials.", fix)
        if isinstance(error, exceptions.ParamValidationError | exceptions.InvalidRegionError):
            return self.failed("the bucket's or the region's name is not a valid one.", "Check bucket= and region=.")
        if isinstance(error, exceptions.SSLError):
            return self.failed("the server's certificate is not trusted.", "Check endpoint=.")
        if isinstance(error, exceptions.HTTPClientError | exceptions.EndpointConnectionError):
            fix = "Check endpoint= and the network." if self.settings.endpoint else "Check region= and the network."
            return self.failed("the server cannot be reached, or does not answer.", fix, transient=True)
        if isinstance(error, exceptions.BotoCoreError | OSError):
            partly = isinstance(error, exceptions.IncompleteReadError | exceptions.FlexibleChecksumError)
            if partly or about is not None:
                name = about.name if about is not None else "a file"
                return self.failed(f"{name} did not arrive as a whole.", "Run again.", transient=True)
            return self.failed(f"{type(error).__name__}: {error}")
        return None

    def _download(self, file: SourceFile, sink: Writer) -> None:
        for block in self._get(file).iter_chunks(BLOCK):
            sink.write(block)

    def _get(self, file: SourceFile, **more: Any) -> Any:
        answer = self._client.get_object(
            Bucket=self.settings.bucket, Key=self.full(file.name), IfMatch=f'"{file.stamp}"', **more
        )
        return answer["Body"]

    def _pages(self, prefix: str, delimiter: str) -> Iterator[SourceFile | str]:
        asked = self._asked(prefix, delimiter)
        while True:
            answer = self.call(lambda: self._client.list_objects_v2(**asked))
            yield from self._items(answer)
            if not answer.get("IsTruncated"):
                return
            asked["ContinuationToken"] = answer["NextContinuationToken"]

    def _asked(self, prefix: str, delimiter: str) -> dict[str, Any]:
        asked = {"Bucket": self.settings.bucket, "Prefix": self.full(prefix), "MaxKeys": _PAGE}
        return asked | ({"Delimiter": delimiter} if delimiter else {})

    def _items(self, answer: dict[str, Any]) -> Iterator[SourceFile | str]:
        for item in answer.get("Contents", ()):
            if not item["Key"].endswith("/"):
                yield SourceFile(self.own(item["Key"]), item["Size"], item["ETag"].strip('"'))
        for item in answer.get("CommonPrefixes", ()):
            yield self.own(item["Prefix"])

    def _connect(self, seconds: float, tries: int) -> Any:
        import boto3
        from botocore.config import Config

        config = Config(
            connect_timeout=min(CONNECT_SECONDS, seconds),
            read_timeout=seconds,
            retries={"mode": "standard", "total_max_attempts": tries},
            s3={"addressing_style": "path"} if self.settings.endpoint else None,
        )
        return boto3.session.Session(**self._secrets).client(
            "s3", region_name=self.settings.region, endpoint_url=self.settings.endpoint, config=config
        )

    def _refused(self, error: Any, about: SourceFile | None) -> SourceError:
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = str(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
        if code in _CHANGED and about is not None:
            return self.changed(about)
        if code == "NoSuchBucket":
            return self.failed(f"there is no bucket {self.settings.bucket!r}.", "Check bucket=, region= and endpoint=.")
        if code in _GONE:
            return self.vanished(about) if about is not None else self.failed(
                f"there is no bucket {self.settings.bucket!r}.", "Check bucket=, region= and endpoint=.")  # fmt: skip
        if code in _WRONG_KEY:
            return self.failed(f"the credentials are not accepted ({code}).",
                               "Check the secrets behind access_key_id= and secret_access_key=.")  # fmt: skip
        if code in ("PermanentRedirect", "301", "IllegalLocationConstraintException"):
            return self.failed("the bucket is in another region.", "Check region=.")
        if code in ("AccessDenied", "403", "Forbidden", "AllAccessDisabled") or status == "403":
            return self.failed("access is refused.", _RIGHTS)
        passes = code in _PASSES or status.startswith("5")
        return self.failed(f"the server refused: {code or status}.", transient=passes)
