"""A MariaDB server that is set up quite differently: TLS, other modes, zone, letters and names."""

import datetime as dt
import json
import ssl
from contextlib import contextmanager

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from b2brecs.errors import SourceError
from b2brecs.sources import Part, Since, mysql_safe, mysql_session
from tests.services.addresses import Database
from tests.services.mariadb import DATABASE, PASSWORD, QUICK, SETUP, USER, _greets
from tests.services.need import need
from tests.services.process import HOST, folder, server, unprivileged
from tests.services.process import run as program
from tests.sources.mysql_server import beside, opened, rows, run


def certify(home):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1)).sign(key, hashes.SHA256())
    )  # fmt: skip
    (home / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (home / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )  # fmt: skip
    for file in ("cert.pem", "key.pem"):
        (home / file).chmod(0o644)


@contextmanager
def serve_elsewhere():
    daemon = need("mariadbd", places=["/usr/sbin/mariadbd", "/usr/local/sbin/mariadbd"])
    owner = unprivileged()
    with folder("mariadb", owner) as home:
        certify(home)
        (home / "setup.sql").write_text(SETUP)
        (home / "setup.sql").chmod(0o644)
        program(
            *(need("mariadb-install-db"), "--no-defaults", f"--datadir={home / 'data'}", "--skip-test-db"),
            *("--auth-root-authentication-method=normal", "--skip-name-resolve", "--lower-case-table-names=1", *QUICK),
            owner=owner, cwd=home,
        )  # fmt: skip

        def command(port):
            return [
                *(daemon, "--no-defaults", f"--datadir={home / 'data'}", f"--init-file={home / 'setup.sql'}", *QUICK),
                *(f"--bind-address={HOST}", f"--port={port}", f"--socket={home / 'socket'}", "--skip-name-resolve"),
                *(f"--ssl-cert={home / 'cert.pem'}", f"--ssl-key={home / 'key.pem'}", "--require-secure-transport=ON"),
                *("--lower-case-table-names=1", "--character-set-server=latin1", "--default-time-zone=SYSTEM"),
                "--sql-mode=ANSI,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH,STRICT_ALL_TABLES,NO_ZERO_DATE",
                *("--transaction-isolation=READ-UNCOMMITTED", "--autocommit=0", "--net-write-timeout=1"),
            ]

        zone = {"TZ": "America/New_York"}
        with server(command, _greets, name="mariadb", owner=owner, cwd=home, env=zone) as (port,):
            yield Database(HOST, port, USER, PASSWORD, DATABASE)


ENCRYPTED = {"ssl": {"verify_mode": "none"}, "ssl_disabled": False}


@pytest.fixture(scope="module")
def elsewhere():
    with serve_elsewhere() as address:
        run(
            address,
            "CREATE TABLE Orders (ID int PRIMARY KEY, c char(5), name varchar(20) CHARACTER SET utf8mb4, d date, "
            "at timestamp(6) NULL DEFAULT CURRENT_TIMESTAMP(6), local_at datetime(6) DEFAULT CURRENT_TIMESTAMP(6))",
            "INSERT INTO orders (id, c, name, d) VALUES (1, 'a', 'é😀', '2024-01-01'), (2, 'b', 'a\\\\b''c', '0000-00-00')",
            **ENCRYPTED,
        )
        yield address


@pytest.mark.parametrize("asked", [True, False])
def test_what_the_server_wants_encrypted_is_encrypted(elsewhere, asked):
    source = opened(elsewhere, ssl=asked)
    assert "1 table in" in source.test()
    assert source._server.ask("SHOW SESSION STATUS LIKE 'Ssl_cipher'")[0][1]
    assert rows(source, source.schema("orders"), on_reject=print)[0]["name"] == "é😀"


def test_where_encryption_fails_the_error_says_so(elsewhere, monkeypatch):
    def outdated():
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_ciphers("AES128-SHA")
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        return context

    monkeypatch.setattr(mysql_session, "_context", outdated)
    with pytest.raises(SourceError, match="no encrypted connection") as caught:
        opened(elsewhere, ssl=True).test()
    assert "TLS" in caught.value.fix
    # Where it is not asked for, it is tried without; this server then refuses.
    with pytest.raises(SourceError, match="no encrypted connection came about, and none without") as caught:
        opened(elsewhere, ssl=False).test()
    assert PASSWORD not in repr(caught.value.__context__)


def test_texts_do_not_depend_on_the_servers_modes(elsewhere):
    source = opened(elsewhere)
    refused: list = []
    (first,) = rows(source, source.schema("orders"), on_reject=refused.append)
    assert (first["c"], first["name"], first["d"]) == ("a", "é😀", dt.date(2024, 1, 1))
    assert json.loads(refused[0].row)["d"] == "0000-00-00"
    found = rows(source, source.schema("orders"), Part(Since("name", json.dumps("é"))))
    assert [row["ID"] for row in found] == [1]
    low = json.dumps("a\\b'c")
    assert len(rows(source, source.schema("orders"), Part(column="name", low=low, high=low))) == 0
    assert source.estimate("orders", Since("name", low)) is not None


def test_names_may_be_in_any_capitals_where_the_server_folds_them(elsewhere):
    source = opened(elsewhere)
    assert [table.name for table in source.tables()] == ["orders"]
    assert source.schema("ORDERS").names == source.schema("orders").names
    assert len(rows(source, source.schema("Orders"), on_reject=print)) == 1


def test_what_is_not_committed_is_not_read(elsewhere):
    connection = beside(elsewhere, autocommit=False, **ENCRYPTED)
    try:
        connection.cursor().execute("INSERT INTO orders (id, d) VALUES (3, '2024-01-01')")
        source = opened(elsewhere)
        assert [row["ID"] for row in rows(source, source.schema("orders"), on_reject=print)] == [1]
    finally:
        connection.rollback()
        connection.close()


def test_bounds_know_the_servers_zone(elsewhere, monkeypatch):
    """Here InnoDB shows the times of transactions in that of New York."""
    monkeypatch.setattr(mysql_safe, "MARGIN_S", 0)
    source = opened(elsewhere)
    schema = source.schema("orders")

    def bounds():
        return [dt.datetime.fromisoformat(json.loads(source.safe_high(schema, name))) for name in ("at", "local_at")]

    connection = beside(elsewhere, autocommit=False, **ENCRYPTED)
    try:
        cursor = connection.cursor()
        cursor.execute("INSERT INTO orders (id, d) VALUES (4, '2024-01-01')")
        cursor.execute("SET time_zone = '+00:00'")
        cursor.execute("SELECT at, local_at FROM orders WHERE id = 4")
        at, local_at = (dt.datetime.fromisoformat(text) for text in cursor.fetchone())
        assert dt.timedelta(hours=4) <= at - local_at <= dt.timedelta(hours=5)
        run(elsewhere, "DO SLEEP(1.1)", **ENCRYPTED)
        safe_at, safe_local = bounds()
        assert dt.timedelta(0) <= at.replace(tzinfo=dt.UTC) - safe_at <= dt.timedelta(seconds=2)
        assert dt.timedelta(0) <= local_at - safe_local <= dt.timedelta(hours=1, seconds=2)
    finally:
        connection.rollback()
        connection.close()
    assert bounds()[0] > safe_at


def test_a_reader_may_take_its_time(elsewhere):
    """This server gives a client up that takes nothing for a second, unless the session says otherwise."""
    run(elsewhere, "CREATE TABLE wide (a text)", "INSERT INTO wide SELECT REPEAT('x', 1000) FROM seq_1_to_20000",
        **ENCRYPTED)  # fmt: skip
    source = opened(elsewhere)
    reader = source.read(source.schema("wide"))
    count = reader.read_next_batch().num_rows
    run(elsewhere, "DO SLEEP(3)", **ENCRYPTED)
    assert count + reader.read_all().num_rows == 20_000
