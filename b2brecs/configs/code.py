"""The Python that makes a configuration: executed, it gives an equal object.

Each configuration is written as a constructor and a chain of its own methods. The chain is replayed while it
is written; whatever it cannot say comes out as ``from_dict`` instead, so the text is always right.
"""

from __future__ import annotations

import datetime as dt
import keyword
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from pydantic import BaseModel

from b2brecs.configs.base import Config, Value
from b2brecs.configs.dataset import Dataset, Join, Roles, TableRef
from b2brecs.configs.features import FeatureConfig, TowerCursor
from b2brecs.configs.filters import Aggregate, Category, DateRange, Dates, Filter, MinCount, Numbers, TopRevenue
from b2brecs.configs.layers import BatchNorm, Dense, Dropout, Layer, LayerNorm
from b2brecs.configs.model import LayerCursor, ModelConfig
from b2brecs.configs.tower import SIDES, Cross, Feature
from b2brecs.configs.transforms import Buckets, Cycle, Embedding, Hashed, History, Scale, Transform
from b2brecs.errors import B2BRecsError
from b2brecs.types import Column, TableSchema

_WIDTH = 100
_OURS = "b2brecs.configs.transforms"


@dataclass(frozen=True)
class Code:
    """Python in two parts: the imports and definitions, and the statement that makes the object."""

    setup: str
    chain: str

    def __str__(self) -> str:
        return f"{self.setup}\n\n{self.chain}\n"


@dataclass(frozen=True)
class Name:
    """A name that the setup defines, standing for a value."""

    name: str
    value: Any


@dataclass(frozen=True)
class Step:
    """One link of a chain: a method call, or an attribute when there are no brackets."""

    method: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    attribute: bool = False

    def apply(self, target: Any) -> Any:
        """Do it."""
        if self.attribute:
            return getattr(target, self.method)
        kwargs = {key: _value(item) for key, item in self.kwargs.items()}
        return getattr(target, self.method)(*map(_value, self.args), **kwargs)

    def text(self, indent: str) -> str:
        """Write it."""
        return f".{self.method}" if self.attribute else _call(f".{self.method}", self.args, self.kwargs, indent)


def dataset_code(dataset: Dataset) -> str:
    """Return Python that makes an equal ``Dataset``, as ``dataset``.

    Examples
    --------
    >>> print(dataset_code(Dataset.over("sales", "lines")))
    from b2brecs.configs.dataset import Dataset
    <BLANKLINE>
    dataset = Dataset.over("sales", "lines")
    <BLANKLINE>
    """
    return str(dataset_parts(dataset))


def features_code(features: FeatureConfig) -> str:
    """Return Python that makes an equal ``FeatureConfig``, as ``features``."""
    return str(features_parts(features))


def model_code(model: ModelConfig) -> str:
    """Return Python that makes an equal ``ModelConfig``, as ``model``."""
    return str(model_parts(model))


# -- datasets --------------------------------------------------------------------------------------


def dataset_parts(dataset: Dataset) -> Code:
    """Return the code of a dataset, its table definitions apart."""
    tables, definitions = _tables(dataset.tables)
    first = dataset.tables[0]
    given: dict[str, Any] = {} if first.alias == first.name else {"as_": first.alias}
    if dataset.description:
        given["description"] = dataset.description
    start = Dataset.over(dataset.name, _value(tables[first.alias]), **given)
    chain = _replayed(start, lambda: _dataset_steps(dataset, tables), dataset)
    if chain is None:
        return _plain(dataset, "dataset")
    imports = ["from b2brecs.configs.dataset import Dataset", *_filter_imports(chain)]
    if definitions:
        imports.append("from b2brecs.types import Column, TableSchema")
    text = _call("Dataset.over", (dataset.name, tables[first.alias]), given, "")
    return Code("\n".join([*imports, *definitions]), _chain("dataset", text, chain))


def _dataset_steps(dataset: Dataset, tables: dict[str, Any]) -> Iterator[Step]:
    so_far = [dataset.tables[0]]
    for table, join in zip(dataset.tables[1:], dataset.joins, strict=False):
        yield Step("join", (tables[table.alias],), _join_arguments(join, table, so_far))
        so_far.append(table)
    names = {pair: name for name, pair in dataset.changed(selected=(), renamed=()).sources().items()}
    if dataset.selected:
        yield Step("select", tuple(names.get(pair, ".".join(pair)) for pair in dataset.selected))
    for alias, column, new in dataset.renamed:
        yield Step("rename", (), {names[alias, column]: new})
    for item in dataset.computed:
        kind = {} if item.type == "FLOAT64" else {"type": item.type}
        yield Step("compute", (item.name, item.expression), kind)
    if dataset.role.items():
        yield Step("roles", (), dict(dataset.role.items()))
    seen: list[Filter] = []
    for each in dataset.filters:
        yield _filter_step(each, seen)
        seen.append(each)
    if dataset.sequential:
        yield Step("sequentially")


