"""Ready-made models, by name."""

from __future__ import annotations

from typing import Any

from b2brecs.configs.layers import Dense, Dropout


def _both(*layers: Any) -> dict[str, Any]:
    return {"buyer_layers": layers, "product_layers": layers}


PRESETS: dict[str, dict[str, Any]] = {
    "minimal": _both(Dense(units=64)),
    "compact": {**_both(Dense(units=64), Dropout(rate=0.2)), "learning_rate": 0.002},
    "standard": _both(Dense(units=128, l2=1e-6), Dense(units=64)),
    "deep": _both(Dense(units=256, l2=1e-6), Dense(units=128), Dense(units=64)),
    "asymmetric": {
        "buyer_layers": (Dense(units=256), Dense(units=128)),
        "product_layers": (Dense(units=128),),
        "embedding_dim": 64,
    },
    "regularized": _both(Dense(units=128, l2=1e-5), Dropout(rate=0.2), Dense(units=64, l2=1e-5), Dropout(rate=0.1)),
}
