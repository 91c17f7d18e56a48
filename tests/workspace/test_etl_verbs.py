"""Verbs on connections and jobs: test, look, run, and what is left of a run that fails, stops or is killed."""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

import b2brecs as b2b
from b2brecs.backends.protocols import RunRecord
from b2brecs.errors import Cancelled, ConfigError, DuplicateConnection, InUse, NotFound, RunFailed, SourceError
from b2brecs.tasks import record
from b2brecs.workspace import connections as connection_verbs

ROOT = Path(__file__).parents[2]
MARK = "hunter2-very-secret/ü+x"


def latest(ws, name=None) -> RunRecord:
    run = ws.runs(name)[0].run
    assert isinstance(run, RunRecord)
    return run


# Runs


def test_a_run_is_written_down_with_all_that_it_did(ws, shop):
    result = ws.run(b2b.EtlJob("j", connection=shop).load("one").load("two"))
    assert result.rows == 8
    run = latest(ws)
    assert (run.id, run.kind, run.name, run.status, run.error) == (result.run, "etl_job", "j", "completed", "")
    assert run.facts["rows"] == run.facts["rows_loaded"] == 8
    assert [table["target"] for table in run.facts["tables"]] == ["one", "two"]
    assert (run.facts["trigger"], run.facts["connection"], run.facts["pid"]) == ("hand", "shop", os.getpid())
    assert run.finished_at is not None
    assert run.finished_at >= run.started_at
    assert ws.run_page(run.id[:6]).id == run.id
    log = ws.run_log(run.id)
    assert f"run {run.id}" in log
    assert "one: completed, 4 rows read, 4 loaded" in log
    assert Path(run.facts["log"]).read_text().rstrip("\n") == log


def test_while_it_goes_on_a_run_says_so(ws, shop, hooks, monkeypatch):
    monkeypatch.setattr(record, "BEAT_S", 0.01)
    seen: list[RunRecord] = []
    beats: list[str] = []

    def look(number: int) -> None:
        seen.append(latest(ws))
        # Until the heartbeat has come twice, whatever the machine does meanwhile.
        while len(set(beats)) < 2:
            beats.append(latest(ws).facts["heartbeat"])
        if number == 3:
            while latest(ws).facts.get("progress", {}).get("rows", 0) < 3:
                pass

    hooks["one"] = look
    ws.run(b2b.EtlJob("j", connection=shop).load("one"))
    assert {run.status for run in seen} == {"running"}
    assert latest(ws).status == "completed"
    beating = [thread.name for thread in threading.enumerate() if thread.name.startswith("b2brecs-beat")]
    for thread in threading.enumerate():
        if thread.name in beating:
            thread.join(60)
    assert latest(ws).status == "completed"


def test_a_run_of_which_a_table_failed_is_partial_and_one_without_any_is_failed(ws, shop):
    with pytest.raises(RunFailed, match=r"job 'j': bad: memory: it is bad"):
        ws.run(b2b.EtlJob("j", connection=shop).load("one").load("bad"))
    run = latest(ws)
    assert (run.status, run.error) == ("partial", "bad: memory: it is bad")
    assert run.facts["error_class"] == "SourceError"
    assert run.facts["error_stage"] == "extraction"
    assert ws.tables().rows[0][:2] == ["one", 4]
    with pytest.raises(RunFailed):
        ws.run(b2b.EtlJob("k", connection=shop).load("bad"))
    assert latest(ws, "k").status == "failed"


def test_a_run_whose_source_cannot_be_opened_is_written_down_too(ws):
    with pytest.raises(NotFound, match=r"ws.save"):
        ws.run(b2b.EtlJob("j", connection="nowhere").load("one"))
    run = latest(ws)
    assert (run.status, run.facts["error_class"], run.facts["error_stage"]) == ("failed", "NotFound", "init")


