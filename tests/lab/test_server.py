"""The server extension, in a real Jupyter server that finds it by the configuration that ships."""

import datetime as dt
import json
import shutil
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote

import pytest

import b2brecs as b2b
from b2brecs.backends.protocols import RunRecord
from b2brecs.lab.server import Refused, home_folder
from tests.services.process import HOST, server

ROOT = Path(__file__).parents[2]
TOKEN = "a-token-of-the-tests"  # a password of nobody
# Neither the shell that starts the tests nor the Jupyter of this machine has a say.
SCRUBBED = ("B2BRECS_HOME", "JUPYTER_PATH", "JUPYTER_CONFIG_PATH", "JUPYTER_TOKEN")


class Client:
    """Asks a running server."""

    def __init__(self, port, root):
        self.port, self.root = port, root

    def get(self, path=None, token=TOKEN):
        """Return the status and the JSON of an answer."""
        query = "" if path is None else f"?path={quote(str(path), safe='')}"
        connection = HTTPConnection(HOST, self.port, timeout=60)
        headers = {"Authorization": f"token {token}"} if token else {}
        connection.request("GET", f"/base/b2brecs/api/entries{query}", headers=headers)
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        assert answer.headers["Content-Type"].startswith("application/json"), body
        assert "Traceback" not in body
        return answer.status, json.loads(body)


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory):
    """Start a Jupyter server with our shipped configuration, a token, and a root directory of its own."""
    home = tmp_path_factory.mktemp("jupyter")
    for name in ("data", "runtime", "root"):
        (home / name).mkdir()
    shutil.copytree(ROOT / "jupyter-config" / "server-config", home / "config" / "jupyter_server_config.d")
    with pytest.MonkeyPatch.context() as patch:
        for name in SCRUBBED:
            patch.delenv(name, raising=False)
        folders = {f"JUPYTER_{name.upper()}_DIR": str(home / name) for name in ("config", "data", "runtime")}
        environment = {**folders, "PYTHONPATH": str(ROOT), "IPYTHONDIR": str(home / "ipython")}
        command = lambda port: [
            sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root", f"--port={port}",
            "--ServerApp.port_retries=0", f"--ServerApp.ip={HOST}", f"--IdentityProvider.token={TOKEN}",
            "--ServerApp.base_url=/base/", f"--ServerApp.root_dir={home / 'root'}",
        ]  # fmt: skip
        with server(command, name="jupyter", cwd=home, env=environment) as (port,):
            yield Client(port, home / "root")


def save(folder):
    """Save two versions of a connection, another one, and log more runs than are listed."""
    with b2b.Workspace.local(folder) as ws:
        ws.save(b2b.Connection.files("shop", path="first"))
        ws.save(b2b.Connection.files("shop", path="second"))
        ws.save(b2b.Connection.postgres("erp", host="h", database="d", user="u", password=b2b.Secret("env:ERP")))
        for minute in range(25):
            started = dt.datetime(2026, 1, 1, 12, minute, tzinfo=dt.UTC)
            ws.home.registry.log_run(RunRecord(f"run{minute}", "job", "nightly", "failed", started, error="hush"))


def test_an_unauthenticated_request_is_refused(jupyter):
    save(jupyter.root / "shut")
    for token in (None, "wrong"):
        status, answer = jupyter.get("shut", token=token)
        assert status == 403
        assert "entries" not in answer


def test_what_was_saved_is_listed(jupyter):
    save(jupyter.root / "homes" / "mine")
    status, answer = jupyter.get("homes/mine")
    assert status == 200
    assert [(e["kind"], e["name"], e["version"]) for e in answer["entries"]] == [
        ("connection", "erp", 1),
        ("connection", "shop", 2),
    ]
    assert {key for entry in answer["entries"] for key in entry} == {"kind", "name", "version", "saved_at"}
    assert all(dt.datetime.fromisoformat(entry["saved_at"]).tzinfo for entry in answer["entries"])
    assert [run["id"] for run in answer["runs"]] == [f"run{minute}" for minute in range(24, 4, -1)]
    assert answer["runs"][0] == {
        "id": "run24", "kind": "job", "name": "nightly", "status": "failed", "started_at": "2026-01-01T12:24:00+00:00",
    }  # fmt: skip


def test_a_home_has_several_addresses(jupyter):
    save(jupyter.root / ".b2brecs")
    asked = [
        jupyter.get(path) for path in (None, ".b2brecs", "local:.b2brecs", jupyter.root / ".b2brecs", "x/../.b2brecs")
    ]
    assert all(answer == asked[0] for answer in asked)
    assert len(asked[0][1]["entries"]) == 2


def test_a_folder_outside_the_root_is_refused(jupyter):
    outside = jupyter.root.parent / "outside"
    save(outside)
    (jupyter.root / "link").symlink_to(outside)
    (jupyter.root / "half").mkdir()
    (jupyter.root / "half" / "registry.sqlite").symlink_to(outside / "registry.sqlite")
    for path in (outside, "../outside", "link", "half", "/", "..", "~", "local:/etc"):
        status, answer = jupyter.get(path)
        assert status == 403, path
        assert answer == {"message": "The folder does not lie below the server's root directory. Give one that does."}


@pytest.mark.parametrize("path", ["gcp://project/EU", "http://example.org", "x" * 5000, "~nobody-of-this-name/x"])
def test_what_is_no_local_folder_is_refused(jupyter, path):
    status, answer = jupyter.get(path)
    assert status == 400
    assert answer["message"].endswith(".")


def test_odd_paths_are_refused_without_a_server(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    for path in ("a\0b", "loop/x"):
        with pytest.raises(Refused, match="not that of a folder"):
            home_folder(path, tmp_path)


def test_a_file_is_no_home(jupyter):
    (jupyter.root / "a 100% file.txt").write_text("text")
    status, answer = jupyter.get("a 100% file.txt")
    assert status == 400
    assert "this is a file. Give a folder." in answer["message"]


def test_a_missing_home_is_empty_and_stays_missing(jupyter):
    (jupyter.root / "empty").mkdir()
    for path in ("nowhere/yet", "empty"):
        assert jupyter.get(path) == (200, {"entries": [], "runs": []})
    assert not (jupyter.root / "nowhere").exists()
    assert list((jupyter.root / "empty").iterdir()) == []


def test_a_broken_registry_is_told(jupyter):
    broken = jupyter.root / "broken"
    broken.mkdir()
    (broken / "registry.sqlite").write_text("this is no database, however long one looks at it" * 50)
    status, answer = jupyter.get("broken")
    assert status == 500
    assert "file is not a database" in answer["message"]


def test_the_extension_point_is_light():
    code = "import sys, b2brecs.lab as lab; print(lab._jupyter_server_extension_points(), len({'jupyter_server', 'duckdb', 'pandas'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[{'module': 'b2brecs.lab.server'}] 0"