def _join_arguments(join: Join, table: TableRef, so_far: Sequence[TableRef]) -> dict[str, Any]:
    pairs: list[Any] = [a if a == b else (a, b) for a, b in join.on]
    given: dict[str, Any] = {"on": pairs[0] if len(pairs) == 1 else pairs}
    column = join.on[0][0]
    usual = next((item.alias for item in so_far if not item.columns or column in item.column_names), None)
    if usual != join.left:
        given["left"] = join.left
    if join.how != "left":
        given["how"] = join.how
    if table.alias != table.name:
        given["as_"] = table.alias
    return given


def _filter_step(item: Filter, before: Iterable[Filter]) -> Step:
    column = getattr(item, "column", None)
    if any(getattr(other, "column", None) == column and other.section != item.section for other in before if column):
        return Step("filter", (item,), {"allow_reuse": True})
    match item:
        case TopRevenue():
            return Step(f"top_{item.side}s", (item.percent,))
        case MinCount():
            return Step("min_purchases", (), {f"{item.side}s": item.count})
        case Dates():
            given = {"rolling_days": item.rolling_days, "start": item.start, "end": item.end, "column": item.column}
            return Step("dates", (), {key: value for key, value in given.items() if value is not None})
        case Category():
            include = item.mode == "include"
            usual = {"side": "product", "include_nulls": not include}
            return Step("keep" if include else "drop", (item.column, *item.values), _unusual(item, usual))
        case Numbers():
            bounds = {
                **dict.fromkeys(("minimum", "maximum", "above", "below")),
                "side": "product",
                "include_nulls": False,
            }
            return Step("between", (item.column,), _unusual(item, bounds))
        case DateRange():
            days = {"last_days": None, "start": None, "end": None, "side": "product", "include_nulls": False}
            return Step("within", (item.column,), _unusual(item, days))
        case Aggregate():
            open_ended = dict.fromkeys(("minimum", "maximum", "above", "below"))
            return Step(f"{item.side}s_with", (item.measure,), _unusual(item, open_ended))


def _filter_imports(steps: Iterable[Step]) -> list[str]:
    names = sorted({type(arg).__name__ for step in steps if step.method == "filter" for arg in step.args})
    return [f"from b2brecs.configs.filters import {', '.join(names)}"] if names else []


def _tables(tables: Sequence[TableRef]) -> tuple[dict[str, Any], list[str]]:
    """Return alias → what stands for the table in the chain, and the definitions of those with columns."""
    found: dict[str, Any] = {}
    lines: list[str] = []
    taken = {"Dataset", "Column", "TableSchema", "dataset", "float", "dt"}
    for number, table in enumerate(tables, 1):
        if not table.columns:
            found[table.alias] = table.name
            continue
        alias = table.alias
        usable = alias.isidentifier() and alias.isascii() and not keyword.iskeyword(alias) and alias not in taken
        name = alias if usable else f"table_{number}"
        while name in taken:
            name += "_"
        taken.add(name)
        schema = TableSchema(table.name, table.columns)
        found[alias] = Name(name, schema)
        lines.append(f"\n{name} = {_literal(schema)}" if not lines else f"{name} = {_literal(schema)}")
    return found, lines


# -- features --------------------------------------------------------------------------------------


