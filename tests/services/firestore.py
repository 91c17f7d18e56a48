"""The Firestore emulator of the Google Cloud CLI."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.services.addresses import PROJECT, Emulator
from tests.services.google_cli import emulator
from tests.services.process import HOST, server

FILE = "cloud-firestore-emulator/cloud-firestore-emulator.jar"
MAIN = "com.google.cloud.datastore.emulator.firestore.CloudFirestore"


@contextmanager
def serve_firestore() -> Iterator[Emulator]:
    """Run the emulator in native mode, empty, in memory."""
    jar = emulator("firestore", FILE, "FIRESTORE_EMULATOR_JAR")
    with server(
        lambda port: [
            *("java", "-Xmx512m", "-cp", jar, MAIN, "start"),
            *(f"--host={HOST}", f"--port={port}", "--database-mode=firestore-native"),
        ],
        name="firestore",
    ) as (port,):
        yield Emulator(HOST, port, PROJECT, "FIRESTORE_EMULATOR_HOST")
