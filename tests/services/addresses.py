"""Where a running service is reached, and by whom."""

from dataclasses import dataclass
from urllib.parse import quote

PROJECT = "b2brecs-test"


@dataclass(frozen=True)
class Database:
    """A PostgreSQL or MariaDB server with an empty database; the user may do anything."""

    host: str
    port: int
    user: str
    password: str
    database: str

    @property
    def environ(self) -> dict[str, str]:
        """No variable: nobody should find a test database by accident."""
        return {}

    def url(self, scheme: str) -> str:
        """Give the connection URL, such as ``postgresql+psycopg2://...``."""
        login = f"{self.user}:{quote(self.password, safe='')}"
        return f"{scheme}://{login}@{self.host}:{self.port}/{self.database}"


@dataclass(frozen=True)
class Emulator:
    """A gRPC emulator of the Google Cloud CLI."""

    host: str
    port: int
    project: str
    variable: str

    @property
    def endpoint(self) -> str:
        """``host:port``."""
        return f"{self.host}:{self.port}"

    @property
    def environ(self) -> dict[str, str]:
        """What makes the Google client libraries use the emulator."""
        return {self.variable: self.endpoint}


@dataclass(frozen=True)
class BigQuery:
    """The BigQuery emulator: REST at `endpoint`, the Storage API at `host:grpc_port`."""

    host: str
    port: int
    grpc_port: int
    project: str

    @property
    def endpoint(self) -> str:
        """URL of the REST interface."""
        return f"http://{self.host}:{self.port}"

    @property
    def grpc_endpoint(self) -> str:
        """``host:port`` of the Storage Read and Write interface, without TLS."""
        return f"{self.host}:{self.grpc_port}"

    @property
    def environ(self) -> dict[str, str]:
        """What makes google-cloud-bigquery use the emulator."""
        return {"BIGQUERY_EMULATOR_HOST": self.endpoint}


@dataclass(frozen=True)
class GCS:
    """A Google Cloud Storage server; it holds no bucket at first."""

    host: str
    port: int
    project: str

    @property
    def endpoint(self) -> str:
        """URL of the server."""
        return f"http://{self.host}:{self.port}"

    @property
    def environ(self) -> dict[str, str]:
        """What makes google-cloud-storage and gcsfs use the server."""
        return {"STORAGE_EMULATOR_HOST": self.endpoint}


@dataclass(frozen=True)
class S3:
    """An S3 server; it holds no bucket at first."""

    host: str
    port: int
    access_key: str
    secret_key: str
    region: str

    @property
    def endpoint(self) -> str:
        """URL of the server."""
        return f"http://{self.host}:{self.port}"

    @property
    def environ(self) -> dict[str, str]:
        """What makes boto3 and s3fs use the server and ask no metadata service."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }


@dataclass(frozen=True)
class Azure:
    """An Azure Blob Storage server; it holds no container at first."""

    host: str
    port: int
    account: str
    key: str

    @property
    def endpoint(self) -> str:
        """URL of the account."""
        return f"http://{self.host}:{self.port}/{self.account}"

    @property
    def connection_string(self) -> str:
        """What `BlobServiceClient.from_connection_string` takes."""
        return (
            f"DefaultEndpointsProtocol=http;AccountName={self.account};"
            f"AccountKey={self.key};BlobEndpoint={self.endpoint};"
        )

    @property
    def environ(self) -> dict[str, str]:
        """What makes the Azure tools and adlfs use the server."""
        return {"AZURE_STORAGE_CONNECTION_STRING": self.connection_string}
