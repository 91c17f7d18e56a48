"""A secret appears nowhere: config, repr, HTML, JSON, registry, log, exception, run record, files of the home."""

import logging
import traceback

import pytest

from b2brecs import Connection, EtlJob, Secret, Workspace
from b2brecs.errors import B2BRecsError, ConfigError, SecretNotFound

PASSWORD = "hunter2-very-secret"  # a marker to look for


def everything(error):
    texts = []
    while error is not None:
        texts += ["".join(traceback.format_exception(error)), repr(error), str(error), repr(vars(error))]
        error = error.__cause__ or error.__context__
    return "\n".join(texts)


@pytest.fixture
def ws(tmp_path, monkeypatch):
    monkeypatch.setenv("ERP_PASSWORD", PASSWORD)
    with Workspace.local(tmp_path / "home") as workspace:
        yield workspace


def erp(**changes):
    settings: dict = {
        "host": "127.0.0.1",
        "port": 1,
        "database": "d",
        "user": "u",
        "password": Secret("env:ERP_PASSWORD"),
    }
    return Connection.postgres("erp", **(settings | changes))


def test_a_password_in_place_of_a_reference_is_refused_without_repeating_it():
    with pytest.raises(ConfigError, match=r"Secret\('keyring:erp'\)") as caught:
        erp(password=PASSWORD)
    assert PASSWORD not in everything(caught.value)
    with pytest.raises(ConfigError) as caught:
        Secret(PASSWORD)
    assert PASSWORD not in everything(caught.value)
    with pytest.raises(ConfigError) as caught:
        Connection.of("erp", "postgres", host="h", database="d", user="u", password={"value": PASSWORD})
    assert PASSWORD not in everything(caught.value)


def test_nothing_that_is_shown_or_stored_holds_the_secret(ws, tmp_path, caplog, capsys):
    caplog.set_level(logging.DEBUG)
    connection = erp()
    ws.save(connection)
    job = EtlJob("j", connection=connection).load("t")
    ws.save(job)
    for verb in (lambda: ws.test(connection), lambda: ws.run(job), lambda: ws.source_tables("erp")):
        with pytest.raises(B2BRecsError) as caught:
            verb()
        assert PASSWORD not in everything(caught.value)
    shown = [
        repr(connection),
        connection._repr_html_(),
        connection.to_json(),
        repr(ws),
        ws._repr_html_(),
        repr(ws.runs()),
        repr(ws.secrets),
    ]
    out = capsys.readouterr()
    assert PASSWORD not in "\n".join([*shown, caplog.text, out.out, out.err])
    ws.close()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if PASSWORD.encode() in path.read_bytes()] == []


def test_a_password_in_a_drivers_message_is_taken_out(ws, postgres, monkeypatch):
    monkeypatch.setenv("ERP_PASSWORD", "wr%ng " + PASSWORD)
    connection = erp(host=postgres.host, port=postgres.port, database=postgres.database, user=postgres.user)
    with pytest.raises(B2BRecsError) as caught:
        ws.test(connection)
    assert PASSWORD not in everything(caught.value)


def test_a_missing_secret_says_where_it_was_looked_for(ws):
    with pytest.raises(SecretNotFound, match="env:NOWHERE"):
        ws.test(erp(password=Secret("env:NOWHERE")))
