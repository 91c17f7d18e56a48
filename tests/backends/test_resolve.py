"""Homes are opened by their address, at once, and a wrong address says which are right."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from b2brecs.backends import resolve
from b2brecs.backends.protocols import Home, TaskSpec
from b2brecs.errors import ConfigError, MissingExtra


def run(_spec: TaskSpec, _progress: object) -> None:
    return None


def test_opening_makes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("B2BRECS_HOME", raising=False)
    home = resolve.from_url("local", run)
    assert list(tmp_path.iterdir()) == []
    assert home.url == f"local:{tmp_path / '.b2brecs'}"
    assert home.files == str(tmp_path / ".b2brecs" / "files")
    assert home.warehouse.dialect == "duckdb"


def test_the_environment_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("B2BRECS_HOME", str(tmp_path / "there"))
    assert resolve.local(None, run).url == f"local:{tmp_path / 'there'}"


def test_an_address_opens_the_same_home_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first = resolve.from_url("local:Größe: a b", run)
    monkeypatch.chdir("/")
    again = resolve.from_url(first.url, run)
    assert (again.url, again.files) == (first.url, first.files)
    assert first.url == f"local:{tmp_path / 'Größe: a b'}"


def test_a_file_is_no_home(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(ConfigError, match="Give a folder"):
        resolve.local(tmp_path / "x", run)


def test_heavy_libraries_wait_until_used() -> None:
    script = (
        "import sys; from b2brecs.backends import resolve; resolve.local('x', print);"
        "print([m for m in ('duckdb', 'pyarrow', 'sqlglot', 'sqlalchemy', 'keyring', 'google.cloud.bigquery', 'pandas')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


def test_a_cloud_address_is_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(resolve, "gcp", lambda **options: asked.append(options))
    resolve.from_url("gcp://my-project/europe-west3", run)
    resolve.from_url("gcp://my-project/EU?dataset=x&bucket=b", run)
    assert asked == [
        {"project": "my-project", "location": "europe-west3", "run": run, "dataset": "b2brecs", "bucket": None},
        {"project": "my-project", "location": "EU", "run": run, "dataset": "x", "bucket": "b"},
    ]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("gcp://project", "a project and a region"),
        ("gcp:", "a project and a region"),
        ("gcp://p/r/more", "a project and a region"),
        ("gcp://p/r?datset=x", "Did you mean 'dataset'"),
        ("gcp://p/r?dataset=", "the option is empty"),
        ("loca", "Did you mean 'local'"),
        ("", "Write 'local'"),
        ("/a/path", "Write 'local'"),
        ("s3://bucket", "Write 'local'"),
    ],
)
def test_a_wrong_address_says_which_are_right(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve.from_url(url, run)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "b2brecs.backends.gcp.home", None)
    with pytest.raises(MissingExtra, match=r"b2brecs\[gcp\]"):
        resolve.gcp(project="p", location="r", run=run)


def test_installed_packages_add_homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "acme_home-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-home\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[b2brecs.backends]\nacme = acme_home:home\n")
    (tmp_path / "acme_home.py").write_text(
        "from b2brecs.backends import resolve\n"
        "def home(url, run):\n    return resolve.local(url.removeprefix('acme:'), run)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    found = resolve.from_url(f"acme:{tmp_path / 'h'}", run)
    assert isinstance(found, Home)
    assert found.url == f"local:{tmp_path / 'h'}"
    with pytest.raises(ConfigError, match="Did you mean 'acme'"):
        resolve.from_url("acmee:x", run)
