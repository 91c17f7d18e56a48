"""Where customer data comes from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, ClassVar

from pydantic import SerializeAsAny

from b2brecs import context
from b2brecs.configs.base import Config
from b2brecs.configs.secrets import Secret
from b2brecs.configs.sources import (
    AzureSettings,
    BigQuerySettings,
    FilesSettings,
    FirestoreSettings,
    GCSSettings,
    MySQLSettings,
    PostgresSettings,
    PubSubSettings,
    S3Settings,
    SourceSettings,
    SQLiteSettings,
)
from b2brecs.types import Column


class Connection(Config):
    """A named way to customer data: the settings of one source, and references to its secrets.

    Examples
    --------
    >>> Connection.files("sales", path="data/").source.label()
    'files in data/'
    >>> Connection.postgres("erp", host="db", database="shop", user="ro", password=Secret("env:ERP")).source.kind
    'postgres'
    """

    KIND: ClassVar[str] = "connection"
    source: SerializeAsAny[SourceSettings]

    def __init__(self, name: str | None = None, /, **fields: Any) -> None:
        super().__init__(name, **fields)

    @classmethod
    def files(
        cls,
        name: str,
        *,
        path: str | PurePath,
        tables: Mapping[str, str] | None = None,
        description: str = "",
        **layout: Any,
    ) -> Connection:
        """Connect to a folder of CSV, Parquet or JSON files.

        Parameters
        ----------
        path
            The folder.
        tables
            Table name → glob pattern below the folder; default: one table per file or sub-folder.
        layout
            How the files are written: ``format``, ``delimiter``, ``quote``, ``encoding``, ``header``,
            ``types={column: type}``; see ``FileSettings``.
        """
        return cls(name, source=FilesSettings(path=path, tables=tables or (), **layout), description=description)

    @classmethod
    def s3(
        cls,
        name: str,
        *,
        bucket: str,
        prefix: str = "",
        tables: Mapping[str, str] | None = None,
        region: str = "us-east-1",
        endpoint: str | None = None,
        access_key_id: Secret | None = None,
        secret_access_key: Secret | None = None,
        description: str = "",
        **layout: Any,
    ) -> Connection:
        """Connect to files in a bucket of S3 or of a service like it; ``layout`` as for ``files``."""
        source = S3Settings(
            bucket=bucket,
            prefix=prefix,
            tables=tables or (),
            region=region,
            endpoint=endpoint,
            access_key_id=access_key_id,
            secret_access_key=secret_access_key,
            **layout,
        )
        return cls(name, source=source, description=description)

    @classmethod
    def gcs(
        cls,
        name: str,
        *,
        bucket: str,
        prefix: str = "",
        tables: Mapping[str, str] | None = None,
        project: str | None = None,
        credentials: Secret | None = None,
        description: str = "",
        **layout: Any,
    ) -> Connection:
        """Connect to files in a bucket of Google Cloud Storage; ``layout`` as for ``files``."""
        source = GCSSettings(
            bucket=bucket, prefix=prefix, tables=tables or (), project=project, credentials=credentials, **layout
        )
        return cls(name, source=source, description=description)

    @classmethod
    def azure_blob(
        cls,
        name: str,
        *,
        container: str,
        account: str | None = None,
        prefix: str = "",
        tables: Mapping[str, str] | None = None,
        endpoint: str | None = None,
        account_key: Secret | None = None,
        sas_token: Secret | None = None,
        connection_string: Secret | None = None,
        description: str = "",
        **layout: Any,
    ) -> Connection:
        """Connect to files in a container of Azure Blob Storage; ``layout`` as for ``files``."""
        source = AzureSettings(
            container=container,
            account=account,
            prefix=prefix,
            tables=tables or (),
            endpoint=endpoint,
            account_key=account_key,
            sas_token=sas_token,
            connection_string=connection_string,
            **layout,
        )
        return cls(name, source=source, description=description)

    @classmethod
    def postgres(
        cls,
        name: str,
        *,
        host: str,
        database: str,
        user: str,
        password: Secret | None = None,
        port: int = 5432,
        schema: str = "public",
        sslmode: str = "prefer",
        description: str = "",
    ) -> Connection:
        """Connect to a PostgreSQL database; ``password`` is a reference: ``Secret("keyring:erp")``."""
        source = PostgresSettings(
            host=host, database=database, user=user, password=password, port=port, schema=schema, sslmode=sslmode
        )
        return cls(name, source=source, description=description)

    @classmethod
    def mysql(
        cls,
        name: str,
        *,
        host: str,
        database: str,
        user: str,
        password: Secret | None = None,
        port: int = 3306,
        ssl: bool = False,
        description: str = "",
    ) -> Connection:
        """Connect to a MySQL or MariaDB database; ``password`` is a reference: ``Secret("keyring:erp")``."""
        source = MySQLSettings(host=host, database=database, user=user, password=password, port=port, ssl=ssl)
        return cls(name, source=source, description=description)

    @classmethod
    def sqlite(cls, name: str, *, path: str | PurePath, description: str = "") -> Connection:
        """Connect to a SQLite file."""
        return cls(name, source=SQLiteSettings(path=path), description=description)

    @classmethod
    def bigquery(
        cls,
        name: str,
        *,
        project: str,
        dataset: str,
        billing_project: str | None = None,
        location: str | None = None,
        credentials: Secret | None = None,
        description: str = "",
    ) -> Connection:
        """Connect to a dataset of BigQuery, as a source; see ``BigQuerySettings``."""
        source = BigQuerySettings(
            project=project,
            dataset=dataset,
            billing_project=billing_project,
            location=location,
            credentials=credentials,
        )
        return cls(name, source=source, description=description)

    @classmethod
    def firestore(
        cls,
        name: str,
        *,
        project: str,
        database: str = "(default)",
        credentials: Secret | None = None,
        sample: int = 1000,
        description: str = "",
    ) -> Connection:
        """Connect to the collections of a Firestore database; see ``FirestoreSettings``."""
        source = FirestoreSettings(project=project, database=database, credentials=credentials, sample=sample)
        return cls(name, source=source, description=description)

    @classmethod
    def pubsub(
        cls,
        name: str,
        *,
        project: str,
        subscription: str,
        fields: Mapping[str, str] | None = None,
        credentials: Secret | None = None,
        description: str = "",
    ) -> Connection:
        """Connect to a Pub/Sub subscription; ``fields`` are columns, name → warehouse type, taken from messages."""
        columns = [Column(key, kind) for key, kind in (fields or {}).items()]  # type: ignore[arg-type]
        source = PubSubSettings(project=project, subscription=subscription, fields=columns, credentials=credentials)
        return cls(name, source=source, description=description)

    @classmethod
    def of(cls, name: str, kind: str, *, description: str = "", **settings: Any) -> Connection:
        """Connect to any registered kind of source, built in or from another package."""
        return cls(name, source={"kind": kind, **settings}, description=description)

    def test(self) -> Any:
        """Try the connection in the current workspace; see ``Workspace.test``."""
        return context.current().test(self)

    def tables(self) -> Any:
        """List the tables at the source; see ``Workspace.source_tables``."""
        return context.current().source_tables(self)

    def schema(self, table: str) -> Any:  # type: ignore[override]
        """Return a source table's columns; see ``Workspace.source_schema``."""
        return context.current().source_schema(self, table)

    def preview(self, table: str, limit: int = 10) -> Any:
        """Return some rows of a source table; see ``Workspace.source_preview``."""
        return context.current().source_preview(self, table, limit=limit)

    def _facts(self) -> dict[str, str]:
        return {"source": self.source.label(), **super()._facts()}


__all__ = ["Connection", "FilesSettings", "PostgresSettings", "SourceSettings"]
