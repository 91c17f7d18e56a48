"""Programs that a test needs and a machine may lack."""

import os
import shutil
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

import pytest

INSTALL = "run tests/services/install.sh"


def need(program: str, how: str = INSTALL, places: Iterable[str | Path] = ()) -> Path:
    """Find a program, or end the test with a sentence that says how to get it.

    Parameters
    ----------
    program
        A command looked up on the PATH, or a name for what `places` holds.
    how
        What to do when it is missing, as an imperative.
    places
        Files to look at when the command is not on the PATH.

    Returns
    -------
    Path
        The file found.

    Notes
    -----
    A missing program skips the test; where ``CI`` is set it fails it.
    """
    on_path = shutil.which(program)
    if on_path is not None:
        return Path(on_path)
    for place in map(Path, places):
        if place.exists():
            return place
    sentence = f"{program} is missing: {how}"
    if os.environ.get("CI"):
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)


def package_files(module: str, pattern: str) -> list[Path]:
    """Files within an installed Python package; none when it is not installed."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        return []
    return sorted(Path(spec.origin).parent.glob(pattern))
