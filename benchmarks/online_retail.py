"""The leaderboard on the whole of Online Retail II, or on any other file of purchase lines.

    python benchmarks/online_retail.py clean.parquet [test_days]

The file has the columns buyer_id, product_id, timestamp, revenue, quantity, and a row per purchase line.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import b2brecs as b2b


def main(path: str, test_days: str = "28") -> None:
    """Load the file, run the quick test, print the leaderboard, all metrics, and the time of each stage."""
    source = Path(path).absolute()
    with tempfile.TemporaryDirectory() as home, b2b.Workspace.local(home) as ws:
        files = b2b.Connection.files("lines", path=source.parent, tables={"lines": source.name})
        ws.save(files)
        b2b.EtlJob("load", connection=files).load("lines").run()
        sales = ws.dataset("sales", "lines").roles(
            user="buyer_id", product="product_id", timestamp="timestamp", revenue="revenue", quantity="quantity"
        )
        ws.save(sales)
        split = b2b.StrictTime(test_days=int(test_days))
        test = ws.quick_test(b2b.FeatureConfig.auto(sales), b2b.ModelConfig.preset("standard"), split=split)
        print(test.split_report())
        print(test)
        print(test.leaderboard.to_pandas(["recall@10", "ndcg@10"]).to_string(index=False))
        print(dict(test.result.seconds))


if __name__ == "__main__":
    main(*sys.argv[1:])
