"""The current workspace: what ``job.run()`` and its like ask.

Set by ``Workspace.local(...)``, ``Workspace.gcp(...)`` and ``b2brecs.connect(...)``; the last one made
is current, per thread and per asyncio task.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Protocol

from b2brecs.errors import B2BRecsError


class Verbs(Protocol):
    """What a noun may ask of the current workspace; the workspace lives floors above."""

    def test(self, connection: Any, /) -> Any: ...
    def source_tables(self, connection: Any, /) -> Any: ...
    def source_schema(self, connection: Any, table: str, /) -> Any: ...
    def source_preview(self, connection: Any, table: str, /, *, limit: int = ...) -> Any: ...
    def run(self, job: Any, /) -> Any: ...
    def runs(self, noun: Any = ..., /, *, limit: int = ...) -> Any: ...
    def preview(self, noun: Any, /, limit: int = ..., seed: int = ...) -> Any: ...
    def profile(self, dataset: Any, /) -> Any: ...
    def what_if(self, dataset: Any, /, *filters: Any) -> Any: ...
    def save(self, config: Any, /) -> Any: ...
    def edit(self, noun: Any, /) -> Any: ...
    def quick_test(self, features: Any, model: Any, /) -> Any: ...


_current: ContextVar[Verbs | None] = ContextVar("b2brecs_workspace", default=None)
_last: list[Verbs] = []


def current() -> Verbs:
    """Return the current workspace.

    Raises
    ------
    B2BRecsError
        None has been opened.
    """
    found = _current.get() or (_last[-1] if _last else None)
    if found is None:
        raise B2BRecsError("no workspace is open. Open one first: ws = b2brecs.connect('local')")
    return found


def set_current(workspace: Verbs) -> None:
    """Make a workspace the current one."""
    _current.set(workspace)
    _last[:] = [workspace]


def forget(workspace: Verbs) -> None:
    """Stop offering a workspace that was closed."""
    if _current.get() is workspace:
        _current.set(None)
    if workspace in _last:
        _last.remove(workspace)
