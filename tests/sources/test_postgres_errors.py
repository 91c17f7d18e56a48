"""PostgreSQL: what goes wrong, said in words that name the fix, and without the password in any form."""

import contextlib
import socket
import threading
import traceback
from urllib.parse import quote

import pytest

from b2brecs.errors import B2BRecsError, NotFound, SourceError
from b2brecs.sources import Part, postgres, postgres_session
from tests.services.need import need
from tests.services.postgres import serve_postgres
from tests.services.process import HOST
from tests.sources.postgres_tools import connect, database, execute, opened

# Every character that is written otherwise in some place.
PASSWORD = "s3'cr\\et @/%:?&x"


@pytest.fixture(scope="module")
def server(postgres):
    roles = ("guest", "outsider", "crowded", "slow", "plain", "locked")
    literal = PASSWORD.replace("'", "''")
    with database(
        postgres, "errors", "CREATE SCHEMA shop",
        "CREATE TABLE shop.orders (id serial PRIMARY KEY, code text)", "INSERT INTO shop.orders DEFAULT VALUES", "CREATE TABLE shop.changing (id int, code text)",
        "CREATE TABLE shop.large AS SELECT n AS id, repeat('x', 100) AS code FROM generate_series(1, 200000) n",
        "CREATE VIEW shop.lazy AS SELECT 1 AS id FROM pg_sleep(60)",
        "CREATE VIEW shop.broken AS SELECT 1 / (id - id) AS id FROM shop.large",
        *(f"DROP ROLE IF EXISTS {role}" for role in roles),
        *(f"CREATE ROLE {role} LOGIN PASSWORD '{literal}'" for role in roles),
        "GRANT USAGE ON SCHEMA shop TO guest, slow", "GRANT SELECT ON shop.lazy TO slow",
        "ALTER ROLE crowded CONNECTION LIMIT 0", "ALTER ROLE slow SET statement_timeout = '100ms'",
        "ALTER ROLE locked NOLOGIN",
        # "plain" is let in with encryption only, which this server does not have.
        """CREATE TABLE hba AS SELECT line, row_number() OVER () AS n
           FROM regexp_split_to_table(pg_read_file(current_setting('hba_file')), '\n') AS line""",
    ) as made:  # fmt: skip
        _admit(made, "hostnossl all plain 127.0.0.1/32 reject")
        yield made
        _admit(made)
        execute(made, *(f"DROP OWNED BY {role}" for role in roles), *(f"DROP ROLE {role}" for role in roles))


def _admit(server, *lines):
    rows = ", ".join(f"('{line}', {n - len(lines)})" for n, line in enumerate(lines))
    first = f"VALUES {rows} UNION ALL" if rows else ""
    path = execute(server, "SHOW hba_file")[0][0]
    execute(
        server,
        f"COPY (SELECT line FROM ({first} SELECT line, n FROM hba) AS l (line, n) ORDER BY n) TO '{path}'",
        "SELECT pg_reload_conf()",
    )


def refused(call):
    """The error of a call; the password is nowhere in it."""
    with pytest.raises(B2BRecsError) as caught:
        call()
    error = caught.value
    shown = "".join(traceback.format_exception(error)) + repr(error) + repr(error.__context__) + repr(error.__cause__)
    escaped = PASSWORD.replace("\\", "\\\\").replace("'", "\\'")
    for form in (PASSWORD, quote(PASSWORD), quote(PASSWORD, safe=""), escaped, repr(PASSWORD)[1:-1]):
        assert form not in shown
    assert not str(error).endswith("..")
    return error


# What is changed of the settings → what is said, what to do, and whether trying again may help.
CONNECTING: dict[str, tuple[dict, str, str, bool]] = {
    "wrong password": ({"user": "b2brecs"}, "the user or the password is wrong", "Check user=", False),
    "unknown user": ({"user": "nobody"}, "the user or the password is wrong", "Check user=", False),
    "no login": ({"user": "locked"}, "the user or the password is wrong", "Check user=", False),
    "no database": ({"database": "nowhere", "user": "guest"}, "no such database", "Check database=", False),
    "refused": ({"port": 1}, "cannot be reached", "Check host=, port= and the firewall", True),
    "no socket": ({"host": "/nowhere"}, "cannot be reached", "Check host=", True),
    "unknown host": ({"host": "nowhere.invalid"}, "cannot be reached", "Check host=", False),
    "full": ({"user": "crowded"}, "no connection free", "Try again later", True),
    "we want TLS": ({"user": "guest", "sslmode": "require"}, "offers no encryption", "sslmode='prefer'", False),
    "they want TLS": ({"user": "plain"}, "wants an encrypted connection", "sslmode='require'", False),
}  # fmt: skip