@pytest.mark.parametrize("how", [KeyboardInterrupt, Cancelled])
def test_an_interrupted_run_leaves_nothing_half_written_and_says_what_stood(ws, shop, hooks, how):
    ws.run(b2b.EtlJob("before", connection=shop).load("two"))

    def interrupt(number: int) -> None:
        if number == 2:
            raise how

    hooks["two"] = interrupt
    job = b2b.EtlJob("j", connection=shop).load("one").load("two", into="again").load("one", into="never")
    with pytest.raises(how) as caught:
        ws.run(job)
    assert "one: loaded, 4 rows; again: as it was before; never: as it was before" in str(caught.value)
    run = latest(ws, "j")
    assert (run.status, run.error) == ("cancelled", str(caught.value))
    assert [(t["target"], t["status"]) for t in run.facts["tables"]] == [
        ("one", "completed"), ("again", "cancelled"), ("never", "cancelled"),
    ]  # fmt: skip
    assert ws.home.warehouse.tables() == ["one", "two"]
    hooks.clear()
    assert ws.run(job).ok


LOADER = """
import sys
sys.path.insert(0, {root!r})
import b2brecs as b2b
from tests.workspace import memory
def tell(number):
    if number == 1:
        print("loading", flush=True)
memory.HOOKS["endless"] = tell
with b2b.connect("local:" + sys.argv[1]) as ws:
    ws.run(b2b.EtlJob("j", connection="shop").load("one").load("endless"))
"""


def loader(folder: Path) -> subprocess.Popen:
    code = LOADER.format(root=str(ROOT))
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "loading\n"
    return process


def test_ctrl_c_in_a_process_stops_it_cleanly(ws, shop, tmp_path):
    ws.close()
    process = loader(tmp_path / "home")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert "KeyboardInterrupt: job 'j' was stopped. one: loaded, 4 rows; endless: as it was before." in errors
    assert latest(ws).status == "cancelled"
    assert ws.home.warehouse.tables() == ["one"]


def test_a_killed_run_shows_as_lost_once_it_was_silent_for_a_minute(ws, shop, tmp_path):
    ws.close()
    process = loader(tmp_path / "home")
    process.kill()
    process.communicate(timeout=60)
    run = latest(ws)
    assert (run.status, ws.runs()[0].status) == ("running", "running")
    silent = (dt.datetime.now(dt.UTC) - dt.timedelta(seconds=61)).isoformat()
    ws.home.registry.log_run(replace(run, facts={"heartbeat": silent}))
    assert ws.runs().rows[0][3] == "lost"
    assert "last sign of life" in str(ws.runs()[0])
    # What is written is not rewritten by looking.
    assert latest(ws).status == "running"
    assert ws.run(b2b.EtlJob("j", connection="shop").load("one")).ok


def test_runs_are_those_of_a_job_or_of_all(ws, shop):
    for name in ("a", "b", "a"):
        ws.run(b2b.EtlJob(name, connection=shop).load("one", into=name))
    ws.test("shop")
    assert [page.run.name for page in ws.runs()] == ["a", "b", "a"]
    job = b2b.EtlJob("a", connection=shop).load("one")
    assert len(ws.runs(job)) == len(ws.runs("a")) == len(job.runs()) == 2
    assert len(ws.runs(limit=1)) == 1
    assert "Last 30 days: 3 runs, 100% succeeded, 12 rows read" in ws.runs(limit=1).note
    assert ws.runs("nobody").note == "No runs in the last 30 days."
    assert len(ws.runs(shop)) == 1
    with pytest.raises(NotFound, match="run"):
        ws.run_page("zzz")


def test_a_log_that_was_removed_is_not_found(ws, shop):
    ws.run(b2b.EtlJob("j", connection=shop).load("one"))
    run = latest(ws)
    Path(run.facts["log"]).unlink()
    with pytest.raises(NotFound, match="log"):
        ws.run_log(run.id)


def test_a_home_whose_files_cannot_be_written_still_runs(ws, shop, tmp_path, caplog):
    (tmp_path / "home" / "files").write_text("a file where the folder should be")
    assert ws.run(b2b.EtlJob("j", connection=shop).load("one")).ok
    assert "the log of run" in caplog.text
    assert "one: completed" in ws.run_log(latest(ws).id)


def test_the_librarys_own_lines_are_in_the_log(ws, shop, hooks):
    logger = logging.getLogger("b2brecs.somewhere")
    hooks["one"] = lambda number: logger.warning("look at row %d", number)
    ws.run(b2b.EtlJob("j", connection=shop).load("one"))
    log = ws.run_log(latest(ws).id)
    assert "WARNING b2brecs.somewhere: look at row 1" in log
    before = len(logging.getLogger("b2brecs").handlers)
    ws.run(b2b.EtlJob("j", connection=shop).load("two"))
    assert len(logging.getLogger("b2brecs").handlers) == before


