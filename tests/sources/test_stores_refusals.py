"""A store that cannot be reached, or refuses: each case is a sentence with the fix, soon, and without a secret."""

import json
import socket
import sys
import threading
import traceback
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from b2brecs import Connection, Secret
from b2brecs.errors import SourceError
from b2brecs.sources import open_source
from b2brecs.sources.files import store as store_module
from tests.services.process import HOST, server

MARK = "hunter2verysecret"


@contextmanager
def answering(status, body, kind="application/xml", headers=()):
    """Run an HTTP server that always says the same."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            for name, value in (("Content-Type", kind), ("Content-Length", str(len(body))), *headers):
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_POST = do_HEAD = answer

        def log_message(self, *_arguments):
            pass

    web = ThreadingHTTPServer((HOST, 0), Handler)
    thread = threading.Thread(target=web.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{web.server_port}"
    finally:
        web.shutdown()
        web.server_close()


@contextmanager
def silent():
    """Listen, and never say anything."""
    with socket.socket() as listening:
        listening.bind((HOST, 0))
        listening.listen(16)
        yield f"http://{HOST}:{listening.getsockname()[1]}"


def s3(address, **more):
    return open_source(
        Connection.s3("x", bucket="b", endpoint=address, access_key_id=Secret("env:ID"), secret_access_key=Secret("env:KEY"), **more),
        lambda secret: {"ID": "AKIA" + MARK, "KEY": MARK}[secret.key],
    )  # fmt: skip


def azure(address, key=None, **more):
    given = more or {"account_key": Secret("env:KEY")}
    return open_source(
        Connection.azure_blob("x", container="cont", account="acc", endpoint=f"{address}/acc", **given),
        lambda _secret: key or "aHVudGVyMnZlcnlzZWNyZXQ=",
    )


def gcs(address, monkeypatch, key=None):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
    secret = Secret("env:KEY") if key else None
    return open_source(Connection.gcs("x", bucket="b", credentials=secret), lambda _secret: key or "")


def _by(way) -> dict[str, Any]:
    return {way: Secret("env:KEY")}


def _told(value):
    return lambda _secret: value


def refused(act, *secrets):
    """Return what is said, having looked for secrets in all that travels along."""
    with pytest.raises(SourceError) as caught:
        act()
    error: BaseException | None = caught.value
    texts: list[str] = []
    while error is not None:
        texts += [*traceback.format_exception(error), repr(error), repr(vars(error))]
        error = error.__cause__ or error.__context__
    for secret in (MARK, *secrets):
        assert secret not in "\n".join(texts)
    return str(caught.value)


@pytest.fixture(params=["s3", "azure", "gcs"])
def opened(request, monkeypatch):
    if request.param == "gcs":
        return lambda address: gcs(address, monkeypatch)
    return {"s3": s3, "azure": azure}[request.param]


def test_nobody_is_there(opened):
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        address = f"http://{HOST}:{taken.getsockname()[1]}"
        said = refused(opened(address).test)
    assert "cannot be reached" in said
    assert "network" in said


def test_somebody_is_there_and_says_nothing(opened, monkeypatch):
    for module in ("s3", "gcs", "azure"):
        __import__(f"b2brecs.sources.files.{module}")
        monkeypatch.setattr(sys.modules[f"b2brecs.sources.files.{module}"], "ANSWER_SECONDS", 1)
    with silent() as address:
        said = refused(opened(address).test)
    assert "answer" in said or "cannot be reached" in said


def test_what_heeds_no_deadline_is_given_up():
    waiting = threading.Event()
    with pytest.raises(SourceError, match=r"no answer in 0\.05 s") as caught:
        store_module.in_time("x", waiting.wait, 0.05)
    assert caught.value.transient
    waiting.set()


DENIED_XML = b"<?xml version='1.0'?><Error><Code>%s</Code><Message>no</Message></Error>"


def test_s3_refuses():
    cases = {
        (403, "AccessDenied"): "access is refused. Grant s3:ListBucket",
        (403, "InvalidAccessKeyId"): "credentials are not accepted (InvalidAccessKeyId). Check the secrets",
        (403, "SignatureDoesNotMatch"): "credentials are not accepted",
        (400, "ExpiredToken"): "credentials are not accepted",
        (404, "NoSuchBucket"): "there is no bucket 'b'. Check bucket=",
        (301, "PermanentRedirect"): "Check region=",
    }
    for (status, code), said in cases.items():
        with answering(status, DENIED_XML % code.encode()) as address:
            assert said in refused(s3(address).test)
    with answering(503, DENIED_XML % b"SlowDown") as address, pytest.raises(SourceError) as caught:
        s3(address).test()
    assert caught.value.transient


def test_s3_knows_its_keys():
    """A real server that checks them, but for the first request, which asks whether it is there."""
    with server(
        lambda port: [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(port)],
        name="s3-keys",
        env={"INITIAL_NO_AUTH_ACTION_COUNT": "1"},
    ) as (port,):
        said = refused(s3(f"http://{HOST}:{port}").test)
    assert "credentials are not accepted" in said


def test_half_a_key_is_none():
    source = open_source(Connection.s3("x", bucket="b", access_key_id=Secret("env:ID")), lambda _secret: MARK)
    assert "Give both access_key_id= and secret_access_key=" in refused(source.test)


def test_s3_without_credentials(monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    source = open_source(Connection.s3("x", bucket="b", endpoint="http://127.0.0.1:1"), lambda _secret: "")
    assert "there are no credentials. Give access_key_id=" in refused(source.test)


def test_azure_refuses(azure_server):
    said = refused(azure(f"http://{HOST}:{azure_server.port}").test)
    assert "not accepted" in said or "refused" in said
    right = {"account": azure_server.account, "endpoint": azure_server.endpoint, "container": "cont"}
    wrong = open_source(
        Connection.azure_blob("x", account_key=Secret("env:KEY"), **right), lambda _secret: "aHVudGVyMnZlcnlzZWNyZXQ="
    )
    said = refused(wrong.test, "aHVudGVyMnZlcnlzZWNyZXQ=")
    assert "access is refused (AuthorizationFailure)" in said
    assert "check the secret behind account_key=" in said
    with answering(
        403, DENIED_XML % b"AuthenticationFailed", headers=[("x-ms-error-code", "AuthenticationFailed")]
    ) as address:
        assert "the credentials are not accepted (AuthenticationFailed). Check the secret" in refused(
            azure(address).test
        )
    for way, value in (
        ("account_key", "not base64 " + MARK),
        ("sas_token", f"?sv=2020&sig={MARK}&se=x"),
        ("connection_string", f"AccountName=x;AccountKey={MARK}"),
        ("connection_string", MARK),
    ):
        source = open_source(Connection.of("x", "azure_blob", **_by(way), **right), _told(value))
        said = refused(source.test)
        assert f"{way}=" in said or "SAS token" in said
    two = Connection.azure_blob("x", account_key=Secret("env:A"), sas_token=Secret("env:B"), **right)
    assert "Give one of them" in refused(open_source(two, lambda _secret: MARK).test)
    headers = [("x-ms-error-code", "AuthorizationPermissionMismatch")]
    with answering(403, DENIED_XML % b"AuthorizationPermissionMismatch", headers=headers) as address:
        assert "access is refused (AuthorizationPermissionMismatch). Give the account the role" in refused(
            azure(address).test
        )


def test_azure_by_every_way_in(azure_server, monkeypatch):
    from azure.storage.blob import ContainerClient, ContainerSasPermissions, generate_container_sas

    with ContainerClient.from_connection_string(azure_server.connection_string, "ways") as client:
        client.create_container()
        client.upload_blob("a.csv", b"n\n1\n")
    sas = generate_container_sas(
        azure_server.account, "ways", account_key=azure_server.key, expiry="2999-01-01",
        permission=ContainerSasPermissions(read=True, list=True),
    )  # fmt: skip
    where = {"account": azure_server.account, "endpoint": azure_server.endpoint}
    for way, secret, more in (
        ("account_key", azure_server.key, where),
        ("sas_token", sas, where),
        ("sas_token", f"?{sas}\n", where),
        ("connection_string", azure_server.connection_string, {}),
    ):
        connection = Connection.of("x", "azure_blob", container="ways", **_by(way), **more)
        source = open_source(connection, _told(secret))
        assert source.read(source.schema("a")).read_all().to_pylist() == [{"n": 1}]
        source.close()
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", azure_server.connection_string)
    source = open_source(Connection.azure_blob("x", container="ways"), lambda _secret: "")
    assert "1 files" in source.test()
    monkeypatch.delenv("AZURE_STORAGE_CONNECTION_STRING")
    with pytest.raises(SourceError, match="Give account=, endpoint= or connection_string="):
        open_source(Connection.azure_blob("x", container="ways"), lambda _secret: "").test()


def test_gcs_refuses(monkeypatch):
    def body(status, reason):
        said = {
            "error": {"code": status, "message": f"{reason} it is", "errors": [{"reason": reason, "message": reason}]}
        }
        return json.dumps(said).encode()

    for status, reason, said in (
        (401, "authError", "there are no Google credentials"),
        (403, "forbidden", "Grant roles/storage.objectViewer"),
        (404, "notFound", "there is no bucket 'b'. Check bucket="),
    ):
        with answering(status, body(status, reason), "application/json") as address:
            assert said in refused(gcs(address, monkeypatch).test)


def test_gcs_keys(monkeypatch):
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with answering(
        400, b'{"error": "invalid_grant", "error_description": "no such account"}', "application/json"
    ) as address:
        whole = {
            "type": "service_account", "client_email": "a@b.c", "private_key": key.decode(), "private_key_id": MARK,
            "token_uri": f"{address}/token", "project_id": "p",
        }  # fmt: skip
        lines = key.decode().splitlines()[1:3]
        assert "the credentials are not accepted" in refused(gcs(address, monkeypatch, json.dumps(whole)).test, *lines)
        damaged = json.dumps(whole | {"private_key": "-----BEGIN" + MARK})
        assert "damaged" in refused(gcs(address, monkeypatch, damaged).test)
        assert "is not JSON" in refused(gcs(address, monkeypatch, MARK).test)
        assert "not a service account's key" in refused(gcs(address, monkeypatch, json.dumps({"a": MARK})).test)


def test_a_download_that_breaks_is_tried_again_and_then_told(monkeypatch):
    """A server that lists a file and then gives only a part of it."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            if "list-type" in self.path:
                body = (
                    b"<?xml version='1.0'?><ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a.csv</Key>"
                    b"<Size>8</Size><ETag>&quot;e&quot;</ETag><LastModified>2024-01-01T00:00:00Z</LastModified></Contents>"
                    b"</ListBucketResult>"
                )
                length = len(body)
            else:
                asked.append(self.headers.get("If-Match"))
                body, length = (b"a\n1\n2\n3\n", 8) if len(asked) == whole else (b"a\n1", 8)
            self.send_response(200)
            self.send_header("Content-Length", str(length))
            self.send_header("ETag", '"e"')
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = True

        def log_message(self, *_arguments):
            pass

    monkeypatch.setattr("b2brecs.sources.files.remote._WAIT_SECONDS", 0)
    web = ThreadingHTTPServer((HOST, 0), Handler)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    try:
        whole = 3
        source = s3(f"http://{HOST}:{web.server_port}")
        assert source.read(source.schema("a")).read_all().column("a").to_pylist() == [1, 2, 3]
        assert len(asked) >= whole
        assert set(asked) == {'"e"'}
        source.close()
        whole = 0
        with pytest.raises(SourceError, match=r"a\.csv did not arrive as a whole") as caught:
            s3(f"http://{HOST}:{web.server_port}").schema("a")
        assert caught.value.transient
    finally:
        web.shutdown()
        web.server_close()
