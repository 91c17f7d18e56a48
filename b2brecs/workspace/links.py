"""What saved configurations mean to each other: connections to one place, jobs that follow each other."""

from __future__ import annotations

from b2brecs.backends.protocols import Registry
from b2brecs.configs.connection import Connection
from b2brecs.configs.etl import EtlJob
from b2brecs.configs.nouns import from_document
from b2brecs.errors import B2BRecsError, ConfigError, NotFound


def duplicates(registry: Registry, connection: Connection) -> tuple[str, ...]:
    """Return the names of other saved connections that lead to the same place."""
    found = []
    for document in registry.list(Connection.KIND):
        if document.name == connection.name:
            continue
        try:
            other = from_document(document.kind, document.data)
        except (B2BRecsError, ImportError):
            continue  # of a kind whose package is not installed here
        if isinstance(other, Connection) and other.source.identity() == connection.source.identity():
            found.append(document.name)
    return tuple(found)


def refuse_circle(registry: Registry, job: EtlJob) -> None:
    """Refuse a job that would, through those it follows, follow itself.

    Raises
    ------
    ConfigError
        With the way around.
    """
    follows = {d.name: tuple(d.data.get("follows") or ()) for d in registry.list(EtlJob.KIND)} if job.follows else {}
    follows[job.name] = job.follows
    trails: list[tuple[str, ...]] = [(job.name,)]
    while trails:
        trail = trails.pop()
        for name in follows.get(trail[-1], ()):
            if name == job.name:
                around = " after ".join(map(repr, (*trail, name)))
                raise ConfigError.single(
                    f"EtlJob {job.name!r}", "follows", list(job.follows), f"jobs would start each other in a circle: "
                    f"{around}.", "Leave one of them out of .after(…).",
                )  # fmt: skip
            if name not in trail:
                trails.append((*trail, name))


def refuse_unknown(registry: Registry, job: EtlJob) -> None:
    """Refuse a job that follows one that is not saved, so that it would never start.

    Raises
    ------
    NotFound
        With the nearest name.
    """
    if not job.follows:
        return
    saved = [document.name for document in registry.list(EtlJob.KIND)]
    for name in job.follows:
        if name not in saved:
            raise NotFound(EtlJob.KIND, name, saved, where=f"the registry, but {job.name!r} is to run after it")
