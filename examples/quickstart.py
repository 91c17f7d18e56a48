"""From raw wholesale tables to recommendations for a customer, on this machine, without account or network."""

from __future__ import annotations

import tempfile

import b2brecs as b2b


def main() -> None:
    """Load the sample, describe the dataset, features and model, compare, recommend."""
    ws = b2b.connect(f"local:{tempfile.mkdtemp(prefix='b2brecs-')}")

    # 1. Where the data comes from, and what is loaded of it.
    files = b2b.Connection.files("wholesale", path=b2b.sample.path())
    ws.save(files)
    print(files.test())
    job = b2b.EtlJob("wholesale", connection=files)
    job = job.load("order_lines").load("orders").load("customers").load("products")
    ws.save(job)
    print(job.run())

    # 2. Which rows to learn from: joins are found in the data, purchases are kept, returns and fees are not.
    print(ws.suggest_joins("order_lines", "orders", "customers", "products"))
    sales = (
        ws.dataset("sales", "order_lines", "orders", "customers", "products")
        .compute("revenue", "quantity * unit_price")
        .roles(
            user="customer_id", product="stock_code", timestamp="invoice_date", revenue="revenue", quantity="quantity"
        )
        .between("quantity", minimum=1)
        .drop("stock_code", *b2b.sample.SERVICE_CODES)
    )
    ws.save(sales)
    print(sales)

    # 3. What the two towers see, and what network learns from it.
    features = b2b.FeatureConfig.auto(sales)
    model = b2b.ModelConfig.preset("standard")
    ws.save(features)
    ws.save(model)
    print(features)
    print(model)

    # 4. Train on the past, test on the last four weeks, compare with simple baselines.
    test = ws.quick_test(features, model)
    print(test.split_report())
    print(test.summary)
    print(test.leaderboard)

    # 5. Recommend.
    print(test.recommend(15311, k=10))


if __name__ == "__main__":
    main()
