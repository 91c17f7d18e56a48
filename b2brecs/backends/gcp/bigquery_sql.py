"""Names, staged values and queries as BigQuery's SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlglot import ErrorLevel, exp
from sqlglot.errors import SqlglotError

from b2brecs.backends.changes import find
from b2brecs.backends.gcp.bigquery_types import AS_TEXT, ROW
from b2brecs.backends.protocols import Staged
from b2brecs.errors import WarehouseError
from b2brecs.types import Column, TableSchema

DIALECT = "bigquery"


def sql(tree: exp.Expr) -> str:
    """Write a tree as BigQuery's SQL with every name quoted."""
    return tree.sql(DIALECT, identify=True, comments=False, unsupported_level=ErrorLevel.RAISE)


def query_text(tree: exp.Expr, staged: Mapping[str, TableSchema] | None = None) -> str:
    """Return a caller's query as SQL.

    Parameters
    ----------
    tree
        The query.
    staged
        Columns of staged rows by their table's name. Those tables are read with these columns, in their types.

    Raises
    ------
    WarehouseError
        It is not a query, or BigQuery has no words for it.
    """
    if not isinstance(tree, exp.Query):
        raise WarehouseError(f"only queries are run, not {type(tree).__name__.upper()}.")
    names = {found.name for found in tree.find_all(exp.Table)} & set(staged or {})
    if staged and names:
        # The rows' number is there for those who name it.
        numbered = any(found.name == ROW for found in tree.find_all(exp.Column))

        def announced(node: exp.Expr) -> exp.Expr:
            if not isinstance(node, exp.Table) or node.name not in names:
                return node
            rows = rows_of(Staged(node.name, staged[node.name], 0))
            rows = rows.select(column(ROW)) if numbered else rows
            return rows.subquery(identifier(node.alias or node.name))

        tree = tree.transform(announced)
    return written(tree)


def written(tree: exp.Expr) -> str:
    """Write a tree that has a caller's parts as SQL.

    Raises
    ------
    WarehouseError
        BigQuery has no words for it.
    """
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


def call(name: str, *values: exp.Expr) -> exp.Anonymous:
    """Call a function as it is called in BigQuery."""
    return exp.Anonymous(this=name, expressions=list(values))


def parameter(name: str) -> exp.Parameter:
    """Name a query's parameter."""
    return exp.Parameter(this=exp.Var(this=name))


def count_rows(name: str) -> exp.Select:
    """Count a table's rows, which BigQuery does not bill."""
    return exp.select(exp.alias_(exp.Count(this=exp.Star()), "total")).from_(table(name))


def value_of(staged: Column, of: str | None = None) -> exp.Expr:
    """Read a staged column; JSON and BIGNUMERIC travel as text."""
    value = column(staged.name, of)
    if staged.type == "JSON":
        return exp.ParseJSON(this=value)
    return exp.cast(value, "BIGNUMERIC", dialect=DIALECT) if staged.type == "BIGNUMERIC" else value


def rows_of(staged: Staged) -> exp.Select:
    """Read staged rows with their own columns and types."""
    values = [exp.alias_(value_of(item), identifier(item.name)) for item in staged.schema]
    return exp.select(*values).from_(table(staged.name))


def last_rows_of(staged: Staged, keys: Sequence[exp.Expr], order: str | None = None) -> exp.Select:
    """Read of staged rows with equal keys only the last: by a column, else as they were staged."""
    by = [column(name) for name in (order, ROW) if name is not None]
    window = exp.Window(
        this=exp.RowNumber(),
        partition_by=list(keys),
        order=exp.Order(expressions=[exp.Ordered(this=item, desc=True, nulls_first=False) for item in by]),
    )
    rows = rows_of(staged)
    rows.set("qualify", exp.Qualify(this=exp.EQ(this=window, expression=exp.Literal.number(1))))
    return rows


def discarding(staged: Staged, where: exp.Expr) -> str:
    """Return the script that removes staged rows and counts what is left.

    A condition sees BIGNUMERIC as numbers and JSON as its text: BigQuery compares no JSON, but it can be NULL.
    """

    def read(node: exp.Expr) -> exp.Expr:
        if not isinstance(node, exp.Column) or node.table:
            return node
        found = find(staged.schema, node.name)
        return value_of(found) if found is not None and found.type in AS_TEXT - {"JSON"} else node

    delete = exp.Delete(this=table(staged.name), where=exp.Where(this=where.copy().transform(read)))
    return f"{written(delete)};\n{sql(count_rows(staged.name))}"
