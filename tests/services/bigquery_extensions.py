"""Give DuckDB the extensions that the BigQuery emulator loads, from their wheels."""

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import duckdb


def install(home: Path) -> None:
    """Copy the extensions to where a DuckDB with this home folder looks for them."""
    connection = duckdb.connect()
    [(platform,)] = connection.execute("PRAGMA platform").fetchall()
    version = f"v{duckdb.__version__}"
    target = home / ".duckdb" / "extensions" / version / platform
    target.mkdir(parents=True, exist_ok=True)
    for name in ("ducklake", "icu", "spatial"):
        spec = find_spec(f"duckdb_extension_{name}")
        assert spec is not None
        assert spec.origin is not None
        file = Path(spec.origin).parent / "extensions" / version / f"{name}.duckdb_extension"
        shutil.copy2(file, target)
        connection.execute(f"LOAD {name}")


if __name__ == "__main__":
    install(Path(sys.argv[1]))
