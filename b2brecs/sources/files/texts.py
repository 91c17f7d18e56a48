"""How text stands for a value: one set of rules, by which types are found and by which rows are read.

A rule never loses anything in silence: ``1.5`` is no INT64, ``2024-01-01 10:00`` no DATE, ``1e400`` no FLOAT64. What
is finer than a microsecond is cut off, as no type holds it. Empty text is NULL, except in STRING columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlglot import exp

from b2brecs.sources.files.sql import (
    both,
    call,
    cast,
    coalesce,
    duck_type,
    either,
    is_null,
    is_set,
    matches,
    number,
    text,
    try_cast,
)
from b2brecs.types import ColumnType

# How far the type of a column of text can be trusted: every value was looked at; or a user asked for it; or a sample
# spoke for it, so that a number with leading zeros may be a code, which must not lose them.
Trust = Literal["seen", "asked", "sampled"]

_SPACE = r"[ \t\r\n]*"
_ZEROS = rf"{_SPACE}[-+]?0[0-9].*"
_WHOLE = rf"{_SPACE}[-+]?[0-9]+(\.0*)?{_SPACE}"
_FIXED = rf"{_SPACE}[-+]?([0-9]{{1,29}}(\.[0-9]{{0,9}}0*)?|\.[0-9]{{1,9}}0*){_SPACE}"
_LONG = rf"{_SPACE}[-+]?([0-9]{{1,38}}(\.[0-9]{{0,38}}0*)?|\.[0-9]{{1,38}}0*){_SPACE}"
_BOUNDLESS = rf"{_SPACE}[-+]?(?i:inf|infinity|nan){_SPACE}"
_ZONED = r".*:[0-9]{2}(\.[0-9]+)?[ ]?(Z|z|[-+][0-9]{1,2}(:?[0-9]{2})?)[ ]*"
# The least number of so many digits: a number is written plainly if it is not less.
_LEAST = exp.Array(expressions=[number(0 if digits == 1 else 10 ** (digits - 1)) for digits in range(1, 19)])
_MOST = exp.Array(expressions=[number(10**digits - 1) for digits in range(1, 19)])


@dataclass(frozen=True)
class Reading:
    """How a column is read: its value, NULL if the text is none; and whether it fits.

    ``quick`` is true for nearly every good value at next to no cost, ``full`` for every good one. None: all fit.
    """

    value: exp.Expr
    quick: exp.Expr | None = None
    full: exp.Expr | None = None


def read_text(source: exp.Expr, kind: ColumnType, value: exp.Expr, trust: Trust, *, careful: bool = True) -> Reading:
    """Read text as a warehouse type.

    Parameters
    ----------
    source
        The text.
    kind
        The type.
    value
        The name under which what is read can be asked for.
    trust
        See ``Trust``.
    careful
        Whether a text that is no value at all is told; else it ends the query.
    """
    if kind in ("STRING", "BYTES"):
        return Reading(source)
    if kind.startswith("ARRAY<"):
        return _read_array(source, kind, value)
    if kind == "JSON":
        return Reading(source, None, either(is_null(source), call("json_valid", source)))
    if kind == "BIGNUMERIC":
        empty = exp.EQ(this=source, expression=text(""))
        return Reading(exp.Nullif(this=source, expression=text("")), None,
                       either(is_null(source), empty, matches(source, _LONG)))  # fmt: skip
    checks = None if trust == "seen" else _checks(source, kind, value, coded=trust == "sampled")
    if not careful:
        read = cast(source, duck_type(kind))
        if checks is None:
            return Reading(read)
        return Reading(read, either(checks[0], is_null(value)), either(checks[1], is_null(source)))
    nothing = either(is_null(source), matches(source, _SPACE))
    there = is_set(value) if checks is None else both(is_set(value), checks[0])
    full = is_set(value) if checks is None else both(is_set(value), checks[1])
    return Reading(try_cast(source, duck_type(kind)), either(there, is_null(source)), either(full, nothing))


def _checks(source: exp.Expr, kind: ColumnType, value: exp.Expr, *, coded: bool) -> tuple[exp.Expr, exp.Expr] | None:
    """Return what else must be true of a value, quickly and in full, lest the cast has changed it; None: nothing."""
    length = call("strlen", source)
    if kind == "INT64":
        # '123' has as many digits as its text has bytes; '1.5', '0123', '1_000' and '-5' are looked at twice.
        quick: exp.Expr = both(
            exp.GTE(this=value, expression=call("list_extract", _LEAST, length)),
            exp.LTE(this=value, expression=call("list_extract", _MOST, length)),
        )
        full = matches(source, _WHOLE)
    elif kind == "FLOAT64":
        quick = finite = call("isfinite", value)
        full = either(finite, matches(source, _BOUNDLESS))
        if coded:
            quick = both(finite, exp.GTE(this=source, expression=text("1")))
    elif kind == "NUMERIC":
        quick, full = exp.false(), matches(source, _FIXED)
    elif kind == "DATE":
        quick = exp.LTE(this=length, expression=number(10))
        full = exp.EQ(this=try_cast(source, "TIMESTAMP"), expression=cast(value, "TIMESTAMP"))
    elif kind == "DATETIME":
        quick, full = exp.LTE(this=length, expression=number(19)), exp.Not(this=matches(source, _ZONED))
    elif kind == "TIME":
        # DuckDB knows 24:00:00, nobody else does.
        quick = full = exp.LT(this=value, expression=cast(text("24:00:00"), "TIME"))
    else:
        return None
    if coded and kind in ("INT64", "FLOAT64", "NUMERIC"):
        full = both(full, exp.Not(this=matches(source, _ZEROS)))
    return quick, full


def _read_array(source: exp.Expr, kind: ColumnType, value: exp.Expr) -> Reading:
    """Read a JSON list of plain values."""
    listed = both(call("json_valid", source), exp.EQ(this=call("json_type", source), expression=text("ARRAY")))
    items = exp.Case(ifs=[exp.If(this=listed, true=call("from_json", source, text('["VARCHAR"]')))])
    if kind == "ARRAY<STRING>":
        return Reading(items, None, either(is_set(value), is_null(source)))
    read = try_cast(items, duck_type(kind))
    missing = exp.EQ(this=call("list_count", items), expression=call("list_count", value))
    if kind == "ARRAY<INT64>":
        # A cast of items rounds; what was not rounded looks as it did.
        missing = exp.EQ(this=cast(value, "VARCHAR[]"), expression=items)
    return Reading(read, None, either(is_null(source), both(is_set(value), missing)))


# What follows finds types.

_DATE = rf"{_SPACE}[0-9]{{4}}-[0-9]{{1,2}}-[0-9]{{1,2}}"
_CLOCK = r"[ T]+[0-9]{1,2}:[0-9]{2}(:[0-9]{2}(\.[0-9]*)?)?"
_PLAIN = rf"{_SPACE}[-+]?(0|[1-9][0-9]*){_SPACE}"
_DECIMAL = rf"{_SPACE}[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?{_SPACE}"
_YES_NO = rf"{_SPACE}(?i:true|false|t|f|yes|no|y|n){_SPACE}"
# Digits that a double always holds.
_EXACT_DIGITS = 15

Trait = Literal["INT64", "FLOAT64", "NUMERIC", "DATE", "DATETIME", "TIMESTAMP", "BOOL", "whole", "inexact", "coded"]
# What speaks against a type, however rare it is: a number that a double would change, leading zeros.
WARNINGS: tuple[Trait, ...] = ("inexact", "coded")
NUMBERS: tuple[Trait, ...] = ("INT64", "FLOAT64", "NUMERIC", "whole", *WARNINGS)
TRAITS: tuple[Trait, ...] = (*NUMBERS, "DATE", "DATETIME", "TIMESTAMP", "BOOL")


def has_trait(source: exp.Expr, trait: Trait) -> exp.Expr:
    """Say whether a text can be of a type; or is ``whole``, or one a double would change, or looks like a code."""
    if trait == "INT64":
        return both(is_set(try_cast(source, "BIGINT")), matches(source, _PLAIN))
    if trait == "FLOAT64":
        return both(call("isfinite", try_cast(source, "DOUBLE")), matches(source, _DECIMAL))
    if trait == "NUMERIC":
        return both(
            is_set(try_cast(source, "DECIMAL(38, 9)")), matches(source, _FIXED), exp.Not(this=matches(source, _ZEROS))
        )
    if trait == "whole":
        return matches(source, _PLAIN)
    if trait == "coded":
        return matches(source, _ZEROS)
    if trait == "inexact":
        written = cast(try_cast(source, "DOUBLE"), "VARCHAR")
        same = exp.EQ(this=try_cast(written, "DECIMAL(38, 20)"), expression=try_cast(source, "DECIMAL(38, 20)"))
        many = exp.GT(this=call("strlen", source), expression=number(_EXACT_DIGITS))
        # A CASE, so that the short ones, which are nearly all, cost nothing.
        changed = both(matches(source, _DECIMAL), exp.Not(this=coalesce(same, exp.false())))
        return exp.Case(ifs=[exp.If(this=many, true=changed)], default=exp.false())
    if trait == "DATE":
        return both(is_set(try_cast(source, "DATE")), matches(source, _DATE + _SPACE))
    if trait == "DATETIME":
        return both(is_set(try_cast(source, "TIMESTAMP")), matches(source, f"{_DATE}({_CLOCK})?{_SPACE}"))
    if trait == "TIMESTAMP":
        zone = r"[ ]?(Z|z|[-+][0-9]{1,2}(:?[0-9]{2})?)"
        return both(is_set(try_cast(source, "TIMESTAMPTZ")), matches(source, f"{_DATE}{_CLOCK}{zone}{_SPACE}"))
    return matches(source, _YES_NO)
