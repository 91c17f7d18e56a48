"""Streams: every message once in the table, whatever comes twice, fails, or is killed on the way."""

import datetime as dt
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import pytest
from sqlglot import exp

pubsub = pytest.importorskip("google.cloud.pubsub_v1")

from b2brecs.backends.local.duckdb import DuckDBWarehouse  # noqa: E402
from b2brecs.configs.etl import TableLoad  # noqa: E402
from b2brecs.configs.rules import NotNull  # noqa: E402
from b2brecs.configs.sources import PubSubSettings  # noqa: E402
from b2brecs.errors import SourceError, WarehouseError  # noqa: E402
from b2brecs.etl.streaming import stream  # noqa: E402
from b2brecs.sources.pubsub import PubSubSource  # noqa: E402
from b2brecs.types import Column  # noqa: E402

FIELDS = (Column("id", "INT64"), Column("Preis (€)", "NUMERIC"))
# No test waits so long; it ends a stream that waits for what never comes.
LONG = 120


@pytest.fixture
def subscription(pubsub_emulator):
    made = Subscription(pubsub_emulator.project)
    yield made
    made.close()


class Subscription:
    """A topic and its subscription, of their own."""

    def __init__(self, project):
        self.project, self.name = project, f"s-{uuid.uuid4().hex[:10]}"
        self.topic = f"projects/{project}/topics/{self.name}"
        self.path = f"projects/{project}/subscriptions/{self.name}"
        self.publisher, self.subscriber = pubsub.PublisherClient(), pubsub.SubscriberClient()
        self.publisher.create_topic(name=self.topic)
        self.subscriber.create_subscription(name=self.path, topic=self.topic, ack_deadline_seconds=600)
        self.sent = {}

    def publish(self, *messages):
        sent = [(each, self.publisher.publish(self.topic, json.dumps(each).encode())) for each in messages]
        self.sent |= {future.result(timeout=30): each for each, future in sent}

    def waiting(self):
        """Ids of messages that are not acknowledged and that nobody holds; they are given back."""
        source = self.source()
        found, ack_ids = source.pull(1000, 1)
        source.release(ack_ids)
        source.close()
        return found["message_id"].to_pylist()

    def source(self, kind=PubSubSource, fields=FIELDS):
        return kind(PubSubSettings(project=self.project, subscription=self.name, fields=fields), lambda _: "")

    def load(self, **settings):
        return TableLoad(source=self.name, target="orders", **settings)

    def close(self):
        self.publisher.stop()
        self.publisher.transport.close()
        self.subscriber.close()


@pytest.fixture
def warehouse(tmp_path):
    opened = DuckDBWarehouse(tmp_path / "warehouse.duckdb")
    yield opened
    opened.close()


def rows(warehouse, table="orders"):
    tree = exp.select("*").from_(exp.to_table(table, dialect="duckdb"))
    return warehouse.query(tree).read_all().to_pylist()


class Until:
    """Stops a stream when so many messages were read."""

    def __init__(self, count):
        self.count, self.read = count, 0

    def __call__(self):
        return self.read >= self.count

    def note(self, _stage, read, _expected, _bytes):
        self.read = read


def run(subscription, source, warehouse, count=None, load=None, **options):
    until = Until(len(subscription.sent) if count is None else count)
    options = {"seconds": LONG, "stop": until, "on_progress": until.note, **options}
    return stream("job", load or subscription.load(), source, warehouse, **options)


def assert_exact(warehouse, subscription):
    found = rows(warehouse)
    assert len(found) == len(subscription.sent)
    assert {row["message_id"]: json.loads(row["data"]) for row in found} == subscription.sent
    assert all(row["id"] == subscription.sent[row["message_id"]].get("id") for row in found)


def test_messages_become_rows(subscription, warehouse):
    subscription.publish(*({"id": number, "Preis (€)": 1.5} for number in range(25)))
    source = subscription.source()
    result = run(subscription, source, warehouse, max_messages=10)
    assert result.ok
    [table] = result.tables
    assert (table.status, table.strategy, table.rows_read, table.rows_loaded, table.rows_total) == (
        "completed", "stream", 25, 25, 25,
    )  # fmt: skip
    assert table.parts >= 3
    assert_exact(warehouse, subscription)
    assert {str(row["preis"]) for row in rows(warehouse)} == {"1.500000000"}
    state = warehouse.state("job/orders")
    assert dt.datetime.fromisoformat(json.loads(state.watermark)) == max(row["publish_time"] for row in rows(warehouse))
    assert table.watermark_after == state.watermark
    assert subscription.waiting() == []
    # It goes on where it stood.
    subscription.publish({"id": 99})
    assert run(subscription, source, warehouse, 1).tables[0].rows_total == 26
    assert_exact(warehouse, subscription)


