"""One way to load the table, run alone in a process of its own: ``python methods.py NAME URL OUT [ARGUMENT]``.

Peers are used as their own documentation shows it. Nothing here but ``b2brecs_*`` imports b2brecs.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

TABLE = "lines"


def b2brecs_postgres(url: str, out: str) -> None:
    _b2brecs(_connection("postgres", url), out)


def b2brecs_mysql(url: str, out: str) -> None:
    _b2brecs(_connection("mysql", url), out)


def b2brecs_files(url: str, out: str) -> None:
    import json

    from b2brecs import Connection

    folder, types = url.split("|", 1)
    _b2brecs(Connection.files("source", path=folder, types=json.loads(types)), out)


def _connection(kind: str, url: str) -> Any:
    from b2brecs import Connection, Secret

    parts = urlsplit(url)
    os.environ["BENCH_PASSWORD"] = unquote(parts.password or "")
    return getattr(Connection, kind)(
        "source", host=parts.hostname, port=parts.port, database=parts.path.strip("/"), user=parts.username,
        password=Secret("env:BENCH_PASSWORD"),
    )  # fmt: skip


def _b2brecs(connection: Any, out: str) -> None:
    from b2brecs import EtlJob, Workspace

    with Workspace.local(out) as ws:
        ws.save(connection)
        job = EtlJob("bench", connection=connection).load(TABLE)
        parallel = os.environ.get("BENCH_PARALLEL")
        ws.run(job.using("local", parallel=int(parallel)) if parallel else job)


def adbc(url: str, out: str) -> None:
    """A bare loop: Arrow from ADBC into DuckDB, money cast, nothing guaranteed."""
    import adbc_driver_postgresql.dbapi as driver

    connection = driver.connect(url)
    cursor = connection.cursor()
    cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(2 * 2**20)})
    cursor.execute(f"SELECT * FROM {TABLE}")
    _duckdb(
        out, cursor.fetch_record_batch(), "* REPLACE (price::DECIMAL(38,9) AS price, revenue::DECIMAL(38,9) AS revenue)"
    )


def connectorx_stream(url: str, out: str) -> None:
    import connectorx

    _duckdb(out, connectorx.read_sql(url, f"SELECT * FROM {TABLE}", return_type="arrow_stream", batch_size=65536))


def connectorx_table(url: str, out: str) -> None:
    import connectorx

    _duckdb(out, connectorx.read_sql(url, f"SELECT * FROM {TABLE}", return_type="arrow"))


def _duckdb(out: str, rows: Any, columns: str = "*") -> None:
    import duckdb

    with duckdb.connect(_file(out)) as target:
        target.register("incoming", rows)
        target.execute(f"CREATE TABLE {TABLE} AS SELECT {columns} FROM incoming")


def pandas_chunks(url: str, out: str) -> None:
    """psycopg2 (or pymysql), SQLAlchemy and pandas in chunks of 10,000 rows."""
    import duckdb
    import pandas as pd
    import sqlalchemy as sa

    engine = sa.create_engine(_sqlalchemy(url))
    with engine.connect().execution_options(stream_results=True) as source, duckdb.connect(_file(out)) as target:
        made = False
        for frame in pd.read_sql_query(sa.text(f"SELECT * FROM {TABLE}"), source, chunksize=10_000):
            for name in ("doc",):
                frame[name] = frame[name].map(str)
            target.register("frame", frame)
            if made:
                target.execute(f"INSERT INTO {TABLE} SELECT * FROM frame")
            else:
                target.execute(f"CREATE TABLE {TABLE} AS SELECT * FROM frame")
            target.unregister("frame")
            made = True


def dlt_sqlalchemy(url: str, out: str) -> None:
    _dlt(url, out, "sqlalchemy")


def dlt_pyarrow(url: str, out: str) -> None:
    _dlt(url, out, "pyarrow")


def dlt_connectorx(url: str, out: str) -> None:
    _dlt(url, out, "connectorx")


def _dlt(url: str, out: str, backend: str) -> None:
    import dlt
    from dlt.sources.sql_database import sql_table

    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    extra = {"backend_kwargs": {"conn": url, "return_type": "arrow_stream"}} if backend == "connectorx" else {}
    chunk = 50_000
    resource = sql_table(
        credentials=_sqlalchemy(url), table=TABLE, backend=backend, chunk_size=chunk, reflection_level="full_with_precision",
        **extra,
    )  # fmt: skip
    pipeline = dlt.pipeline(
        "bench", destination=dlt.destinations.duckdb(_file(out)), dataset_name="main", pipelines_dir=f"{out}/pipelines"
    )
    pipeline.run(resource, write_disposition="replace").raise_on_failed_jobs()


def duckdb_reader(url: str, out: str) -> None:
    """DuckDB's own reader, given the same columns."""
    import json

    import duckdb

    folder, types = url.split("|", 1)
    kinds = {
        "INT64": "BIGINT",
        "NUMERIC": "DECIMAL(38,9)",
        "TIMESTAMP": "TIMESTAMPTZ",
        "STRING": "VARCHAR",
        "JSON": "JSON",
        "BOOL": "BOOLEAN",
    }
    columns = {name: kinds[kind] for name, kind in json.loads(types).items()}
    found = next(Path(folder).iterdir())
    with duckdb.connect(_file(out)) as target:
        target.execute("SET TimeZone='UTC'")
        if found.suffix == ".parquet":
            rows = target.read_parquet(str(found))
        elif found.suffix == ".csv":
            rows = target.read_csv(
                str(found), columns=columns, header=True, quotechar='"', escapechar='"', allow_quoted_nulls=False
            )
        else:
            rows = target.read_json(str(found), columns=columns, format="newline_delimited")
        rows.create(TABLE)


def _file(out: str) -> str:
    Path(out).mkdir(parents=True, exist_ok=True)
    return f"{out}/warehouse.duckdb"


def _sqlalchemy(url: str) -> str:
    scheme, rest = url.split("://", 1)
    return {"postgresql": "postgresql+psycopg2", "mysql": "mysql+pymysql"}[scheme] + "://" + rest


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
