"""The tower designer: which columns enter the two towers, and through which layers they go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import traitlets

from b2brecs.configs.base import Config
from b2brecs.configs.code import Code, features_parts, model_parts
from b2brecs.configs.compat import compatible, parameters
from b2brecs.configs.defaults import embedding_dim
from b2brecs.configs.features import FeatureConfig
from b2brecs.configs.model import ModelConfig
from b2brecs.configs.tower import SIDES, Feature, Side
from b2brecs.configs.transforms import Cycle, Embedding, History, Scale, Transform
from b2brecs.errors import Problem, show
from b2brecs.types import NUMERIC_TYPES, TIME_TYPES, Column
from b2brecs.widgets.base import ConfigWidget


class Design(NamedTuple):
    """Features and the model on top of them."""

    features: FeatureConfig
    model: ModelConfig


class _DesignTrait(
    traitlets.TraitType[Design, Design | tuple[FeatureConfig, ModelConfig] | FeatureConfig | ModelConfig]
):
    """A Design; a pair becomes one, and features or a model alone replace that half."""

    def validate(self, obj: Any, value: Any) -> Design:
        match value:
            case FeatureConfig():
                return Design(value, obj.value.model)
            case ModelConfig():
                return Design(obj.value.features, value)
            case FeatureConfig() as features, ModelConfig() as model:
                return Design(features, model)
        raise traitlets.TraitError(f"a design is (features, model), not {show(value)}.")


class TowerDesigner(ConfigWidget):
    """Edit features and a model together, with every width and count of parameters in sight.

    Parameters
    ----------
    features, model
        Where to start; ``value`` is the edited pair, ``value.features`` and ``value.model``.
    cardinality
        Distinct values per column, for the width that a new embedding gets. Default: not known.
    """

    BUNDLE: ClassVar[str] = "tower_designer"
    value = _DesignTrait()

    def __init__(
        self, features: FeatureConfig, model: ModelConfig, *, cardinality: Mapping[str, int] | None = None
    ) -> None:
        self.cardinality = dict(cardinality or {})
        super().__init__(Design(features, model))

    def _read(self, draft: Mapping[str, Any]) -> Design:
        return Design(FeatureConfig.from_dict(draft["features"]), ModelConfig.from_dict(draft["model"]))

    def _write(self, value: Design) -> dict[str, Any]:
        return {"features": value.features.to_dict(), "model": value.model.to_dict()}

    def _describe(self, value: Design) -> dict[str, Any]:
        features, model = value
        roles = {column: role for role, column in features.role.items()}
        totals = parameters(features, model)
        return {
            "columns": [
                {
                    "name": column.name,
                    "type": column.type,
                    "role": roles.get(column.name),
                    "offers": {side: self._offer(features, column, side) for side in SIDES},
                }
                for column in features.columns
            ],
            "towers": {side: {**_tower(features, model, side), "parameters": totals[side]} for side in SIDES},
            "score": (
                f"Both towers end in {model.embedding_dim} numbers; the score of a pair is their "
                f"{'cosine' if model.normalize else 'dot product'} divided by {model.temperature:g}. "
                "Embedding tables are counted once their vocabularies are fitted."
            ),
        }

    def _check(self, value: Design) -> Sequence[Problem]:
        return compatible(value.features, value.model)

    def _codes(self, value: Design) -> Sequence[Code]:
        return features_parts(value.features), model_parts(value.model)

    def _cards(self, value: Design) -> Sequence[Config]:
        return value

    def _offer(self, features: FeatureConfig, column: Column, side: Side) -> dict[str, Any] | None:
        transform = self._transform(features, column, side)
        if transform is None:
            return None
        feature = Feature(column=column.name, transforms=(transform,))
        return {"feature": feature.to_dict(), "width": feature.width(), "text": transform.describe()}

    def _transform(self, features: FeatureConfig, column: Column, side: Side) -> Transform | None:
        """Choose how a column enters a tower; None where it cannot."""
        role = features.role
        if column.name in (role.revenue, role.quantity):
            return None
        if column.name == role.product and side == "buyer":
            return History(dim=self._id_dim(features))
        if column.name in (role.user, role.product):
            return Embedding(dim=embedding_dim(self.cardinality.get(column.name, 1_000)))
        if column.type in NUMERIC_TYPES:
            return Scale()
        if column.type in TIME_TYPES:
            return Cycle()
        if column.type in Embedding.TYPES:
            return Embedding(dim=embedding_dim(self.cardinality.get(column.name, 100)))
        return None

    def _id_dim(self, features: FeatureConfig) -> int:
        """Return the width of the product id's embedding, which a history shares."""
        found = [
            transform.dim
            for feature in features.product_tower.features
            if feature.column == features.role.product
            for transform in feature.transforms
            if isinstance(transform, Embedding)
        ]
        return found[0] if found else 32


def _tower(features: FeatureConfig, model: ModelConfig, side: Side) -> dict[str, Any]:
    tower, width = features.tower(side), features.width(side)
    flow, before = [], width
    for text, after, count in model.flow(side, width):
        flow.append({"text": text, "before": before, "after": after, "parameters": count})
        before = after
    return {
        "width": width,
        "features": [
            {
                "column": feature.column,
                "width": feature.width(),
                "text": ", ".join(transform.describe() for transform in feature.transforms),
            }
            for feature in tower.features
        ],
        "crosses": [{"width": cross.width(), "text": str(cross)} for cross in tower.crosses],
        "flow": flow,
    }
