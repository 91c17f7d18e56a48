"""Where customer data comes from."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, SerializeAsAny, StringConstraints, field_validator

from b2brecs import context
from b2brecs.configs.base import Config
from b2brecs.configs.kinds import Member
from b2brecs.configs.secrets import Secret, SecretRef
from b2brecs.types import Column

Port = Annotated[int, Field(ge=1, le=65535)]
Text = Annotated[str, StringConstraints(min_length=1)]


class SourceSettings(Member, family="source", entry_points="b2brecs.sources"):
    """Base of every kind of source's settings. A new kind subclasses it and sets ``kind``."""

    def identity(self) -> tuple[str, ...]:
        """Return what makes two connections the same: host, database, user, or their like."""
        return (type(self).kind, self.to_json())

    def label(self) -> str:
        """Return a short text that says where this leads; never a secret."""
        return type(self).kind


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
        return ("postgres", self.host, str(self.port), self.database, self.user, self.db_schema)

    def label(self) -> str:
        return f"postgres {self.user}@{self.host}:{self.port}/{self.database}"


class FilesSettings(SourceSettings):
    """A folder of files, each pattern of which is a table.

    Without ``tables``, every file ``orders.csv`` is a table ``orders``, and every sub-folder of files of one
    format is a table too.
    """

    kind: ClassVar[str] = "files"
    path: Text
    tables: tuple[tuple[Text, Text], ...] = ()
    delimiter: Annotated[str, StringConstraints(min_length=1, max_length=1)] = ","
    encoding: Text = "utf-8"
    header: bool = True
    # CSV and JSON carry no types: a column not named here is text if in doubt.
    types: tuple[Column, ...] = ()

    @field_validator("path", mode="before")
    @classmethod
    def _path(cls, value: Any) -> Any:
        return str(value) if isinstance(value, PurePath) else value

    @field_validator("tables", mode="before")
    @classmethod
    def _tables(cls, value: Any) -> Any:
        return tuple(value.items()) if isinstance(value, dict) else value

    def identity(self) -> tuple[str, ...]:
        return ("files", self.path, *(pattern for _, pattern in self.tables))

    def label(self) -> str:
        return f"files in {self.path}"


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
        tables: dict[str, str] | None = None,
        delimiter: str = ",",
        encoding: str = "utf-8",
        header: bool = True,
        description: str = "",
    ) -> Connection:
        """Connect to a folder of CSV, Parquet or JSON files.

        Parameters
        ----------
        path
            The folder.
        tables
            Table name → glob pattern below the folder; default: one table per file or sub-folder.
        delimiter, encoding, header
            How CSV files are written.
        """
        source = FilesSettings(path=path, tables=tables or (), delimiter=delimiter, encoding=encoding, header=header)
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
    def of(cls, name: str, kind: str, *, description: str = "", **settings: Any) -> Connection:
        """Connect to any registered kind of source, built in or from another package."""
        return cls(name, source={"kind": kind, **settings}, description=description)

    def test(self) -> Any:
        """Try the connection in the current workspace; see ``Workspace.test``."""
        return context.current().test(self)

    def _facts(self) -> dict[str, str]:
        return {"source": self.source.label(), **super()._facts()}