@pytest.mark.parametrize("case", CONNECTING)
def test_a_connection_that_cannot_be_made_is_explained(server, case):
    changes, reason, fix, transient = CONNECTING[case]
    if case == "unknown host" and "Temporary" in _lookup("nowhere.invalid"):
        transient = True
    source = opened(server, password=PASSWORD, schema="shop", **changes)
    for call in (source.test, source.tables, lambda: source.schema("orders"), lambda: source.estimate("orders")):
        error = refused(call)
        assert isinstance(error, SourceError)
        assert reason in error.reason
        assert fix in error.fix
        assert error.transient is transient


def _lookup(host):
    try:
        socket.getaddrinfo(host, None)
    except socket.gaierror as error:
        return str(error)
    return ""


@pytest.mark.parametrize("case", [case for case in CONNECTING if case != "unknown host"])
def test_the_reading_connection_says_the_same(server, case):
    changes, reason, fix, transient = CONNECTING[case]
    schema = opened(server, schema="shop").schema("orders")
    source = opened(server, password=PASSWORD, schema="shop", **changes)
    source._known = {"orders": opened(server, schema="shop")._native("orders")}  # type: ignore[attr-defined]
    error = refused(lambda: source.read(schema))
    assert (reason in error.reason, fix in error.fix, error.transient) == (True, True, transient)


def test_a_certificate_that_nobody_vouches_for_is_explained():
    need("openssl")
    with serve_postgres() as server:
        execute(
            server,
            "COPY (SELECT 1) TO PROGRAM 'openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=nobody "
            "-keyout server.key -out server.crt && chmod 600 server.key'",
            "ALTER SYSTEM SET ssl = on",
            "SELECT pg_reload_conf()",
        )
        for mode in ("verify-ca", "verify-full"):
            error = refused(opened(server, sslmode=mode).test)
            assert "certificate cannot be verified" in error.reason
            assert "root.crt" in error.fix
            assert not error.transient
        assert opened(server, sslmode="require").test().startswith("PostgreSQL")
        execute(server, "CREATE TABLE t AS SELECT 1 AS n")
        assert opened(server, sslmode="require").preview("t", 1).to_pylist() == [{"n": 1}]


def test_a_schema_that_is_not_there_is_named(server):
    error = refused(opened(server, schema="shpo").test)
    assert "there is no schema 'shpo'. Did you mean 'shop'?" in str(error)
    assert isinstance(error, SourceError)


def test_a_table_that_is_not_there_is_named(server):
    error = refused(lambda: opened(server, schema="shop").schema("orderz"))
    assert isinstance(error, NotFound)
    assert "Did you mean 'orders'?" in str(error)


def test_rights_that_are_missing_are_named_as_the_statement_that_gives_them(server):
    source = opened(server, schema="shop", user="guest", password=PASSWORD)
    for call in (lambda: source.read(source.schema("orders")), lambda: source.estimate("orders")):
        error = refused(call)
        assert error.reason == "the user may not read table 'orders'."
        assert 'GRANT SELECT ON "shop"."orders" TO "guest";' in error.fix
        assert not error.transient
    source = opened(server, schema="shop", user="outsider", password=PASSWORD)
    error = refused(lambda: source.read(source.schema("orders")))
    assert error.reason == "the user may not use schema 'shop'."
    assert 'GRANT USAGE ON SCHEMA "shop" TO "outsider";' in error.fix
    execute(server, "GRANT USAGE ON SCHEMA shop TO outsider", "GRANT SELECT ON shop.orders TO outsider")
    assert source.read(source.schema("orders")).read_all().num_rows == 1


def test_the_rights_behind_a_view_are_its_owners(server):
    execute(server, "ALTER VIEW shop.broken OWNER TO guest", "GRANT SELECT ON shop.broken TO slow")
    source = opened(server, schema="shop", user="slow", password=PASSWORD)
    error = refused(lambda: source.read(source.schema("broken")))
    assert "permission denied for table large" in error.reason
    assert "the view's owner" in error.fix
    execute(server, f"ALTER VIEW shop.broken OWNER TO {server.user}")


def test_a_table_that_changes_under_the_read_is_named(server):
    source = opened(server, schema="shop")
    schema = source.schema("changing")
    execute(server, "ALTER TABLE shop.changing DROP COLUMN code")
    error = refused(lambda: source.read(schema))
    assert error.reason == "table 'changing' changed while it was read: column \"code\" does not exist."
    assert not error.transient
    # The source has looked again.
    assert source.schema("changing").names == ("id",)
    execute(server, "DROP TABLE shop.changing")
    error = refused(lambda: source.read(source.schema("changing")))
    assert 'relation "shop.changing" does not exist' in error.reason


