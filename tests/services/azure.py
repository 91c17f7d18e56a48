"""Azure Blob Storage: azurite, from npm."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.services.addresses import Azure
from tests.services.cache import CACHE
from tests.services.need import need
from tests.services.process import HOST, folder, server

# The account that every Azure emulator has; published in its documentation.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@contextmanager
def serve_azure() -> Iterator[Azure]:
    """Run the server, empty, in memory."""
    node = need("node")
    program = need("azurite", places=[CACHE / "azurite/node_modules/azurite/dist/src/blob/main.js"]).resolve()
    with (
        folder("azure") as home,
        server(
            lambda port: [
                *(node, program, "--blobHost", HOST, "--blobPort", str(port)),
                *("--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry"),
            ],
            name="azure",
            cwd=home,
        ) as (port,),
    ):
        yield Azure(HOST, port, ACCOUNT, KEY)
