"""Jobs, run into a real warehouse: strategies, watermarks, policies, failures that leave what stood."""

import datetime as dt

import psycopg2
import pytest

from b2brecs import Connection, EtlJob, Secret, Workspace
from b2brecs.errors import NotFound, RunFailed


@pytest.fixture
def ws(tmp_path):
    with Workspace.local(tmp_path / "home") as workspace:
        yield workspace


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "data"
    path.mkdir()
    return path


def job_on(ws, folder, name="job"):
    connection = Connection.files("files", path=folder)
    ws.save(connection)
    return EtlJob(name, connection=connection)


def rows(ws, table):
    found = ws.to_pandas(table)
    return sorted(map(tuple, found.astype(object).where(found.notna(), None).values.tolist()), key=repr)


def test_catalog_replaces_the_table_as_a_whole(ws, folder):
    (folder / "p.csv").write_text("id,name\n1,a\n2,b\n")
    job = job_on(ws, folder).load("p")
    assert job.run().tables[0].rows_total == 2
    (folder / "p.csv").write_text("id,name,more\n3,c,x\n")
    result = ws.run(job)
    assert result.rows == 1
    assert rows(ws, "p") == [(3, "c", "x")]


@pytest.mark.parametrize(("policy", "left"), [("fail", 2), ("keep", 2), ("replace", 0)])
def test_an_empty_source_follows_the_policy(ws, folder, policy, left):
    (folder / "p.csv").write_text("id\n1\n2\n")
    job = job_on(ws, folder).load("p", on_empty=policy)
    ws.run(job)
    (folder / "p.csv").write_text("id\n")
    if policy == "fail":
        with pytest.raises(RunFailed, match="on_empty='replace'"):
            ws.run(job)
    else:
        ws.run(job)
    assert len(rows(ws, "p")) == left


def test_a_failed_load_keeps_the_old_table_and_is_logged(ws, folder):
    (folder / "p.csv").write_text("id\n1\n")
    job = job_on(ws, folder).load("p", types={"id": "INT64"}, max_rejects=0)
    ws.run(job)
    (folder / "p.csv").write_text("id\n2\nx\n")
    with pytest.raises(RunFailed, match="'x'"):
        ws.run(job)
    assert rows(ws, "p") == [(1,)]
    assert [run[3] for run in ws.runs().rows] == ["failed", "completed"]


def test_one_bad_table_does_not_stop_the_others(ws, folder):
    (folder / "good.csv").write_text("id\n1\n")
    job = job_on(ws, folder).load("bad").load("good")
    with pytest.raises(RunFailed, match="bad"):
        ws.run(job)
    assert rows(ws, "good") == [(1,)]


def test_a_file_that_changed_is_read_whole_also_below_the_watermark(ws, folder):
    (folder / "o.csv").write_text("id,at,v\n1,2024-01-01,a\n2,2024-01-02,b\n")
    job = job_on(ws, folder).load("o", watermark="at", primary_key="id")
    first = ws.run(job).tables[0]
    assert first.watermark_after == '"2024-01-02"'
    (folder / "o.csv").write_text("id,at,v\n1,2024-01-01,CHANGED\n2,2024-01-03,B\n3,2024-01-02,late\n4,2024-01-04,d\n")
    second = ws.run(job).tables[0]
    assert (second.rows_read, second.watermark_after) == (4, '"2024-01-04"')
    assert [(r[0], r[2]) for r in rows(ws, "o")] == [(1, "CHANGED"), (2, "B"), (3, "late"), (4, "d")]


def test_incremental_without_a_key_never_doubles_the_boundary(ws, folder):
    (folder / "o.csv").write_text("at,v\n2024-01-01,a\n2024-01-02,b\n2024-01-02,b\n,undated\n")
    job = job_on(ws, folder).load("o", watermark="at")
    ws.run(job)
    ws.run(job)
    (folder / "o.csv").write_text(
        "at,v\n2024-01-01,a\n2024-01-02,b\n2024-01-02,b\n2024-01-02,c\n2024-01-03,d\n,undated\n"
    )
    ws.run(job)
    ws.run(job)
    assert sorted(row[1] for row in rows(ws, "o")) == ["a", "b", "b", "c", "d", "undated"]


