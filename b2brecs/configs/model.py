"""What network learns from the features: towers, task, optimiser."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from b2brecs import context
from b2brecs.configs.base import Config
from b2brecs.configs.layers import Activation, BatchNorm, Dense, Dropout, Layer, LayerNorm
from b2brecs.configs.presets import PRESETS
from b2brecs.configs.tower import SIDES, Side
from b2brecs.errors import ConfigError, Problem, nearest

Optimizer = Literal["adagrad", "adam", "sgd", "rmsprop", "adamw", "ftrl"]
LEARNING_RATES: dict[str, float] = {
    "adagrad": 0.1, "adam": 0.001, "sgd": 0.01, "rmsprop": 0.001, "adamw": 0.001, "ftrl": 0.1,
}  # fmt: skip


class ModelConfig(Config):
    """The architecture and the training of a recommender, independent of any dataset.

    Each tower ends in a linear projection to ``embedding_dim``, added by the library; the score of a pair
    is the dot product of the two ends, divided by ``temperature``.

    Examples
    --------
    >>> model = ModelConfig.preset("standard").buyer.dense(128, l2=1e-3).dropout(0.2).product.like_buyer().build()
    >>> [str(layer) for layer in model.buyer_layers][-2:]
    ['dense 128 relu l2 0.001', 'dropout 0.2']
    >>> model == ModelConfig.from_json(model.to_json())
    True
    """

    KIND: ClassVar[str] = "model"
    task: Literal["retrieval"] = "retrieval"
    buyer_layers: tuple[Layer, ...] = ()
    product_layers: tuple[Layer, ...] = ()
    embedding_dim: Annotated[int, Field(ge=8, le=512)] = 32
    normalize: bool = True
    temperature: Annotated[float, Field(gt=0)] = 0.05
    optimizer: Optimizer = "adam"
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 0.003
    batch_size: Annotated[int, Field(ge=2)] = 1024
    negatives: Annotated[int, Field(ge=1)] = 255
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 6
    log_q: bool = True
    remove_accidental_hits: bool = True
    seed: int = 42

    def __init__(self, name: str | None = None, /, **fields: Any) -> None:
        super().__init__(name, **fields)

    @classmethod
    def preset(cls, preset: str = "standard", name: str | None = None) -> ModelConfig:
        """Start from a preset: minimal, compact, standard, deep, asymmetric or regularized.

        Raises
        ------
        ConfigError
            There is no such preset.
        """
        if preset not in PRESETS:
            raise ConfigError.single(
                "ModelConfig", "preset", preset, "there is no such preset.", nearest(preset, PRESETS)
            )
        return cls(name or preset, **PRESETS[preset])

    @property
    def buyer(self) -> LayerCursor:
        """The buyer tower, to add layers to."""
        return LayerCursor(self, "buyer")

    @property
    def product(self) -> LayerCursor:
        """The product tower, to add layers to."""
        return LayerCursor(self, "product")

    def layers(self, side: Side) -> tuple[Layer, ...]:
        """Return one tower's layers, without the final projection."""
        return self.buyer_layers if side == "buyer" else self.product_layers

    def with_layers(self, side: Side, layers: tuple[Layer, ...] | list[Layer]) -> Self:
        """Return a copy with one tower's layers replaced."""
        return self.changed(**{f"{side}_layers": tuple(layers)})

    def train(
        self,
        *,
        epochs: int | None = None,
        batch_size: int | None = None,
        optimizer: Optimizer | None = None,
        learning_rate: float | None = None,
        seed: int | None = None,
    ) -> Self:
        """Set how it is trained. A new optimiser brings its usual learning rate, unless one is given."""
        given: dict[str, Any] = {
            "epochs": epochs, "batch_size": batch_size, "optimizer": optimizer,
            "learning_rate": learning_rate, "seed": seed,
        }  # fmt: skip
        if optimizer is not None and learning_rate is None and optimizer != self.optimizer:
            given["learning_rate"] = LEARNING_RATES.get(optimizer)
        return self.changed(**{key: value for key, value in given.items() if value is not None})

    def flow(self, side: Side, width: int) -> list[tuple[str, int, int]]:
        """Return (layer, width after it, parameters), the final projection included.

        Parameters
        ----------
        width
            Width of the tower's input, from ``FeatureConfig.width``.
        """
        rows = []
        for layer in self.layers(side):
            parameters = layer.parameters(width)
            width = layer.output(width)
            rows.append((str(layer), width, parameters))
        projection = Dense(units=self.embedding_dim, activation="linear")
        rows.append((f"projection {self.embedding_dim}", self.embedding_dim, projection.parameters(width)))
        return rows

    def problems(self) -> list[Problem]:
        found = []
        for side in SIDES:
            if not any(isinstance(layer, Dense) for layer in self.layers(side)):
                found.append(
                    Problem(f"{side}_layers", "()", f"the {side} tower is empty.", f"Add a layer: .{side}.dense(64).")
                )
        if self.negatives >= self.batch_size:
            found.append(
                Problem("negatives", str(self.negatives), "a batch has fewer rows than that.",
                        f"At most batch_size - 1 = {self.batch_size - 1} are used.", "warning")
            )  # fmt: skip
        return found

    def edit(self) -> Any:
        """Open the tower designer on this model."""
        return context.current().edit(self)

    def _facts(self) -> dict[str, str]:
        facts = {f"{side} tower": " → ".join(map(str, self.layers(side))) or "empty" for side in SIDES}
        facts["ends in"] = f"{self.embedding_dim} numbers, {'cosine' if self.normalize else 'dot product'}"
        facts["training"] = (
            f"{self.optimizer} {self.learning_rate:g}, batch {self.batch_size}, {self.epochs} epochs, seed {self.seed}"
        )
        return facts | super()._facts()


