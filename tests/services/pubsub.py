"""The Pub/Sub emulator of the Google Cloud CLI."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.services.addresses import PROJECT, Emulator
from tests.services.google_cli import emulator
from tests.services.process import HOST, server

FILE = "pubsub-emulator/bin/cloud-pubsub-emulator"


@contextmanager
def serve_pubsub() -> Iterator[Emulator]:
    """Run the emulator, empty, in memory."""
    program = emulator("pubsub", FILE, "PUBSUB_EMULATOR")
    with server(
        lambda port: [program, f"--host={HOST}", f"--port={port}"],
        name="pubsub",
        env={"JAVA_OPTS": "-Xmx256m"},
    ) as (port,):
        yield Emulator(HOST, port, PROJECT, "PUBSUB_EMULATOR_HOST")
