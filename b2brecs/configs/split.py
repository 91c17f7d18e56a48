"""How rows are split into training, validation and test."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from b2brecs.configs.base import Value

Days = Annotated[int, Field(ge=1)]


class StrictTime(Value):
    """Train on the past, test on the future.

    Test is the last ``test_days`` calendar days of the data (the latest date included), validation the
    ``val_days`` before; training all before, or only the last ``train_days`` of it.
    """

    kind: Literal["strict_time"] = "strict_time"
    test_days: Days = 28
    val_days: Days = 28
    train_days: Days | None = None
