"""The inputs of one tower: features and crosses."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SerializeAsAny, StringConstraints

from b2brecs.configs.base import Value
from b2brecs.configs.transforms import Dim, History, Transform

Text = Annotated[str, StringConstraints(min_length=1)]
Side = Literal["buyer", "product"]
SIDES: tuple[Side, ...] = ("buyer", "product")


class Feature(Value):
    """A column and what is made of it, one or several transforms."""

    column: Text
    transforms: Annotated[tuple[SerializeAsAny[Transform], ...], Field(min_length=1)]
    reason: str = ""

    def width(self) -> int:
        """Return how many numbers it adds to its tower."""
        return sum(transform.width() for transform in self.transforms)

    @property
    def is_history(self) -> bool:
        """Whether it stands for the buyer's past products, not for the row's own value."""
        return any(isinstance(transform, History) for transform in self.transforms)

    def __str__(self) -> str:
        return f"{self.column} ({', '.join(transform.describe() for transform in self.transforms)})"


class Cross(Value):
    """Two or more columns of one tower taken together, hashed, with a learned vector per bucket."""

    columns: Annotated[tuple[Text, ...], Field(min_length=2)]
    buckets: Annotated[int, Field(ge=2)] = 5_000
    dim: Dim = 16

    def width(self) -> int:
        """Return how many numbers it adds to its tower."""
        return self.dim

    def __str__(self) -> str:
        return f"{' × '.join(self.columns)} (hashed {self.dim})"


class TowerFeatures(Value):
    """The features of one tower."""

    features: tuple[Feature, ...] = ()
    crosses: tuple[Cross, ...] = ()

    def width(self) -> int:
        """Return the exact width of the tower's input."""
        return sum(feature.width() for feature in self.features) + sum(cross.width() for cross in self.crosses)
