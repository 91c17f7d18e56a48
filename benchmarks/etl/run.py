"""Load the same table by b2brecs and by its peers, one process each, in turn; print the medians as a table.

``python -m benchmarks.etl.run postgres --rows 5000000 --repeat 3``; the servers are started here.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.etl import data

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PEERS = ROOT / ".cache" / "bench" / "bin" / "python"

POSTGRES = [
    "b2brecs_postgres",
    "adbc",
    "connectorx_stream",
    "dlt_connectorx",
    "pandas_chunks",
    "dlt_pyarrow",
    "dlt_sqlalchemy",
]
MYSQL = ["b2brecs_mysql", "connectorx_stream", "dlt_connectorx", "pandas_chunks", "dlt_pyarrow"]
FILES = ["b2brecs_files", "duckdb_reader"]
# So slow that once has to do, unless asked for more.
SLOW = {"dlt_sqlalchemy", "dlt_pyarrow", "pandas_chunks"}
FILE_TYPES = {
    "id": "INT64", "customer_id": "INT64", "sku": "STRING", "title": "STRING", "quantity": "INT64", "price": "NUMERIC",
    "revenue": "NUMERIC", "ordered_at": "TIMESTAMP", "updated_at": "TIMESTAMP", "doc": "JSON", "note": "STRING", "active": "BOOL",
}  # fmt: skip


@dataclass
class Measured:
    """Runs of one method: CPU and wall seconds, peak memory in MB, and what became of the values."""

    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    kept: str = ""


def measure(method: str, url: str, folder: Path) -> tuple[float, float, float, str]:
    """Run one load; return CPU and wall seconds, peak memory in MB, and the error, if any."""
    python = sys.executable if method.startswith("b2brecs") else str(PEERS)
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "DLT_DATA_DIR": str(folder / "dlt"),
        "PYTHONDONTWRITEBYTECODE": "",
    }
    started = time.perf_counter()
    with (folder / "log").open("w+") as log:
        process = subprocess.Popen(
            [python, str(HERE / "methods.py"), method, url, str(out)], stdout=log, stderr=log, env=environment
        )
        _, status, used = os.wait4(process.pid, 0)
        log.seek(0)
        error = log.read()[-1500:] if status else ""
    return used.ru_utime + used.ru_stime, time.perf_counter() - started, used.ru_maxrss / 1024, error


def kept(out: Path, wanted: dict[str, str]) -> str:
    """Say which of the table's figures are no longer the source's, and which columns have another type."""
    import duckdb

    found = next(out.glob("warehouse.duckdb"))
    with duckdb.connect(str(found), read_only=True) as target:
        target.execute("SET TimeZone='UTC'")
        names = [
            row[0]
            for row in target.execute(
                "SELECT table_schema || '.' || table_name FROM information_schema.tables WHERE table_name = 'lines'"
            ).fetchall()
        ]
        types = dict(target.execute(f"SELECT column_name, column_type FROM (DESCRIBE {names[0]})").fetchall())
        changed = []
        for what, (ours, _) in data.EXACT.items():
            if what in wanted:
                try:
                    value = str(target.execute(f"SELECT {ours} FROM {names[0]}").fetchall()[0][0])
                except duckdb.Error as error:
                    value = str(error).splitlines()[0][:60]
                if value != wanted[what]:
                    changed.append(what)
        changed += [
            f"{name} is {types[name]}"
            for name, kind in data.TYPES.items()
            if name in types and kind not in types[name] and not types[name].startswith(("INT", "DECIMAL", "TIMESTAMP"))
        ]
    return ", ".join(changed) or "exact"


def compare(methods: list[str], url: str, wanted: dict[str, str], rows: int, repeat: int, repeat_slow: int) -> None:
    """Run all methods in turn and print the table."""
    results = {method: Measured() for method in methods}
    with tempfile.TemporaryDirectory(prefix="b2brecs-bench-", dir=os.environ.get("BENCH_DIR")) as text:
        folder = Path(text)
        for turn in range(repeat):
            for method, result in results.items():
                if method in SLOW and turn >= repeat_slow:
                    continue
                cpu, wall, memory, error = measure(method, url, folder)
                print(
                    f"  {method}: {cpu:.1f} CPU s, {wall:.1f} s, {memory:.0f} MB {error}", file=sys.stderr, flush=True
                )
                if error:
                    result.kept = "fails: " + error.strip().splitlines()[-1][:80]
                    continue
                result.cpu.append(cpu)
                result.wall.append(wall)
                result.memory.append(memory)
                if not result.kept:
                    result.kept = kept(folder / "out", wanted)
    base = statistics.median(results[methods[0]].cpu or [float("nan")])
    print(f"\n{rows:,} rows\n")
    print("| method | n | CPU s per million rows | CPU, b2brecs = 1 | seconds | peak MB | values |")
    print("|---|---|---|---|---|---|---|")
    for method, result in results.items():
        if not result.cpu:
            print(f"| {method} | 0 | | | | | {result.kept} |")
            continue
        cpu = statistics.median(result.cpu)
        print(
            f"| {method} | {len(result.cpu)} | {cpu / rows * 1e6:.1f} | {cpu / base:.2f} | {statistics.median(result.wall):.1f} "
            f"| {max(result.memory):.0f} | {result.kept} |"
        )


@contextmanager
def postgres(rows: int) -> Iterator[tuple[str, dict[str, str]]]:
    """A server with the table, its address, and the table's own figures."""
    import psycopg2

    from tests.services.postgres import serve_postgres

    with serve_postgres() as server:
        url = server.url("postgresql")
        connection = psycopg2.connect(url)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(data.POSTGRES.format(rows=rows))
            for statement in data.POSTGRES_AFTER:
                cursor.execute(statement)
            wanted = {}
            for what, (_, theirs) in data.EXACT.items():
                cursor.execute(f"SELECT {theirs} FROM lines")
                wanted[what] = str(cursor.fetchone()[0])
        connection.close()
        yield url, wanted


