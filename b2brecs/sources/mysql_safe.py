"""How far a watermark of MySQL may go, so that no transaction that commits late is passed over.

A row is stamped, and gets its number, when its statement begins or runs, but is seen when its transaction commits. So
rows below the greatest value seen may yet appear. What is asked here, before the rows are read, is below which value
none can. A transaction of InnoDB begins with its first statement; a statement that has not come that far is found among
those that are running.
"""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Callable
from typing import Any

from pymysql import Error
from sqlglot import exp
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay

from b2brecs.sources.mysql_errors import NEEDS_PROCESS, number
from b2brecs.sources.mysql_metadata import INTEGERS, NativeColumn, NativeTable
from b2brecs.sources.mysql_read import quoted_table
from b2brecs.sources.mysql_session import Server, ask
from b2brecs.sources.select import column

# Clocks are set back a little, and a transaction is seen a moment after it began.
MARGIN_S = 10
# How long to wait for transactions to end that may have taken a number.
PATIENCE_S = 3.0
# What InnoDB shows of its transactions is only renewed if nobody has looked for a tenth of a second.
_FRESH_S = 0.15
# A bound below which no counted number is.
_NEVER = 0
_QUARTER_S, _QUARTERS = 900, 20

# InnoDB shows times in the zone of the server's machine. When clocks go back an hour comes twice: the first is taken.
_SYSTEM = "SET SESSION time_zone = 'SYSTEM'"
_TRANSACTIONS = """
SELECT FLOOR(MIN(
    IF(FROM_UNIXTIME(UNIX_TIMESTAMP(trx_started) - 3600) = trx_started, -3600, 0) + UNIX_TIMESTAMP(trx_started)
))
FROM information_schema.INNODB_TRX
WHERE trx_mysql_thread_id <> CONNECTION_ID() AND trx_is_read_only = 0 AND trx_autocommit_non_locking = 0
"""
# Whole seconds are shown of how long a statement has been at work, so it may have begun a second earlier.
# Threads of the server's own apply what other servers have written, with the times of then.
_STATEMENTS = """
SELECT UNIX_TIMESTAMP() - MAX(CASE WHEN COMMAND IN ('Query', 'Execute') AND COALESCE(INFO, '') NOT LIKE 'SELECT%'
                                   THEN TIME END) - 1,
       COALESCE(MAX(USER = 'system user' AND COMMAND <> 'Daemon'), 0)
FROM information_schema.PROCESSLIST
WHERE ID <> CONNECTION_ID()
"""


def safe_high(server: Server, native: NativeTable, found: NativeColumn) -> str | None:
    """Return the bound as JSON text; see ``MySQLSource.safe_high``."""
    with server.connected(table=native.name) as connection:
        try:
            if found.kind in ("date", "datetime", "timestamp"):
                return _time(connection, found.kind)
            if found.kind in INTEGERS and found.counted and found.indexed:
                return _number(connection, native, found)
        except Error as error:
            if number(error) != NEEDS_PROCESS:
                raise
    return None


def _time(connection: Any, kind: str) -> str | None:
    # The order counts: first the clock, then who is at work. Whoever began before the bound has ended by then, so that
    # its rows are seen, or is found.
    now = _now(connection)
    applying, began = _oldest(connection)
    if applying:
        return None
    bound = now - MARGIN_S if began is None else min(now - MARGIN_S, began)
    if kind == "timestamp":
        return json.dumps(dt.datetime.fromtimestamp(bound, dt.UTC).isoformat())
    local = _local(connection, bound)
    return json.dumps(local.date().isoformat() if kind == "date" else local.isoformat())


def _number(connection: Any, native: NativeTable, found: NativeColumn) -> str | None:
    tree = exp.select(exp.Max(this=column(found.name))).from_(quoted_table(native.name))
    greatest = ask(connection, tree.sql("mysql"))[0][0]
    # Up to here all numbers are given away. Who began by now may have some of them in hand, and is waited for.
    now = _now(connection)
    applying, began = _oldest(connection)
    if applying or int(ask(connection, "SELECT @@auto_increment_increment")[0][0]) != 1:
        # Other servers count in between.
        return None

    def at_work() -> bool:
        since = _oldest(connection)[1]
        return since is not None and since <= now

    if greatest is None or (began is not None and began <= now and not _ended(at_work)):
        return json.dumps(_NEVER)
    return json.dumps(int(greatest) + 1)


def _now(connection: Any) -> int:
    return int(ask(connection, "SELECT UNIX_TIMESTAMP()")[0][0])


def _oldest(connection: Any) -> tuple[bool, int | None]:
    """Say whether the server applies what others have written, and since when the oldest that may write is at work."""
    time.sleep(_FRESH_S)
    ask(connection, _SYSTEM)
    transaction = ask(connection, _TRANSACTIONS)[0][0]
    statement, applying = ask(connection, _STATEMENTS)[0]
    began = [int(value) for value in (transaction, statement) if value is not None]
    return bool(int(applying)), min(began, default=None)


def _local(connection: Any, bound: int) -> dt.datetime:
    """Return a moment as a local time: the least that any later moment has, as clocks go back in autumn.

    Without a zone in the column, writers keep to the server's zone or to UTC; the lower of the two holds for both.
    """
    ask(connection, "SET SESSION time_zone = @@GLOBAL.time_zone")
    quarters = [(bound // _QUARTER_S + number) * _QUARTER_S for number in range(1, _QUARTERS + 1)]
    moments = [exp.Anonymous(this="FROM_UNIXTIME", expressions=[exp.Literal.number(m)]) for m in (bound, *quarters)]
    least = ask(connection, exp.select(exp.Anonymous(this="LEAST", expressions=moments)).sql("mysql"))[0][0]
    universal = dt.datetime.fromtimestamp(bound, dt.UTC).replace(tzinfo=None)
    return min(universal, dt.datetime.fromisoformat(str(least)))


def _ended(at_work: Callable[[], bool]) -> bool:
    """Wait a little until nobody is at work any more who was; say whether that is so."""
    try:
        Retrying(retry=retry_if_result(bool), stop=stop_after_delay(PATIENCE_S))(at_work)
    except RetryError:
        return False
    return True
