"""BigQuery: local-bigquery, in an environment of its own."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.services.addresses import PROJECT, BigQuery
from tests.services.cache import CACHE
from tests.services.need import need
from tests.services.process import HOST, folder, server

ENVIRONMENT = CACHE / "bigquery"


@contextmanager
def serve_bigquery() -> Iterator[BigQuery]:
    """Run the emulator, empty, with its data in a temporary folder."""
    program = need("local-bigquery", places=[ENVIRONMENT / "bin/local-bigquery"])
    with (
        folder("bigquery") as data,
        server(
            lambda port, grpc_port: [
                *(program, "serve", "--host", HOST, "--port", str(port)),
                *("--grpc-port", str(grpc_port), "--project", PROJECT, "--data-dir", data),
            ],
            name="bigquery",
            ports=2,
            cwd=data,
            env={"HOME": str(ENVIRONMENT / "home")},
        ) as (port, grpc_port),
    ):
        yield BigQuery(HOST, port, grpc_port, PROJECT)
