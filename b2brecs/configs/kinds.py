"""Open families of values: a new kind of source or transform is one class and one registration.

A family is a base class whose subclasses carry ``kind``; its JSON form is ``{"kind": ..., fields}``.
A kind that is not known yet is looked for among the installed packages' entry points.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any, ClassVar

from pydantic import model_serializer, model_validator
from pydantic_core.core_schema import SerializerFunctionWrapHandler

from b2brecs.configs.base import Value
from b2brecs.errors import ConfigError, nearest, show


class Member(Value):
    """Base of the members of an open family."""

    FAMILY: ClassVar[str]
    ENTRY_POINTS: ClassVar[str]
    kind: ClassVar[str]
    _known: ClassVar[dict[str, type[Member]]]

    def __init_subclass__(cls, *, family: str = "", entry_points: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if family:
            cls.FAMILY, cls.ENTRY_POINTS, cls._known = family, entry_points, {}

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        kind = cls.__dict__.get("kind")
        if isinstance(kind, str):
            cls._known[kind] = cls

    @classmethod
    def kinds(cls) -> list[str]:
        """List the known kinds, installed packages' included."""
        return sorted({*cls._known, *(point.name for point in entry_points(group=cls.ENTRY_POINTS))})

    @classmethod
    def of_kind(cls, kind: str) -> type[Member]:
        """Return the class of a kind.

        Raises
        ------
        ConfigError
            No class and no entry point has this kind.
        """
        if kind not in cls._known:
            for point in entry_points(group=cls.ENTRY_POINTS, name=kind):
                point.load()
        if kind not in cls._known:
            raise ConfigError.single(
                cls.FAMILY, "kind", kind, f"there is no such {cls.FAMILY}.", nearest(kind, cls.kinds())
            )
        return cls._known[kind]

    @model_validator(mode="wrap")
    @classmethod
    def _dispatch(cls, value: Any, handler: Any) -> Any:
        if isinstance(value, cls) or "kind" not in getattr(value, "keys", dict)():
            return handler(value)
        data = dict(value)
        kind = data.pop("kind")
        if not isinstance(kind, str):
            raise ConfigError.single(cls.FAMILY, "kind", show(kind), "the kind must be text.")
        target = cls.of_kind(kind)
        if target is cls:
            return handler(data)
        return target.from_dict(data)

    @model_serializer(mode="wrap")
    def _with_kind(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {"kind": type(self).kind, **handler(self)}
