"""Whether features and a model fit together: one function that returns every problem."""

from __future__ import annotations

from b2brecs.configs.features import FeatureConfig
from b2brecs.configs.model import ModelConfig
from b2brecs.configs.transforms import Embedding, History
from b2brecs.errors import Problem


def compatible(features: FeatureConfig, model: ModelConfig) -> list[Problem]:
    """List what keeps the two from being trained together, and advice."""
    found = [*features.problems(), *model.problems()]
    product_id = features.role.product
    widths = {
        transform.dim
        for feature in features.product_tower.features
        if feature.column == product_id
        for transform in feature.transforms
        if isinstance(transform, Embedding)
    }
    for feature in features.buyer_tower.features:
        for transform in feature.transforms:
            if isinstance(transform, History) and transform.dim not in widths:
                found.append(
                    Problem(f"buyer.{feature.column}.history.dim", str(transform.dim),
                            "the history shares the product id's embedding, which has another width.",
                            f"Use dim={next(iter(widths), 32)} for both.")
                )  # fmt: skip
    return found


def parameters(features: FeatureConfig, model: ModelConfig) -> dict[str, int]:
    """Count the dense parameters of each tower; embedding tables come with the fitted vocabularies."""
    return {
        side: sum(row[2] for row in model.flow(side, features.width(side)))
        for side in ("buyer", "product")
    }  # fmt: skip
