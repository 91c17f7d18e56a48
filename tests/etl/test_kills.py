"""Loads that are killed at any moment, while the source goes on changing, end with exactly the source's rows.

``B2BRECS_KILLS`` says how many kills each case gets; the default is a short form.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import duckdb
import psycopg2
import pytest

from b2brecs import Connection, EtlJob, Secret, Workspace

KILLS = int(os.environ.get("B2BRECS_KILLS", "8"))
ROOT = Path(__file__).parents[2]
MOMENTS = ["ready", "before stage", "after stage", "before commit", "after commit", "before differs", "ran"]


class Killed:
    """The loader, killed and started again."""

    def __init__(self, home, job):
        self.command = [sys.executable, "-m", "tests.etl.loader", str(home), job]
        self.met = set()

    def once(self, choose):
        """Kill it a random while after a random moment; say what it printed."""
        process = subprocess.Popen(self.command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stderr is not None
        moment, pause = choose.choice(MOMENTS), choose.choice([0.0, 0.0, choose.random() * 0.05, choose.random()])
        patience = choose.randrange(1, 14)
        try:
            for line in process.stdout:
                self.met.add(line.strip())
                patience -= 1
                if line.strip() == moment or patience == 0:
                    break
            else:
                raise AssertionError(process.stderr.read())
            threading.Event().wait(pause)
        finally:
            process.send_signal(signal.SIGKILL)
            process.communicate()


class Writer(threading.Thread):
    """Changes the source while it is read: inserts, updates, equal and missing times, commits that come late."""

    def __init__(self, url, seed, *, updates):
        super().__init__(daemon=True)
        self.url, self.random, self.updates = url, random.Random(seed), updates
        self.halt = threading.Event()
        self.failure = None

    def run(self):
        connection = psycopg2.connect(self.url)
        try:
            while not self.halt.is_set():
                with connection, connection.cursor() as cursor:
                    for _ in range(self.random.randrange(1, 20)):
                        self.change(cursor)
                    # The transaction's times are those of its start; it becomes visible only now.
                    self.halt.wait(self.random.choice([0, 0, 0.02, 0.4]))
        except Exception as error:
            self.failure = error
        finally:
            connection.close()

    def change(self, cursor):
        dice = self.random.random()
        if dice < 0.5 or not self.updates:
            when = self.random.choice(
                ["now()", "now()", "date_trunc('second', now())", "NULL"] if self.updates else ["now()"]
            )
            cursor.execute(f"INSERT INTO orders (v, at) VALUES (%s, {when})", (self.random.randrange(10**9),))
        else:
            cursor.execute(
                "UPDATE orders SET v = %s, at = now() WHERE id = (SELECT 1 + floor(random() * max(id))::int FROM orders)",
                (self.random.randrange(10**9),),
            )

    def stop(self):
        self.halt.set()
        self.join()
        if self.failure:
            raise self.failure


@pytest.fixture
def shop(postgres, monkeypatch):
    monkeypatch.setenv("SHOP_PASSWORD", postgres.password)
    url = postgres.url("postgresql")
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(
            "DROP TABLE IF EXISTS orders; CREATE TABLE orders (id serial PRIMARY KEY, v bigint, at timestamptz);"
            "CREATE INDEX ON orders (at);"
            "INSERT INTO orders (v, at) SELECT i, now() - interval '1 day' + i * interval '1 ms' FROM generate_series(1, 30000) i"
        )
    connection.close()
    return postgres, url


def erp(postgres):
    return Connection.postgres(
        "erp", host=postgres.host, port=postgres.port, database=postgres.database, user=postgres.user,
        password=Secret("env:SHOP_PASSWORD"),
    )  # fmt: skip


def source_rows(url):
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT id, v, at FROM orders")
        rows = cursor.fetchall()
    connection.close()
    return sorted(rows, key=repr)


def table_rows(ws, table):
    from sqlglot import exp

    found = ws.home.warehouse.query(exp.select("id", "v", "at").from_(exp.to_table(table))).read_all()
    return sorted(map(tuple, (row.values() for row in found.to_pylist())), key=repr)


def same(found, wanted):
    return [(a, b, c and c.timestamp()) for a, b, c in found] == [(a, b, c and c.timestamp()) for a, b, c in wanted]


JOBS: dict[str, tuple[dict[str, Any], bool]] = {
    "keyed": ({"watermark": "at", "primary_key": "id"}, True),
    "keyless": ({"watermark": "at"}, False),
    "catalog": ({}, True),
    "beam": ({"watermark": "at", "primary_key": "id"}, True),
}


@pytest.mark.parametrize("kind", JOBS)
def test_a_killed_load_of_a_changing_table_ends_with_its_rows(kind, shop, tmp_path):
    if kind == "beam":
        pytest.importorskip("apache_beam")
    postgres, url = shop
    settings, updates = JOBS[kind]
    home = tmp_path / "home"
    with Workspace.local(home) as ws:
        ws.save(erp(postgres))
        job = EtlJob("nightly", connection="erp").load("orders", **settings)
        ws.save(job.using("beam", parallel=2) if kind == "beam" else job)
    choose = random.Random(kind)
    writer = Writer(url, kind, updates=updates)
    writer.start()
    killed = Killed(home, "nightly")
    try:
        for _ in range(max(2, KILLS // 4) if kind == "beam" else KILLS):
            killed.once(choose)
    finally:
        writer.stop()
    assert KILLS < 8 or kind == "beam" or "after commit" in killed.met
    with Workspace.local(home) as ws:
        ws.run("nightly")
        assert same(table_rows(ws, "orders"), source_rows(url))
        again = ws.run("nightly").tables[0]
        assert (again.status, again.rows_loaded) == ("unchanged", 0)
    with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as plain:
        names = [row[0] for row in plain.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
    assert not [name for name in names if "stage" in name]


def test_a_killed_load_of_changing_files_ends_with_their_rows(tmp_path):
    home, folder = tmp_path / "home", tmp_path / "files"
    folder.mkdir()
    content: dict[str, list[dict]] = {}
    choose = random.Random("files")
    halt = threading.Event()

    def write(name):
        rows = [{"id": f"{name}-{i}", "v": choose.randrange(10**9)} for i in range(choose.randrange(1, 3000))]
        content[name] = rows
        (folder / f".{name}").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (folder / f".{name}").replace(folder / f"{name}.jsonl")

    def change():
        while not halt.wait(choose.random()):
            write(f"f{choose.randrange(6)}")

    for number in range(4):
        write(f"f{number}")
    with Workspace.local(home) as ws:
        ws.save(Connection.files("drop", path=folder, tables={"events": "*.jsonl"}))
        ws.save(EtlJob("nightly", connection="drop").load("events"))
    writer = threading.Thread(target=change, daemon=True)
    writer.start()
    killed = Killed(home, "nightly")
    for _ in range(KILLS):
        killed.once(choose)
    halt.set()
    writer.join()
    assert KILLS < 8 or "after commit" in killed.met
    with Workspace.local(home) as ws:
        ws.run("nightly")
        found = sorted(zip(*ws.to_pandas("events")[["id", "v"]].to_dict("list").values(), strict=True))
        assert found == sorted((row["id"], row["v"]) for rows in content.values() for row in rows)
        assert ws.run("nightly").tables[0].status == "unchanged"
