"""A table read by Beam in parts equals a plain read; a part that fails fails all; no secret travels."""

import datetime as dt
import functools
import json
import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from b2brecs.configs.connection import Connection
from b2brecs.configs.secrets import Secret
from b2brecs.errors import Cancelled, ConfigError, LoadError, SourceError
from b2brecs.etl import beam as engine
from b2brecs.etl.beam import BeamRead, read_with_beam
from b2brecs.etl.parts import cut
from b2brecs.sources.base import KeyRange, Part, Reject, Since, open_source
from tests.etl.beam_source import (
    PASSWORD,
    ROWS,
    TABLE,
    TableSource,
    Vault,
    connect,
    from_environment,
    leaking,
    pieces,
)

pytest.importorskip("apache_beam")
PG_ROWS = 200_000


@pytest.fixture(scope="session")
def path(tmp_path_factory):
    found = tmp_path_factory.mktemp("rows") / "rows.sqlite"
    with closing(sqlite3.connect(found)) as connection:
        connection.execute("CREATE TABLE rows (id INTEGER, at TEXT, price TEXT, note TEXT)")
        start = dt.datetime(2024, 1, 1)
        connection.executemany(
            "INSERT INTO rows VALUES (?, ?, ?, ?)",
            (
                (
                    None if number % 97 == 0 else number,
                    None if number % 89 == 0 else (start + dt.timedelta(seconds=number)).isoformat(),
                    None if number % 7 == 0 else f"{number}.000000001",
                    None if number % 5 == 0 else f"größe 😀 {number % 13}",
                )
                for number in range(ROWS)
            ),
        )
        connection.commit()
    return found


@pytest.fixture(autouse=True)
def calm():
    TableSource.tries.clear()
    TableSource.moments.clear()


def rows_of(batches):
    table = pa.Table.from_batches(batches)
    columns = [column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column for column in table.columns]
    return pa.table(columns, names=table.column_names).sort_by([(name, "ascending") for name in table.column_names])


def remains(folder):
    return sorted(str(item) for item in Path(folder).rglob("*"))


@pytest.mark.parametrize(
    "options",
    [{}, {"runner": "DirectRunner"}, {"direct_running_mode": "multi_threading", "direct_num_workers": "2"}],
    ids=["unnamed", "direct", "threads"],
)
def test_parts_read_by_beam_are_a_plain_read(path, tmp_path, options):
    connection = connect(path)
    plain = list(open_source(connection, from_environment).read(TABLE))
    with read_with_beam(connection, from_environment, TABLE, pieces(), str(tmp_path / "f"), options=options) as read:
        assert (read.rows, len(read.parts), read.rejected) == (ROWS, 4, 0)
        batches = list(read.batches())
        assert batches[0].schema == plain[0].schema
        assert rows_of(batches).equals(rows_of(plain))
        manifest = json.loads((Path(read.folder) / "manifest.json").read_text())
        assert manifest == read.manifest()
        assert sum(part["rows"] for part in manifest["parts"]) == ROWS
        assert TableSource.moments == ["held", "let go"]
    assert remains(tmp_path) == []


def test_the_watermark_is_known_of_each_part(path, tmp_path):
    connection, since = connect(path), Since("at", json.dumps("2024-01-01T02:00:00"))
    plain = rows_of(list(open_source(connection, from_environment).read(TABLE, Part(since=since))))
    with read_with_beam(connection, from_environment, TABLE, pieces(3, since), str(tmp_path), options={}) as read:
        assert rows_of(list(read.batches())).equals(plain)
        highest = max(part.high or "" for part in read.parts)
        assert json.loads(highest) == pc.max(plain["at"]).as_py().isoformat()
    with read_with_beam(
        connection, from_environment, TABLE, [Part(since=Since("price", None))], str(tmp_path), options={}
    ) as read:
        # Text that stands for numbers does not order as they do.
        assert [part.high for part in read.parts] == [None]


def test_an_empty_part_and_no_part_at_all(path, tmp_path):
    connection = connect(path)
    nothing = Part(column="id", low="-2", high="-1")
    with read_with_beam(connection, from_environment, TABLE, [nothing], str(tmp_path), options={}) as read:
        assert (read.rows, [part.rows for part in read.parts], list(read.batches())) == (0, [0], [])
    with read_with_beam(connection, from_environment, TABLE, [], str(tmp_path), options={}) as read:
        assert (read.rows, list(read.batches()), list(read.rejects())) == (0, [], [])
    assert remains(tmp_path) == []


