"""Verbs on saved configurations: save, load, history, delete."""

from __future__ import annotations

import datetime as dt
import getpass
import warnings
from dataclasses import dataclass
from typing import TypeVar, overload

from b2brecs.backends.protocols import Document, Home
from b2brecs.configs.base import Config
from b2brecs.configs.connection import Connection
from b2brecs.configs.etl import EtlJob
from b2brecs.configs.nouns import from_document, to_document
from b2brecs.display import Table
from b2brecs.errors import DuplicateConnection, NotFound
from b2brecs.workspace.links import duplicates, refuse_circle

C = TypeVar("C", bound=Config)


@dataclass(frozen=True)
class Saved:
    """What ``save`` did: the version that now stands, and whether it is new.

    ``duplicates`` are the other saved connections that lead to the same place.
    """

    kind: str
    name: str
    version: int
    new: bool
    duplicates: tuple[str, ...] = ()

    def __repr__(self) -> str:
        text = f"{self.kind} {self.name!r}: version {self.version} {'saved' if self.new else 'stands unchanged'}"
        if not self.duplicates:
            return text
        others = ", ".join(map(repr, self.duplicates))
        return f"{text}. It leads to the same place as {others}; better use {self.duplicates[0]!r}."


class ConfigVerbs:
    """Verbs on saved configurations."""

    home: Home
    # The version of each configuration that this workspace has read or written last.
    _seen: dict[tuple[str, str], int]

    def save(self, config: Config, *, expect: int | None = None) -> Saved:
        """Save a configuration as a new version; the same content again is no new version.

        Parameters
        ----------
        expect
            The version this one is built on. Default: the one that this workspace loaded or saved last.

        Raises
        ------
        ConfigError
            The configuration is not finished, or is a job that would follow itself.
        VersionConflict
            Another version stands in the registry. It names the fields that differ.

        Warns
        -----
        DuplicateConnection
            Another saved connection leads to the same place.
        """
        config.build()
        same: tuple[str, ...] = ()
        if isinstance(config, EtlJob):
            refuse_circle(self.home.registry, config)
        elif isinstance(config, Connection):
            same = duplicates(self.home.registry, config)
        key = (config.KIND, config.name)
        document = Document(
            config.KIND, config.name, 0, to_document(config), config.content_hash, getpass.getuser(),
            dt.datetime.now(dt.UTC), config.references(),
        )  # fmt: skip
        seen = expect if expect is not None else self._seen.get(key)
        standing = self._version(*key)
        stored = self.home.registry.put(document, expect=seen)
        new = stored.version != standing
        self._seen[key] = stored.version
        if same:
            warnings.warn(DuplicateConnection(config.name, same), stacklevel=2)
        return Saved(stored.kind, stored.name, stored.version, new, same)

    def _version(self, kind: str, name: str) -> int | None:
        try:
            return self.home.registry.get(kind, name).version
        except NotFound:
            return None

    @overload
    def load(self, kind: type[C], name: str, *, version: int | None = None) -> C: ...
    @overload
    def load(self, kind: str, name: str, *, version: int | None = None) -> Config: ...
    def load(self, kind: type[C] | str, name: str, *, version: int | None = None) -> C | Config:
        """Load a configuration, the latest version by default: ``ws.load(Dataset, "orders")``.

        Raises
        ------
        NotFound
            There is none of this name, or no such version.
        """
        text = kind if isinstance(kind, str) else kind.KIND
        document = self.home.registry.get(text, name, version)
        if version is None:
            self._seen[text, name] = document.version
        return from_document(text, document.data)

    def history(self, kind: type[Config] | str, name: str) -> Table:
        """Return the versions of a configuration, the latest first."""
        text = kind if isinstance(kind, str) else kind.KIND
        found = self.home.registry.history(text, name)
        return Table(
            f"{text} {name}", ["version", "saved", "by", "content"],
            [[d.version, f"{d.saved_at:%Y-%m-%d %H:%M:%S}", d.author, d.content_hash[:12]] for d in found],
        )  # fmt: skip

    def restore(self, kind: type[C], name: str, version: int) -> C:
        """Save an earlier version again as the latest, and return it."""
        self.load(kind, name)
        earlier = self.load(kind, name, version=version)
        self.save(earlier)
        return earlier

    def list(self, kind: type[Config] | str | None = None) -> Table:
        """Return what is saved."""
        text = kind if isinstance(kind, str) or kind is None else kind.KIND
        found = self.home.registry.list(text)
        return Table(
            "Saved", ["kind", "name", "version", "saved", "by"],
            [[d.kind, d.name, d.version, f"{d.saved_at:%Y-%m-%d %H:%M}", d.author] for d in found],
        )  # fmt: skip

    def delete(self, kind: type[Config] | str, name: str) -> None:
        """Delete a configuration with all its versions; a job's timetable goes with it.

        Raises
        ------
        InUse
            Another configuration refers to it.
        """
        text = kind if isinstance(kind, str) else kind.KIND
        planned = text == EtlJob.KIND and self.home.registry.get(text, name).data.get("timetable") is not None
        self.home.registry.delete(text, name)
        self._seen.pop((text, name), None)
        if planned:
            self.home.scheduler.delete(name)

    def saved(self, kind: type[C], name: str) -> C:
        """Load by name, and say how to save it when it is not there."""
        try:
            return self.load(kind, name)
        except NotFound as error:
            raise NotFound(kind.KIND, name, [d.name for d in self.home.registry.list(kind.KIND)],
                           where="the registry; save it first: ws.save(…)") from error  # fmt: skip


def as_config(kind: type[C], value: C | str, verbs: ConfigVerbs) -> C:
    """Return a configuration given as itself or by its saved name."""
    return verbs.saved(kind, value) if isinstance(value, str) else value