@contextmanager
def mysql(rows: int) -> Iterator[tuple[str, dict[str, str]]]:
    """A MariaDB server with the table."""
    import pymysql

    from tests.services.mariadb import serve_mariadb

    with serve_mariadb() as server:
        connection = pymysql.connect(
            host=server.host, port=server.port, user=server.user, password=server.password, database=server.database,
            autocommit=True,
        )  # fmt: skip
        with connection.cursor() as cursor:
            for statement in data.MYSQL:
                cursor.execute(statement.format(rows=rows))
            wanted = {}
            for what in ("rows", "quantity NULL", "note NULL"):
                cursor.execute(f"SELECT {data.EXACT[what][1]} FROM `lines`")
                wanted[what] = str(cursor.fetchall()[0][0])
            cursor.execute("SELECT cast(sum(price) AS decimal(38,4)), cast(sum(revenue) AS decimal(38,4)) FROM `lines`")
            wanted["price"], wanted["revenue"] = map(str, cursor.fetchall()[0])
        connection.close()
        yield server.url("mysql"), wanted


@contextmanager
def files(rows: int, ending: str) -> Iterator[tuple[str, dict[str, str]]]:
    """A folder with one file, written by DuckDB, and the columns' types."""
    import duckdb

    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder, duckdb.connect() as source:
        source.execute("SET TimeZone='UTC'")
        source.execute(
            "CREATE VIEW lines AS SELECT i AS id, i * 7919 % 200003 AS customer_id, 'SKU-' || lpad((i % 50021)::varchar, 6, '0') AS sku, "
            "['Schraube ⌀8 mm', 'Größe «L»', '螺丝刀', 'Mug 🙂'][1 + i % 4] AS title, CASE WHEN i % 17 = 0 THEN NULL ELSE i % 400 END AS quantity, "
            "((i * 31 % 1000000) / 100)::decimal(38,9) AS price, ((i * 13 % 100000000) / 10000)::decimal(38,9) AS revenue, "
            "timestamptz '2023-01-01' + to_microseconds(i * 17000001) AS ordered_at, timestamptz '2023-01-01' + to_seconds(i * 19) AS updated_at, "
            "'{\"channel\": ' || (i % 5) || '}' AS doc, CASE i % 3 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE 'says \"hi\"' END AS note, i % 3 = 0 AS active "
            f"FROM range(1, {rows + 1}) AS t(i)"
        )
        how = {
            "csv": "(FORMAT csv, HEADER, FORCE_QUOTE (note))",
            "parquet": "(FORMAT parquet)",
            "jsonl": "(FORMAT json)",
        }[ending]
        source.execute(f"COPY (FROM lines) TO '{folder}/lines.{ending}' {how}")
        yield f"{folder}|{json.dumps(FILE_TYPES)}", {"rows": str(rows)}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("source", choices=["postgres", "mysql", "csv", "parquet", "jsonl"])
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--repeat", type=int, default=3)
    arguments.add_argument("--repeat-slow", type=int, default=1)
    arguments.add_argument("--only", nargs="*")
    given = arguments.parse_args()
    if not PEERS.exists():
        sys.exit("The peers are missing: make bench-peers")
    places = {"postgres": (postgres, POSTGRES), "mysql": (mysql, MYSQL)}
    if given.source in places:
        place, methods = places[given.source]
        opened = place(given.rows)
    else:
        opened, methods = files(given.rows, given.source), FILES
    with opened as (url, wanted):
        compare(given.only or methods, url, wanted, given.rows, given.repeat, given.repeat_slow)


if __name__ == "__main__":
    main()
