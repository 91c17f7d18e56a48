"""The library's one family of errors.

Every error says what was wrong, where, with which value, and what to do about it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

_MAX_VALUE = 60


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, or unwise, in a configuration.

    Parameters
    ----------
    field
        Path of the field, as a user writes it: ``buyer[3].column``.
    value
        The offending value, already shortened and free of secrets.
    message
        What is wrong.
    fix
        What to do; often a line of Python.
    severity
        ``"error"`` stops a save or a run; ``"warning"`` is advice.
    """

    field: str
    value: str
    message: str
    fix: str = ""
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        shown = f"{self.field} = {self.value}" if self.value else self.field
        return f"{shown}: {self.message}" + (f" {self.fix}" if self.fix else "")


def show(value: object) -> str:
    """Shorten a value for a message."""
    text = repr(value)
    return text if len(text) <= _MAX_VALUE else text[: _MAX_VALUE - 1] + "…"


def nearest(name: str, valid: Iterable[str]) -> str:
    """Return "Did you mean 'x'?" with the nearest valid name, or the list of names."""
    names = [str(item) for item in valid]
    folded = {item.casefold(): item for item in reversed(names)}
    close = difflib.get_close_matches(str(name).casefold(), folded, n=1, cutoff=0.6)
    if close:
        return f"Did you mean {folded[close[0]]!r}?"
    if not names:
        return ""
    listed = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return f"Choose one of: {listed}."


class B2BRecsError(Exception):
    """Base of every error that this library raises on purpose."""


class ConfigError(B2BRecsError, ValueError):
    """A configuration is wrong.

    Attributes
    ----------
    title
        Which object, e.g. ``FeatureConfig 'buyers_v2'``.
    problems
        Every problem found, not only the first.
    """

    def __init__(self, title: str, problems: Sequence[Problem]) -> None:
        self.title = title
        self.problems = tuple(problems)
        super().__init__(title, self.problems)

    def __str__(self) -> str:
        count = len(self.problems)
        lines = [f"{self.title}: {count} problem{'s' if count != 1 else ''}"]
        lines += [f"  {problem}" for problem in self.problems]
        return "\n".join(lines)

    @classmethod
    def single(cls, title: str, field: str, value: object, message: str, fix: str = "") -> ConfigError:
        """Make an error of one problem."""
        return cls(title, [Problem(field, show(value), message, fix)])


class FilterConflict(ConfigError):
    """A column is used by filters of two sections (dates, buyers, products)."""


class MissingExtra(B2BRecsError, ImportError):
    """An optional part is not installed.

    Parameters
    ----------
    feature
        What was asked for, e.g. "a PostgreSQL connection".
    package
        The module that could not be imported.
    extra
        The extra that brings it.
    """

    def __init__(self, feature: str, package: str, extra: str) -> None:
        self.feature, self.package, self.extra = feature, package, extra
        super().__init__(feature, package, extra)

    def __str__(self) -> str:
        return f"{self.feature} needs {self.package}: pip install 'b2brecs[{self.extra}]'"


class NotFound(B2BRecsError, LookupError):
    """Something that was asked for by name does not exist."""

    def __init__(self, kind: str, name: str, valid: Iterable[str] = (), where: str = "") -> None:
        self.kind, self.name, self.valid = kind, name, tuple(valid)
        self.where = where
        super().__init__(kind, name)

    def __str__(self) -> str:
        place = f" in {self.where}" if self.where else ""
        hint = nearest(self.name, self.valid)
        return f"no {self.kind} named {self.name!r}{place}." + (f" {hint}" if hint else "")


class VersionConflict(B2BRecsError):
    """Somebody else saved this configuration since it was read.

    Attributes
    ----------
    kind, name
        What was saved.
    expected, actual
        The version the caller had read and the one that now stands.
    changes
        Field paths on which the two differ, with both values.
    """

    def __init__(
        self,
        kind: str,
        name: str,
        expected: int | None,
        actual: int | None,
        changes: Sequence[tuple[str, object, object]] = (),
    ) -> None:
        self.kind, self.name, self.expected, self.actual = kind, name, expected, actual
        self.changes = tuple(changes)
        super().__init__(kind, name, expected, actual)

    def __str__(self) -> str:
        started = f"you started from version {self.expected}" if self.expected else "you did not start from it"
        text = (
            f"{self.kind} {self.name!r} was saved by someone else: the registry holds version {self.actual}, {started}."
        )
        lines = [f"{text} Load it, put your change on top, and save again."]
        lines += [f"  {path}: theirs {show(theirs)}, yours {show(mine)}" for path, theirs, mine in self.changes]
        return "\n".join(lines)


class InUse(B2BRecsError):
    """A thing cannot be deleted while others refer to it."""

    def __init__(self, kind: str, name: str, users: Sequence[str]) -> None:
        self.kind, self.name, self.users = kind, name, tuple(users)
        super().__init__(kind, name, self.users)

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r} is in use by {', '.join(self.users)}. Delete or change those first."


class SecretNotFound(B2BRecsError, LookupError):
    """A secret reference leads nowhere."""

    def __init__(self, reference: str, how: str) -> None:
        self.reference = reference
        super().__init__(reference, how)

    def __str__(self) -> str:
        return f"no secret behind {self.args[0]}. {self.args[1]}"


class DuplicateConnection(UserWarning):
    """A connection that is saved leads to where others, saved before, lead too."""

    def __init__(self, name: str, others: Sequence[str]) -> None:
        self.name, self.others = name, tuple(others)
        super().__init__(name, self.others)

    def __str__(self) -> str:
        named = ", ".join(map(repr, self.others))
        return (
            f"connection {self.name!r} leads to the same place as {named}. Use that one: connection={self.others[0]!r}"
        )


class SourceError(B2BRecsError):
    """A source of customer data refused, or could not be reached; ``transient`` if it may pass by itself."""

    def __init__(self, source: str, reason: str, fix: str = "", *, transient: bool = False) -> None:
        self.source, self.reason, self.fix, self.transient = source, reason, fix, transient
        super().__init__(source, reason, fix)

    def __str__(self) -> str:
        return f"{self.source}: {self.reason}" + (f" {self.fix}" if self.fix else "")


class WarehouseError(B2BRecsError):
    """The warehouse refused a statement."""


class LoadError(B2BRecsError):
    """A load could not be completed; the table that stood before still stands."""


class Cancelled(B2BRecsError):
    """A run was stopped by hand; what had been committed stays, the rest was taken back."""


class EmptySplit(B2BRecsError, ValueError):
    """A part of a train/validation/test split holds no rows."""


class RunFailed(B2BRecsError):
    """A run ended in failure; ``stage`` says where."""

    def __init__(self, stage: str, message: str) -> None:
        self.stage = stage
        super().__init__(stage, message)

    def __str__(self) -> str:
        return f"{self.args[0]}: {self.args[1]}"


def require(module: str, *, feature: str, extra: str) -> object:
    """Import an optional module, or say which extra brings it.

    Raises
    ------
    MissingExtra
        The module is not installed.
    """
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        missing = error.name or module
        raise MissingExtra(feature, missing, extra) from None