# Secrets


def test_a_secret_that_a_run_read_is_in_no_log_and_no_record(ws, hooks, monkeypatch, tmp_path):
    monkeypatch.setenv("SHOP", MARK)
    connection = b2b.Connection.of("secret shop", "shop_memory", password=b2b.Secret("env:SHOP"))
    ws.save(connection)
    logger = logging.getLogger("b2brecs.somewhere")

    def tell(number: int) -> None:
        logger.warning("connected with %s and %s", MARK, json.dumps(MARK))
        raise SourceError("memory", f"refused {MARK}")

    hooks["one"] = tell
    with pytest.raises(RunFailed):
        ws.run(b2b.EtlJob("j", connection=connection).load("one"))
    run = latest(ws)
    assert run.error == "one: memory: refused ****"
    assert "connected with **** and" in ws.run_log(run.id)
    assert MARK not in json.dumps(dict(run.facts)) + str(ws.runs()[0]) + ws.runs()[0].to_html()
    ws.close()
    for path in tmp_path.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert MARK.encode() not in data, path
            assert json.dumps(MARK).encode() not in data, path


def test_a_new_value_of_a_secret_is_used_without_touching_the_connection(ws, os_keyring, hooks):
    ws.secrets.put("keyring:shop", "short")
    connection = b2b.Connection.of("shop", "shop_memory", password=b2b.Secret("keyring:shop"))
    ws.save(connection)
    assert ws.test("shop") == "let in with 5 characters"
    ws.secrets.put("keyring:shop", "much longer")
    assert ws.test("shop") == "let in with 11 characters"
    assert [row[0] for row in ws.history(b2b.Connection, "shop").rows] == [1]


# Connections


def test_a_second_connection_to_the_same_place_is_noticed(ws, shop):
    other = b2b.Connection.of("shop 2", "shop_memory", description="the same")
    with pytest.warns(DuplicateConnection, match=r"'shop 2' leads to the same place as 'shop'\. .*connection='shop'"):
        saved = ws.save(other)
    assert saved.duplicates == ("shop",)
    assert repr(saved) == (
        "connection 'shop 2': version 1 saved. It leads to the same place as 'shop'; better use 'shop'."
    )
    elsewhere = ws.save(b2b.Connection.of("elsewhere", "shop_memory", place="there"))
    assert elsewhere.duplicates == ()
    again = ws.save(b2b.Connection.of("elsewhere", "shop_memory", place="beyond"))
    assert (again.duplicates, again.version) == ((), 2)


def test_a_connection_of_an_unknown_kind_hinders_no_other(ws, shop):
    document = ws.home.registry.get("connection", "shop")
    data = {**document.data, "name": "odd", "source": {"kind": "not installed here"}}
    ws.home.registry.put(replace(document, name="odd", data=data, content_hash="x"), expect=None)
    assert ws.save(b2b.Connection.of("fine", "shop_memory", place="there")).new
    assert "not installed here" in str(ws.connections())


def test_a_connection_in_use_names_its_jobs(ws, shop):
    ws.save(b2b.EtlJob("nightly", connection=shop).load("one"))
    with pytest.raises(InUse, match="etl_job 'nightly'"):
        ws.delete(b2b.Connection, "shop")
    assert ws.connections().rows[0][:3] == ["shop", "shop_memory", "nightly"]


def test_the_outcome_of_the_last_test_is_remembered(ws, shop, hooks):
    assert ws.connections().rows[0][-1] == "not tested"
    assert ws.test("shop") == "2 tables"
    assert ws.connections().rows[0][-1] == "works: 2 tables"

    def refuse(_number: int) -> None:
        raise SourceError("memory", "closed", "Open it.")

    hooks["test"] = refuse
    with pytest.raises(SourceError, match="closed"):
        ws.test("shop")
    row = ws.connections().rows[0]
    assert row[-1] == "failed: memory: closed Open it."
    assert dt.datetime.fromisoformat(row[-2])
    assert len(ws.home.registry.runs("connection_test")) == 1
    ws.save(shop.changed(description="better", source={"kind": "shop_memory", "place": "there"}))
    assert ws.connections().rows[0][-1].endswith("(changed since)")


