"""Rules on staged rows, asked of the warehouse before a reader sees a row.

No validation library is used: pandera and pointblank ask through ibis, on a connection of their own beside the
warehouse's, and bring the failing rows here; great_expectations needs an SQLAlchemy engine. None knows a load's target.

Everything that speaks of single rows is one query, everything that speaks of the table another. First come the rules
that move rows away (``quarantine``), those on values before those on uniqueness; the others see what is left.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

from sqlglot import exp

from b2brecs.backends.protocols import PRIVATE, Staged, Warehouse
from b2brecs.configs.rules import Accepted, ForeignKey, Fresh, NotNull, Range, RowCount, Rule, Unique
from b2brecs.errors import ConfigError, LoadError, NotFound, Problem, nearest
from b2brecs.etl.outcome import (
    NEW,
    ROW,
    Scope,
    find,
    key,
    named,
    nested,
    number,
    numbered,
    outcome,
    row_number,
    table,
)
from b2brecs.etl.results import CheckResult
from b2brecs.sql.conditions import alike, can_group, column, group_key, holds, is_null, not_among, outside
from b2brecs.types import TIME_TYPES, TableSchema

if TYPE_CHECKING:
    import pyarrow as pa

R = TypeVar("R", bound=Rule)
Answer = exp.Expression | CheckResult
_CHECKS: dict[type[Rule], Callable[[Any, Scope], Answer]] = {}


def register_check(rule: type[R], function: Callable[[R, Scope], Answer]) -> None:
    """Say how a new kind of rule is checked.

    Parameters
    ----------
    rule
        The kind.
    function
        Is given a rule and the ``Scope`` of the load. It returns a condition that is true for the staged rows that
        break the rule, or, for a rule that speaks of the table, what it found out by itself. What is wrong with the
        rule it says by a ``ValueError`` or ``NotFound``.
    """
    _CHECKS[rule] = function


def check(
    warehouse: Warehouse,
    staged: Staged,
    rules: Sequence[Rule],
    *,
    target_rows: int | None,
    mode: str,
    keys: tuple[str, ...],
    now: dt.datetime,
    low: str | None = None,
    removed: tuple[str, ...] = (),
) -> list[CheckResult]:
    """Hold staged rows against rules; results are in the order of the rules.

    Parameters
    ----------
    target_rows
        Rows of the table that stands; None if there is none.
    mode, keys, low, removed
        Those of the ``Change`` to come.
    now
        The time, with a zone.

    Raises
    ------
    ConfigError
        Rules that cannot be asked of these columns, all of them.
    LoadError
        A rule needs a table that is not there.
    """
    target = _existing(warehouse, staged) if target_rows is not None and mode != "swap" else None
    scope = Scope(warehouse, staged, mode, keys, now, target, target_rows, low, removed)
    quarantine = offending(rules)
    others = [rule for rule in rules if rule.action != "quarantine" and not isinstance(rule, RowCount | Fresh)]
    problems = _problems(rules, scope)
    answers: dict[int, Answer] = {}
    for rule in [] if problems else (*quarantine, *others):
        try:
            answers[id(rule)] = answer = _answer(rule, scope)
        except ValueError as error:
            problems.append(Problem(_title(rule), "", str(error)))
            continue
        if rule.action == "quarantine" and isinstance(answer, exp.Expression):
            scope = replace(scope, gone=(*scope.gone, answer))
    if problems:
        raise ConfigError(f"rules of table {staged.schema.name!r}", problems)
    results = _rows(rules, [id(rule) for rule in quarantine], answers, scope) | _table(rules, scope)
    return [results[id(rule)] for rule in rules]


def offending(rules: Sequence[Rule]) -> list[Rule]:
    """Return the rules that move rows away, in the order in which they do."""
    return sorted((rule for rule in rules if rule.action == "quarantine"), key=lambda rule: isinstance(rule, Unique))


def broken(
    warehouse: Warehouse,
    staged: Staged,
    rule: Rule,
    *,
    mode: str,
    keys: tuple[str, ...],
    low: str | None = None,
    removed: tuple[str, ...] = (),
) -> exp.Expression:
    """Return the condition that is true for the staged rows that break a rule, for ``query`` and ``discard``.

    Rules are taken in the order of ``offending``, each when the rows of those before are gone.

    Raises
    ------
    ConfigError
        The rule cannot be asked of these columns, or speaks of no rows.
    LoadError
        It needs a table that is not there.
    """
    target = _existing(warehouse, staged) if mode != "swap" else None
    scope = Scope(warehouse, staged, mode, keys, dt.datetime.now(dt.UTC), target, 0, low, removed)
    problems = _problems([rule], scope)
    if not problems and not isinstance(rule, RowCount | Fresh):
        try:
            answer = _answer(rule, scope)
        except ValueError as error:
            problems = [Problem(_title(rule), "", str(error))]
        else:
            if isinstance(answer, exp.Expression):
                return answer
    problems = problems or [Problem(_title(rule), "", "it speaks of the table, not of single rows.")]
    raise ConfigError(f"rules of table {staged.schema.name!r}", problems)


def quarantine(
    warehouse: Warehouse,
    staged: Staged,
    rules: Sequence[Rule],
    take: Callable[[Rule, pa.RecordBatch], None],
    *,
    mode: str,
    keys: tuple[str, ...],
    low: str | None = None,
    removed: tuple[str, ...] = (),
) -> Staged:
    """Move the rows that break rules of ``quarantine`` away, giving them to ``take``; return what is left.

    Raises
    ------
    ConfigError, LoadError
        As ``check``.
    """
    for rule in offending(rules):
        # A row that goes no longer replaces one that stands, to which others may now be equal.
        again = True
        while again:
            where = broken(warehouse, staged, rule, mode=mode, keys=keys, low=low, removed=removed)
            chosen = exp.select(*(column(name) for name in staged.schema.names)).from_(table(staged.name))
            moved = 0
            with warehouse.query(chosen.where(where)) as reader:
                for batch in reader:
                    take(rule, batch)
                    moved += batch.num_rows
            if moved:
                staged = warehouse.discard(staged, where)
            again = moved > 0 and isinstance(rule, Unique) and mode in ("merge", "replace")
    return staged


def _existing(warehouse: Warehouse, staged: Staged) -> TableSchema | None:
    try:
        return warehouse.schema(staged.schema.name)
    except NotFound:
        return None


def _function(rule: Rule) -> Callable[[Any, Scope], Answer] | None:
    return next((_CHECKS[kind] for kind in type(rule).__mro__ if kind in _CHECKS), None)


def _answer(rule: Rule, scope: Scope) -> Answer:
    function = _function(rule)
    assert function is not None
    return function(rule, scope)


def _title(rule: Rule) -> str:
    return f"rule {rule.describe()!r}"


def _problems(rules: Sequence[Rule], scope: Scope) -> list[Problem]:
    """List what can be seen to be wrong without asking the warehouse."""
    problems = []
    for rule in rules:
        title, names = _title(rule), scope.staged.schema.names
        missing = [name for name in rule.columns() if find(scope.staged.schema, name) is None]
        problems += [Problem(title, repr(name), "there is no such column.", nearest(name, names)) for name in missing]
        if isinstance(rule, Fresh) and not missing and (kind := scope.column(rule.column).type) not in TIME_TYPES:
            problems.append(Problem(title, repr(rule.column), f"the column is {kind}, not a time."))
        if not isinstance(rule, RowCount | Fresh) and _function(rule) is None:
            fix = "Call b2brecs.etl.quality.register_check(Rule, function)."
            problems.append(Problem(title, type(rule).kind, "nothing checks this kind of rule.", fix))
    return problems


# Counting


def _rows(
    rules: Sequence[Rule], quarantine: Sequence[int], answers: dict[int, Answer], scope: Scope
) -> dict[int, CheckResult]:
    """Count the rows that break each rule, in one query."""
    found = {number: answer for number, answer in answers.items() if isinstance(answer, CheckResult)}
    asked = {number: answer for number, answer in answers.items() if isinstance(answer, exp.Expression)}
    if not asked:
        return found
    names = {number: f"{PRIVATE}f{position}" for position, number in enumerate(asked)}
    flags = [named(holds(answer.copy()), names[number]) for number, answer in asked.items()]
    before: list[exp.Expr] = []
    counts: list[exp.Expr] = [named(exp.Count(this=exp.Star()), f"{PRIVATE}total")]
    # Those of quarantine come first, so that each is counted on what the ones before have left.
    for ident, name in names.items():
        counted = exp.and_(column(name), *(exp.Not(this=flag.copy()) for flag in before))
        counts.append(named(exp.CountIf(this=counted), name))
        if ident in quarantine:
            before.append(column(name))
    flagged = exp.select(*flags).from_(table(scope.staged.name))
    answer = _one(scope, exp.select(*counts).from_(nested(flagged, "flagged")))
    total = int(answer[f"{PRIVATE}total"])
    for rule in rules:
        if id(rule) in asked:
            # Of no rows, DuckDB counts NULL.
            rows = int(answer[names[id(rule)]] or 0)
            words = f"{rows:,} of {total:,} rows break it" if rows else ""
            found[id(rule)] = CheckResult(rule.describe(), rule.action, passed=not rows, rows=rows, found=words)
    return found


def _table(rules: Sequence[Rule], scope: Scope) -> dict[int, CheckResult]:
    """Measure the table as it will be, in one query."""
    measured = [rule for rule in rules if isinstance(rule, RowCount | Fresh)]
    if not measured:
        return {}
    times = list({scope.column(rule.column): None for rule in measured if isinstance(rule, Fresh)})
    chosen: list[exp.Expr] = [named(exp.Count(this=exp.Star()), "after")]
    chosen += [named(exp.Max(this=column(key(i))), f"latest{i}") for i in range(len(times))]
    if scope.target_rows is not None and any(isinstance(rule, RowCount) for rule in measured):
        standing = exp.select(exp.Count(this=exp.Star())).from_(table(scope.staged.schema.name)).subquery()
        chosen.append(named(standing, "before"))
    answer = _one(scope, exp.select(*chosen).from_(nested(outcome(scope, times), "outcome")))
    return {
        id(rule): _count(rule, answer) if isinstance(rule, RowCount)
        else _fresh(rule, answer[f"latest{times.index(scope.column(rule.column))}"], scope.now)
        for rule in measured
    }  # fmt: skip


def _one(scope: Scope, query: exp.Select) -> dict[str, Any]:
    row: dict[str, Any] = {}
    answer = scope.warehouse.query(query).read_all()
    for name in answer.column_names:
        try:
            row[name] = answer.column(name)[0].as_py()
        except (OverflowError, ValueError):
            # A database's infinite time, which Python cannot say.
            row[name] = dt.datetime.max.replace(tzinfo=dt.UTC)
    return row


def _count(rule: RowCount, answer: dict[str, Any]) -> CheckResult:
    after, before = int(answer["after"]), answer.get("before")
    passed = after > 0 or (rule.minimum, rule.maximum, rule.change) != (None, None, None)
    passed &= rule.minimum is None or after >= rule.minimum
    passed &= rule.maximum is None or after <= rule.maximum
    # An empty table may be filled: there is no share of nothing.
    if rule.change is not None and before:
        passed &= abs(after - before) <= rule.change * before
    words = f"{after:,} rows" + (f", {before:,} before" if before is not None else "")
    return CheckResult(rule.describe(), rule.action, passed=passed, found=words)


def _fresh(rule: Fresh, latest: dt.date | None, now: dt.datetime) -> CheckResult:
    if latest is None:
        return CheckResult(rule.describe(), rule.action, passed=False, found="there is no time in it")
    now = now.astimezone(dt.UTC)
    if isinstance(latest, dt.datetime):
        age = now - (latest.astimezone(dt.UTC) if latest.tzinfo else latest.replace(tzinfo=dt.UTC))
        age -= dt.timedelta(microseconds=age.microseconds)
    else:
        age = now.date() - latest
    old = f", {age} ago" if age >= dt.timedelta(0) else ""
    passed = age.total_seconds() <= rule.within_seconds
    return CheckResult(rule.describe(), rule.action, passed=passed, found=f"the latest is {latest.isoformat()}{old}")


# The rules that are built in


def _not_null(rule: NotNull, scope: Scope) -> exp.Expression:
    return holds(exp.or_(*(is_null(column(scope.column(name).name)) for name in rule.of)))


def _range(rule: Range, scope: Scope) -> exp.Expression:
    return outside(scope.column(rule.column), rule.minimum, rule.maximum, scope.dialect)


def _accepted(rule: Accepted, scope: Scope) -> exp.Expression:
    return not_among(scope.column(rule.column), rule.values, scope.dialect)


def _foreign_key(rule: ForeignKey, scope: Scope) -> exp.Expression:
    here = scope.column(rule.column)
    own = rule.table.casefold() == scope.staged.schema.name.casefold()
    try:
        other = scope.staged.schema if own else scope.warehouse.schema(rule.table)
    except NotFound as error:
        raise LoadError(f"the rule {rule.describe()!r} needs a table that is not there: {error}") from None
    there = find(other, rule.to)
    if there is None:
        raise ValueError(f"table {rule.table!r} has no column {rule.to!r}. {nearest(rule.to, other.names)}")
    if own:
        # Rows may refer to rows of the same load.
        value: exp.Expr = column(key(0), "known")
        known = exp.select().from_(nested(outcome(scope, [there]), "known"))
    else:
        value = column(there.name, "known")
        known = exp.select().from_(table(rule.table, "known"))
    left, right = alike(scope.value(here.name), here.type, value, there.type, scope.dialect)
    known = known.select(right).where(exp.Not(this=is_null(value)))
    return holds(exp.Not(this=exp.In(this=left, query=known.subquery())))


def _unique(rule: Unique, scope: Scope) -> exp.Expression:
    """Of equal rows the first stays: one that stands in the table already, else the one that came first."""
    columns = [scope.column(name) for name in rule.of]
    for item in columns:
        if not can_group(item.type):
            raise ValueError(f"column {item.name!r} is {item.type}, and such values are not compared.")
    number_of = row_number(scope)
    full = exp.and_(*(exp.Not(this=is_null(column(key(i)))) for i in range(len(columns))))
    groups = [group_key(column(key(i)), item.type, scope.dialect) for i, item in enumerate(columns)]
    place = f"{PRIVATE}place"
    rows = nested(outcome(scope, columns, rows=True), "outcome")
    placed = exp.select(column(NEW), column(ROW), named(numbered(groups, NEW, ROW), place)).from_(rows).where(full)
    again = exp.and_(exp.EQ(this=column(NEW), expression=number(1)), exp.GT(this=column(place), expression=number(1)))
    found = exp.select(column(ROW)).from_(nested(placed, "placed")).where(again)
    return cast("exp.Expression", exp.In(this=column(number_of), query=found.subquery()))


register_check(NotNull, _not_null)
register_check(Range, _range)
register_check(Accepted, _accepted)
register_check(ForeignKey, _foreign_key)
register_check(Unique, _unique)

__all__ = ["Scope", "broken", "check", "offending", "quarantine", "register_check"]
