"""The statements by which staged rows and a job's state become visible together.

BigQuery's transactions take DML only, so that columns are added before and rows go in by INSERT. All changes are
one script, hence one job: nothing runs between its statements when the client dies, and an error rolls all back.

*merge* is DELETE and INSERT rather than MERGE: the same bytes are billed, a row replaced as a whole loses what
the new one lacks, and a key that stands twice in the target stands once afterwards. *swap* is TRUNCATE and
INSERT, *replace* is the merge without its choice of the last row, *refresh* deletes by a bound. All of them leave
the same table when they are run twice.

Each job's state has a table of its own with exactly one row. BigQuery lets one transaction at a time change a
table, so that of two runs of one job one is cancelled, while different jobs do not wait for each other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp

from b2brecs.backends.changes import bound, find, keys_of
from b2brecs.backends.gcp.bigquery_sql import (
    call,
    column,
    count_rows,
    identifier,
    last_rows_of,
    parameter,
    rows_of,
    sql,
    table,
    value_of,
)
from b2brecs.backends.protocols import PRIVATE
from b2brecs.errors import LoadError
from b2brecs.types import Column, TableSchema

if TYPE_CHECKING:
    from b2brecs.backends.protocols import Change, Staged

Parameter = tuple[str, str, str | int | list[str] | None]


@dataclass(frozen=True)
class Step:
    """One change as SQL: what is declared first, what replaces a table before the transaction, and the DML in it."""

    declared: tuple[str, ...] = ()
    replaced: str = ""
    statements: tuple[str, ...] = ()
    parameters: tuple[Parameter, ...] = ()


def state_table(key: str) -> str:
    """Return the name of the table that holds a job's state."""
    return f"{PRIVATE}state_{hashlib.sha256(key.encode()).hexdigest()[:24]}"


def fits(staged: TableSchema, target: TableSchema) -> bool:
    """Say whether a swap adds columns at most: none goes, moves, changes its type or begins to refuse NULL."""
    old, new = target.columns, staged.columns
    same = len(old) <= len(new) and all(
        here.name == there.name and here.type == there.type and _accepts(here, there)
        for here, there in zip(old, new, strict=False)
    )
    return same and all(item.nullable or item.type.startswith("ARRAY<") for item in new[len(old) :])


def additions(staged: TableSchema, target: TableSchema) -> list[str]:
    """Return the statement that adds the columns that the target lacks, if any."""
    new = [item for item in staged if find(target, item.name) is None]
    if not new:
        return []
    actions = ", ".join(f"ADD COLUMN IF NOT EXISTS {sql(identifier(item.name))} {item.type}" for item in new)
    return [f"ALTER TABLE {sql(table(target.name))} {actions}"]


def relaxations(staged: TableSchema, target: TableSchema) -> list[str]:
    """Return the statements that allow NULL where the rows have, or are, none."""
    return [
        f"ALTER TABLE {sql(table(target.name))} ALTER COLUMN {sql(identifier(old.name))} DROP NOT NULL"
        for old in target
        if not old.nullable and ((new := find(staged, old.name)) is None or new.nullable)
    ]


def replacement(staged: Staged, layout: str = "") -> Step:
    """Return the statement that replaces a table, columns and all, in the layout that it had."""
    definitions = ", ".join(
        f"{sql(identifier(item.name))} {item.type}"
        + ("" if item.nullable or item.type.startswith("ARRAY<") else " NOT NULL")
        for item in staged.schema
    )
    head = f"CREATE OR REPLACE TABLE {sql(table(staged.schema.name))} ({definitions})"
    return Step(replaced=f"{head} {layout}{' ' if layout else ''}AS {sql(rows_of(staged))}")


def step(change: Change, target: TableSchema, number: int = 0, partition: str | None = None) -> Step:
    """Return the DML of a change of a table that has all columns.

    Parameters
    ----------
    change
        What is done.
    target
        The table's columns.
    number
        Tells the names of this change's variables and parameters from those of the others.
    partition
        The column by which the table is partitioned.
    """
    condition, declared, parameters = removed(change, target, number, partition)
    into = sql(table(target.name))
    before = []
    if change.mode == "swap":
        before = [f"TRUNCATE TABLE {into}"]
    elif condition is not None:
        before = [sql(exp.Delete(this=table(target.name, "t"), where=exp.Where(this=condition)))]
    insert = exp.Insert(
        this=exp.Schema(this=table(target.name), expressions=[identifier(item.name) for item in change.staged.schema]),
        expression=added(change, target),
    )
    return Step(declared, "", (*before, sql(insert)), parameters)


def added(change: Change, target: TableSchema) -> exp.Select:
    """Return the rows that a change adds."""
    if change.mode != "merge":
        return rows_of(change.staged)
    keys = [_comparable(*_key(change, target, key), None) for key in keys_of(change)]
    return last_rows_of(change.staged, keys, change.order)


