"""Verbs on features and models."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from b2brecs.backends.protocols import RunRecord
from b2brecs.configs.dataset import Dataset
from b2brecs.configs.features import FeatureConfig
from b2brecs.configs.model import ModelConfig
from b2brecs.configs.split import StrictTime
from b2brecs.display import progress
from b2brecs.errors import B2BRecsError
from b2brecs.etl.run import now
from b2brecs.workspace.configs import ConfigVerbs, as_config

if TYPE_CHECKING:
    from b2brecs.experiments.model import Model
    from b2brecs.experiments.quick import QuickTest


class ModelVerbs(ConfigVerbs):
    """Verbs on features and models."""

    def quick_test(
        self,
        features: FeatureConfig | str,
        model: ModelConfig | str,
        *,
        dataset: Dataset | None = None,
        split: StrictTime | None = None,
        product_name: str | None = None,
        seed: int = 0,
    ) -> QuickTest:
        """Train and compare in this process: baselines, two-tower, and what ``recommend`` will return.

        Parameters
        ----------
        dataset
            The features' dataset, if it is not saved.
        split
            Default: test on the last 28 days, choose on the 28 before, train on the rest.
        product_name
            Column with the products' names; by default found by its name.
        seed
            Of the bootstrap intervals; the model has its own.

        Raises
        ------
        ConfigError
            The features and the model do not fit together.
        NotFound
            The dataset is neither given nor saved.
        EmptySplit
            A part of the split holds no rows.
        MissingExtra
            TensorFlow is not installed.
        """
        from b2brecs.experiments.quick import run_quick_test

        features = as_config(FeatureConfig, features, self)
        model = as_config(ModelConfig, model, self)
        dataset = dataset if dataset is not None else self.saved(Dataset, features.dataset)
        run, started = uuid.uuid4().hex[:12], now()
        error = "interrupted"
        found: QuickTest | None = None
        try:
            with progress("Quick test") as report:
                found = run_quick_test(
                    dataset, features, model, self.home.warehouse,
                    split=split, product_name=product_name, seed=seed, on_progress=report,
                )  # fmt: skip
        except B2BRecsError as failure:
            error = str(failure)
            raise
        finally:
            facts: dict[str, object] = {
                "features": features.content_hash,
                "model": model.content_hash,
                "dataset": dataset.content_hash,
            }
            if found is not None:
                facts["recommend"], error = dict(found.result.leaderboard["recommend"].all), ""
            self.home.registry.log_run(
                RunRecord(
                    run, "quick_test", f"{features.name} × {model.name}", "failed" if error else "completed",
                    started, now(), error, facts,
                )
            )  # fmt: skip
        return found

    def save_model(self, test: QuickTest, name: str) -> str:
        """Keep a quick test's recommender in the workspace's files, and return its address."""
        place = f"{self.home.files}/models/{name}"
        test.recommender.save(place)
        return place

    def load_model(self, name: str) -> Model:
        """Load a kept recommender; it needs no TensorFlow.

        Raises
        ------
        NotFound
            There is none of this name.
        """
        from b2brecs.experiments.model import Model

        return Model.load(f"{self.home.files}/models/{name}")
