"""The base of every configuration: frozen, checked on construction, equal by value."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from b2brecs import context
from b2brecs.errors import ConfigError, Problem, nearest, show

Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f/]+$")]

_FIXES = {
    "greater_than": "Give a number greater than {gt}.",
    "greater_than_equal": "Give a number of at least {ge}.",
    "less_than": "Give a number less than {lt}.",
    "less_than_equal": "Give a number of at most {le}.",
    "string_too_short": "Give at least {min_length} character(s).",
    "string_too_long": "Give at most {max_length} characters.",
    "date_from_datetime_parsing": "Give a date as 'YYYY-MM-DD'.",
    "date_parsing": "Give a date as 'YYYY-MM-DD'.",
    "date_type": "Give a datetime.date, or text as 'YYYY-MM-DD'.",
    "int_type": "Give a whole number.",
    "int_parsing": "Give a whole number.",
    "int_from_float": "Give a whole number.",
    "literal_error": "Choose one of: {expected}.",
    "missing": "Add it.",
    "too_short": "Give at least {min_length}.",
}


class Value(BaseModel):
    """An immutable, hashable value that raises the library's own error when it is wrong.

    Raises
    ------
    ConfigError
        On construction: every wrong field, its value, and the fix.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, ser_json_inf_nan="constants")

    def __init__(self, /, **fields: Any) -> None:
        wrong = None
        try:
            super().__init__(**fields)
        except ValidationError as error:
            wrong = translate(type(self), error)
        # Outside the handler, so that pydantic's error, which repeats the input, does not travel along.
        if wrong is not None:
            raise wrong

    def _title(self) -> str:
        return type(self).__name__

    def changed(self, /, **fields: Any) -> Self:
        """Return a copy with some fields replaced, checked like a new object."""
        data = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self)(**(data | fields))

    def to_dict(self) -> dict[str, Any]:
        """Return the plain data (JSON types only)."""
        return self.model_dump(mode="json", by_alias=True)

    def to_json(self, indent: int | None = None) -> str:
        """Return the JSON form, which ``from_json`` reads back to an equal object."""
        return self.model_dump_json(by_alias=True, indent=indent)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read the plain data.

        Raises
        ------
        ConfigError
            The data does not describe such an object.
        """
        try:
            return cls.model_validate(dict(data))
        except ValidationError as error:
            wrong = translate(cls, error)
        raise wrong

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read the JSON form."""
        return cls.from_dict(json.loads(text))


class Config(Value):
    """A noun that the registry stores: pure data, with a name and a description.

    A config holds no client, no secret and does no I/O. Its verbs (``run``, ``preview``, …) only ask the
    current workspace.
    """

    KIND: ClassVar[str]
    # Fields that do not change what the object means, so they stay out of its identity.
    COSMETIC: ClassVar[frozenset[str]] = frozenset({"name", "description"})

    name: Name
    description: str = ""

    def __init__(self, name: str | None = None, /, **fields: Any) -> None:
        if name is not None:
            fields = {"name": name, **fields}
        super().__init__(**fields)

    def _title(self) -> str:
        return f"{type(self).__name__} {self.name!r}"

    def problems(self) -> list[Problem]:
        """List what is unfinished or unwise; an error among them refuses ``build`` and ``save``."""
        return []

    def build(self) -> Self:
        """Return the finished object.

        Raises
        ------
        ConfigError
            With all problems at once, when something is missing.
        """
        errors = [problem for problem in self.problems() if problem.severity == "error"]
        if errors:
            raise ConfigError(self._title(), errors)
        return self

    @property
    def content_hash(self) -> str:
        """SHA-256 of the meaning-bearing fields as canonical JSON, 64 hex digits."""
        data = {key: value for key, value in self.to_dict().items() if key not in self.COSMETIC}
        text = json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(f"{self.KIND}:{text}".encode()).hexdigest()

    def diff(self, other: Config) -> list[tuple[str, object, object]]:
        """List the fields that differ: (path, here, there)."""
        return list(differences(self.to_dict(), other.to_dict()))

    def references(self) -> tuple[tuple[str, str], ...]:
        """(kind, name) of the configurations this one needs; they cannot be deleted before it."""
        return ()

    def save(self) -> Any:
        """Save in the current workspace's registry; see ``Workspace.save``."""
        return context.current().save(self)

    def _error(self, field: str, value: object, message: str, fix: str = "") -> ConfigError:
        return ConfigError.single(self._title(), field, value, message, fix)

    def _facts(self) -> dict[str, str]:
        """Return the lines of the object's card; subclasses add theirs."""
        return {"description": self.description} if self.description else {}

    def __repr__(self) -> str:
        lines = [f"  {key}: {value}" for key, value in self._facts().items()]
        return "\n".join([f"{type(self).__name__} {self.name!r}", *lines])

    __str__ = __repr__

    def _repr_html_(self) -> str:
        from b2brecs.display import Card

        return Card(type(self).__name__, self.name, self._facts(), self.problems()).to_html()


def differences(left: object, right: object, path: str = "") -> Iterator[tuple[str, object, object]]:
    """Walk two plain structures and yield (path, left, right) where they differ."""
    if isinstance(left, dict) and isinstance(right, dict):
        for key in dict.fromkeys([*left, *right]):
            yield from differences(left.get(key), right.get(key), f"{path}.{key}" if path else key)
    elif isinstance(left, list) and isinstance(right, list):
        for index in range(max(len(left), len(right))):
            here = left[index] if index < len(left) else None
            there = right[index] if index < len(right) else None
            yield from differences(here, there, f"{path}[{index}]")
    elif left != right:
        yield path, left, right


def field_path(location: tuple[int | str, ...]) -> str:
    """Write a pydantic location as a user writes a path."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else part)
    return text


def translate(cls: type[BaseModel], error: ValidationError) -> ConfigError:
    """Turn pydantic's error into ours, with the fix for each field and never a secret's value."""
    problems: list[Problem] = []
    raw_name = None
    for item in error.errors(include_url=False):
        inner = item.get("ctx", {}).get("error")
        if isinstance(inner, ConfigError):
            prefix = field_path(item["loc"])
            problems += [
                Problem(
                    f"{prefix}.{problem.field}" if prefix and problem.field else prefix or problem.field,
                    problem.value, problem.message, problem.fix, problem.severity,
                )
                for problem in inner.problems
            ]  # fmt: skip
            continue
        location = field_path(item["loc"])
        message, fix = item["msg"].removeprefix("Value error, "), ""
        if item["type"] == "extra_forbidden":
            message, fix = "there is no such field.", nearest(str(item["loc"][-1]), _fields(cls, item["loc"]))
        elif item["type"] in _FIXES:
            fix = _FIXES[item["type"]].format(**item.get("ctx", {}))
        shown = "" if item["type"] == "missing" else show(item["input"])
        if _is_secret(item["loc"]):
            shown = "'****'"
        problems.append(Problem(location, shown, message if message.endswith(".") else f"{message}.", fix))
        if isinstance(item["input"], Mapping):
            raw_name = item["input"].get("name")
    title = f"{cls.__name__} {raw_name!r}" if isinstance(raw_name, str) else cls.__name__
    return ConfigError(title, problems)


_SECRET_WORDS = ("password", "secret", "token", "key_json", "credential", "access_key", "sas", "account_key")


def _is_secret(location: tuple[int | str, ...]) -> bool:
    return any(word in str(part).lower() for part in location for word in _SECRET_WORDS)


def _fields(cls: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    return list(cls.model_fields) if len(location) == 1 else []