def removed(
    change: Change, target: TableSchema, number: int = 0, partition: str | None = None
) -> tuple[exp.Expr | None, tuple[str, ...], tuple[Parameter, ...]]:
    """Return the condition on ``t`` of the rows that a change removes, None for none, with what it needs.

    Where the partitioning column is one of the keys, rows of equal keys lie between its least and greatest staged
    value, or in the partition of NULL: the others need not be read. A row whose key says nothing of its partition
    may have moved, so that all are read.
    """
    keys = keys_of(change)
    if change.mode == "swap":
        return exp.true(), (), ()
    if change.mode == "append":
        return None, (), ()
    if change.mode == "refresh":
        old, _new = _key(change, target, keys[0])
        key = column(old.name, "t")
        if change.low is None:
            return exp.true(), (), ()
        low = exp.cast(parameter(f"low_{number}"), old.type, dialect="bigquery")
        reached = [exp.GTE(this=key, expression=low), exp.Is(this=key.copy(), expression=exp.null())]
        # Nothing compares with NaN, which other warehouses sort as the greatest.
        nan = [call("IS_NAN", key.copy())] if old.type == "FLOAT64" else []
        return exp.or_(*reached, *nan), (), ((f"low_{number}", "STRING", bound(change.low)),)
    pairs = [_key(change, target, name) for name in keys]
    same = [exp.EQ(this=_comparable(old, new, "t"), expression=_comparable(old, new, "s")) for old, new in pairs]
    matching = exp.select("1").from_(table(change.staged.name, "s")).where(exp.and_(*same))
    condition: exp.Expr = exp.Exists(this=matching)
    declared: tuple[str, ...] = ()
    through = next((new for old, new in pairs if old.name == partition), None)
    if partition is not None and through is not None:
        ends = (f"{PRIVATE}least_{number}", f"{PRIVATE}greatest_{number}")
        ranges = [exp.Min(this=column(through.name)), exp.Max(this=column(through.name))]
        declared = tuple(
            f"DECLARE {name} {through.type} DEFAULT ({sql(exp.select(end).from_(table(change.staged.name)))})"
            for name, end in zip(ends, ranges, strict=True)
        )
        key = column(partition, "t")
        between = exp.Between(this=key, low=exp.Var(this=ends[0]), high=exp.Var(this=ends[1]))
        within = exp.or_(between, exp.Is(this=key.copy(), expression=exp.null()))
        condition = exp.and_(exp.paren(within), condition)
    if not change.removed:
        return condition, declared, ()
    named = exp.In(this=column(pairs[0][0].name, "t"), unnest=exp.Unnest(expressions=[parameter(f"removed_{number}")]))
    return exp.or_(condition, named), declared, ((f"removed_{number}", "STRING", list(change.removed)),)


def drop_if_empty(name: str) -> str:
    """Return the script that takes back a table that was made for a commit which then failed."""
    return f"IF ({sql(count_rows(name))}) = 0 THEN DROP TABLE {sql(table(name))}; END IF"


def create_state(name: str) -> str:
    """Return the statement that makes a state table with its one, empty, row; the first to run it wins."""
    return (
        f"CREATE TABLE IF NOT EXISTS {sql(table(name))} AS SELECT @key AS `key`, CAST(NULL AS STRING) AS `watermark`, "
        "CAST(NULL AS STRING) AS `run`, 0 AS `rows`, CURRENT_TIMESTAMP() AS `committed_at`, "
        "CAST(NULL AS STRING) AS `facts`"
    )


def widen_state(name: str) -> str:
    """Return the statement that gives a state table of the first version what it lacks."""
    return f"ALTER TABLE {sql(table(name))} ADD COLUMN IF NOT EXISTS `facts` STRING"


def script(steps: Sequence[Step], target: str | None, state: str | None) -> str:
    """Put a commit together; it answers whether it was done, which run's state stands, and the target's rows.

    Tables that are replaced come before the transaction, and only if the state is as expected at that moment.
    """
    declared = "".join(f"{line};\n" for item in steps for line in item.declared)
    replaced = "".join(f"{item.replaced};\n" for item in steps if item.replaced)
    body = "".join(f"{statement};\n" for item in steps for statement in item.statements)
    total = f"({sql(count_rows(target))})" if target is not None else "0"
    if state is None:
        return (
            f"{declared}{replaced}BEGIN TRANSACTION;\n{body}COMMIT TRANSACTION;\n"
            f"SELECT TRUE AS `done`, {total} AS `total`;"
        )
    standing = sql(exp.select(column("run")).from_(table(state)))
    # Names are quoted by sqlglot, values are parameters.
    look = f"SET _b2b_standing = ({standing});\n"
    expected = "_b2b_standing IS NOT DISTINCT FROM @expect AND _b2b_standing IS DISTINCT FROM @run"
    before = f"{look}IF {expected} THEN\n{replaced}END IF;\n" if replaced else ""
    return (
        f"DECLARE _b2b_standing STRING;\nDECLARE _b2b_done BOOL DEFAULT FALSE;\n{declared}{before}"  # noqa: S608
        "BEGIN TRANSACTION;\n"
        f"{look}"
        f"IF NOT ({expected}) THEN\n"
        "ROLLBACK TRANSACTION;\n"
        "ELSE\n"
        f"{body}"
        f"UPDATE {sql(table(state))} SET `run` = @run, `watermark` = @watermark, `rows` = @rows, `facts` = @facts, "
        "`committed_at` = CURRENT_TIMESTAMP() WHERE TRUE;\n"
        "COMMIT TRANSACTION;\n"
        "SET _b2b_done = TRUE;\n"
        "END IF;\n"
        f"SELECT _b2b_done AS `done`, ({standing}) AS `standing`, {total} AS `total`;"
    )