def test_a_source_that_does_not_answer_is_given_up(ws, shop, hooks, monkeypatch):
    monkeypatch.setattr(connection_verbs, "TEST_SECONDS", 0.05)
    release = threading.Event()
    hooks["test"] = lambda _number: release.wait(60)
    try:
        with pytest.raises(SourceError, match=r"no answer within 0\.05 s\. Check the address") as caught:
            ws.test("shop")
        assert caught.value.transient
        assert "no answer" in ws.connections().rows[0][-1]
    finally:
        release.set()


def test_a_preview_reads_a_few_rows_only(ws, shop, hooks):
    numbers: list[int] = []
    hooks["one"] = numbers.append
    assert ws.source_preview("shop", "one", limit=2)["name"].tolist() == ["row 0", "row 1"]
    assert max(numbers, default=0) < 3
    assert shop.preview("one", limit=100).shape == (4, 2)
    assert ws.source_tables("shop").rows == [["one", 4], ["two", 4]]
    assert ws.source_schema("shop", "one").names == ("id", "name")


# Streams


@pytest.fixture
def messages(ws, pubsub_emulator):
    """A subscription with three messages, and a job that loads it."""
    pytest.importorskip("google.cloud.pubsub_v1")
    from tests.etl.test_streaming import Subscription

    made = Subscription(pubsub_emulator.project)
    made.publish({"id": 1}, {"id": 2}, {"id": 3})
    ws.save(b2b.Connection.pubsub("bus", project=made.project, subscription=made.name, fields={"id": "INT64"}))
    yield b2b.EtlJob("events", connection="bus").load(made.name, into="events")
    made.close()


def test_a_stream_is_loaded_until_a_limit_and_is_a_run(ws, messages):
    rows = 0
    while rows < 3:
        rows += ws.stream(messages, batches=1, seconds=60).rows
    assert ws.to_pandas("events")["id"].sort_values().tolist() == [1, 2, 3]
    run = latest(ws)
    assert (run.status, run.facts["trigger"]) == ("completed", "stream by hand")
    assert sum(page.facts["rows"] for page in ws.runs()) == 3


def test_ctrl_c_is_the_normal_end_of_a_stream(ws, messages, monkeypatch):
    from b2brecs.sources.pubsub import PubSubSource

    pull = PubSubSource.pull

    pressed: list[bool] = []

    def interrupted(self, *arguments, **options):
        found = pull(self, *arguments, **options)
        if found[1] and not pressed:
            pressed.append(True)
            signal.raise_signal(signal.SIGINT)
        return found

    monkeypatch.setattr(PubSubSource, "pull", interrupted)
    handler = signal.getsignal(signal.SIGINT)
    # The limit only keeps a broken stream from hanging the tests.
    result = ws.stream(messages, seconds=120)
    assert pressed
    assert result.tables[0].parts == 1
    assert latest(ws).status == "completed"
    assert signal.getsignal(signal.SIGINT) is handler


def test_only_one_table_of_messages_is_a_stream(ws, shop):
    with pytest.raises(ConfigError, match="one table"):
        ws.stream(b2b.EtlJob("j", connection=shop).load("one").load("two"))
    with pytest.raises(ConfigError, match="does not send messages"):
        ws.stream(b2b.EtlJob("j", connection=shop).load("one"))
    assert latest(ws).status == "failed"


# The cloud


def test_runs_of_a_home_in_the_cloud_are_kept_with_their_lines(bigquery_emulator, firestore_emulator, hooks):
    url = f"gcp://{bigquery_emulator.project}/US?dataset=t{uuid.uuid4().hex[:12]}"
    with b2b.connect(url) as ws:
        shop = b2b.Connection.of("shop", "shop_memory")
        ws.save(shop)
        assert ws.test("shop") == "2 tables"
        assert ws.connections().rows[0][-1] == "works: 2 tables"
        ws.run(b2b.EtlJob("j", connection=shop).load("one"))
        page = ws.runs("j")[0]
        assert (page.status, page.log, page.facts["rows_loaded"]) == ("completed", "", 4)
        assert "one: completed" in ws.run_log(page.id)
