"""What is known to differ between the homes. Each has a sentence; anything else that differs is a fault."""

from __future__ import annotations

KNOWN: dict[str, dict[str, str]] = {
    "local": {
        "other threads may read": "DuckDB reads on a cursor of its own, so a stream may stay open during a commit.",
    },
    "gcp": {
        "names are limited": "BigQuery takes no quotes, dots, slashes or brackets in names: such a name is refused.",
        "no NULL arrays": "BigQuery keeps no NULL arrays, and no NULL in an array: a NULL array comes back empty.",
        "products are wide": "The emulator types NUMERIC times NUMERIC as BIGNUMERIC; BigQuery itself as NUMERIC.",
        "arrays may be NULL": "BigQuery's arrays have no NOT NULL, so that the schema says they may be NULL.",
    },
}


def differs(home: str, what: str) -> bool:
    """Say whether a home is known to differ; ``what`` must be declared above."""
    assert any(what in known for known in KNOWN.values()), f"undeclared difference: {what}"
    return what in KNOWN[home]
