"""How a column becomes numbers. Each transform knows the exact width it takes in its tower.

A new transform is one subclass of ``Transform`` here or in another package, and one engine for it
(``b2brecs.features.engines``); see the architecture page.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from b2brecs.configs.kinds import Member
from b2brecs.types import NUMERIC_TYPES, TIME_TYPES

Dim = Annotated[int, Field(ge=1, le=1024)]

EMBEDDABLE = frozenset({"STRING", "INT64", "BOOL", "DATE", "BYTES"})


class Transform(Member, family="transform", entry_points="b2brecs.transforms"):
    """Base of every transform."""

    TYPES: ClassVar[frozenset[str]] = frozenset()

    def width(self) -> int:
        """Return how many numbers one row yields for the tower's input."""
        raise NotImplementedError

    def embeds(self) -> bool:
        """Whether the transform learns an embedding (else its numbers are used as they are)."""
        return False

    def describe(self) -> str:
        """Return a short text, as in ``embedding 32``."""
        return f"{type(self).kind} {self.width()}"


class Embedding(Transform):
    """A learned vector per value, by a vocabulary built from the training rows.

    The vocabulary holds the most frequent values (ties: ascending), at most ``vocabulary_size``, each seen at
    least ``min_frequency`` times; all others share ``oov_buckets`` rows by hash.
    """

    kind: ClassVar[str] = "embedding"
    TYPES: ClassVar[frozenset[str]] = EMBEDDABLE
    dim: Dim = 32
    vocabulary_size: Annotated[int, Field(ge=1)] = 500_000
    min_frequency: Annotated[int, Field(ge=1)] = 1
    oov_buckets: Annotated[int, Field(ge=1)] = 1

    def width(self) -> int:
        return self.dim

    def embeds(self) -> bool:
        return True


class Hashed(Transform):
    """A learned vector per hash bucket: no vocabulary, for very many values."""

    kind: ClassVar[str] = "hashed"
    TYPES: ClassVar[frozenset[str]] = EMBEDDABLE
    dim: Dim = 16
    buckets: Annotated[int, Field(ge=2)] = 5_000

    def width(self) -> int:
        return self.dim

    def embeds(self) -> bool:
        return True


class Scale(Transform):
    """A number brought to a common scale: z-score, or min-max to [-1, 1], after log1p if asked; NULL becomes 0."""

    kind: ClassVar[str] = "scale"
    TYPES: ClassVar[frozenset[str]] = NUMERIC_TYPES
    method: Literal["z_score", "min_max"] = "z_score"
    log: bool = False

    def width(self) -> int:
        return 1


class Buckets(Transform):
    """A number cut at quantiles, or at given boundaries, with a learned vector per bucket; NULL has its own."""

    kind: ClassVar[str] = "buckets"
    TYPES: ClassVar[frozenset[str]] = NUMERIC_TYPES
    count: Annotated[int, Field(ge=2, le=10_000)] = 10
    boundaries: tuple[float, ...] = ()
    dim: Dim = 8

    def width(self) -> int:
        return self.dim

    def embeds(self) -> bool:
        return True


class Cycle(Transform):
    """The place in a calendar cycle, as sine and cosine: true months and weeks, in UTC."""

    kind: ClassVar[str] = "cycle"
    TYPES: ClassVar[frozenset[str]] = TIME_TYPES
    period: Literal["hour", "weekday", "day_of_month", "month", "quarter"] = "month"

    def width(self) -> int:
        return 2


class History(Transform):
    """The buyer's recent products: mean of their embeddings, which are the product id's own.

    At most ``max_length`` distinct products, latest first, as known before the row; empty gives zeros.
    """

    kind: ClassVar[str] = "history"
    TYPES: ClassVar[frozenset[str]] = EMBEDDABLE
    max_length: Annotated[int, Field(ge=1, le=1000)] = 50
    dim: Dim = 32

    def width(self) -> int:
        return self.dim

    def embeds(self) -> bool:
        return True
