"""Opens a home by its address: the only place that names the implementations."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qsl, urlsplit

from b2brecs.backends.protocols import Home, TaskSpec
from b2brecs.errors import ConfigError, Problem, nearest, require, show

if TYPE_CHECKING:
    from b2brecs.backends.local.process import Progress

    Run = Callable[[TaskSpec, Progress], object]

GROUP = "b2brecs.backends"
_FORMS = "Write 'local', 'local:folder' or 'gcp://project/region'."


def default_folder() -> Path:
    """Return the local home's folder: ``B2BRECS_HOME`` if set, else ``.b2brecs`` in the current one."""
    return Path(os.environ.get("B2BRECS_HOME") or ".b2brecs").expanduser().absolute()


def local(path: Path | str | None, run: Run) -> Home:
    """Open a home in a folder of this machine. Nothing is made or opened before it is used.

    Parameters
    ----------
    path
        The folder; default ``B2BRECS_HOME``, else ``.b2brecs`` in the current folder.
    run
        What the runner calls to do a task.

    Raises
    ------
    ConfigError
        The path is that of a file.
    """
    from b2brecs.backends.local.duckdb import DuckDBWarehouse
    from b2brecs.backends.local.keyring import LocalSecrets
    from b2brecs.backends.local.process import ProcessRunner
    from b2brecs.backends.local.sqlite import SqliteRegistry
    from b2brecs.backends.local.ticker import Ticker

    folder = Path(path).expanduser().absolute() if path else default_folder()
    if folder.is_file():
        raise ConfigError.single("workspace", "path", str(folder), "this is a file.", "Give a folder.")
    runner = ProcessRunner(run)
    return Home(
        url=f"local:{folder}",
        warehouse=DuckDBWarehouse(folder / "warehouse.duckdb"),
        registry=SqliteRegistry(folder / "registry.sqlite"),
        secrets=LocalSecrets(),
        runner=runner,
        scheduler=Ticker(folder / "schedule.sqlite", runner),
        files=str(folder / "files"),
    )


def gcp(*, project: str, location: str, run: Run, dataset: str = "b2brecs", bucket: str | None = None) -> Home:
    """Open a home in a Google Cloud project. Work runs in this process.

    Parameters
    ----------
    project, location
        The project's id and the region to work in.
    dataset
        The BigQuery dataset that holds the tables.
    bucket
        The Cloud Storage bucket for files.
    run
        What the runner calls to do a task.

    Raises
    ------
    MissingExtra
        The Google Cloud libraries are not installed.
    """
    backend = require("b2brecs.backends.gcp.home", feature="a Google Cloud workspace", extra="gcp")
    home = cast("Callable[..., Home]", backend.home)  # type: ignore[attr-defined]
    from b2brecs.backends.local.process import ProcessRunner

    return home(project=project, location=location, dataset=dataset, bucket=bucket, runner=ProcessRunner(run))


def from_url(url: str, run: Run) -> Home:
    """Open a home by its address.

    Installed packages add schemes by an entry point of the group ``b2brecs.backends``: its name is the
    scheme, and it is called with the address and ``run``.

    Parameters
    ----------
    url
        ``local``, ``local:folder``, ``gcp://project/region?dataset=b2brecs&bucket=name``, or another scheme.
    run
        What a local runner calls to do a task.

    Raises
    ------
    ConfigError
        The address is not understood.
    """
    scheme, _, rest = url.partition(":")
    if scheme == "local":
        return local(rest or None, run)
    if scheme == "gcp":
        return _from_gcp(url, run)
    found = list(entry_points(group=GROUP, name=scheme))
    if found:
        return cast("Home", found[0].load()(url, run))
    schemes = sorted({"local", "gcp", *(point.name for point in entry_points(group=GROUP))})
    raise ConfigError.single(
        "workspace", "url", url, f"there is no home {scheme!r}.", f"{nearest(scheme, schemes)} {_FORMS}"
    )


def _from_gcp(url: str, run: Run) -> Home:
    parts = urlsplit(url)
    location = parts.path.strip("/")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    problems = []
    if not parts.netloc or not location or "/" in location:
        problems.append(Problem("url", show(url), "a Google Cloud home is a project and a region.",
                                "Write 'gcp://project/region', e.g. 'gcp://my-project/europe-west3'."))  # fmt: skip
    for name, value in options.items():
        if name not in {"dataset", "bucket"}:
            problems.append(Problem(f"url?{name}", show(value), "there is no such option.",
                                    nearest(name, ("dataset", "bucket"))))  # fmt: skip
        elif not value:
            problems.append(Problem(f"url?{name}", "''", "the option is empty.", f"Write ?{name}=name."))
    if problems:
        raise ConfigError("workspace", problems)
    return gcp(
        project=parts.netloc,
        location=location,
        run=run,
        dataset=options.get("dataset", "b2brecs"),
        bucket=options.get("bucket"),
    )
