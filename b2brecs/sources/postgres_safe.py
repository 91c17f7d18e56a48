"""How far a watermark of PostgreSQL may go, so that no transaction that commits late is passed over.

Times are stamped when a transaction begins and numbers are handed out before it commits, so rows below the greatest
value seen may yet appear. What is asked here, before the rows are read, is below which value none can.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

from sqlglot import exp
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from b2brecs.sources.postgres_metadata import NativeColumn, NativeTable
from b2brecs.sources.postgres_read import quoted_table
from b2brecs.sources.postgres_session import APPLICATION, SETTINGS, ask
from b2brecs.sources.select import column

# A transaction has its time a moment before others see it; clocks are set back a little.
MARGIN = dt.timedelta(seconds=10)
# How long to wait for transactions to end of which nothing is known but that they are open.
PATIENCE_S = 3.0

# Bounds below which nothing ever appears. Not the least values there are: times must leave room to step back.
_NEVER_TIME = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_NEVER_NUMBER = -(2**63)

_NOW = "SELECT pg_catalog.clock_timestamp(), pg_catalog.pg_is_in_recovery(), pg_catalog.pg_postmaster_start_time()"
# Other sessions of this database: when their transaction began, whether we may not see that, and the transaction's
# number, on which each holds a lock that all may see. Our own loads are left out, as they only read.
_OTHERS = """
SELECT a.xact_start,
       NOT (pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') OR pg_catalog.pg_has_role(a.usesysid, 'USAGE')),
       l.virtualtransaction
FROM pg_catalog.pg_stat_activity a
JOIN pg_catalog.pg_database d ON d.oid = a.datid AND d.datname = pg_catalog.current_database()
LEFT JOIN pg_catalog.pg_locks l ON l.pid = a.pid AND l.locktype = 'virtualxid' AND l.mode = 'ExclusiveLock'
WHERE a.pid <> pg_catalog.pg_backend_pid() AND a.usesysid IS NOT NULL
  AND a.backend_type IS DISTINCT FROM 'walsender'
  AND NOT (a.application_name = %(application)s
           AND a.usesysid = (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = current_user))
"""
# Prepared transactions that may have written the table: they keep its lock. Of a view's tables nothing is known.
_PREPARED = """
WITH RECURSIVE tree (oid) AS (
    SELECT %(oid)s::oid
  UNION
    SELECT i.inhrelid FROM tree t JOIN pg_catalog.pg_inherits i ON i.inhparent = t.oid
)
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_prepared_xacts p WHERE p.database = pg_catalog.current_database()
) AND (%(view)s OR EXISTS (
    SELECT FROM pg_catalog.pg_locks l JOIN tree t ON t.oid = l.relation
    WHERE l.locktype = 'relation' AND l.pid IS NULL
))
"""
# A moment as a local time: the least that any later moment has, as clocks go back in autumn. Without a zone in the
# column, writers keep to the server's zone or to UTC; the lower of the two holds for both.
_LOCAL = """
SELECT LEAST(min(moment AT TIME ZONE pg_catalog.current_setting('TimeZone')), min(moment AT TIME ZONE 'UTC'))
FROM (
    SELECT %(bound)s::timestamptz AS moment
  UNION ALL
    SELECT pg_catalog.date_trunc('hour', %(bound)s::timestamptz) + number * interval '15 minutes'
    FROM pg_catalog.generate_series(1, 20) AS s (number)
) AS moments
WHERE moment >= %(bound)s::timestamptz
"""
# The one sequence that a column's numbers come from.
_SEQUENCE = """
SELECT s.seqrelid, s.seqcache = 1 AND s.seqincrement = 1 AND NOT s.seqcycle,
       CASE WHEN pg_catalog.has_sequence_privilege(s.seqrelid, 'SELECT, USAGE')
            THEN pg_catalog.pg_sequence_last_value(s.seqrelid) END
FROM pg_catalog.pg_depend d
LEFT JOIN pg_catalog.pg_attrdef f ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND f.oid = d.objid
JOIN pg_catalog.pg_sequence s
  ON s.seqrelid = CASE WHEN f.oid IS NULL THEN d.objid ELSE d.refobjid END
WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
  AND (
    (f.adrelid = %(oid)s AND f.adnum = %(number)s
     AND pg_catalog.pg_get_expr(f.adbin, f.adrelid) LIKE 'nextval(%%::regclass)')
    OR (d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype = 'i'
        AND d.refobjid = %(oid)s AND d.refobjsubid = %(number)s)
  )
"""
# Whoever takes a number holds this lock on the sequence until the transaction's end.
_TAKERS = """
SELECT l.virtualtransaction FROM pg_catalog.pg_locks l
JOIN pg_catalog.pg_database d ON d.oid = l.database AND d.datname = pg_catalog.current_database()
WHERE l.locktype = 'relation' AND l.relation = %(sequence)s AND l.mode = 'RowExclusiveLock'
"""


def safe_high(connection: Any, schema: str, native: NativeTable, found: NativeColumn) -> str | None:
    """Return the bound as JSON text; see ``PostgresSource.safe_high``."""
    if native.relkind == "f":
        return None
    if found.kind in ("timestamptz", "timestamp", "date"):
        return _time(connection, native, found.kind)
    if found.kind in ("int2", "int4", "int8"):
        return _number(connection, schema, native, found)
    return None


def _time(connection: Any, native: NativeTable, kind: str) -> str | None:
    # The order counts: first the clock, then the open transactions, then the prepared ones. Whoever began before the
    # bound has ended by then, so that its rows are seen, or is found by one of the questions.
    now, standby, started = ask(connection, _NOW)[0]
    if standby:
        # The primary's transactions are not known here.
        return None
    application = {"application": APPLICATION}
    others = ask(connection, _OTHERS, application)
    candidates = [now - MARGIN, *(began for began, hidden, _ in others if began is not None and not hidden)]
    unknown = {number for _, hidden, number in others if hidden and number is not None}
    if not _ended(unknown, lambda: {number for _, _, number in ask(connection, _OTHERS, application)}):
        candidates.append(started)
    if ask(connection, _PREPARED, {"oid": native.oid, "view": native.relkind == "v"})[0][0]:
        # When it began is not known, only when it was prepared.
        candidates.append(_NEVER_TIME)
    bound = min(candidates).astimezone(dt.UTC)
    if kind == "timestamptz":
        return json.dumps(bound.isoformat())
    settings = {name: value for name, value in SETTINGS.items() if name != "TimeZone"}
    local = ask(connection, _LOCAL, {"bound": bound}, settings)[0][0]
    return json.dumps(local.isoformat() if kind == "timestamp" else local.date().isoformat())


def _number(connection: Any, schema: str, native: NativeTable, found: NativeColumn) -> str | None:
    if ask(connection, _NOW)[0][1] or not found.indexed:
        return None
    sequences = ask(connection, _SEQUENCE, {"oid": native.oid, "number": found.number})
    if len(sequences) != 1 or not sequences[0][1]:
        # Not counted up by a sequence; or sessions keep numbers in stock, for transactions that have not begun.
        return None
    sequence, _, last = sequences[0]
    tree = exp.select(exp.Max(this=column(found.name))).from_(quoted_table(schema, native.name))
    greatest = ask(connection, tree.sql("postgres"))[0][0]
    # Up to here all numbers are given away. Those who have some of them are waited for; who comes later gets others.
    known = [value for value in (greatest, last) if value is not None]

    def takers() -> set[str]:
        return {number for (number,) in ask(connection, _TAKERS, {"sequence": sequence})}

    if greatest is None or not _ended(takers(), takers):
        return json.dumps(_NEVER_NUMBER)
    return json.dumps(min(known) + 1)


def _ended(those: set[str], present: Callable[[], set[str]]) -> bool:
    """Wait a little until some transactions have ended; say whether they have."""
    if not those:
        return True
    waiting = Retrying(retry=retry_if_result(bool), stop=stop_after_delay(PATIENCE_S), wait=wait_fixed(0.05))
    try:
        waiting(lambda: those & present())
    except RetryError:
        return False
    return True