def features_parts(features: FeatureConfig) -> Code:
    """Return the code of a feature configuration, its columns apart."""
    given: dict[str, Any] = {"dataset": features.dataset}
    if features.columns:
        given["columns"] = Name("columns", features.columns)
    if features.role.items():
        given["role"] = Name("role", features.role)
    if features.skipped:
        given["skipped"] = Name("skipped", features.skipped)
    if features.description:
        given["description"] = features.description
    start = FeatureConfig(features.name, **{key: _value(item) for key, item in given.items()})
    chain = _replayed(start, lambda: _feature_steps(features), features)
    if chain is None:
        return _plain(features, "features")
    imports = []
    if "role" in given:
        imports.append("from b2brecs.configs.dataset import Roles")
    imports.append("from b2brecs.configs.features import FeatureConfig")
    kinds = {type(arg).__name__ if _ours(arg) else "Transform" for step in chain if step.method == "add"
             for arg in step.args[1:]}  # fmt: skip
    if kinds:
        imports.append(f"from {_OURS} import {', '.join(sorted(kinds))}")
    definitions = [f"{item.name} = {_definition(item.value)}" for item in given.values() if isinstance(item, Name)]
    if features.columns:
        imports.append("from b2brecs.types import Column")
    if definitions:
        imports += ["", *definitions]
    return Code("\n".join(imports), _chain("features", _call("FeatureConfig", (features.name,), given, ""), chain))


def _definition(value: Any) -> str:
    return _call("Roles", (), dict(value.items()), "") if isinstance(value, Roles) else _literal(value)


def _feature_steps(features: FeatureConfig) -> Iterator[Step]:
    for side in SIDES:
        tower = features.tower(side)
        if tower.features or tower.crosses:
            yield Step(side, attribute=True)
            yield from (_feature_step(item, features.role) for item in tower.features)
            yield from (_cross_step(item) for item in tower.crosses)
    yield from _finish(features, any(features.tower(side) != type(features.tower(side))() for side in SIDES))


def _feature_step(item: Feature, role: Roles) -> Step:
    first, column = item.transforms[0], item.column
    if item.reason == "" and all(isinstance(other, Cycle) for other in item.transforms):
        return Step("cycle", (column, *(getattr(other, "period") for other in item.transforms)))  # noqa: B009
    if item.reason == "" and len(item.transforms) == 1:
        match first:
            case Embedding() if column in (role.user, role.product) and first.vocabulary_size == 500_000:
                usual = {"dim": 32, "min_frequency": 1, "oov_buckets": 1}
                return Step("id", (column,), _unusual(first, usual))
            case Embedding():
                return Step("text", (column,), _unusual(first, {**_defaults(Embedding), "dim": 16}))
            case Hashed():
                return Step("hashed", (column,), _unusual(first, _defaults(Hashed)))
            case Scale():
                return Step("scale", (column,), _unusual(first, _defaults(Scale)))
            case Buckets():
                return Step("buckets", (column,), _unusual(first, _defaults(Buckets)))
            case History() if column == role.product:
                return Step("history", (), _unusual(first, _defaults(History)))
    return Step("add", (column, *item.transforms), {"reason": item.reason} if item.reason else {})


def _cross_step(item: Cross) -> Step:
    return Step("cross", item.columns, _unusual(item, {"buckets": 5_000, "dim": 16}))


# -- models ----------------------------------------------------------------------------------------


def model_parts(model: ModelConfig) -> Code:
    """Return the code of a model."""
    given = _unusual(
        model, {key: value for key, value in _defaults(ModelConfig).items() if not key.endswith("_layers")}
    )
    chain = _replayed(ModelConfig(model.name, **given), lambda: _model_steps(model), model)
    if chain is None:
        return _plain(model, "model")
    text = _call("ModelConfig", (model.name,), given, "")
    return Code("from b2brecs.configs.model import ModelConfig", _chain("model", text, chain))


def _model_steps(model: ModelConfig) -> Iterator[Step]:
    if model.buyer_layers:
        yield Step("buyer", attribute=True)
        yield from map(_layer_step, model.buyer_layers)
    if model.product_layers:
        yield Step("product", attribute=True)
        if model.product_layers == model.buyer_layers:
            yield Step("like_buyer")
        else:
            yield from map(_layer_step, model.product_layers)
    yield from _finish(model, bool(model.buyer_layers or model.product_layers))


def _layer_step(layer: Layer) -> Step:
    match layer:
        case Dense():
            return Step("dense", (layer.units,), _unusual(layer, {"activation": "relu", "l1": 0.0, "l2": 0.0}))
        case Dropout():
            return Step("dropout", (layer.rate,))
        case BatchNorm():
            return Step("batch_norm")
        case LayerNorm():
            return Step("layer_norm", (), _unusual(layer, {"epsilon": 1e-6}))


def _finish(config: Config, cursor: bool) -> Iterator[Step]:  # noqa: FBT001
    """End on the config: ``build`` where it is complete, else the config that the cursor holds."""
    if not any(problem.severity == "error" for problem in config.problems()):
        yield Step("build")
    elif cursor:
        yield Step("config", attribute=True)


