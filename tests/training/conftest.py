"""A small market with taste: groups of buyers, groups of products, repeat purchases and a trend."""

from __future__ import annotations

import numpy as np
import pytest

from b2brecs.training.interactions import DAY, Interactions, from_arrays


def make_market(seed: int = 0, buyers: int = 150, products: int = 80, days: int = 240) -> Interactions:
    rng = np.random.default_rng(seed)
    users, items, times = [], [], []
    for buyer in range(buyers):
        group = buyer % 4
        own = group * 20 + rng.permutation(20)[:12]
        staples, later = own[:6], own[6:]
        for day in sorted(rng.choice(days, size=16, replace=False)):
            basket = set(rng.choice(staples, 3, replace=False)) | {later[min(int(6 * day / days), 5)]}
            basket.add(int(rng.integers(products)))
            for item in basket:
                users.append(f"b{buyer:03d}")
                items.append(f"p{item:03d}")
                times.append(int(day) * DAY + 36_000)
    n = len(users)
    return from_arrays(users, items, times, revenue=rng.uniform(1, 9, n), quantity=np.ones(n))


@pytest.fixture(scope="session")
def market() -> Interactions:
    return make_market()
