"""What is known to differ between the homes. Each has a sentence; anything else that differs is a fault."""

from __future__ import annotations

KNOWN: dict[str, dict[str, str]] = {
    "local": {},
    "gcp": {
        "names are limited": "BigQuery takes no quotes, dots, slashes or brackets in names: such a name is refused.",
        "no NULL arrays": "BigQuery keeps no NULL arrays, so that one comes back empty.",
        "no infinite times": "BigQuery's days and times lie in the years 1 to 9999; DuckDB holds all that Arrow holds.",
        "products are wide": "The emulator types NUMERIC times NUMERIC as BIGNUMERIC; BigQuery itself as NUMERIC.",
    },
}


def differs(home: str, what: str) -> bool:
    """Say whether a home is known to differ; ``what`` must be declared above."""
    assert any(what in known for known in KNOWN.values()), f"undeclared difference: {what}"
    return what in KNOWN[home]
