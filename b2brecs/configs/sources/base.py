"""What the settings of every kind of source share."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, StringConstraints

from b2brecs.configs.kinds import Member

Port = Annotated[int, Field(ge=1, le=65535)]
Text = Annotated[str, StringConstraints(min_length=1)]


def _path_text(value: Any) -> Any:
    return str(value) if isinstance(value, PurePath) else value


PathText = Annotated[str, StringConstraints(min_length=1), BeforeValidator(_path_text)]


class SourceSettings(Member, family="source", entry_points="b2brecs.sources"):
    """Base of every kind of source's settings. A new kind subclasses it and sets ``kind``."""

    # Whether other machines reach the same data.
    shared: ClassVar[bool] = True

    def identity(self) -> tuple[str, ...]:
        """Return what makes two connections the same: host, database, user, or their like."""
        return (type(self).kind, self.to_json())

    def label(self) -> str:
        """Return a short text that says where this leads; never a secret."""
        return type(self).kind
