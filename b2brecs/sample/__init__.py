"""A small extract of real wholesale data, to try the library on: ``Connection.files("sample", path=sample.path())``.

Online Retail II: the invoice lines of a UK gift wholesaler, December 2009 to December 2011, as they were
recorded: 800 of its customers and some anonymous invoices, with cancellations, service codes and all.
Source: D. Chen, Online Retail II, UCI Machine Learning Repository, 2019, https://doi.org/10.24432/C5CG6D,
CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/). Changes: an extract, split into four tables.
"""

from __future__ import annotations

from pathlib import Path

# Stock codes that are no products: postage, fees, manual entries, adjustments, samples, gift vouchers.
SERVICE_CODES = (
    "POST", "DOT", "M", "m", "D", "C2", "C3", "S", "B", "PADS", "BANK CHARGES", "AMAZONFEE", "CRUK", "ADJUST",
    "ADJUST2", "TEST001", "TEST002", "GIFT", "SP1002",
)  # fmt: skip


def path() -> Path:
    """Return the folder with ``order_lines.parquet``, ``orders.csv``, ``customers.csv`` and ``products.csv``."""
    return Path(__file__).parent
