"""The statements by which staged rows and a job's state become visible together.

BigQuery's transactions take DML only, so that columns are added before and rows go in by INSERT. Everything is
one script, hence one job: nothing runs between its statements when the client dies, and an error rolls all back.

*merge* is DELETE and INSERT rather than MERGE: the same bytes are billed, a row replaced as a whole loses what
the new one lacks, and a key that stands twice in the target stands once afterwards. *swap* is TRUNCATE and
INSERT, *replace* is the merge without its choice of the last row. All three leave the same table when they are
run twice.

Each job's state has a table of its own with exactly one row. BigQuery lets one transaction at a time change a
table, so that of two runs of one job one is cancelled, while different jobs do not wait for each other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from sqlglot import ErrorLevel, exp
from sqlglot.errors import SqlglotError

from b2brecs.backends.gcp.bigquery_types import ROW
from b2brecs.backends.protocols import PRIVATE, CommitMode
from b2brecs.errors import LoadError, WarehouseError, nearest
from b2brecs.types import Column, TableSchema

if TYPE_CHECKING:
    from b2brecs.backends.protocols import Staged

DIALECT = "bigquery"
_UNCOMPARABLE = ("ARRAY<", "JSON")


def sql(tree: exp.Expr) -> str:
    """Write a tree as BigQuery's SQL with every name quoted."""
    return tree.sql(DIALECT, identify=True, comments=False, unsupported_level=ErrorLevel.RAISE)


def query_text(tree: exp.Expr) -> str:
    """Return a caller's query as SQL.

    Raises
    ------
    WarehouseError
        It is not a query, or BigQuery has no words for it.
    """
    if not isinstance(tree, exp.Query):
        raise WarehouseError(f"only queries are run, not {type(tree).__name__.upper()}.")
    try:
        return sql(tree)
    except SqlglotError as error:
        raise WarehouseError(f"BigQuery cannot say this: {str(error).splitlines()[0]}") from None


def identifier(name: str) -> exp.Identifier:
    """Quote a name."""
    return exp.to_identifier(name, quoted=True)


def table(name: str, alias: str | None = None) -> exp.Table:
    """Name a table of the dataset."""
    named = exp.Table(this=identifier(name))
    if alias:
        named.set("alias", exp.TableAlias(this=identifier(alias)))
    return named


def column(name: str, of: str | None = None) -> exp.Column:
    """Name a column."""
    return exp.Column(this=identifier(name), table=identifier(of) if of else None)


def count_rows(name: str) -> exp.Select:
    """Count a table's rows, which BigQuery does not bill."""
    return exp.select(exp.alias_(exp.Count(this=exp.Star()), "total")).from_(table(name))


def state_table(key: str) -> str:
    """Return the name of the table that holds a job's state."""
    return f"{PRIVATE}state_{hashlib.sha256(key.encode()).hexdigest()[:24]}"


def find(columns: TableSchema, name: str) -> Column | None:
    """Find a column as BigQuery does: without regard to case."""
    return next((item for item in columns if item.name.casefold() == name.casefold()), None)


def fits(staged: TableSchema, target: TableSchema) -> bool:
    """Say whether a swap adds columns at most: none goes, moves, changes its type or begins to refuse NULL."""
    old, new = target.columns, staged.columns
    same = len(old) <= len(new) and all(
        here.name == there.name and here.type == there.type and _accepts(here, there)
        for here, there in zip(old, new, strict=False)
    )
    return same and all(item.nullable or item.type.startswith("ARRAY<") for item in new[len(old) :])


def check_types(staged: TableSchema, target: TableSchema) -> None:
    """Refuse rows whose columns have other types than the table's.

    Raises
    ------
    LoadError
        With every such column.
    """
    changed = [
        f"{old.name} is {old.type} in the table and {new.type} in the new rows"
        for new in staged
        if (old := find(target, new.name)) is not None and old.type != new.type
    ]
    if changed:
        raise LoadError(
            f"table {target.name!r}: {'; '.join(changed)}. Give the column its old type (types={{...}}), "
            "or load the whole table anew."
        )


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


def replacement(staged: Staged) -> str:
    """Return the statement that replaces a table, columns and all."""
    definitions = ", ".join(
        f"{sql(identifier(item.name))} {item.type}"
        + ("" if item.nullable or item.type.startswith("ARRAY<") else " NOT NULL")
        for item in staged.schema
    )
    rows = _rows(staged)
    return f"CREATE OR REPLACE TABLE {sql(table(staged.schema.name))} ({definitions}) AS {sql(rows)}"


def changes(staged: Staged, target: TableSchema, mode: CommitMode, keys: Sequence[str]) -> list[str]:
    """Return the DML of a commit into a table that has all columns."""
    rows = _rows(staged)
    into = sql(table(target.name))
    before: list[str] = []
    pairs = [_key(staged.schema, target, name) for name in keys]
    if mode == "swap":
        before = [f"TRUNCATE TABLE {into}"]
    elif mode in ("merge", "replace"):
        same = [exp.EQ(this=_comparable(old, new, "t"), expression=_comparable(old, new, "s")) for old, new in pairs]
        matching = exp.select("1").from_(table(staged.name, "s")).where(exp.and_(*same))
        before = [sql(exp.Delete(this=table(target.name, "t"), where=exp.Where(this=exp.Exists(this=matching))))]
    if mode == "merge":
        window = exp.Window(
            this=exp.RowNumber(),
            partition_by=[_comparable(old, new, None) for old, new in pairs],
            order=exp.Order(expressions=[exp.Ordered(this=column(ROW), desc=True, nulls_first=False)]),
        )
        rows.set("qualify", exp.Qualify(this=exp.EQ(this=window, expression=exp.Literal.number(1))))
    insert = exp.Insert(
        this=exp.Schema(this=table(target.name), expressions=[identifier(item.name) for item in staged.schema]),
        expression=rows,
    )
    return [*before, sql(insert)]