def test_start_bounds_the_first_load(ws, folder):
    (folder / "o.csv").write_text("id,at\n1,2024-01-01\n2,2024-02-01\n")
    ws.run(job_on(ws, folder).load("o", watermark="at", start=dt.datetime(2024, 1, 15)))
    assert [row[0] for row in rows(ws, "o")] == [2]


def test_a_dropped_table_is_loaded_from_the_start(ws, folder):
    (folder / "o.csv").write_text("id,at\n1,2024-01-01\n2,2024-02-01\n")
    job = job_on(ws, folder).load("o", watermark="at", primary_key="id")
    ws.run(job)
    ws.home.warehouse.drop("o")
    ws.run(job)
    assert len(rows(ws, "o")) == 2


def test_columns_are_chosen_renamed_and_typed(ws, folder):
    (folder / "o.csv").write_text('Bottle Volume (ml),2nd,"a ""b""",a b\n1,2,3,4\n')
    ws.run(job_on(ws, folder).load("o", into="o2", types={"2nd": "STRING"}))
    schema = ws.table("o2")
    assert schema.names == ("bottle_volume_ml", "col_2nd", "a_b", "a_b_2")
    assert schema.column("col_2nd").type == "STRING"


def test_a_column_or_connection_that_is_not_there_is_named(ws, folder):
    (folder / "o.csv").write_text("id,at\n1,2024-01-01\n")
    with pytest.raises(RunFailed, match="Did you mean 'id'"):
        ws.run(job_on(ws, folder).load("o", columns=["idd"]))
    with pytest.raises(NotFound, match=r"ws\.save"):
        ws.run(EtlJob("x", connection="nowhere").load("o"))


def test_a_column_that_changed_its_type_is_refused(ws, folder):
    (folder / "o.csv").write_text("id,at\n1,2024-01-01\n")
    job = job_on(ws, folder).load("o", watermark="at")
    ws.run(job)
    (folder / "o.csv").write_text("id,at\nabc,2024-02-01\n")
    with pytest.raises(RunFailed, match="STRING, but column 'id' of table 'o' is INT64"):
        ws.run(job)


def test_a_job_from_postgres_loads_incrementally(ws, postgres, monkeypatch):
    monkeypatch.setenv("SHOP_PASSWORD", postgres.password)
    connection = psycopg2.connect(postgres.url("postgresql"))
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute(
        "CREATE TABLE lines (id int PRIMARY KEY, amount numeric(10,2), at timestamptz);"
        "INSERT INTO lines SELECT i, i / 4.0, '2024-01-01'::timestamptz + i * interval '1 minute' FROM generate_series(1, 5000) i"
    )
    erp = Connection.postgres(
        "erp", host=postgres.host, port=postgres.port, database=postgres.database, user=postgres.user,
        password=Secret("env:SHOP_PASSWORD"),
    )  # fmt: skip
    ws.save(erp)
    job = EtlJob("nightly", connection=erp).load("lines", watermark="at", primary_key="id")
    assert job.run().tables[0].rows_read == 5000
    cursor.execute("UPDATE lines SET amount = 0, at = now() WHERE id <= 10; INSERT INTO lines VALUES (6000, 1, now())")
    again = job.run().tables[0]
    assert again.rows_read == 12
    assert again.rows_total == 5001
    cursor.execute("SELECT sum(amount), count(*) FROM lines")
    total, count = cursor.fetchone()
    found = ws.to_pandas("lines")
    assert (found["amount"].sum(), len(found)) == (total, count)
    connection.close()
