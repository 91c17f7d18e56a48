"""Training of the two-tower model, and the vectors it ends in."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras as keras

from b2brecs.training.tfrs.tasks import SubBatchRetrieval
from b2brecs.training.tfrs.towers import build_towers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from b2brecs.configs.model import ModelConfig
    from b2brecs.features.inputs import SideInputs, TowerInputs

CLIP_NORM = 1.0
_ENCODE_ROWS = 8_192

OnEpoch = Callable[[int, int, dict[str, float]], None]


class TwoTower(tfrs.Model):  # type: ignore[misc]
    """Two towers and the retrieval task; the score of a pair is the dot product over the temperature."""

    def __init__(self, inputs: TowerInputs, config: ModelConfig) -> None:
        super().__init__()
        self.buyer_tower, self.product_tower = build_towers(inputs.buyer.specs, inputs.product.specs, config)
        self.task = SubBatchRetrieval(
            negatives=config.negatives,
            temperature=config.temperature,
            log_q=config.log_q,
            remove_accidental_hits=config.remove_accidental_hits,
        )

    def compute_loss(self, inputs: Mapping[str, Any], training: bool = False) -> tf.Tensor:  # noqa: FBT001, FBT002 - TFRS calls it so
        """Return the batch's loss; ``training`` reaches the towers, so dropout is active."""
        query = tf.gather(self.buyer_tower(inputs["buyer"], training=training), inputs["state_of"])
        candidate = self.product_tower(inputs["product"], training=training)
        return self.task(
            query,
            candidate,
            candidate_ids=inputs["item"],
            query_ids=inputs["state_of"],
            sampling_probability=inputs["probability"],
        )


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained model, reduced to vectors, with its history of losses.

    ``user_vectors`` are those of the serving states, one for each buyer code.
    """

    model: TwoTower
    user_vectors: NDArray[np.float32]
    item_vectors: NDArray[np.float32]
    losses: tuple[float, ...]
    seconds: float


def make_optimizer(name: str, learning_rate: float) -> keras.optimizers.Optimizer:
    """Make one of adagrad, adam, sgd, rmsprop, adamw, ftrl; each variable's gradient is clipped to norm 1."""
    classes = {
        "adagrad": keras.optimizers.Adagrad,
        "adam": keras.optimizers.Adam,
        "sgd": keras.optimizers.SGD,
        "rmsprop": keras.optimizers.RMSprop,
        "adamw": keras.optimizers.AdamW,
        "ftrl": keras.optimizers.Ftrl,
    }
    return classes[name](learning_rate=learning_rate, clipnorm=CLIP_NORM, jit_compile=False)


def train(
    inputs: TowerInputs,
    item: NDArray[np.integer[Any]],
    config: ModelConfig,
    *,
    on_epoch: OnEpoch | None = None,
) -> Trained:
    """Train on purchase lines.

    Parameters
    ----------
    inputs
        Both sides; ``train_rows`` names the buyer state of each line.
    item
        Product code of each line.
    config
        Towers and hyper-parameters. The same seed gives the same vectors on the same machine.
    on_epoch
        Called with (epoch from 1, epochs, {"loss": …}).
    """
    begin = time.perf_counter()
    keras.utils.set_random_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    model = TwoTower(inputs, config)
    model.compile(optimizer=make_optimizer(config.optimizer, config.learning_rate))
    buyer, product = _constants(inputs.buyer), _constants(inputs.product)
    share = np.bincount(item, minlength=len(inputs.product)) / max(len(item), 1)
    probability = tf.constant(share, dtype=tf.float32)

    vector = tf.TensorSpec([None], tf.int32)

    @tf.function(input_signature=[vector, vector, vector])  # type: ignore[untyped-decorator]
    def step(states: tf.Tensor, state_of: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        batch = {
            "buyer": {name: tf.gather(value, states) for name, value in buyer.items()},
            "product": {name: tf.gather(value, items) for name, value in product.items()},
            "state_of": state_of,
            "item": items,
            "probability": tf.gather(probability, items),
        }
        return model.train_step(batch)["loss"]

    losses: list[float] = []
    for epoch in range(1, config.epochs + 1):
        total = [
            step(tf.constant(states), tf.constant(state_of), tf.constant(items))
            for states, state_of, items in batches(inputs.train_rows, item, config.batch_size, rng)
        ]
        losses.append(float(np.mean([float(value) for value in total])))
        if on_epoch is not None:
            on_epoch(epoch, config.epochs, {"loss": losses[-1]})
    return Trained(
        model=model,
        user_vectors=encode(model.buyer_tower, inputs.buyer, inputs.serve_rows),
        item_vectors=encode(model.product_tower, inputs.product),
        losses=tuple(losses),
        seconds=time.perf_counter() - begin,
    )


def batches(
    rows: NDArray[np.integer[Any]], item: NDArray[np.integer[Any]], size: int, rng: np.random.Generator
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]]:
    """Yield an epoch's batches: distinct states, each line's place among them, each line's product.

    Lines of one state stay together, states come in random order, lines within a batch are shuffled: so a
    buyer's history goes through the tower once for a whole order. A last batch below ``size`` is left out,
    unless it is the only one.
    """
    rows, item = np.asarray(rows, dtype=np.int64), np.asarray(item, dtype=np.int32)
    turn = rng.permutation(int(rows.max()) + 1)
    order = np.lexsort((rng.random(len(rows)), turn[rows]))
    size = min(size, len(rows))
    for first in range(0, len(rows) - size + 1, size):
        part = rng.permutation(order[first : first + size])
        states, state_of = np.unique(rows[part], return_inverse=True)
        yield states.astype(np.int32), state_of.astype(np.int32), item[part]


def encode(tower: keras.Model, side: SideInputs, rows: NDArray[np.integer[Any]] | None = None) -> NDArray[np.float32]:
    """Return the vectors of some rows of one side (all, when ``rows`` is None), without dropout."""
    chosen = np.arange(len(side)) if rows is None else np.asarray(rows)
    call = tf.function(lambda batch: tower(batch, training=False), reduce_retracing=True)
    parts = []
    for first in range(0, len(chosen), _ENCODE_ROWS):
        part = chosen[first : first + _ENCODE_ROWS]
        parts.append(call({spec.name: tf.constant(side.arrays[spec.name][part]) for spec in side.specs}).numpy())
    return np.concatenate(parts)


def _constants(side: SideInputs) -> dict[str, tf.Tensor]:
    return {spec.name: tf.constant(side.arrays[spec.name]) for spec in side.specs}
