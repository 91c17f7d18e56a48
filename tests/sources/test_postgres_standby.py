"""PostgreSQL, a hot standby: it is read like any server, in one snapshot too; of the primary's writers it knows nothing."""

import dataclasses
import signal
from pathlib import Path

import pytest
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from b2brecs.sources import Part
from tests.services.need import need
from tests.services.process import HOST, folder, run, server, unprivileged
from tests.sources.postgres_tools import database, execute, opened


@pytest.fixture(scope="module")
def primary(postgres):
    with database(
        postgres, "copied", "CREATE TABLE t (n serial PRIMARY KEY, at timestamptz DEFAULT now())",
        "INSERT INTO t SELECT FROM generate_series(1, 1000)", "CREATE INDEX ON t (at)", "ANALYZE",
    ) as made:  # fmt: skip
        yield made


@pytest.fixture(scope="module")
def standby(primary):
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    programs = need("initdb", places=installed).resolve().parent
    owner = unprivileged()
    login = f"host={primary.host} port={primary.port} user={primary.user} password={primary.password}"
    with folder("standby", owner) as home:
        data = home / "data"
        run(
            programs / "pg_basebackup",
            "-D",
            data,
            "-d",
            login,
            "-R",
            "--checkpoint=fast",
            "--no-sync",
            owner=owner,
            cwd=home,
        )

        def command(port):
            options = ("--fsync=off", "--hot-standby=on", "--max-prepared-transactions=4")
            return [programs / "postgres", "-D", data, "-h", HOST, "-p", str(port), "-k", home, *options]

        def answers(port):
            execute(dataclasses.replace(primary, port=port), "SELECT 1")

        with server(command, answers, name="standby", owner=owner, cwd=home, stop=signal.SIGINT) as (port,):
            yield dataclasses.replace(primary, port=port)


def test_a_standby_is_read_in_one_snapshot(primary, standby):
    source = opened(standby)
    schema = source.schema("t")
    assert source.test().endswith("1 table in schema 'public'")
    assert source.estimate("t") == 1000
    with source.snapshot() as snapshot:
        assert snapshot is not None
        execute(primary, "INSERT INTO t DEFAULT VALUES")
        arrived = Retrying(
            retry=retry_if_exception_type(AssertionError), stop=stop_after_delay(30), wait=wait_fixed(0.05)
        )
        for attempt in arrived:
            with attempt:
                assert source.read(schema).read_all().num_rows == 1001
        parts = [Part(column="n", high="500", snapshot=snapshot), Part(column="n", low="500", snapshot=snapshot)]
        assert [source.read(schema, part).read_all().num_rows for part in parts] == [499, 501]


def test_on_a_standby_no_bound_is_known(standby):
    source = opened(standby)
    schema = source.schema("t")
    assert source.safe_high(schema, "at") is None
    assert source.safe_high(schema, "n") is None
