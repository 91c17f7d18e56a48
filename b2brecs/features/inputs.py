"""What enters a tower: a description of each input, and the arrays that go with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class InputSpec:
    """One input of a tower.

    Parameters
    ----------
    name
        Key of its array.
    kind
        ``"index"``: int32[n], a row of an embedding table. ``"dense"``: float32[n, width], used as it is.
        ``"bag"``: int32[n, max_length], rows of an embedding table of which the mean is taken; the index
        ``rows - 1`` is padding and left out of the mean, and an empty bag gives zeros.
    rows
        Rows of the embedding table, a bag's padding row included; 0 for dense.
    width
        How many numbers it adds to the tower's input.
    shared_with
        Name of another input, of either tower, whose embedding table is used. The table then has the larger
        of the two ``rows``, and both must have the same ``width``.
    """

    name: str
    kind: Literal["index", "dense", "bag"]
    rows: int
    width: int
    shared_with: str | None = None


@dataclass(frozen=True, eq=False)
class SideInputs:
    """The inputs of one tower: ``arrays[spec.name]`` for every spec, all of the same length."""

    specs: tuple[InputSpec, ...]
    arrays: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    @property
    def width(self) -> int:
        """Width of the tower's input."""
        return sum(spec.width for spec in self.specs)


@dataclass(frozen=True, eq=False)
class TowerInputs:
    """Everything that a two-tower model is trained and served with.

    Buyers change as they buy, so the buyer side holds *states*: rows of inputs, one for each moment that
    matters. A side without point-in-time inputs has one state for each buyer.

    Parameters
    ----------
    buyer
        One row for each state.
    product
        One row for each product code.
    train_rows
        State of each training line, int[n_lines]: what was known when the line was bought.
    serve_rows
        State of each buyer code, int[n_users]: what is known at the moment of serving.
    """

    buyer: SideInputs
    product: SideInputs
    train_rows: NDArray[np.integer[Any]]
    serve_rows: NDArray[np.integer[Any]]