PG_TABLE = f"""
CREATE TABLE "beam 😀" AS SELECT
  CASE WHEN n % 97 <> 0 THEN n END AS k, (n * 1.0001)::numeric(12, 4) AS price,
  CASE WHEN n % 5 <> 0 THEN timestamptz '2024-01-01' + n * interval '1 minute' END AS at,
  CASE n % 3 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE 'größe ' || n END AS note,
  jsonb_build_object('n', n) AS doc, n::numeric AS free, ARRAY[n::text, NULL] AS list
FROM generate_series(1, {PG_ROWS}) AS n
"""


def test_a_table_of_postgres(postgres, tmp_path, monkeypatch, caplog):
    import psycopg2

    monkeypatch.setenv("PG_PASSWORD", postgres.password)
    with closing(psycopg2.connect(postgres.url("postgresql"))) as connection, connection.cursor() as cursor:
        cursor.execute('DROP TABLE IF EXISTS "beam 😀"')
        cursor.execute(PG_TABLE)
        cursor.execute('ANALYZE "beam 😀"')
        connection.commit()
    shop = Connection.postgres(
        "shop", host=postgres.host, port=postgres.port, database=postgres.database, user=postgres.user,
        password=Secret("env:PG_PASSWORD"),
    )  # fmt: skip
    with closing(open_source(shop, from_environment)) as source:
        table = source.schema("beam 😀")
        plain = in_order(source.read(table))
        found = KeyRange("k", "INT64", ("1", str(PG_ROWS)), nullable=True, rows=PG_ROWS)
        parts = cut(found, 4, since=Since("at", None))
        assert len(parts) == 4
        with read_with_beam(shop, Vault(postgres.password).get, table, parts, str(tmp_path), options={}) as read:
            assert read.rows == PG_ROWS
            assert all(part.rows > PG_ROWS / 5 for part in read.parts)
            assert in_order(read.batches()).equals(plain)
            files = b"".join(item.read_bytes() for item in Path(read.folder).iterdir())
    assert plain["k"].null_count == PG_ROWS // 97
    assert postgres.password.encode() not in files
    assert f"password={postgres.password}" not in caplog.text


def in_order(batches):
    found = pa.Table.from_batches(list(batches))
    return found.take(pc.sort_indices(found["free"])).combine_chunks()


@pytest.mark.parametrize(
    ("trouble", "kind", "words"),
    [("refused", SourceError, "shop: part 2 of 3 of table 'rows' failed: no permission for '....'. Ask for it."),
     ("bug", LoadError, "part 2 of 3 of table 'rows' failed: RuntimeError: cannot log in with ....")],
)  # fmt: skip
def test_a_part_that_fails_fails_all_and_is_named(path, tmp_path, monkeypatch, capfd, caplog, trouble, kind, words):
    monkeypatch.setenv("SHOP", PASSWORD)
    connection = connect(path, trouble=trouble, password=Secret("env:SHOP"))
    with pytest.raises(kind, match=words.replace("....", r"\*\*\*\*")) as caught:
        read_with_beam(connection, from_environment, TABLE, pieces(3), str(tmp_path / "f"), options={})
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    out = capfd.readouterr()
    assert PASSWORD not in str(caught.value) + out.out + out.err + caplog.text
    assert remains(tmp_path) == []


@pytest.mark.parametrize("trouble", ["passes", "midway"])
def test_what_passes_by_itself_is_tried_again_and_leaves_no_double(path, tmp_path, trouble):
    connection = connect(path, trouble=trouble)
    with read_with_beam(connection, from_environment, TABLE, pieces(2), str(tmp_path), options={}) as read:
        assert read.rows == ROWS
        assert sum(batch.num_rows for batch in read.batches()) == ROWS
        # The files of the tries before lie there, in no list.
        orphans = {item.name for item in Path(read.folder).glob("part-*")} - {Path(p.file).name for p in read.parts}
        assert len(orphans) == (1 if trouble == "midway" else 0)
    assert max(TableSource.tries.values()) == 2
    assert remains(tmp_path) == []