class LayerCursor:
    """A tower of a ``ModelConfig`` under construction. Immutable: each call returns a new cursor."""

    __slots__ = ("config", "side")

    def __init__(self, config: ModelConfig, side: Side) -> None:
        self.config = config
        self.side = side

    @property
    def buyer(self) -> LayerCursor:
        """Go on with the buyer tower."""
        return LayerCursor(self.config, "buyer")

    @property
    def product(self) -> LayerCursor:
        """Go on with the product tower."""
        return LayerCursor(self.config, "product")

    def add(self, layer: Layer) -> LayerCursor:
        """Add any layer at the end."""
        return LayerCursor(self.config.with_layers(self.side, (*self.config.layers(self.side), layer)), self.side)

    def dense(self, units: int, *, activation: Activation = "relu", l1: float = 0.0, l2: float = 0.0) -> LayerCursor:
        """Add a fully connected layer."""
        return self.add(Dense(units=units, activation=activation, l1=l1, l2=l2))

    def dropout(self, rate: float = 0.2) -> LayerCursor:
        """Add dropout."""
        return self.add(Dropout(rate=rate))

    def batch_norm(self) -> LayerCursor:
        """Add batch normalisation."""
        return self.add(BatchNorm())

    def layer_norm(self, *, epsilon: float = 1e-6) -> LayerCursor:
        """Add layer normalisation."""
        return self.add(LayerNorm(epsilon=epsilon))

    def clear(self) -> LayerCursor:
        """Remove all layers of this tower."""
        return LayerCursor(self.config.with_layers(self.side, ()), self.side)

    def like_buyer(self) -> LayerCursor:
        """Give this tower the buyer tower's layers."""
        return LayerCursor(self.config.with_layers(self.side, self.config.buyer_layers), self.side)

    def build(self) -> ModelConfig:
        """Return the checked config; see ``ModelConfig.build``."""
        return self.config.build()

    def __repr__(self) -> str:
        return f"<{self.side} tower of {self.config!r}>"

    def _repr_html_(self) -> str:
        return self.config._repr_html_()