def drop_if_empty(name: str) -> str:
    """Return the script that takes back a table that was made for a commit which then failed."""
    return f"IF ({sql(count_rows(name))}) = 0 THEN DROP TABLE {sql(table(name))}; END IF"


def create_state(name: str) -> str:
    """Return the statement that makes a state table with its one, empty, row; the first to run it wins."""
    return (
        f"CREATE TABLE IF NOT EXISTS {sql(table(name))} AS SELECT @key AS `key`, CAST(NULL AS STRING) AS `watermark`, "
        "CAST(NULL AS STRING) AS `run`, 0 AS `rows`, CURRENT_TIMESTAMP() AS `committed_at`"
    )


def script(statements: Sequence[str], target: str, state: str | None) -> str:
    """Put a commit together; it answers whether it was done, which run's state stands, and the target's rows."""
    body = "".join(f"{statement};\n" for statement in statements)
    answer = f"({sql(count_rows(target))}) AS `total`;"
    if state is None:
        return f"BEGIN TRANSACTION;\n{body}COMMIT TRANSACTION;\nSELECT TRUE AS `done`, {answer}"
    standing = sql(exp.select(column("run")).from_(table(state)))
    # Names are quoted by sqlglot, values are parameters.
    return (
        "DECLARE _b2b_standing STRING;\nDECLARE _b2b_done BOOL DEFAULT FALSE;\n"  # noqa: S608
        "BEGIN TRANSACTION;\n"
        f"SET _b2b_standing = ({standing});\n"
        "IF _b2b_standing IS DISTINCT FROM @expect OR _b2b_standing IS NOT DISTINCT FROM @run THEN\n"
        "ROLLBACK TRANSACTION;\n"
        "ELSE\n"
        f"{body}"
        f"UPDATE {sql(table(state))} SET `run` = @run, `watermark` = @watermark, `rows` = @rows, "
        "`committed_at` = CURRENT_TIMESTAMP() WHERE TRUE;\n"
        "COMMIT TRANSACTION;\n"
        "SET _b2b_done = TRUE;\n"
        "END IF;\n"
        f"SELECT _b2b_done AS `done`, ({standing}) AS `standing`, {answer}"
    )


def cancelled(error: Exception) -> bool:
    """Say whether a transaction gave way to another one on the same table: BigQuery's words, and local-bigquery's."""
    return any(words in str(error) for words in ("aborted due to concurrent update", "Failed to commit DuckLake"))


def conflict(target: str, standing: str | None, expect: str | None) -> LoadError:
    """Return the error of a commit that another one preceded."""
    return LoadError(
        f"table {target!r} was loaded by run {standing!r} since this run began (it built on {expect!r}); "
        "nothing was changed. Run the job again."
    )


def _rows(staged: Staged) -> exp.Select:
    values = [exp.alias_(_value(item, None), identifier(item.name)) for item in staged.schema]
    return exp.select(*values).from_(table(staged.name))


def _value(staged: Column, of: str | None) -> exp.Expression:
    """Read a staged column; JSON and BIGNUMERIC travel as text."""
    value: exp.Expression = column(staged.name, of)
    if staged.type == "JSON":
        return exp.ParseJSON(this=value)
    return exp.cast(value, "BIGNUMERIC", dialect=DIALECT) if staged.type == "BIGNUMERIC" else value


def check_keys(schema: TableSchema, keys: Sequence[str]) -> None:
    """Refuse keys by which rows cannot be told apart.

    Raises
    ------
    LoadError
        There are none, or one is not a column, or its type does not compare.
    """
    if not keys:
        raise LoadError(f"table {schema.name!r}: a merge needs keys=[...].")
    for key in keys:
        found = find(schema, key)
        if found is None:
            hint = nearest(key, schema.names)
            raise LoadError(f"table {schema.name!r}: the key {key!r} is not among the rows' columns. {hint}")
        if found.type.startswith(_UNCOMPARABLE):
            raise LoadError(f"table {schema.name!r}: the key {key!r} is {found.type}, which BigQuery does not compare.")


def _accepts(old: Column, new: Column) -> bool:
    return new.nullable or not old.nullable or new.type.startswith("ARRAY<")


def _key(staged: TableSchema, target: TableSchema, name: str) -> tuple[Column, Column]:
    new = cast("Column", find(staged, name))
    return find(target, name) or new, new


def _comparable(target: Column, staged: Column, of: str | None) -> exp.Expression:
    """Read a key so that NULL equals NULL; keys that are never NULL stay as they are, which prunes partitions."""
    value = column(target.name, of) if of == "t" else _value(staged, of)
    if not (target.nullable or staged.nullable) and target.type != "FLOAT64":
        return value
    return exp.Anonymous(this="TO_JSON_STRING", expressions=[value])
