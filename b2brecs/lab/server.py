"""A Jupyter server extension: what is saved in a home on this machine, as JSON."""

from __future__ import annotations

import asyncio
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import web

from b2brecs.errors import B2BRecsError, ConfigError

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp

RUNS = 20
# What resolve.local calls the registry's file; without it there is nothing to list.
_REGISTRY = "registry.sqlite"
# Two letters at least: C: is a drive.
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")


class Refused(B2BRecsError):
    """A request names a folder that is not served.

    Parameters
    ----------
    status
        The HTTP status of the answer.
    message
        Why, as a sentence.
    """

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


def home_folder(path: str, root: Path) -> Path:
    """Return the folder that a request names, with its links followed.

    Parameters
    ----------
    path
        A folder, relative to ``root`` or absolute, perhaps written ``local:folder``. Empty: the environment's
        ``B2BRECS_HOME``, or ``.b2brecs`` in ``root``.
    root
        The server's root directory.

    Raises
    ------
    Refused
        It is no local home, or does not lie below ``root``.
    """
    scheme = _SCHEME.match(path)
    if scheme and scheme[1] != "local":
        raise Refused(400, f"Only homes on this machine are listed here, not those of {scheme[1]!r}. Give a folder.")
    named = path.removeprefix("local:") or os.environ.get("B2BRECS_HOME") or ".b2brecs"
    try:
        top = root.resolve()
        folder = (top / Path(named).expanduser()).resolve()
        registry = (folder / _REGISTRY).resolve()
        inside = folder.is_relative_to(top) and registry.is_relative_to(top)
        if inside:
            with suppress(FileNotFoundError, NotADirectoryError):
                registry.stat()  # any other error: nothing can be looked up
    except (OSError, RuntimeError, ValueError):
        raise Refused(400, "The path is not that of a folder that can be read.") from None
    if not inside:
        raise Refused(403, "The folder does not lie below the server's root directory. Give one that does.")
    return folder


def entries(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return what is saved in a home and its latest runs. A home that is not there yet stays so.

    Parameters
    ----------
    folder
        The home's folder.

    Raises
    ------
    B2BRecsError
        The registry cannot be read.
    """
    from b2brecs.workspace import Workspace

    with Workspace.local(folder) as workspace:
        registry = workspace.home.registry
        there = (folder / _REGISTRY).is_file()
        saved = registry.list() if there else []
        runs = registry.runs(limit=RUNS) if there else []
    return {
        "entries": [
            {"kind": d.kind, "name": d.name, "version": d.version, "saved_at": d.saved_at.isoformat()} for d in saved
        ],
        "runs": [
            {"id": r.id, "kind": r.kind, "name": r.name, "status": r.status, "started_at": r.started_at.isoformat()}
            for r in runs
        ],
    }


class EntriesHandler(APIHandler):
    """Lists a home: ``GET b2brecs/api/entries?path=folder``. Whoever may read the server's files may ask."""

    auth_resource = "contents"

    def initialize(self, root: Path) -> None:
        """Take the server's root directory."""
        self.root = root

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Answer with the home's entries and runs, or with a sentence."""
        try:
            folder = home_folder(self.get_query_argument("path", ""), self.root)
            answer: dict[str, Any] = await asyncio.to_thread(entries, folder)
        except B2BRecsError as error:
            self.set_status(_status(error))
            answer = {"message": str(error)}
        self.finish(answer)


def _status(error: B2BRecsError) -> int:
    if isinstance(error, Refused):
        return error.status
    return 400 if isinstance(error, ConfigError) else 500


def _load_jupyter_server_extension(server: ServerApp) -> None:
    """Add the handler to a Jupyter server."""
    address = url_path_join(server.base_url, "b2brecs", "api", "entries")
    application: Any = server.web_app
    application.add_handlers(".*$", [(address, EntriesHandler, {"root": Path(server.root_dir)})])
