"""S3: the server of moto."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.services.addresses import S3
from tests.services.need import need, package_files
from tests.services.process import HOST, server


@contextmanager
def serve_s3() -> Iterator[S3]:
    """Run the server, empty, in memory."""
    need("moto", "install moto[server] (dependency group dev)", package_files("moto", "server.py"))
    with server(
        lambda port: [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(port)],
        name="s3",
    ) as (port,):
        yield S3(HOST, port, "testing", "testing", "eu-central-1")