def comparison(change: Change, target: TableSchema, partition: str | None) -> tuple[str, tuple[Parameter, ...]]:
    """Return the script that says whether the rows a change adds are others than those it removes.

    Each row counts by a hash of its text, the removed ones negatively. Sets that differ in a row have equal sums
    once in 2**64 times.
    """
    condition, declared, parameters = removed(change, target, 0, partition)
    rows = change.staged.schema
    staged = exp.select(_hash(rows, None)).from_(added(change, target).subquery("rows"))
    here = TableSchema(target.name, tuple(find(target, item.name) or item for item in rows))
    standing = exp.select(_hash(here, "t")).from_(table(target.name, "t")).where(condition or exp.false())
    sides = [
        exp.select(exp.alias_(exp.Literal.number(sign), "side"), exp.alias_(column("hash"), "hash")).from_(
            side.subquery("hashed")
        )
        for sign, side in ((1, staged), (-1, standing))
    ]
    weighed = exp.Sum(this=exp.Mul(this=column("side"), expression=column("hash")))
    counted = exp.Sum(this=column("side"))
    unlike = [exp.NEQ(this=exp.func("COALESCE", item, exp.Literal.number(0)), expression=exp.Literal.number(0))
              for item in (counted, weighed)]  # fmt: skip
    both = exp.union(*sides, distinct=False).subquery("both")
    tree = exp.select(exp.alias_(exp.or_(*unlike), "differs")).from_(both)
    head = "".join(f"{line};\n" for line in declared)
    if change.mode != "swap":
        return head + sql(tree), parameters
    # To count is not billed, to compare is.
    counts = " <> ".join(f"({sql(count_rows(name))})" for name in (change.staged.name, target.name))
    return f"IF {counts} THEN SELECT TRUE AS `differs`; ELSE {sql(tree)}; END IF", parameters


def _hash(columns: TableSchema, of: str | None) -> exp.Expr:
    parts = []
    for number, item in enumerate(columns):
        value: exp.Expr = column(item.name, of)
        if item.type.startswith("ARRAY<"):
            # BigQuery keeps no NULL arrays.
            some = exp.GT(this=call("ARRAY_LENGTH", value), expression=exp.Literal.number(0))
            value = call("IF", some, call("TO_JSON_STRING", value.copy()), exp.Literal.string("[]"))
        parts.append(exp.alias_(value, identifier(f"c{number}")))
        if item.type == "FLOAT64":
            # Text need not show the sign of zero.
            zero = exp.EQ(this=value.copy(), expression=exp.Literal.number(0))
            sign = call("IF", zero, call("IEEE_DIVIDE", exp.Literal.number(1), value.copy()), exp.null())
            parts.append(exp.alias_(sign, identifier(f"z{number}")))
    text = call("TO_JSON_STRING", exp.Struct(expressions=parts))
    return exp.alias_(exp.cast(call("FARM_FINGERPRINT", text), "NUMERIC", dialect="bigquery"), "hash")


def cancelled(error: Exception) -> bool:
    """Say whether a transaction gave way to another one on the same table: BigQuery's words, and local-bigquery's."""
    return any(words in str(error) for words in ("aborted due to concurrent update", "Failed to commit DuckLake"))


def conflict(key: str, standing: str | None, expect: str | None) -> LoadError:
    """Return the error of a commit that another one preceded."""
    return LoadError(
        f"{key!r} was loaded by run {standing!r} since this run began (it built on {expect!r}); "
        "nothing was changed. Run the job again."
    )


def _accepts(old: Column, new: Column) -> bool:
    return new.nullable or not old.nullable or new.type.startswith("ARRAY<")


def _key(change: Change, target: TableSchema, name: str) -> tuple[Column, Column]:
    new = change.staged.schema.column(name)
    return find(target, name) or new, new


def _comparable(target: Column, staged: Column, of: str | None) -> exp.Expr:
    """Read a key so that NULL equals NULL; keys that are never NULL stay as they are, which prunes partitions."""
    value = column(target.name, of) if of == "t" else value_of(staged, of)
    if not (target.nullable or staged.nullable) and target.type != "FLOAT64":
        return value
    return call("TO_JSON_STRING", value)
