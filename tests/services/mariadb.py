"""MariaDB."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from tests.services.addresses import Database
from tests.services.need import need
from tests.services.process import HOST, Command, folder, run, server, unprivileged

USER, PASSWORD, DATABASE = "b2brecs", "p@ss", "b2brecs"
SETUP = f"""\
CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4;
CREATE USER '{USER}'@'%' IDENTIFIED BY '{PASSWORD}';
GRANT ALL ON *.* TO '{USER}'@'%' WITH GRANT OPTION;
"""
QUICK = (
    "--innodb-flush-method=nosync",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-log-file-size=8M",
)


def _greets(port: int) -> None:
    """Raise unless a server says hello: it does so last, after its setup file."""
    with socket.create_connection((HOST, port), timeout=5) as connection:
        header = connection.recv(5)
    if header[4:] != b"\x0a":
        raise ConnectionError(f"no greeting but {header!r}")


@contextmanager
def serve_mariadb() -> Iterator[Database]:
    """Run a MariaDB server with one empty database."""
    daemon = need("mariadbd", places=["/usr/sbin/mariadbd", "/usr/local/sbin/mariadbd"])
    install = need("mariadb-install-db")
    owner = unprivileged()
    with folder("mariadb", owner) as home:
        data, setup = home / "data", home / "setup.sql"
        setup.write_text(SETUP)
        setup.chmod(0o644)
        run(
            *(install, "--no-defaults", f"--datadir={data}", "--skip-test-db"),
            *("--auth-root-authentication-method=normal", "--skip-name-resolve", *QUICK),
            owner=owner,
            cwd=home,
        )

        def command(port: int) -> Command:
            return [
                *(daemon, "--no-defaults", f"--datadir={data}", f"--init-file={setup}"),
                *(f"--bind-address={HOST}", f"--port={port}", f"--socket={home / 'socket'}"),
                *("--skip-name-resolve", "--character-set-server=utf8mb4", *QUICK),
                "--default-time-zone=+00:00",
            ]

        with server(command, _greets, name="mariadb", owner=owner, cwd=home) as (port,):
            yield Database(HOST, port, USER, PASSWORD, DATABASE)
