"""Suggest which column is the buyer, the product, the time, the revenue and the quantity."""

from __future__ import annotations

import re
from collections.abc import Mapping

from b2brecs.configs.dataset import Dataset
from b2brecs.types import NUMERIC_TYPES, TIME_TYPES

_NAMES: dict[str, tuple[str, ...]] = {
    "user": ("customer_id", "customer", "buyer_id", "buyer", "user_id", "client_id", "account_id", "reseller_key",
             "reseller_id", "store_number", "store_id", "member_id", "person_id", "customerid", "userid", "kunde"),
    "product": ("product_id", "sku", "stock_code", "item_id", "item_number", "article_id", "product_key", "goods_id",
                "productid", "itemid", "sku_id", "stockcode", "product", "item", "artikel"),
    "timestamp": ("timestamp", "order_date", "invoice_date", "ordered_at", "created_at", "date", "purchase_date",
                  "transaction_date", "time", "datum"),
    "revenue": ("revenue", "amount", "sales_amount", "sale_dollars", "line_total", "order_total", "total", "value",
                "sales", "spend", "transaction_amount", "price", "umsatz"),
    "quantity": ("quantity", "qty", "order_quantity", "units", "bottles_sold", "menge", "count"),
}  # fmt: skip


def suggest_roles(dataset: Dataset, cardinality: Mapping[str, int] | None = None) -> dict[str, str]:
    """Return role → output column for the roles that a name and a type speak for.

    The first matching name wins; the primary table's columns come first. With ``cardinality``, a constant
    column is no buyer and no product.
    """
    found: dict[str, str] = {}
    for role, names in _NAMES.items():
        candidates = []
        for position, column in enumerate(dataset.output()):
            if role == "timestamp" and column.type not in TIME_TYPES:
                continue
            if role in ("revenue", "quantity") and column.type not in NUMERIC_TYPES:
                continue
            if role in ("user", "product") and cardinality is not None and cardinality.get(column.name, 2) < 2:
                continue
            plain = _plain(column.name)
            rank = next((i for i, each in enumerate(names) if plain == _plain(each)), None)
            if rank is not None:
                candidates.append((rank, position, column.name))
        if candidates:
            found[role] = min(candidates)[2]
    return found


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())
