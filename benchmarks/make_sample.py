"""Make the extract that ships as ``b2brecs.sample`` from the two published sheets of Online Retail II.

    python benchmarks/make_sample.py raw_2009_2010.parquet raw_2010_2011.parquet b2brecs/sample

The sheets overlap by nine days in December 2010; the second one's rows are taken there. Nothing else is
cleaned: cancellations, service codes and lines without a customer stay, as a company's raw data has them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

BUYERS = 800
SEED = 20111209
COLUMNS = ["invoice", "stock_code", "description", "quantity", "invoice_date", "unit_price", "customer_id", "country"]


def main(first: str, second: str, folder: str) -> None:
    """Write order_lines.parquet, orders.csv, customers.csv and products.csv."""
    sheets = []
    for path in (first, second):
        sheet = pd.read_parquet(path)
        sheet.columns = COLUMNS
        sheet["invoice_date"] = pd.to_datetime(sheet["invoice_date"])
        sheet["customer_id"] = sheet["customer_id"].astype("Int64")
        sheet["quantity"] = sheet["quantity"].astype("int64")
        # The conversion from the published workbooks wrote missing descriptions as this text.
        sheet["description"] = sheet["description"].replace("nan", None)
        sheets.append(sheet)
    sheets[0] = sheets[0][sheets[0]["invoice_date"] < sheets[1]["invoice_date"].min()]
    lines = pd.concat(sheets, ignore_index=True)
    known = pd.Series(lines["customer_id"].dropna().unique())
    chosen = set(known.sample(BUYERS, random_state=SEED))
    # One anonymous invoice in twenty, as many as the chosen buyers are of all.
    invoices = lines.loc[lines["customer_id"].isna(), "invoice"].drop_duplicates()
    anonymous = set(invoices.sample(frac=0.05, random_state=SEED))
    lines = lines[lines["customer_id"].isin(chosen) | lines["invoice"].isin(anonymous)]
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    orders = lines.groupby("invoice", sort=True).agg(
        customer_id=("customer_id", "first"), invoice_date=("invoice_date", "min")
    )
    orders.reset_index().to_csv(out / "orders.csv", index=False)
    named = lines.dropna(subset=["customer_id"])
    customers = named.groupby("customer_id", sort=True)["country"].agg(lambda s: s.mode().iloc[0])
    customers.reset_index().to_csv(out / "customers.csv", index=False)
    titles = (
        lines.dropna(subset=["description"])
        .groupby("stock_code", sort=True)["description"]
        .agg(lambda s: s.mode().iloc[0].strip())
    )
    titles.reset_index().to_csv(out / "products.csv", index=False)
    table = pa.Table.from_pandas(lines[["invoice", "stock_code", "quantity", "unit_price"]], preserve_index=False)
    pq.write_table(
        table.replace_schema_metadata(None), out / "order_lines.parquet", compression="zstd", compression_level=19
    )
    print(f"{len(lines):,} lines, {len(orders):,} orders, {len(customers):,} customers, {len(titles):,} products")


if __name__ == "__main__":
    main(*sys.argv[1:])
