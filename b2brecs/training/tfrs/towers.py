"""Towers: from described inputs through configured layers to a vector."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")  # TensorFlow Recommenders is written for Keras 2

import tensorflow as tf
import tf_keras as keras

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from b2brecs.configs.layers import Layer
    from b2brecs.configs.model import ModelConfig
    from b2brecs.features.inputs import InputSpec


def embedding_tables(
    buyer: Sequence[InputSpec], product: Sequence[InputSpec], *, seed: int
) -> dict[tuple[str, str], keras.layers.Embedding]:
    """Make one embedding table for each input that owns one, keyed by (side, name), shared ones twice.

    Rows start uniform in ±0.05 from a seed of their own.
    """
    sides = {"buyer": buyer, "product": product}
    owner: dict[tuple[str, str], tuple[str, str]] = {}
    for side, specs in sides.items():
        for spec in specs:
            if spec.kind != "dense":
                owner[side, spec.name] = _owner(side, spec, sides)
    size: dict[tuple[str, str], int] = {}
    width: dict[tuple[str, str], int] = {}
    for side, specs in sides.items():
        for spec in specs:
            if spec.kind == "dense":
                continue
            key = owner[side, spec.name]
            size[key] = max(size.get(key, 0), spec.rows)
            if width.setdefault(key, spec.width) != spec.width:
                raise ValueError(
                    f"inputs that share the table of {key[1]!r} differ in width: {spec.width}, {width[key]}"
                )
    tables = {
        key: keras.layers.Embedding(
            rows,
            width[key],
            embeddings_initializer=keras.initializers.RandomUniform(-0.05, 0.05, seed=seed + number),
            name=f"{key[0]}_table_{number}",
        )
        for number, (key, rows) in enumerate(sorted(size.items()))
    }
    return {key: tables[target] for key, target in owner.items()}


def _owner(side: str, spec: InputSpec, sides: Mapping[str, Sequence[InputSpec]]) -> tuple[str, str]:
    if spec.shared_with is None:
        return side, spec.name
    other = "product" if side == "buyer" else "buyer"
    for place in (other, side):
        for candidate in sides[place]:
            if candidate.name == spec.shared_with and (place, candidate.name) != (side, spec.name):
                return place, candidate.name
    raise ValueError(f"input {spec.name!r} shares the table of {spec.shared_with!r}, which does not exist")


def realise(layer: Layer, *, seed: int, name: str) -> keras.layers.Layer:
    """Make the Keras layer that a configured layer stands for."""
    if layer.kind == "dense":
        return keras.layers.Dense(
            layer.units,
            activation=layer.activation,
            kernel_initializer=keras.initializers.GlorotUniform(seed=seed),
            kernel_regularizer=keras.regularizers.L1L2(l1=layer.l1, l2=layer.l2) if layer.l1 or layer.l2 else None,
            name=name,
        )
    if layer.kind == "dropout":
        return keras.layers.Dropout(layer.rate, seed=seed, name=name)
    if layer.kind == "batch_norm":
        return keras.layers.BatchNormalization(name=name)
    return keras.layers.LayerNormalization(epsilon=layer.epsilon, name=name)


class Tower(keras.Model):  # type: ignore[misc]
    """Concatenated inputs → layers → linear projection to ``embedding_dim`` → optional unit length.

    Parameters
    ----------
    specs
        Inputs, concatenated in this order.
    layers
        Configured layers, without the projection.
    config
        For ``embedding_dim``, ``normalize`` and ``seed``.
    tables
        Embedding table of each input that has one.
    """

    def __init__(
        self,
        specs: Sequence[InputSpec],
        layers: Sequence[Layer],
        config: ModelConfig,
        tables: Mapping[str, keras.layers.Embedding],
        *,
        seed: int,
        name: str,
    ) -> None:
        super().__init__(name=name)
        self.specs = tuple(specs)
        self.tables = dict(tables)
        self.stack = [realise(layer, seed=seed + i, name=f"{name}_{i}") for i, layer in enumerate(layers)]
        self.projection = keras.layers.Dense(
            config.embedding_dim,
            kernel_initializer=keras.initializers.GlorotUniform(seed=seed + len(self.stack)),
            name=f"{name}_projection",
        )
        self.unit_length = config.normalize

    def call(self, inputs: Mapping[str, tf.Tensor], training: bool | None = None) -> tf.Tensor:  # noqa: FBT001 - Keras calls it so
        """Return vectors, float32[n, embedding_dim]; ``training`` reaches every layer."""
        x = tf.concat([self._input(spec, inputs[spec.name]) for spec in self.specs], axis=1)
        for layer in self.stack:
            x = layer(x, training=training)
        x = self.projection(x)
        return tf.math.l2_normalize(x, axis=1) if self.unit_length else x

    def _input(self, spec: InputSpec, value: tf.Tensor) -> tf.Tensor:
        if spec.kind == "dense":
            return tf.cast(value, tf.float32)
        embedded = self.tables[spec.name](value)
        if spec.kind == "index":
            return embedded
        present = tf.cast(tf.not_equal(value, spec.rows - 1), tf.float32)
        total = tf.einsum("nld,nl->nd", embedded, present)
        return total / tf.maximum(tf.reduce_sum(present, axis=1, keepdims=True), 1.0)


def build_towers(buyer: Sequence[InputSpec], product: Sequence[InputSpec], config: ModelConfig) -> tuple[Tower, Tower]:
    """Make both towers with their shared tables."""
    tables = embedding_tables(buyer, product, seed=config.seed)

    def tower(side: Any, specs: Sequence[InputSpec], seed: int) -> Tower:
        own = {spec.name: tables[side, spec.name] for spec in specs if spec.kind != "dense"}
        return Tower(specs, config.layers(side), config, own, seed=seed, name=side)

    return tower("buyer", buyer, config.seed + 100), tower("product", product, config.seed + 200)
