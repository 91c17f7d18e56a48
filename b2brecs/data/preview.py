"""A few rows of a table or a dataset, the same ones each time."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from sqlglot import exp

from b2brecs.backends.protocols import Warehouse
from b2brecs.sql.dataset import name
from b2brecs.types import Column

if TYPE_CHECKING:
    import pandas as pd

MAX_ROWS = 100


def preview(
    warehouse: Warehouse, rows: exp.Query, columns: tuple[Column, ...], *, limit: int = 10, seed: int = 0
) -> pd.DataFrame:
    """Return up to 100 rows, chosen by a hash of their content and the seed."""
    texts: list[exp.Expr] = [exp.Literal.string(str(seed))]
    for column in columns:
        if not column.type.startswith("ARRAY") and column.type not in ("JSON", "BYTES"):
            text = exp.Cast(this=name(column.name), to=exp.DataType.build("TEXT"))
            texts += [exp.Literal.string("|"), exp.Coalesce(this=text, expressions=[exp.Literal.string("")])]
    order = exp.MD5(this=exp.Concat(expressions=texts, safe=False, coalesce=False))
    tree = (
        exp.select(*(name(column.name) for column in columns))
        .from_(rows.subquery(exp.to_identifier("previewed", quoted=True)))
        .order_by(exp.Ordered(this=order, nulls_first=False))
        .limit(max(0, min(limit, MAX_ROWS)))
    )
    return cast("pd.DataFrame", warehouse.query(tree).read_all().to_pandas())