def test_a_limit_of_the_server_is_named(server):
    source = opened(server, schema="shop", user="slow", password=PASSWORD)
    error = refused(lambda: source.read(source.schema("lazy")).read_all())
    assert "took too long" in error.reason
    assert 'ALTER ROLE "slow" SET statement_timeout' in error.fix
    assert not error.transient


def test_an_error_of_the_query_is_the_servers_own(server):
    source = opened(server, schema="shop")
    error = refused(lambda: source.read(source.schema("broken")).read_all())
    assert error.reason == "division by zero."


def reading(server, **changes):
    """A reader that has read something of a large table, and that table's schema."""
    source = opened(server, schema="shop", **changes)
    reader = source.read(source.schema("large"))
    reader.read_next_batch()
    return reader


OURS = "FROM pg_stat_activity WHERE datname = 'errors' AND application_name = 'b2brecs' AND backend_type = 'client backend'"


def test_a_statement_that_is_cancelled_is_not_tried_again(server):
    reader = reading(server)
    execute(server, f"SELECT pg_cancel_backend(pid) {OURS}")
    error = refused(reader.read_all)
    assert "cancelled" in error.reason
    assert not error.transient


def test_a_connection_that_the_server_ends_may_be_made_again(server):
    reader = reading(server)
    execute(server, f"SELECT pg_terminate_backend(pid) {OURS}")
    error = refused(reader.read_all)
    assert "connection was lost, or the server is shutting down" in error.reason
    assert error.transient


class Wire:
    """A way to the server that can be cut."""

    def __init__(self, server):
        self.server, self.ends = server, []
        self.listener = socket.create_server((HOST, 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                far = socket.create_connection((self.server.host, self.server.port))
                self.ends += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)

    def cut(self):
        self.listener.close()
        for end in self.ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


def test_a_wire_that_is_cut_may_be_mended(server):
    wire = Wire(server)
    reader = reading(server, port=wire.port)
    wire.cut()
    error = refused(reader.read_all)
    assert "connection was lost" in error.reason
    assert error.transient


def test_a_wire_that_is_cut_under_a_question_may_be_mended(server):
    wire = Wire(server)
    source = opened(server, schema="shop", port=wire.port)

    def ask():
        with source._server.connected() as connection:  # type: ignore[attr-defined]
            wire.cut()
            connection.cursor().execute("SELECT 1")

    error = refused(ask)
    assert "connection was lost" in error.reason
    assert error.transient


@pytest.fixture
def silence():
    """A port that takes connections and never says a word."""
    with socket.create_server((HOST, 0)) as listener:
        yield listener.getsockname()[1]


def test_a_silent_server_keeps_no_one_waiting(server, silence, monkeypatch):
    assert postgres_session.TIMEOUT_S == 10
    monkeypatch.setattr(postgres, "TIMEOUT_S", 0.5)
    error = refused(opened(server, port=silence).test)
    assert error.reason == "no answer within 0.5 s."
    assert error.transient
    monkeypatch.setattr(postgres_session, "CONNECT_S", 2)
    error = refused(opened(server, port=silence).tables)
    assert "cannot be reached" in error.reason
    assert error.transient


def test_a_locked_table_keeps_no_one_waiting(server, monkeypatch):
    monkeypatch.setattr(postgres_session, "TIMEOUT_S", 0.2)
    source = opened(server, schema="shop")
    schema = source.schema("orders")
    with contextlib.closing(connect(server)) as connection:
        connection.cursor().execute("LOCK TABLE shop.orders IN ACCESS EXCLUSIVE MODE")
        assert source.estimate("orders") is None
        assert source.key_range(schema, None, 4) is None
        error = refused(lambda: source.safe_high(schema, "id"))
        connection.rollback()
    assert (error.reason, error.transient) == ("the server did not answer in time.", True)


def test_a_snapshot_that_is_gone_is_explained(server):
    source = opened(server, schema="shop")
    schema = source.schema("large")
    with source.snapshot() as snapshot:
        assert source.read(schema, Part(snapshot=snapshot)).read_all().num_rows == 200_000
    for name in (snapshot, "00000003-0000001B-1", "'; DROP TABLE shop.large; --"):
        error = refused(lambda name=name: source.read(schema, Part(snapshot=name)))
        assert "no longer held" in error.reason
        assert error.transient
