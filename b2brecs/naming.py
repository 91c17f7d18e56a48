"""Names: the one rule by which columns are named on the way from a source to a tensor."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_MAX = 300

# Users meet a buyer and a product; TensorFlow code and generated code call them query and candidate.
TENSORFLOW_SIDE = {"buyer": "query", "product": "candidate"}


def sanitise(name: str) -> str:
    """Turn any text into a warehouse column name.

    Everything outside ``[A-Za-z0-9_]`` becomes ``_``, runs collapse, both ends are stripped, a
    leading digit gets ``col_``, an empty result is ``column``; at most 300 characters, lower case.

    Examples
    --------
    >>> sanitise("Bottle Volume (ml)")
    'bottle_volume_ml'
    >>> sanitise("2nd price")
    'col_2nd_price'
    """
    text = re.sub(r"_+", "_", re.sub(r"[^A-Za-z0-9_]", "_", name)).strip("_")
    if not text:
        text = "column"
    if text[0].isdigit():
        text = f"col_{text}"
    return text[:_MAX].rstrip("_").lower()


def sanitise_all(names: Iterable[str]) -> dict[str, str]:
    """Sanitise a table's names, keeping them apart with ``_2``, ``_3`` and so on.

    Returns the mapping original → new, in the given order.

    Examples
    --------
    >>> sanitise_all(["Größe", "Gr-e", "Gr e"])
    {'Größe': 'gr_e', 'Gr-e': 'gr_e_2', 'Gr e': 'gr_e_3'}
    """
    mapping: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        base = sanitise(name)
        new, number = base, 2
        while new in taken:
            new, number = f"{base}_{number}", number + 1
        taken.add(new)
        mapping[name] = new
    return mapping


def output_names(tables: Sequence[tuple[str, Sequence[str]]]) -> dict[tuple[str, str], str]:
    """Name the columns of a join: first come keeps its name, later ones become ``table_column``.

    Parameters
    ----------
    tables
        Table alias and its columns, in the order of the joins.

    Examples
    --------
    >>> output_names([("sale", ["item", "price"]), ("product", ["item", "name"])])[("product", "item")]
    'product_item'
    """
    names: dict[tuple[str, str], str] = {}
    taken: set[str] = set()
    for table, columns in tables:
        for column in columns:
            name, number = column, 2
            if name in taken:
                base = name = f"{table}_{column}"
                while name in taken:
                    name, number = f"{base}_{number}", number + 1
            taken.add(name)
            names[(table, column)] = name
    return names