def test_it_ends_when_it_is_told_to(subscription, warehouse):
    source = subscription.source()
    nothing = stream("job", subscription.load(), source, warehouse, seconds=0.2)
    assert (nothing.tables[0].status, nothing.rows) == ("unchanged", 0)
    assert warehouse.tables() == []
    asked = itertools.count()
    assert stream("job", subscription.load(), source, warehouse, stop=lambda: next(asked) > 0).ok
    subscription.publish(*({"id": number} for number in range(3)))
    once = stream("job", subscription.load(), source, warehouse, batches=2, seconds=LONG, max_messages=1)
    assert (once.tables[0].rows_loaded, once.tables[0].parts) == (2, 2)


def test_columns_and_types_are_chosen(subscription, warehouse):
    subscription.publish({"id": 7, "Preis (€)": "x"})
    load = subscription.load(columns=("id",), types=(Column("id", "STRING"),))
    assert run(subscription, subscription.source(), warehouse, load=load).ok
    [row] = rows(warehouse)
    assert list(row) == ["message_id", "publish_time", "id"]
    assert row["id"] == "7"


class Forgetful(PubSubSource):
    """Dies, as it were, before it acknowledges."""

    def acknowledge(self, ack_ids):
        self.release(ack_ids)


def test_what_comes_twice_is_there_once(subscription, warehouse):
    subscription.publish(*({"id": number} for number in range(30)))
    first = run(subscription, subscription.source(Forgetful), warehouse, 90, max_messages=30)
    assert first.tables[0].rows_read >= 90
    assert_exact(warehouse, subscription)
    assert run(subscription, subscription.source(), warehouse).ok
    assert_exact(warehouse, subscription)
    assert subscription.waiting() == []


class Failing(DuckDBWarehouse):
    """A warehouse whose commits fail a few times, before or after they are done."""

    failures = 0
    done = False
    transient = True

    def commit(self, changes, *, state=None, expect=None):
        if type(self).failures:
            type(self).failures -= 1
            if self.done:
                super().commit(changes, state=state, expect=expect)
            error = WarehouseError("the line is down")
            error.transient = self.transient  # type: ignore[attr-defined]
            raise error
        return super().commit(changes, state=state, expect=expect)


@pytest.mark.parametrize("done", [True, False])
def test_faults_that_pass_are_borne(subscription, tmp_path, monkeypatch, done):
    monkeypatch.setattr(Failing, "failures", 2)
    monkeypatch.setattr(Failing, "done", done)
    warehouse = Failing(tmp_path / "w.duckdb")
    subscription.publish({"id": 1}, {"id": 2})
    assert run(subscription, subscription.source(), warehouse).ok
    assert Failing.failures == 0
    assert_exact(warehouse, subscription)
    warehouse.close()


def test_a_failure_gives_the_messages_back(subscription, tmp_path, monkeypatch):
    monkeypatch.setattr(Failing, "failures", 1)
    monkeypatch.setattr(Failing, "transient", False)
    warehouse = Failing(tmp_path / "w.duckdb")
    subscription.publish({"id": 1}, {"id": 2})
    source = subscription.source()
    [table] = run(subscription, source, warehouse).tables
    assert (table.status, table.error, table.error_stage) == ("failed", "the line is down", "load")
    assert warehouse.tables() == []
    assert len(subscription.waiting()) == 2
    assert run(subscription, source, warehouse).ok
    assert_exact(warehouse, subscription)
    warehouse.close()


class Shaky(PubSubSource):
    """A line that is down at first."""

    left = 2

    def pull(self, max_messages, timeout, *, on_reject=None):
        if self.left:
            self.left -= 1
            raise SourceError("pubsub", "the line is down.", transient=True)
        return super().pull(max_messages, timeout, on_reject=on_reject)


def test_a_line_that_is_down_is_waited_for(subscription, warehouse):
    subscription.publish({"id": 1})
    source = subscription.source(Shaky)
    assert run(subscription, source, warehouse).ok
    assert_exact(warehouse, subscription)
    source.left = 1_000_000
    [table] = stream("job", subscription.load(), source, warehouse, seconds=0.3).tables
    assert (table.status, table.error_stage) == ("failed", "extraction")


def test_several_streams_share_a_subscription(subscription, warehouse):
    subscription.publish(*({"id": number} for number in range(300)))
    until = Until(300)
    counts: dict = {}

    def note(_stage, read, _expected, _bytes):
        counts[threading.get_ident()] = read
        until.read = sum(counts.values())

    results: list = []

    def work():
        source = subscription.source()
        results.append(
            stream(
                "job",
                subscription.load(),
                source,
                warehouse,
                seconds=LONG,
                stop=until,
                on_progress=note,
                max_messages=10,
            )
        )
        source.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(result.ok for result in results), results
    assert_exact(warehouse, subscription)
    assert subscription.waiting() == []


