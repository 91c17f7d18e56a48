"""Users' expressions: parsed, checked, quoted. Nothing a user writes reaches a warehouse as text."""

from __future__ import annotations

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from b2brecs.errors import ConfigError, nearest

_ALLOWED = (
    exp.Column, exp.Identifier, exp.Literal, exp.Null, exp.Boolean, exp.Paren, exp.Neg, exp.Not,
    exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.And, exp.Or, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE,
    exp.Is, exp.In, exp.Between, exp.Case, exp.If, exp.Coalesce, exp.Nullif, exp.Abs, exp.Round, exp.Floor, exp.Ceil,
    exp.Ln, exp.Exp, exp.Sqrt, exp.Pow, exp.Greatest, exp.Least, exp.Upper, exp.Lower, exp.Trim, exp.Length,
    exp.Concat, exp.Substring, exp.Cast, exp.DataType, exp.DataTypeParam, exp.Extract, exp.Var, exp.DPipe,
)  # fmt: skip


def parse(text: str, columns: list[str], field: str = "expression") -> exp.Expr:
    """Read an expression over output columns.

    Arithmetic, comparisons, CASE, CAST and a list of plain functions are taken; sub-queries and anything
    that could act are not.

    Raises
    ------
    ConfigError
        It does not parse, names an unknown column, or uses something that is not allowed.
    """
    title = "Dataset"
    try:
        tree = sqlglot.parse_one(text, into=exp.Condition, dialect="duckdb")
    except SqlglotError:
        tree = None
    if tree is None or not isinstance(tree, exp.Expr):
        raise ConfigError.single(title, field, text, "does not read as an expression.", "Write it as quantity * price.")
    for node in tree.walk():
        if not isinstance(node, _ALLOWED):
            name = node.name if isinstance(node, exp.Anonymous) else type(node).__name__.upper()
            raise ConfigError.single(title, field, text, f"{name} is not allowed here.",
                                     "Use arithmetic, comparisons, CASE, CAST and plain functions.")  # fmt: skip
    for column in tree.find_all(exp.Column):
        if column.table or column.name not in columns:
            raise ConfigError.single(title, field, column.sql(), "is not a column of the dataset.",
                                     nearest(column.name, columns))  # fmt: skip
        column.this.set("quoted", True)
    # x / 0 is NULL in every home, and division is of floats.
    for division in list(tree.find_all(exp.Div)):
        division.set("safe", True)
        division.set("typed", False)
    return tree
