"""Watermarks of MySQL: a transaction that commits late is never passed over. Real transactions, really at once."""

import datetime as dt
import json
import threading
import time
from contextlib import closing, contextmanager

import pytest

from b2brecs.etl.cast import finite_max
from b2brecs.etl.watermark import bounded
from b2brecs.sources import Part, Since, mysql_safe
from tests.sources.mysql_server import beside, database, guest, opened, rows, run


@pytest.fixture(scope="module")
def stamped(mariadb):
    with database(mariadb, "stamped") as server:
        yield server


@pytest.fixture
def table(stamped):
    run(stamped, "CREATE OR REPLACE TABLE log (id int PRIMARY KEY AUTO_INCREMENT, word varchar(20), "
        "at timestamp(6) DEFAULT CURRENT_TIMESTAMP(6), local_at datetime(6) DEFAULT CURRENT_TIMESTAMP(6), "
        "day date DEFAULT CURRENT_DATE, ratio float, chosen int, INDEX (at), INDEX (chosen))")  # fmt: skip
    return stamped


@pytest.fixture
def no_margin(monkeypatch):
    """Without it, what began before a load can only be found by looking."""
    monkeypatch.setattr(mysql_safe, "MARGIN_S", 0)
    monkeypatch.setattr(mysql_safe, "PATIENCE_S", 0.5)


@contextmanager
def transaction(server):
    with closing(beside(server, autocommit=False)) as connection, connection.cursor() as cursor:
        yield connection, cursor


def write(cursor, word):
    cursor.execute("INSERT INTO log (word) VALUES (%s)", (word,))


def next_second(server):
    """The server shows in whole seconds who began when; bounds are no finer."""
    run(server, "DO SLEEP(1.1)")


class Loads:
    """Loads one after the other, as a job does; ``careful`` asks for the bound first."""

    def __init__(self, server, column, *, careful=True):
        self.source, self.column, self.careful = opened(server), column, careful
        self.schema = self.source.schema("log")
        self.low, self.words = None, set()

    def run(self, *, before_reading=None, while_reading=None):
        safe = self.source.safe_high(self.schema, self.column) if self.careful else None
        if before_reading is not None:
            before_reading()
        reader = self.source.read(self.schema, Part(Since(self.column, self.low)))
        if while_reading is not None:
            while_reading()
        found = reader.read_all()
        self.words |= set(found["word"].to_pylist())
        self.low = bounded(finite_max(found[self.column].combine_chunks()), safe, self.low)
        return self


COLUMNS = ["at", "local_at", "day", "id"]


@pytest.mark.parametrize("careful", [True, False])
@pytest.mark.parametrize("column", COLUMNS)
def test_who_wrote_before_and_commits_after_is_met_again(table, no_margin, column, careful):
    loads = Loads(table, column, careful=careful)
    with transaction(table) as (slow, cursor):
        write(cursor, "late")
        next_second(table)
        run(table, "INSERT INTO log (word) VALUES ('first'), ('second')")
        assert loads.run().words == {"first", "second"}
        slow.commit()
    # Without the bound the row is lost for ever, unless all rows of its day are read again.
    assert ("late" in loads.run().words) == (careful or column == "day")


@pytest.mark.parametrize("column", COLUMNS)
def test_who_began_before_and_writes_after_is_met_again(table, no_margin, column):
    loads = Loads(table, column)
    run(table, "INSERT INTO log (word) VALUES ('first')")
    with transaction(table) as (slow, cursor):
        cursor.execute("SELECT * FROM log")
        loads.run()
        write(cursor, "late")
        run(table, "INSERT INTO log (word) VALUES ('second')")
        loads.run()
        slow.commit()
    assert loads.run().words == {"first", "second", "late"}


@pytest.mark.parametrize("moment", ["before_reading", "while_reading"])
@pytest.mark.parametrize("column", COLUMNS)
def test_who_commits_during_a_load_is_met_again(table, no_margin, column, moment):
    loads = Loads(table, column)
    with transaction(table) as (slow, cursor):
        write(cursor, "late")
        next_second(table)
        run(table, "INSERT INTO log (word) VALUES ('first')")
        loads.run(**{moment: slow.commit})
    run(table, "INSERT INTO log (word) VALUES ('second')")
    assert loads.run().words == {"first", "late", "second"}


@pytest.mark.parametrize("column", ["at", "id"])
def test_a_statement_that_is_still_under_way_is_met_again(table, no_margin, column):
    """Its rows have the time at which it began, and no transaction may show before it touches a table."""
    loads = Loads(table, column)
    with closing(beside(table)) as holder, holder.cursor() as cursor:
        cursor.execute("SELECT GET_LOCK('gate', 0)")
        thread = threading.Thread(
            target=run, args=(table, "INSERT INTO log (word) SELECT IF(GET_LOCK('gate', 60) IS NULL, NULL, 'late')")
        )
        thread.start()
        while not run(table, "SELECT 1 FROM information_schema.PROCESSLIST WHERE STATE = 'User lock'"):
            time.sleep(0.01)
        next_second(table)
        run(table, "INSERT INTO log (word) VALUES ('first')")
        assert loads.run().words == {"first"}
        cursor.execute("SELECT RELEASE_LOCK('gate')")
        thread.join()
    assert loads.run().words == {"first", "late"}


