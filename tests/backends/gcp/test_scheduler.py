"""What only Cloud Scheduler does: an authenticated POST of the task, and homes that share a project."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from google.cloud import scheduler

from b2brecs.backends.gcp.scheduler import CloudScheduler
from b2brecs.backends.protocols import TaskSpec, Timetable
from b2brecs.errors import ConfigError
from tests.conformance.gcp import own, scheduler_service  # noqa: F401 - a fixture

URL, ACCOUNT = "https://tasks.example/run/now", "b2brecs@acme.iam.gserviceaccount.com"
SPEC = TaskSpec("etl", {"name": "Größe 😀"}, "gcp://acme/europe-west1")
NIGHTLY = Timetable("nightly", "30 2 * * *", "Europe/Berlin", SPEC)


@pytest.fixture
def service(scheduler_service):  # noqa: F811
    return scheduler_service


def opened(service, project: str, **changes) -> CloudScheduler:
    settings = {"target_url": URL, "service_account": ACCOUNT, "client": service[1]} | changes
    return CloudScheduler(project, "europe-west1", **settings)


def test_the_job_posts_the_task_with_a_token_for_the_service(service):
    project = own("p")
    opened(service, project).put(NIGHTLY)
    job = service[0].jobs[f"projects/{project}/locations/europe-west1/jobs/b2brecs-nightly"]
    assert (job.schedule, job.time_zone) == ("30 2 * * *", "Europe/Berlin")
    target = job.http_target
    assert (target.uri, target.http_method) == (URL, scheduler.HttpMethod.POST)
    assert target.headers["Content-Type"] == "application/json"
    assert target.oidc_token.service_account_email == ACCOUNT
    assert target.oidc_token.audience == "https://tasks.example"
    assert json.loads(target.body) == {
        "name": "nightly", "task": "etl", "config": {"name": "Größe 😀"}, "workspace": "gcp://acme/europe-west1",
    }  # fmt: skip


def test_put_pause_resume_and_delete_reach_the_service(service):
    project = own("p")
    cloud = opened(service, project)
    path = f"projects/{project}/locations/europe-west1/jobs/b2brecs-nightly"
    cloud.put(replace(NIGHTLY, paused=True))
    assert service[0].jobs[path].state == scheduler.Job.State.PAUSED
    # Replacing what is paused by what is not resumes it.
    cloud.put(replace(NIGHTLY, cron="0 4 * * *"))
    assert service[0].jobs[path].state == scheduler.Job.State.ENABLED
    assert service[0].jobs[path].schedule == "0 4 * * *"
    cloud.pause("nightly")
    assert service[0].jobs[path].state == scheduler.Job.State.PAUSED
    cloud.pause("nightly", paused=False)
    assert service[0].jobs[path].state == scheduler.Job.State.ENABLED
    cloud.delete("nightly")
    cloud.delete("nightly")
    assert path not in service[0].jobs


def test_homes_of_one_project_with_prefixes_of_their_own_do_not_meet(service):
    project = own("p")
    one, other = opened(service, project, prefix="one"), opened(service, project, prefix="other")
    one.put(NIGHTLY)
    other.put(replace(NIGHTLY, cron="0 5 * * *"))
    assert [t.cron for t in one.list()] == ["30 2 * * *"]
    one.delete("nightly")
    assert [t.cron for t in other.list()] == ["0 5 * * *"]


def test_whom_to_call_may_stand_in_the_environment(service, monkeypatch):
    project = own("p")
    nobody = opened(service, project, target_url="", service_account="")
    with pytest.raises(ConfigError, match="B2BRECS_TASKS_URL"):
        nobody.put(NIGHTLY)
    assert nobody.list() == []
    monkeypatch.setenv("B2BRECS_TASKS_URL", URL)
    monkeypatch.setenv("B2BRECS_TASKS_ACCOUNT", ACCOUNT)
    named = opened(service, project, target_url="", service_account="")
    named.put(NIGHTLY)
    assert named.list() == [NIGHTLY]


def test_a_token_is_not_sent_in_the_clear(service):
    with pytest.raises(ConfigError, match="https"):
        opened(service, own("p"), target_url="http://tasks.example").put(NIGHTLY)
