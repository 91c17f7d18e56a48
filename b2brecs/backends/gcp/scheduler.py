"""What starts tasks on time in the cloud: Cloud Scheduler, which calls the workspace's service."""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from b2brecs.backends.gcp.refusals import explained
from b2brecs.backends.protocols import TaskSpec, Timetable
from b2brecs.configs.schedule import check_timetable
from b2brecs.errors import ConfigError, NotFound, require

if TYPE_CHECKING:
    from google.cloud import scheduler

ROLE = "roles/cloudscheduler.admin, and roles/iam.serviceAccountUser on the service account,"
URL, ACCOUNT = "B2BRECS_TASKS_URL", "B2BRECS_TASKS_ACCOUNT"


class CloudScheduler:
    """Timetables as HTTP jobs of Cloud Scheduler.

    A job posts its task, as JSON, with an identity token of the service account, made out to the service's scheme
    and host. The body holds configuration and references to secrets, never a secret.

    Parameters
    ----------
    project, location
        Where the jobs are kept; the location is a region.
    target_url
        The service that starts tasks; by default the environment's ``B2BRECS_TASKS_URL``. Needed to ``put``.
    service_account
        The account, as an e-mail address, whose token the service accepts; by default the environment's
        ``B2BRECS_TASKS_ACCOUNT``. Needed to ``put``.
    prefix
        Begins the ids of the jobs: homes of one project and region with different prefixes do not meet.
    client
        A client to use instead of one with the default credentials.
    """

    def __init__(
        self,
        project: str,
        location: str,
        *,
        target_url: str = "",
        service_account: str = "",
        prefix: str = "b2brecs",
        client: scheduler.CloudSchedulerClient | None = None,
    ) -> None:
        self.project, self.location = project, location
        self.target_url = target_url or os.environ.get(URL, "")
        self.service_account = service_account or os.environ.get(ACCOUNT, "")
        self._prefix = f"{_slug(prefix)}-"
        self._client = client
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<CloudScheduler {self.project} in {self.location}>"

    def put(self, timetable: Timetable) -> None:
        """Add or replace a timetable.

        Raises
        ------
        ConfigError
            The cron expression or the time zone is wrong, or it is not known what to call.
        """
        check_timetable(timetable.name, timetable.cron, timetable.timezone)
        address = urlsplit(self.target_url)
        if address.scheme != "https" or not address.netloc or not self.service_account:
            raise ConfigError.single(
                "CloudScheduler", "target_url", self.target_url, "it is not known which service a schedule calls.",
                f"Deploy a service that starts tasks, and set {URL} to its https address and {ACCOUNT} to the service "
                "account that may call it.",
            )  # fmt: skip
        with self._explained():
            from google.api_core import exceptions

            client, job = self._open(), self._job(timetable)
            try:
                found = client.update_job(job=job)
            except exceptions.NotFound:
                try:
                    found = client.create_job(parent=self._parent, job=job)
                except exceptions.AlreadyExists:
                    found = client.update_job(job=job)
            self._set(found, paused=timetable.paused)

    def list(self) -> list[Timetable]:
        """Return all timetables, by name."""
        with self._explained():
            ours = f"{self._parent}/jobs/{self._prefix}"
            jobs = [job for job in self._open().list_jobs(parent=self._parent) if job.name.startswith(ours)]
        return sorted((_timetable(job) for job in jobs), key=lambda item: item.name)

    def pause(self, name: str, *, paused: bool = True) -> None:
        """Stop, or resume, a timetable.

        Raises
        ------
        NotFound
            There is none of this name.
        """
        with self._explained():
            from google.api_core import exceptions

            try:
                found = self._open().get_job(name=self._path(name))
            except exceptions.NotFound:
                raise NotFound("timetable", name, [item.name for item in self.list()], "Cloud Scheduler") from None
            self._set(found, paused=paused)

    def delete(self, name: str) -> None:
        """Remove a timetable, if there."""
        with self._explained():
            from google.api_core import exceptions

            try:
                self._open().delete_job(name=self._path(name))
            except exceptions.NotFound:
                return

    @property
    def _parent(self) -> str:
        return f"projects/{self.project}/locations/{self.location}"

    def _path(self, name: str) -> str:
        return f"{self._parent}/jobs/{self._prefix}{_slug(name)}"

    def _explained(self) -> AbstractContextManager[None]:
        require("google.cloud.scheduler", feature="Cloud Scheduler", extra="gcp")
        return explained("Cloud Scheduler", role=f"{ROLE} in project {self.project!r}")

    def _open(self) -> scheduler.CloudSchedulerClient:
        from google.cloud import scheduler

        with self._lock:
            if self._client is None:
                self._client = scheduler.CloudSchedulerClient()
            return self._client

    def _job(self, timetable: Timetable) -> scheduler.Job:
        from google.cloud import scheduler

        spec, address = timetable.spec, urlsplit(self.target_url)
        body = {"name": timetable.name, "task": spec.task, "config": spec.config, "workspace": spec.workspace}
        return scheduler.Job(
            name=self._path(timetable.name),
            description="b2brecs",
            schedule=timetable.cron,
            time_zone=timetable.timezone,
            http_target=scheduler.HttpTarget(
                uri=self.target_url,
                http_method=scheduler.HttpMethod.POST,
                headers={"Content-Type": "application/json"},
                body=json.dumps(body, ensure_ascii=False).encode(),
                oidc_token=scheduler.OidcToken(
                    service_account_email=self.service_account, audience=f"{address.scheme}://{address.netloc}"
                ),
            ),
        )  # fmt: skip

    def _set(self, job: scheduler.Job, *, paused: bool) -> None:
        """Bring a job to its state; Cloud Scheduler refuses to pause what is paused."""
        from google.cloud import scheduler

        is_paused = job.state == scheduler.Job.State.PAUSED
        if paused and not is_paused:
            self._open().pause_job(name=job.name)
        elif is_paused and not paused:
            self._open().resume_job(name=job.name)


def _slug(name: str) -> str:
    """Write any name as a job's id; a changed one is told from others by its hash."""
    slug = re.sub(r"[^A-Za-z0-9_-]+", "-", name)[:400]
    return slug if slug == name else f"{slug}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def _timetable(job: scheduler.Job) -> Timetable:
    from google.cloud import scheduler

    body = json.loads(job.http_target.body)
    spec = TaskSpec(body["task"], body["config"], body["workspace"])
    paused = job.state == scheduler.Job.State.PAUSED
    return Timetable(body["name"], job.schedule, job.time_zone, spec, paused)
