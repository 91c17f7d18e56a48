"""Settings of files, wherever they lie."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StringConstraints, field_validator

from b2brecs.configs.secrets import SecretRef
from b2brecs.configs.sources.base import PathText, SourceSettings, Text
from b2brecs.types import Column

OneCharacter = Annotated[str, StringConstraints(min_length=1, max_length=1)]


class FileSettings(SourceSettings):
    """How files are written, and which of them make a table.

    Without ``tables``, every file ``orders.csv`` is a table ``orders``, and every sub-folder of files of one
    format is a table too. With it, each name stands for a glob pattern below the folder, ``**`` included.
    """

    tables: tuple[tuple[Text, Text], ...] = ()
    format: Literal["auto", "csv", "parquet", "json"] = "auto"
    delimiter: OneCharacter = ","
    quote: OneCharacter = '"'
    encoding: Text = "utf-8"
    header: bool = True
    # CSV and JSON carry no types: a column not named here is typed by its values, and is text if in doubt.
    types: tuple[Column, ...] = ()
    # A compressed file that grows by more than this is taken for an attack.
    max_expansion: Annotated[int, Field(ge=1)] = 300

    @field_validator("tables", mode="before")
    @classmethod
    def _tables(cls, value: Any) -> Any:
        return tuple(value.items()) if isinstance(value, dict) else value

    @field_validator("types", mode="before")
    @classmethod
    def _types(cls, value: Any) -> Any:
        return tuple(Column(name, kind) for name, kind in value.items()) if isinstance(value, dict) else value

    def _patterns(self) -> tuple[str, ...]:
        return tuple(pattern for _, pattern in self.tables)


class FilesSettings(FileSettings):
    """A folder of this machine."""

    kind: ClassVar[str] = "files"
    shared: ClassVar[bool] = False
    path: PathText

    def identity(self) -> tuple[str, ...]:
        return ("files", self.path, *self._patterns())

    def label(self) -> str:
        return f"files in {self.path}"


class S3Settings(FileSettings):
    """A bucket of S3, or of a service that speaks its protocol (``endpoint``).

    Without secrets, the environment's credentials are used.
    """

    kind: ClassVar[str] = "s3"
    bucket: Text
    prefix: str = ""
    region: Text = "us-east-1"
    endpoint: Text | None = None
    access_key_id: SecretRef | None = None
    secret_access_key: SecretRef | None = None
    session_token: SecretRef | None = None

    def identity(self) -> tuple[str, ...]:
        return ("s3", self.endpoint or "", self.bucket, self.prefix, *self._patterns())

    def label(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"


class GCSSettings(FileSettings):
    """A bucket of Google Cloud Storage. Without ``credentials`` (a service account's JSON key), the defaults."""

    kind: ClassVar[str] = "gcs"
    bucket: Text
    prefix: str = ""
    project: Text | None = None
    credentials: SecretRef | None = None

    @field_validator("bucket", mode="before")
    @classmethod
    def _bucket(cls, value: Any) -> Any:
        return value.removeprefix("gs://").rstrip("/") if isinstance(value, str) else value

    def identity(self) -> tuple[str, ...]:
        return ("gcs", self.bucket, self.prefix, *self._patterns())

    def label(self) -> str:
        return f"gs://{self.bucket}/{self.prefix}"


class AzureSettings(FileSettings):
    """A container of Azure Blob Storage, opened by one of: account key, SAS token, connection string, or defaults."""

    kind: ClassVar[str] = "azure_blob"
    container: Text
    account: Text | None = None
    prefix: str = ""
    endpoint: Text | None = None
    account_key: SecretRef | None = None
    sas_token: SecretRef | None = None
    connection_string: SecretRef | None = None

    def identity(self) -> tuple[str, ...]:
        return ("azure_blob", self.endpoint or self.account or "", self.container, self.prefix, *self._patterns())

    def label(self) -> str:
        return f"azure {self.account or self.endpoint or 'storage'}/{self.container}/{self.prefix}"