def test_what_does_not_fit_goes_to_the_rejects(subscription, warehouse):
    subscription.publish({"id": 1}, {"id": "x"}, {"id": 2})
    refusing = run(subscription, subscription.source(), warehouse, load=subscription.load(max_rejects=0))
    [table] = refusing.tables
    assert table.status == "failed"
    assert "column 'id'" in table.error
    assert warehouse.tables() == []
    assert len(subscription.waiting()) == 3
    [table] = run(subscription, subscription.source(Forgetful), warehouse, 6).tables
    assert table.status == "completed"
    assert sorted(row["id"] for row in rows(warehouse)) == [1, 2]
    # Though it came twice, it is there once.
    [reject] = rows(warehouse, "orders__rejects")
    assert (reject["column"], json.loads(json.loads(reject["row"])["data"])) == ("id", {"id": "x"})
    assert table.rows_rejected >= 2


def test_lists_that_are_none_are_rejected_under_the_tables_name(subscription, warehouse):
    subscription.publish({"Tags!": "x"})
    source = subscription.source(fields=(Column("Tags!", "ARRAY<STRING>"),))
    assert run(subscription, source, warehouse).ok
    assert [row["column"] for row in rows(warehouse, "orders__rejects")] == ["tags"]
    assert rows(warehouse) == []
    assert subscription.waiting() == []


def test_what_a_stream_does_not_do_is_refused(subscription, warehouse):
    load = subscription.load(rules=(NotNull(of="id"),))
    [table] = run(subscription, subscription.source(), warehouse, 1, load=load).tables
    assert (table.status, table.error_stage) == ("failed", "validation")
    assert "Leave rules=" in table.error


WORKER = """
import sys
from pathlib import Path
from b2brecs.backends.local.duckdb import DuckDBWarehouse
from b2brecs.configs.etl import TableLoad
from b2brecs.configs.sources import PubSubSettings
from b2brecs.etl.streaming import stream
from b2brecs.sources.pubsub import PubSubSource
from b2brecs.types import Column

path, project, name, where, after = sys.argv[1:]
left = int(after)

def here(point, ack_ids):
    "Say where the work has come to, and stay there until the kill."
    global left
    if point != where:
        return
    left -= 1
    if left < 0:
        print(" ".join(ack_ids), flush=True)
        sys.stdin.read()

class Source(PubSubSource):
    held = ()
    def pull(self, *args, **options):
        batch, Source.held = super().pull(*args, **options)
        if Source.held:
            here("pulled", Source.held)
        return batch, Source.held
    def acknowledge(self, ack_ids):
        here("committed", ack_ids)
        super().acknowledge(ack_ids)
        here("acknowledged", ack_ids)

class Warehouse(DuckDBWarehouse):
    def commit(self, *args, **options):
        here("staged", Source.held)
        return super().commit(*args, **options)

source = Source(PubSubSettings(project=project, subscription=name, fields=(Column("id", "INT64"),)), lambda _: "")
print(stream("job", TableLoad(source=name, target="orders"), source, Warehouse(Path(path)), seconds=120, max_messages=20))
"""

KILLS = [
    ("committed", 0), ("committed", 1), ("staged", 0), ("pulled", 1), ("committed", 0), ("acknowledged", 0),
    ("staged", 1), ("committed", 2),
]  # fmt: skip


def test_kills_lose_nothing_and_double_nothing(subscription, tmp_path):
    path, environment = tmp_path / "w.duckdb", {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    numbers = itertools.count()
    seen = 0
    for where, after in KILLS:
        subscription.publish(*({"id": next(numbers)} for _ in range(70)))
        command = [sys.executable, "-c", WORKER, str(path), subscription.project, subscription.name, where, str(after)]
        worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        assert worker.stdout is not None
        ack_ids = worker.stdout.readline().split()
        assert worker.poll() is None, ack_ids
        worker.send_signal(signal.SIGKILL)
        assert worker.wait() == -signal.SIGKILL
        worker.stdin.close()  # type: ignore[union-attr]
        worker.stdout.close()
        assert ack_ids
        if where != "acknowledged":
            # As when their lease ends, which is not waited for.
            subscription.subscriber.modify_ack_deadline(
                subscription=subscription.path, ack_ids=ack_ids, ack_deadline_seconds=0
            )
        if where == "committed":
            with_kill = DuckDBWarehouse(path)
            # The rows are there, though nobody was told.
            assert len(rows(with_kill)) > seen
            seen = len(rows(with_kill))
            with_kill.close()
    warehouse = DuckDBWarehouse(path)
    left = len(subscription.sent) - len(rows(warehouse))
    assert left > 0

    def stop():
        return len(rows(warehouse)) == len(subscription.sent) and not subscription.waiting()

    assert stream("job", subscription.load(), subscription.source(), warehouse, seconds=LONG, stop=stop).ok
    assert_exact(warehouse, subscription)
    assert subscription.waiting() == []
    warehouse.close()