def test_rejects_come_back(path, tmp_path):
    connection = connect(path, trouble="reject")
    with read_with_beam(connection, from_environment, TABLE, pieces(3), str(tmp_path), options={}) as read:
        assert read.rejected == 3
        assert list(read.rejects()) == [Reject('{"id": "😀 x\\n"}', "id", "is no number")] * 3
    assert remains(tmp_path) == []


def test_files_that_changed_since_are_noticed(path, tmp_path):
    connection = connect(path, trouble="reject")
    with read_with_beam(connection, from_environment, TABLE, pieces(2), str(tmp_path), options={}) as read:
        first, second = read.parts
        Path(second.rejects or "").write_text("")
        with pytest.raises(LoadError, match="part 2 of 2 of table 'rows' has 0 rejects in its file instead of 1"):
            list(read.rejects())
        Path(second.file).write_bytes(Path(first.file).read_bytes())
        with pytest.raises(LoadError, match=r"part 2 of 2 of table 'rows' has [\d,]+ rows in its file"):
            list(read.batches())
        Path(second.file).write_bytes(b"PAR1")
        with pytest.raises(LoadError, match="part 2 of 2 of table 'rows' cannot be read back"):
            list(read.batches())
        Path(second.file).unlink()
        with pytest.raises(LoadError, match="not there"):
            engine._present(read)


@pytest.mark.parametrize(
    ("indexes", "words"),
    [([0, 2], "part 2 was read 0 times of 3"), ([0, 1, 1, 2], "part 2 was read 2 times"), ([0, 1, 2, 3], "no part 4")],
)
def test_every_part_is_there_exactly_once(indexes, words):
    found = [{"index": index, "file": "f", "rows": 1} for index in indexes]
    with pytest.raises(LoadError, match=words):
        engine._complete(found, "rows", 3)
    assert [p.index for p in engine._complete([found[-1] | {"index": 1}, found[0]], "rows", 2)] == [0, 1]


def test_types_come_through_the_files_unchanged(tmp_path):
    import pyarrow.parquet as pq

    from b2brecs.etl.beam_worker import PartFile

    batch = pa.record_batch({
        "n": pa.array([Decimal("1.5"), None], pa.decimal128(38, 9)), "big": pa.array([Decimal(1), None], pa.decimal256(76, 38)),
        "ts": pa.array([2**63 - 1, -(2**63)], pa.timestamp("us", tz="UTC")), "ns": pa.array([1, None], pa.timestamp("ns")),
        "d": pa.array([dt.date(1, 1, 1), None]), "t": pa.array([1, None], pa.time64("us")), "b": pa.array([b"\0", None]),
        "l": pa.array([["a", None], None], pa.list_(pa.string())), "u": pa.array([2**63, None], pa.uint64()),
        "nothing": pa.nulls(2), "f": pa.array([float("nan"), float("-inf")]), "big_text": pa.array(["", None], pa.large_string()),
        '"; 😀': pa.array([True, None]), "dict": pa.array(["x", "x"]).dictionary_encode(),
    })  # fmt: skip
    file = tmp_path / "part.parquet"
    with pq.ParquetWriter(file, batch.schema, compression="zstd") as writer:
        writer.write_batch(batch)
    [back] = BeamRead("t", str(tmp_path), (PartFile(0, str(file), 2),)).batches()
    assert back.schema == batch.schema
    assert repr(back["f"].to_pylist()) == repr(batch["f"].to_pylist())
    assert [name for name in batch.schema.names if not back[name].equals(batch[name])] == ["f"]


def test_an_odd_folder_is_a_folder(path, tmp_path):
    folder = tmp_path / "a [b] *?" / "ü 😀"
    with read_with_beam(connect(path), from_environment, TABLE, pieces(2), str(folder), options={}) as read:
        assert sum(batch.num_rows for batch in read.batches()) == ROWS
    assert not folder.exists()


