"""The leaderboard, shown: as a table, a data frame and a chart."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from b2brecs.display import Table, offline
from b2brecs.training.evaluate import RECOMMEND, Leaderboard

if TYPE_CHECKING:
    import pandas as pd

_SCOPES = {"all": "all purchases", "new": "new products"}


@dataclass(frozen=True)
class BoardView:
    """The leaderboard, shown: one row per model, the same test buyers for all."""

    board: Leaderboard
    k: int = 10

    def to_pandas(self, metrics: Iterable[str] | None = None) -> pd.DataFrame:
        """Return every metric of every model, one column per (metric, scope)."""
        import pandas as pd

        first = self.board.rows[0]
        chosen = list(metrics) if metrics is not None else list(first.all)
        return pd.DataFrame(self.board.records(chosen))

    def plot(self, metric: str | None = None) -> Any:
        """Draw a metric with its 95 % intervals, over all purchases and over new products, as an Altair chart."""
        import altair as alt
        import pandas as pd

        chosen = metric or f"recall@{self.k}"
        points = []
        for row in self.board.rows:
            for scope, title in _SCOPES.items():
                values = row.metrics(scope)  # type: ignore[arg-type]
                if chosen in values:
                    low, high = row.intervals[scope].get(chosen, (values[chosen], values[chosen]))  # type: ignore[index]
                    points.append(
                        {
                            "model": row.name,
                            "kind": row.kind,
                            "scope": title,
                            chosen: values[chosen],
                            "low": low,
                            "high": high,
                        }
                    )
        base = alt.Chart(pd.DataFrame(points)).encode(y=alt.Y("model:N", sort="-x", title=None))
        bars = base.mark_bar().encode(x=alt.X(f"{chosen}:Q"), color=alt.Color("kind:N", title=None))
        lines = base.mark_rule().encode(x="low:Q", x2="high:Q")
        return offline((bars + lines).properties(width=300, height=220).facet(alt.Column("scope:N", title=None)))

    def _table(self) -> Table:
        recall, ndcg = f"recall@{self.k}", f"ndcg@{self.k}"
        columns = [
            "model",
            f"{recall} all",
            "95 % interval",
            f"{ndcg} all",
            f"revenue@{self.k}",
            f"{recall} new",
            f"{ndcg} new",
            "fit s",
        ]
        ordered = sorted(self.board.rows, key=lambda row: -row.all.get(recall, 0.0))
        table_rows = []
        for row in ordered:
            low, high = row.intervals["all"].get(recall, (0.0, 0.0))
            table_rows.append(
                [
                    row.name, row.all.get(recall), f"{low:.4f} – {high:.4f}", row.all.get(ndcg),
                    row.all.get(f"revenue@{self.k}"), row.new.get(recall), row.new.get(ndcg), round(row.seconds, 1),
                ]
            )  # fmt: skip
        strong = frozenset(i for i, row in enumerate(ordered) if row.name == RECOMMEND)
        protocol = self.board.protocol
        days = cast("list[str]", protocol["test"])
        subtitle = f"{protocol['test_buyers']:,} buyers, {protocol['products']:,} products, test {days[0]} to {days[1]}"
        return Table("Leaderboard", columns, table_rows, strong, subtitle=subtitle)

    def __repr__(self) -> str:
        return str(self._table())

    def _repr_html_(self) -> str:
        return self._table().to_html()
