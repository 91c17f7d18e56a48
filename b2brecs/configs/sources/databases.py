"""Settings of databases."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from b2brecs.configs.secrets import SecretRef
from b2brecs.configs.sources.base import PathText, Port, SourceSettings, Text


class PostgresSettings(SourceSettings):
    """A PostgreSQL database."""

    kind: ClassVar[str] = "postgres"
    host: Text
    database: Text
    user: Text
    password: SecretRef | None = None
    port: Port = 5432
    db_schema: Text = Field(default="public", alias="schema")
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] = "prefer"

    def identity(self) -> tuple[str, ...]:
        return ("postgres", self.host.lower(), str(self.port), self.database, self.user, self.db_schema)

    def label(self) -> str:
        return f"postgres {self.user}@{self.host}:{self.port}/{self.database}"


class MySQLSettings(SourceSettings):
    """A MySQL or MariaDB database. With ``ssl`` the connection is encrypted, or refused."""

    kind: ClassVar[str] = "mysql"
    host: Text
    database: Text
    user: Text
    password: SecretRef | None = None
    port: Port = 3306
    ssl: bool = False

    def identity(self) -> tuple[str, ...]:
        return ("mysql", self.host.lower(), str(self.port), self.database, self.user)

    def label(self) -> str:
        return f"mysql {self.user}@{self.host}:{self.port}/{self.database}"


class SQLiteSettings(SourceSettings):
    """A SQLite file."""

    kind: ClassVar[str] = "sqlite"
    shared: ClassVar[bool] = False
    path: PathText

    def identity(self) -> tuple[str, ...]:
        return ("sqlite", self.path)

    def label(self) -> str:
        return f"sqlite {self.path}"


class BigQuerySettings(SourceSettings):
    """A dataset of BigQuery.

    ``project`` holds the data; ``billing_project``, by default the same, pays for the reading. ``credentials``
    refers to a service account's JSON key; without, the environment's default credentials are used.
    """

    kind: ClassVar[str] = "bigquery"
    project: Text
    dataset: Text
    billing_project: Text | None = None
    location: Text | None = None
    credentials: SecretRef | None = None

    def identity(self) -> tuple[str, ...]:
        return ("bigquery", self.project, self.dataset)

    def label(self) -> str:
        return f"bigquery {self.project}.{self.dataset}"


class FirestoreSettings(SourceSettings):
    """The collections of a Firestore database.

    ``sample`` documents of a collection are read to find its fields and their types. ``credentials`` refers to a
    service account's JSON key; without, the environment's default credentials are used.
    """

    kind: ClassVar[str] = "firestore"
    project: Text
    database: Text = "(default)"
    credentials: SecretRef | None = None
    sample: int = Field(default=1000, ge=1, le=100_000)

    def identity(self) -> tuple[str, ...]:
        return ("firestore", self.project, self.database)

    def label(self) -> str:
        return f"firestore {self.project}/{self.database}"
