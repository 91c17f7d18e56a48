"""Where the Google Cloud CLI and the emulators that come with it are installed."""

import os
import shutil
from pathlib import Path

from tests.services.need import need

HOW = (
    "run tests/services/install.sh, or install Debian's package google-cloud-cli-{}-emulator "
    "from the apt source of the Google Cloud CLI, or set {}"
)


def emulator(name: str, file: str, variable: str) -> Path:
    """Find an emulator's file under the installation root of the Google Cloud CLI.

    Parameters
    ----------
    name
        ``firestore`` or ``pubsub``.
    file
        Path below the root's folder ``platform``.
    variable
        The environment variable that may name the file instead.
    """
    need("java")
    given = os.environ.get(variable)
    places = [Path(given)] if given else [root / "platform" / file for root in _roots()]
    return need(f"the {name} emulator", HOW.format(name, variable), places)


def _roots() -> list[Path]:
    roots = [Path("/usr/lib/google-cloud-sdk"), Path.home() / "google-cloud-sdk"]
    gcloud = shutil.which("gcloud")
    if gcloud is not None:
        roots.insert(0, Path(gcloud).resolve().parent.parent)
    if "CLOUDSDK_ROOT_DIR" in os.environ:
        roots.insert(0, Path(os.environ["CLOUDSDK_ROOT_DIR"]))
    return [*roots, Path("/opt/google-cloud-sdk")]