def test_many_writers_at_once_lose_nothing(table, no_margin):
    loads = {column: Loads(table, column) for column in ("at", "id")}
    expected = set()
    stop = threading.Event()

    def work(name):
        with transaction(table) as (connection, cursor):
            for number in range(30):
                write(cursor, f"{name}-{number}")
                # Every third is kept open while others commit.
                stop.wait(0.03 if number % 3 else 0.15)
                connection.commit()
                expected.add(f"{name}-{number}")

    threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        for load in loads.values():
            load.run()
    for load in loads.values():
        assert load.run().words == expected


def test_a_quiet_server_lets_the_watermark_go_up_to_the_margin(table):
    run(table, "INSERT INTO log (word) VALUES ('one')")
    source = opened(table)
    schema = source.schema("log")
    now = dt.datetime.fromisoformat(run(table, "SELECT UTC_TIMESTAMP()")[0][0]).replace(tzinfo=dt.UTC)
    bound = dt.datetime.fromisoformat(json.loads(source.safe_high(schema, "at")))
    assert bound.tzinfo == dt.UTC
    assert dt.timedelta(0) <= bound - (now - dt.timedelta(seconds=mysql_safe.MARGIN_S)) < dt.timedelta(minutes=1)
    assert source.safe_high(schema, "id") == "2"
    assert [source.safe_high(schema, name) for name in ("word", "ratio", "chosen")] == [None] * 3


def test_who_only_reads_holds_nothing_back(table, no_margin):
    run(table, "INSERT INTO log (word) SELECT 'x' FROM seq_1_to_30000")
    source = opened(table)
    schema = source.schema("log")
    reader = source.read(schema)
    reader.read_next_batch()
    with transaction(table) as (_, cursor):
        cursor.execute("START TRANSACTION READ ONLY")
        cursor.execute("SELECT * FROM log LIMIT 1")
        before = source.safe_high(schema, "at")
        next_second(table)
        after = source.safe_high(schema, "at")
    assert json.loads(after) > json.loads(before)
    assert reader.read_all().num_rows > 0


def test_a_number_is_only_safe_when_nobody_may_have_an_earlier_one(table, no_margin):
    source = opened(table)
    schema = source.schema("log")
    assert source.safe_high(schema, "id") == "0"
    with transaction(table) as (slow, cursor):
        write(cursor, "one")
        run(table, "INSERT INTO log (word) VALUES ('two')")
        assert source.safe_high(schema, "id") == "0"
        slow.commit()
    assert source.safe_high(schema, "id") == "3"
    run(table, "SET GLOBAL auto_increment_increment = 2")
    try:
        assert source.safe_high(schema, "id") is None
    finally:
        run(table, "SET GLOBAL auto_increment_increment = 1")


@pytest.mark.parametrize(("zone", "hours"), [("+02:00", 0), ("-05:00", -5), ("+00:00", 0)])
def test_a_time_without_a_zone_is_the_servers_or_universal(mariadb, table, zone, hours):
    run(mariadb, f"SET GLOBAL time_zone = '{zone}'")
    try:
        source = opened(table)
        schema = source.schema("log")
        bound = dt.datetime.fromisoformat(json.loads(source.safe_high(schema, "local_at")))
        day = dt.date.fromisoformat(json.loads(source.safe_high(schema, "day")))
    finally:
        run(mariadb, "SET GLOBAL time_zone = '+00:00'")
    now = dt.datetime.fromisoformat(run(table, "SELECT UTC_TIMESTAMP()")[0][0]) + dt.timedelta(hours=hours)
    assert bound.tzinfo is None
    assert dt.timedelta(seconds=mysql_safe.MARGIN_S) <= now - bound < dt.timedelta(minutes=2)
    assert now.date() - dt.timedelta(days=1) <= day <= now.date()


def test_without_the_right_to_see_others_nothing_is_known(table):
    with guest(table, "blind", "GRANT SELECT ON stamped.log TO blind") as server:
        source = opened(server)
        assert source.safe_high(source.schema("log"), "at") is None
        assert source.safe_high(source.schema("log"), "id") is None
        assert rows(source, source.schema("log")) == []
    with guest(table, "seeing", "GRANT SELECT ON stamped.log TO seeing", "GRANT PROCESS ON *.* TO seeing") as server:
        source = opened(server)
        assert source.safe_high(source.schema("log"), "at") is not None


def test_where_others_writings_are_applied_nothing_is_known(table):
    run(table, "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = 1, MASTER_USER = 'nobody'", "START SLAVE")
    try:
        source = opened(table)
        assert source.safe_high(source.schema("log"), "at") is None
        assert source.safe_high(source.schema("log"), "id") is None
    finally:
        run(table, "STOP SLAVE", "RESET SLAVE ALL")
