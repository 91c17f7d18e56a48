"""A run's log: where it is, whose lines it takes, and that no form of a secret is in it."""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote_plus

import pytest

import b2brecs as b2b
from b2brecs.backends.protocols import Home
from b2brecs.configs.secrets import Secret
from b2brecs.tasks.log import RunLog, place_of

KEY = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nBKcwggSjAgEAAoIBAQ\n-----END PRIVATE KEY-----\n"
ACCOUNT = json.dumps({"type": "service_account", "private_key": KEY, "client_email": "x@acme.iam"})
PASSWORD = 'p"ä ss\\word&1'


@pytest.fixture
def home(tmp_path: Path):
    with b2b.Workspace.local(tmp_path / "home") as ws:
        yield ws.home


def cloud(home: Home, query: str, bucket: str = "acme-b2brecs") -> Home:
    return replace(home, url=f"gcp://acme/europe-west1{query}", files=f"gs://{bucket}/b2brecs")


def test_a_log_is_a_file_an_object_of_a_bucket_or_lines(home):
    assert place_of(home, "r1") == f"{home.files}/logs/r1.log"
    assert place_of(cloud(home, "?bucket=acme-b2brecs"), "r1") == "gs://acme-b2brecs/b2brecs/logs/r1.log"
    nowhere = cloud(home, "")
    assert place_of(nowhere, "r1") == ""
    log = RunLog(nowhere, "r1")
    log.open()
    for number in range(300):
        log.line(f"line {number}")
    log.close()
    assert [line.split(" ", 2)[2] for line in log.kept["log_lines"]] == [f"line {n}" for n in range(100, 300)]


def test_a_log_goes_to_the_bucket_that_the_home_names(home, gcs_server):
    from google.cloud import storage  # type: ignore[attr-defined]

    client = storage.Client(project=gcs_server.project)
    client.create_bucket("run-logs")
    log = RunLog(cloud(home, "?bucket=run-logs", "run-logs"), "r1")
    log.open()
    log.line("Größe 😀")
    assert log.kept == {"log": "gs://run-logs/b2brecs/logs/r1.log"}
    log.close()
    text = client.bucket("run-logs").blob("b2brecs/logs/r1.log").download_as_text()
    assert text.endswith("Größe 😀\n")


def test_a_bucket_that_cannot_be_written_loses_no_run(home, gcs_server, caplog):
    log = RunLog(cloud(home, "?bucket=absent", "absent"), "r1")
    log.open()
    log.line("kept")
    log.close()
    assert "was not written to gs://absent" in caplog.text
    assert log.kept["log_lines"][-1].endswith("kept")


@pytest.mark.parametrize("secret", [PASSWORD, ACCOUNT])
def test_every_form_of_a_secret_is_taken_out(home, secret):
    log = RunLog(home, "r1")
    assert log.reading(lambda _reference: secret)(Secret("env:X")) == secret
    forms = [secret, quote_plus(secret), json.dumps(secret), repr(secret)]
    if secret == ACCOUNT:
        forms += [KEY, KEY.splitlines()[1], json.dumps(KEY)]
    log.open()
    for form in forms:
        log.line(f"connected with {form}.")
    facts = log.scrub({"tables": [{"error": f"refused {secret}", "rows": 3}], "note": (secret,), "none": None})
    log.close()
    text = Path(log.place).read_text()
    for part in ("MIIEv", "word&1", "word%261", "private_key"):
        assert part not in text, part
    assert text.count("connected with") == len(forms)
    assert facts == {"tables": [{"error": "refused ****", "rows": 3}], "note": ["****"], "none": None}


def test_of_two_runs_at_once_each_takes_its_own_lines(home):
    logger = logging.getLogger("b2brecs.somewhere")
    both = threading.Barrier(2)

    def work(name: str, place: list[str]) -> None:
        log = RunLog(home, name)
        log.open()
        both.wait(60)
        logger.warning("of %s", name)
        both.wait(60)
        log.close()
        place.append(Path(log.place).read_text())

    texts: tuple[list[str], list[str]] = ([], [])
    threads = [threading.Thread(target=work, args=(name, text)) for name, text in zip(("r1", "r2"), texts, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert "of r1" in texts[0][0]
    assert "of r2" not in texts[0][0]
    assert "of r2" in texts[1][0]
    assert "of r1" not in texts[1][0]
