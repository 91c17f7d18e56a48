"""Build the templates' context from a ``FeatureConfig`` and a ``ModelConfig``."""

from __future__ import annotations

from b2brecs.codegen import context
from b2brecs.codegen.context import CodegenContext, Identifiers, Input, RawColumn, ValueType
from b2brecs.configs import layers, transforms
from b2brecs.configs.features import FeatureConfig
from b2brecs.configs.model import ModelConfig
from b2brecs.configs.tower import SIDES, Side
from b2brecs.errors import ConfigError, Problem, show

_TYPES: dict[str, ValueType] = {
    "STRING": "string", "BYTES": "string", "JSON": "string", "TIME": "string",
    "INT64": "int", "BOOL": "int", "DATE": "int", "DATETIME": "int", "TIMESTAMP": "int",
    "FLOAT64": "float", "NUMERIC": "float", "BIGNUMERIC": "float",
}  # fmt: skip
_BY_TRANSFORM: dict[str, ValueType] = {"scale": "float", "buckets": "float", "cycle": "int"}


def from_configs(features: FeatureConfig, model: ModelConfig, *, top_k: int = 100) -> CodegenContext:
    """Map two finished configs to what the templates know.

    Parameters
    ----------
    top_k
        The most products that the exported model returns.

    Raises
    ------
    ConfigError
        A transform or layer has no TFX counterpart, or the product id is not embedded.
    """
    problems: list[Problem] = []
    names = Identifiers()
    towers = {side: _tower(features, model, side, names, problems) for side in SIDES}
    product = features.role.product
    keys = [
        item.key for item in towers["product"].inputs if isinstance(item, context.Embedding) and item.column == product
    ]
    has_history = any(item.kind == "history" for item in towers["buyer"].inputs)
    if product is None:
        problems.append(Problem("roles.product", "None", "is not set.", "Set it: dataset.roles(product='…')."))
    elif has_history and not keys:
        fix = f"Add it: .product.id({product!r})."
        problems.append(Problem("buyer.history", repr(product), "has no embedded product id to share.", fix))
    if problems:
        raise ConfigError(f"FeatureConfig {features.name!r} as TFX code", problems)
    return CodegenContext(
        title=f"features {features.name!r}, model {model.name!r}",
        config_hash=context.config_hash(features.content_hash, model.content_hash, str(top_k)),
        query=towers["buyer"],
        candidate=towers["product"],
        candidate_id=str(product),
        candidate_key=keys[0] if keys else "",
        columns=_columns(features),
        embedding_dim=model.embedding_dim,
        normalize=model.normalize,
        temperature=model.temperature,
        optimizer=model.optimizer,
        learning_rate=model.learning_rate,
        batch_size=model.batch_size,
        negatives=model.negatives,
        epochs=model.epochs,
        log_q=model.log_q,
        remove_accidental_hits=model.remove_accidental_hits,
        seed=model.seed,
        top_k=top_k,
    )


def _tower(
    features: FeatureConfig, model: ModelConfig, side: Side, names: Identifiers, problems: list[Problem]
) -> context.Tower:
    name = context.tower_name(side)
    inputs: list[Input] = []
    for index, feature in enumerate(features.tower(side).features):
        for transform in feature.transforms:
            kind = type(transform).kind
            what = transform.period if isinstance(transform, transforms.Cycle) else kind
            made = _input(names.new(f"{name} {what} {feature.column}"), feature.column, transform)
            if made is None:
                where = f"{side}[{index}].{kind}"
                problems.append(Problem(where, show(feature.column), "is not known to the TFX code.", "Take it out."))
            else:
                inputs.append(made)
    for cross in features.tower(side).crosses:
        key = names.new(f"{name} cross {' x '.join(cross.columns)}")
        inputs.append(context.Hashed(key, cross.columns, cross.dim, cross.buckets))
    return context.Tower(name, tuple(inputs), tuple(_layer(layer) for layer in model.layers(side)))


def _input(key: str, column: str, item: transforms.Transform) -> Input | None:
    """Translate one transform; None when the templates do not know it."""
    if isinstance(item, transforms.Embedding):
        return context.Embedding(key, column, item.dim, item.vocabulary_size, item.min_frequency, item.oov_buckets)
    if isinstance(item, transforms.Hashed):
        return context.Hashed(key, (column,), item.dim, item.buckets)
    if isinstance(item, transforms.Scale):
        return context.Scale(key, column, item.method, item.log)
    if isinstance(item, transforms.Buckets):
        return context.Buckets(key, column, item.count, tuple(sorted(item.boundaries)), item.dim)
    if isinstance(item, transforms.Cycle):
        return context.Cycle(key, column, item.period)
    if isinstance(item, transforms.History):
        return context.History(key, context.history_column(column), item.max_length, item.dim)
    return None


def _layer(layer: layers.Layer) -> context.Layer:
    if isinstance(layer, layers.Dense):
        return context.Layer("dense", units=layer.units, activation=layer.activation, l1=layer.l1, l2=layer.l2)
    if isinstance(layer, layers.Dropout):
        return context.Layer("dropout", rate=layer.rate)
    if isinstance(layer, layers.LayerNorm):
        return context.Layer("layer_norm", epsilon=layer.epsilon)
    return context.Layer("batch_norm")


def _columns(features: FeatureConfig) -> tuple[RawColumn, ...]:
    """List the buyer tower's columns once each, in order."""
    declared = {column.name: _TYPES.get(str(column.type), "string") for column in features.columns}
    wanted: dict[str, tuple[ValueType, bool]] = {}
    for feature in features.buyer_tower.features:
        for transform in feature.transforms:
            many = isinstance(transform, transforms.History)
            name = context.history_column(feature.column) if many else feature.column
            kind = _BY_TRANSFORM.get(type(transform).kind, "string")
            wanted.setdefault(name, (declared.get(feature.column, kind), many))
    for cross in features.buyer_tower.crosses:
        for column in cross.columns:
            wanted.setdefault(column, (declared.get(column, "string"), False))
    names = Identifiers()
    return tuple(RawColumn(name, names.new(name), *kind) for name, kind in wanted.items())
