"""The cloud home is light until used, says what is missing, and shows no secret."""

from __future__ import annotations

import json
import subprocess
import sys
import traceback
from typing import Any

import grpc
import pytest

from b2brecs.backends.gcp.home import home
from b2brecs.backends.gcp.scheduler import CloudScheduler
from b2brecs.backends.gcp.secret_manager import CloudSecrets
from b2brecs.backends.protocols import TaskSpec, Timetable
from b2brecs.configs.secrets import Secret
from b2brecs.errors import B2BRecsError, ConfigError
from tests.conformance.gcp import gcp_scheduler, gcp_secrets, scheduler_service, secret_service  # noqa: F401
from tests.services.fakes.grpc_server import Refused

HIDDEN = "tr0ub4dor&3"
ABSENT = """
import sys
import importlib.abc

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "google" or name.startswith("google."):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from sqlglot import parse_one
from b2brecs.backends.gcp.home import home
from b2brecs.backends.protocols import TaskSpec, Timetable
from b2brecs.configs.secrets import Secret
from b2brecs.errors import MissingExtra
from b2brecs.types import Column, TableSchema

opened = home(project="acme", location="europe-west1", runner=None)
uses = [
    lambda: opened.warehouse.tables(),
    lambda: opened.warehouse.query(parse_one("SELECT 1")),
    lambda: opened.warehouse.stage(TableSchema("t", (Column("a", "INT64"),)), "r", []),
    lambda: opened.warehouse.state("k"),
    lambda: opened.registry.list(),
    lambda: opened.registry.get("model", "m"),
    lambda: opened.secrets.get(Secret("gcp:erp")),
    lambda: opened.scheduler.list(),
]
for use in uses:
    try:
        use()
    except MissingExtra as error:
        assert "pip install 'b2brecs[gcp]'" in str(error), error
    else:
        raise AssertionError("nothing was missing")
opened.warehouse.close()
opened.registry.close()
"""
LIGHT = """
import sys
from b2brecs.backends.gcp.home import home
home(project="acme", location="europe-west1", runner=None)
print([name for name in sys.modules if name.startswith("google.cloud.") or name == "grpc"])
"""


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_without_googles_libraries_every_use_names_the_extra() -> None:
    python(ABSENT)


def test_a_home_that_is_not_used_loads_no_client() -> None:
    assert python(LIGHT).strip() == "[]"


def test_the_address_opens_the_same_home_again() -> None:
    runner: Any = object()
    plain = home(project="acme", location="europe-west1", runner=runner)
    assert (plain.url, plain.files) == ("gcp://acme/europe-west1", "gs://acme-b2brecs/b2brecs")
    chosen = home(project="acme", location="europe-west1", dataset="team_a", bucket="models", runner=runner)
    assert chosen.url == "gcp://acme/europe-west1?dataset=team_a&bucket=models"
    assert chosen.files == "gs://models/team_a"
    assert chosen.runner is runner


def test_a_stored_secret_shows_nowhere(gcp_secrets: CloudSecrets, secret_service: Any) -> None:  # noqa: F811
    fake, _client = secret_service
    gcp_secrets.put(Secret("gcp:erp"), HIDDEN)
    assert HIDDEN not in repr(gcp_secrets) + repr(vars(gcp_secrets))
    fake.refuse = f"no permission; the request was {HIDDEN}"
    try:
        with pytest.raises(B2BRecsError) as caught:
            gcp_secrets.put(Secret("gcp:erp"), HIDDEN)
    finally:
        fake.refuse = ""
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert HIDDEN not in "".join(traceback.format_exception(caught.value))
    assert "roles/secretmanager" in str(caught.value)


def test_a_refused_read_names_the_role(gcp_secrets: CloudSecrets, secret_service: Any) -> None:  # noqa: F811
    fake, _client = secret_service
    fake.refuse = "Permission 'secretmanager.versions.access' denied"
    try:
        with pytest.raises(B2BRecsError, match=r"denied\. Grant the role roles/secretmanager\.secretAccessor"):
            gcp_secrets.get(Secret("gcp:erp"))
    finally:
        fake.refuse = ""


def test_a_keyring_reference_is_refused_with_the_way_out(gcp_secrets: CloudSecrets) -> None:  # noqa: F811
    for use in (gcp_secrets.get, gcp_secrets.delete, lambda secret: gcp_secrets.put(secret, HIDDEN)):
        with pytest.raises(B2BRecsError, match=r"write Secret\('gcp:NAME'\)") as caught:
            use(Secret("keyring:erp"))
        assert HIDDEN not in str(caught.value)


def timetable(name: str = "nightly", **changes: Any) -> Timetable:
    spec = TaskSpec("etl", {"name": "orders", "password": "gcp:erp"}, "gcp://acme/europe-west1")
    return Timetable(**{"name": name, "cron": "0 3 * * *", "timezone": "Europe/Berlin", "spec": spec, **changes})


def test_a_job_posts_its_task_with_a_token(gcp_scheduler: CloudScheduler, scheduler_service: Any) -> None:  # noqa: F811
    fake, _client = scheduler_service
    gcp_scheduler.put(timetable("Täglich / 1"))
    (job,) = [job for name, job in fake.jobs.items() if gcp_scheduler.project in name]
    assert json.loads(job.http_target.body) == {
        "name": "Täglich / 1",
        "task": "etl",
        "config": {"name": "orders", "password": "gcp:erp"},
        "workspace": "gcp://acme/europe-west1",
    }
    assert job.http_target.oidc_token.service_account_email == gcp_scheduler.service_account
    assert job.http_target.oidc_token.audience == "https://b2brecs.example"
    assert (job.schedule, job.time_zone) == ("0 3 * * *", "Europe/Berlin")


def test_names_that_look_alike_are_kept_apart(gcp_scheduler: CloudScheduler) -> None:  # noqa: F811
    names = ["a b", "a-b", "a/b"]
    for name in names:
        gcp_scheduler.put(timetable(name))
    assert [item.name for item in gcp_scheduler.list()] == sorted(names)


def test_jobs_of_others_are_left_alone(gcp_scheduler: CloudScheduler, scheduler_service: Any) -> None:  # noqa: F811
    from google.cloud import scheduler

    fake, _client = scheduler_service
    theirs = f"{gcp_scheduler._parent}/jobs/backup-b2brecs-db"
    fake.jobs[theirs] = scheduler.Job(name=theirs, schedule="0 0 * * *")
    assert gcp_scheduler.list() == []


def test_without_a_service_a_schedule_says_what_is_missing() -> None:
    with pytest.raises(ConfigError, match="target_url"):
        CloudScheduler("acme", "europe-west1", target_url="", service_account="").put(timetable())


def test_a_refusing_service_is_explained(
    gcp_scheduler: CloudScheduler,  # noqa: F811
    scheduler_service: Any,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake, _client = scheduler_service

    def refuse(_job: Any) -> None:
        raise Refused(grpc.StatusCode.PERMISSION_DENIED, "The principal lacks cloudscheduler.jobs.update")

    monkeypatch.setattr(fake, "_check", refuse)
    with pytest.raises(B2BRecsError, match=r"lacks cloudscheduler.jobs.update\. Grant the role roles/cloudscheduler"):
        gcp_scheduler.put(timetable())
