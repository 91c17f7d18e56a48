"""The layers of a tower. Each knows its own output width and number of parameters."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from b2brecs.configs.base import Value

Rate = Annotated[float, Field(ge=0, lt=1)]
Weight = Annotated[float, Field(ge=0)]
Units = Annotated[int, Field(ge=1, le=8192)]
Activation = Literal["relu", "gelu", "elu", "selu", "tanh", "sigmoid", "linear"]


class Dense(Value):
    """A fully connected layer: ``width * units + units`` parameters."""

    kind: Literal["dense"] = "dense"
    units: Units
    activation: Activation = "relu"
    l1: Weight = 0.0
    l2: Weight = 0.0

    def output(self, width: int) -> int:
        """Return the width after the layer."""
        del width
        return self.units

    def parameters(self, width: int) -> int:
        """Return the number of parameters, given the width before the layer."""
        return width * self.units + self.units

    def __str__(self) -> str:
        extra = "".join(f" {name} {value:g}" for name, value in (("l1", self.l1), ("l2", self.l2)) if value)
        return f"dense {self.units} {self.activation}{extra}"


class Dropout(Value):
    """Zeroes a share of the inputs while training."""

    kind: Literal["dropout"] = "dropout"
    rate: Rate = 0.2

    def output(self, width: int) -> int:
        """Return the width after the layer."""
        return width

    def parameters(self, width: int) -> int:
        """Return 0."""
        del width
        return 0

    def __str__(self) -> str:
        return f"dropout {self.rate:g}"


class BatchNorm(Value):
    """Batch normalisation: 4 parameters a unit, 2 of them not trained."""

    kind: Literal["batch_norm"] = "batch_norm"

    def output(self, width: int) -> int:
        """Return the width after the layer."""
        return width

    def parameters(self, width: int) -> int:
        """Return the number of parameters, given the width before the layer."""
        return 4 * width

    def __str__(self) -> str:
        return "batch norm"


class LayerNorm(Value):
    """Layer normalisation: 2 parameters a unit."""

    kind: Literal["layer_norm"] = "layer_norm"
    epsilon: Annotated[float, Field(gt=0)] = 1e-6

    def output(self, width: int) -> int:
        """Return the width after the layer."""
        return width

    def parameters(self, width: int) -> int:
        """Return the number of parameters, given the width before the layer."""
        return 2 * width

    def __str__(self) -> str:
        return "layer norm"


Layer = Annotated[Dense | Dropout | BatchNorm | LayerNorm, Field(discriminator="kind")]