def test_files_in_a_bucket_of_google(path, gcs_server, monkeypatch):
    import google.auth
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage  # type: ignore[attr-defined, unused-ignore]

    # Beam looks for credentials for half a minute before it goes without.
    monkeypatch.setattr(google.auth, "default", lambda **_: (AnonymousCredentials(), gcs_server.project))
    client = storage.Client(gcs_server.project, credentials=AnonymousCredentials())
    bucket = client.create_bucket("beam-parts")
    options = {"project": gcs_server.project}
    with read_with_beam(
        connect(path), from_environment, TABLE, pieces(2), "gs://beam-parts/a [b]/r", options=options
    ) as read:
        names = {blob.name for blob in client.list_blobs(bucket)}
        assert sum(batch.num_rows for batch in read.batches()) == ROWS
        assert {name.rpartition("/")[2].partition("-")[0] for name in names} == {"part", "result", "manifest.json"}
        # The server knows no batch requests, by which Beam deletes there; see the next test.


def test_files_in_a_bucket_are_removed(path, s3_server):
    boto3 = pytest.importorskip("boto3")
    client = boto3.client("s3")
    client.create_bucket(Bucket="beam-parts", CreateBucketConfiguration={"LocationConstraint": s3_server.region})
    with read_with_beam(
        connect(path), from_environment, TABLE, pieces(2), "s3://beam-parts/loads/r", options={}
    ) as read:
        assert sum(batch.num_rows for batch in read.batches()) == ROWS
        assert client.list_objects_v2(Bucket="beam-parts")["KeyCount"] == 4
    assert client.list_objects_v2(Bucket="beam-parts")["KeyCount"] == 0


def test_a_portable_runner(path, tmp_path, monkeypatch):
    monkeypatch.setenv("SHOP", PASSWORD)
    options = {"runner": "PortableRunner", "job_endpoint": "embed", "environment_type": "LOOPBACK"}
    asked = []

    def asks():
        asked.append(1)
        return False

    connection = connect(path, password=Secret("env:SHOP"))
    with read_with_beam(
        connection,
        from_environment,
        TABLE,
        pieces(2),
        str(tmp_path),
        options=options,
        stop=asks,
    ) as read:
        assert read.rows == ROWS
    assert asked
    with pytest.raises(Cancelled):
        read_with_beam(
            connection, from_environment, TABLE, pieces(2), str(tmp_path), options=options, stop=lambda: True
        )
    failing = connect(path, password=Secret("env:SHOP"), trouble="refused")
    with pytest.raises(SourceError, match=r"part 2 of 2 of table 'rows' failed: no permission for '\*\*\*\*'"):
        read_with_beam(failing, from_environment, TABLE, pieces(2), str(tmp_path), options=options)
    assert remains(tmp_path) == []


def test_a_homes_address_leads_workers_to_secrets(path, tmp_path, monkeypatch):
    monkeypatch.setenv("SHOP", PASSWORD)
    connection = connect(path, password=Secret("env:SHOP"))
    with read_with_beam(connection, f"local:{tmp_path / 'home'}", TABLE, pieces(2), str(tmp_path / "f"), options={}) as read:  # fmt: skip
        assert read.rows == ROWS
    connection = connect(path, password=Secret("env:NOWHERE"))
    with pytest.raises(LoadError, match="part 1 of 1 of table 'rows' failed: no secret behind env:NOWHERE"):
        read_with_beam(connection, f"local:{tmp_path / 'home'}", TABLE, [Part()], str(tmp_path / "f"), options={})


def test_what_cannot_travel_stays_in_the_process_or_is_refused(path, tmp_path, monkeypatch):
    connection = connect(path, password=Secret("env:SHOP"))
    with read_with_beam(connection, Vault().get, TABLE, pieces(2), str(tmp_path), options={}) as read:
        assert read.rows == ROWS
    from b2brecs.etl import beam_worker

    assert beam_worker._KEPT == {}
    elsewhere = {"runner": "PortableRunner", "job_endpoint": "embed"}
    with pytest.raises(ConfigError, match=r"does not travel.*gcp://project/region"):
        read_with_beam(connection, Vault().get, TABLE, pieces(2), str(tmp_path), options=elsewhere)
    carrying = functools.partial(leaking, known={"env:SHOP": PASSWORD})
    with pytest.raises(ConfigError, match="would carry a secret") as caught:
        read_with_beam(connection, carrying, TABLE, pieces(2), str(tmp_path), options=elsewhere)
    assert PASSWORD not in str(caught.value)
    assert remains(tmp_path) == []
