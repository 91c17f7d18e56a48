"""PostgreSQL."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.services.addresses import Database
from tests.services.need import need
from tests.services.process import HOST, Command, folder, run, server, unprivileged

USER, PASSWORD, DATABASE = "b2brecs", "p@ss", "b2brecs"


@contextmanager
def serve_postgres() -> Iterator[Database]:
    """Run a PostgreSQL server with one empty database."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    programs = need("initdb", places=installed).resolve().parent
    owner = unprivileged()
    with folder("postgres", owner) as home:
        data, password = home / "data", home / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        run(
            *(programs / "initdb", "-D", data, "-U", USER, f"--pwfile={password}"),
            *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8"),
            *("--no-sync", "--no-instructions"),
            owner=owner,
            cwd=home,
        )

        def command(port: int) -> Command:
            return [
                *(programs / "postgres", "-D", data, "-h", HOST, "-p", str(port), "-k", home),
                *("--fsync=off", "--synchronous-commit=off", "--full-page-writes=off"),
                "--timezone=UTC",
                "--max-prepared-transactions=4",
            ]

        def answers(port: int) -> None:
            run(programs / "pg_isready", "-h", HOST, "-p", str(port), cwd=home)

        with server(command, answers, name="postgres", owner=owner, cwd=home, stop=signal.SIGINT) as (port,):
            run(
                *(programs / "createdb", "-h", HOST, "-p", str(port), "-U", USER, DATABASE),
                env={"PGPASSWORD": PASSWORD},
                cwd=home,
            )
            yield Database(HOST, port, USER, PASSWORD, DATABASE)
