"""Cloud Scheduler in memory, for the real client: there is no emulator of it. It calls nobody."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.cloud import scheduler
from google.cloud.scheduler_v1.services.cloud_scheduler.transports import CloudSchedulerGrpcTransport
from google.protobuf import empty_pb2

from tests.services.fakes.grpc_server import Refused, serve

SERVICE = "google.cloud.scheduler.v1.CloudScheduler"
NAME = re.compile(r"^projects/[^/]+/locations/[^/]+/jobs/[A-Za-z0-9_-]{1,500}$")
PAGE = 2


@dataclass
class FakeScheduler:
    """Keeps jobs by name, and gives them out two a page."""

    jobs: dict[str, scheduler.Job] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def create(self, request: scheduler.CreateJobRequest) -> scheduler.Job:
        with self.lock:
            self._check(request.job)
            if request.job.name in self.jobs:
                raise Refused(grpc.StatusCode.ALREADY_EXISTS, f"Job {request.job.name} already exists.")
            return self._keep(request.job, scheduler.Job.State.ENABLED)

    def update(self, request: scheduler.UpdateJobRequest) -> scheduler.Job:
        with self.lock:
            self._check(request.job)
            return self._keep(request.job, self._find(request.job.name).state)

    def get(self, request: scheduler.GetJobRequest) -> scheduler.Job:
        with self.lock:
            return self._find(request.name)

    def delete(self, request: scheduler.DeleteJobRequest) -> empty_pb2.Empty:
        with self.lock:
            del self.jobs[self._find(request.name).name]
        return empty_pb2.Empty()

    def pause(self, request: scheduler.PauseJobRequest) -> scheduler.Job:
        return self._turn(request.name, scheduler.Job.State.ENABLED, scheduler.Job.State.PAUSED)

    def resume(self, request: scheduler.ResumeJobRequest) -> scheduler.Job:
        return self._turn(request.name, scheduler.Job.State.PAUSED, scheduler.Job.State.ENABLED)

    def list(self, request: scheduler.ListJobsRequest) -> scheduler.ListJobsResponse:
        with self.lock:
            found = [job for name, job in self.jobs.items() if name.startswith(f"{request.parent}/jobs/")]
        begin = int(request.page_token or 0)
        following = str(begin + PAGE) if begin + PAGE < len(found) else ""
        return scheduler.ListJobsResponse(jobs=found[begin : begin + PAGE], next_page_token=following)

    def _check(self, job: scheduler.Job) -> None:
        if not NAME.match(job.name):
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"{job.name} is not a name of a job.")
        if len(job.schedule.split()) != 5:
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"Schedule {job.schedule} is invalid.")

    def _find(self, name: str) -> scheduler.Job:
        if name not in self.jobs:
            raise Refused(grpc.StatusCode.NOT_FOUND, f"Job {name} not found.")
        return self.jobs[name]

    def _keep(self, job: scheduler.Job, state: int) -> scheduler.Job:
        kept = scheduler.Job(job)
        kept.state = scheduler.Job.State(state)
        self.jobs[job.name] = kept
        return kept

    def _turn(self, name: str, before: int, after: int) -> scheduler.Job:
        with self.lock:
            job = self._find(name)
            if job.state != before:
                raise Refused(
                    grpc.StatusCode.FAILED_PRECONDITION,
                    f"Job {name} is not in state {scheduler.Job.State(before).name}.",
                )
            return self._keep(job, after)


@contextmanager
def serve_scheduler() -> Iterator[tuple[FakeScheduler, scheduler.CloudSchedulerClient]]:
    """Serve a Cloud Scheduler without jobs; yields it with a client."""
    fake = FakeScheduler()
    methods: dict[str, tuple[Any, Any]] = {
        "CreateJob": (scheduler.CreateJobRequest, fake.create),
        "UpdateJob": (scheduler.UpdateJobRequest, fake.update),
        "GetJob": (scheduler.GetJobRequest, fake.get),
        "DeleteJob": (scheduler.DeleteJobRequest, fake.delete),
        "PauseJob": (scheduler.PauseJobRequest, fake.pause),
        "ResumeJob": (scheduler.ResumeJobRequest, fake.resume),
        "ListJobs": (scheduler.ListJobsRequest, fake.list),
    }
    with serve(SERVICE, methods) as channel:
        yield fake, scheduler.CloudSchedulerClient(transport=CloudSchedulerGrpcTransport(channel=channel))