# -- writing ---------------------------------------------------------------------------------------


def _replayed(start: Any, steps: Any, goal: Config) -> list[Step] | None:
    """Return the steps if they lead from the start to the goal, else None."""
    done: list[Step] = []
    target = start
    try:
        for step in steps():
            target = step.apply(target)
            done.append(step)
    except (B2BRecsError, LookupError, TypeError):
        return None
    return done if not isinstance(target, TowerCursor | LayerCursor) and target == goal else None


def _plain(config: Config, name: str) -> Code:
    cls = type(config)
    body = _literal(config.to_dict())
    return Code(f"from {cls.__module__} import {cls.__name__}", f"{name} = {cls.__name__}.from_dict(\n    {body}\n)")


def _chain(name: str, start: str, steps: Sequence[Step]) -> str:
    if not steps:
        return f"{name} = {start}"
    lines: list[str] = []
    # A tower's name shares the line of its first call.
    for attribute, group in groupby(steps, key=lambda step: step.attribute):
        for step in group:
            text = step.text("    ")
            if lines and lines[-1].startswith((".buyer", ".product")) and not attribute and "(" not in lines[-1]:
                lines[-1] += text
            else:
                lines.append(text)
    body = "\n".join(f"    {line}" for line in (start.replace("\n", "\n    "), *lines))
    return f"{name} = (\n{body}\n)"


def _call(name: str, args: Iterable[Any], kwargs: dict[str, Any], indent: str) -> str:
    parts = [_literal(arg) for arg in args]
    safe = {
        key: value
        for key, value in kwargs.items()
        if key.isidentifier() and key.isascii() and not keyword.iskeyword(key)
    }
    parts += [f"{key}={_literal(value)}" for key, value in safe.items()]
    if len(safe) < len(kwargs):
        rest = {key: value for key, value in kwargs.items() if key not in safe}
        parts.append(f"**{_literal(rest)}")
    text = f"{name}({', '.join(parts)})"
    if len(text) <= _WIDTH or not parts:
        return text
    lines = "".join(f"\n{indent}    {part}," for part in parts)
    return f"{name}({lines}\n{indent})"


def _literal(value: Any) -> str:
    """Write a value as Python that gives it back."""
    match value:
        case Name():
            return value.name
        case str():
            text = repr(value)
            return f'"{text[1:-1]}"' if text.startswith("'") and '"' not in text else text
        case bool() | int() | None:
            return repr(value)
        case float():
            if not math.isfinite(value):
                return f'float("{value}")'
            whole = value.is_integer() and abs(value) < 1e15 and str(value) != "-0.0"
            return str(int(value)) if whole else repr(value)
        case dt.date():
            return f'"{value.isoformat()}"'
        case Transform() if not _ours(value):
            return f"Transform.from_dict({_literal(value.to_dict())})"
        case BaseModel():
            given = {key: getattr(value, key) for key in type(value).model_fields}
            usual = _defaults(type(value))
            told = [f"{key}={_literal(item)}" for key, item in given.items() if key not in usual or usual[key] != item]
            return f"{type(value).__name__}({', '.join(told)})"
        case TableSchema():
            return f"TableSchema({_literal(value.name)}, {_literal(value.columns)})"
        case Column():
            nullable = "" if value.nullable else ", nullable=False"
            return f"Column({_literal(value.name)}, {_literal(value.type)}{nullable})"
        case tuple():
            items = [_literal(item) for item in value]
            if items and all(isinstance(item, Column) for item in value):
                return "(\n" + "".join(f"    {item},\n" for item in items) + ")"
            return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"
        case list():
            return f"[{', '.join(_literal(item) for item in value)}]"
        case dict():
            return "{" + ", ".join(f"{_literal(key)}: {_literal(item)}" for key, item in value.items()) + "}"
        case _:
            raise TypeError(f"no Python for a {type(value).__name__}")


def _ours(transform: Any) -> bool:
    return type(transform).__module__ == _OURS


def _value(item: Any) -> Any:
    if isinstance(item, Name):
        return item.value
    return item


def _defaults(cls: type[BaseModel]) -> dict[str, Any]:
    return {key: info.default for key, info in cls.model_fields.items() if not info.is_required()}


def _unusual(item: Value, usual: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that differ from what a method takes by default."""
    return {key: getattr(item, key) for key, default in usual.items() if getattr(item, key) != default}
