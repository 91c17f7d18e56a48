"""Settings of the kinds of source, a file per family."""

from b2brecs.configs.sources.base import SourceSettings
from b2brecs.configs.sources.databases import (
    BigQuerySettings,
    FirestoreSettings,
    MySQLSettings,
    PostgresSettings,
    SQLiteSettings,
)
from b2brecs.configs.sources.files import AzureSettings, FileSettings, FilesSettings, GCSSettings, S3Settings
from b2brecs.configs.sources.streams import PubSubSettings

__all__ = [
    "AzureSettings",
    "BigQuerySettings",
    "FileSettings",
    "FilesSettings",
    "FirestoreSettings",
    "GCSSettings",
    "MySQLSettings",
    "PostgresSettings",
    "PubSubSettings",
    "S3Settings",
    "SQLiteSettings",
    "SourceSettings",
]
