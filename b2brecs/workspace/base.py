"""The workspace itself: a home's backends, and the verbs on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from b2brecs import context, tasks
from b2brecs.backends import resolve
from b2brecs.backends.protocols import Home, TaskSpec
from b2brecs.configs.dataset import Dataset
from b2brecs.configs.filters import Side
from b2brecs.display import Card
from b2brecs.workspace.data import DataVerbs
from b2brecs.workspace.etl import EtlVerbs
from b2brecs.workspace.models import ModelVerbs
from b2brecs.workspace.secrets import SecretVerbs


class Workspace(EtlVerbs, DataVerbs, ModelVerbs):
    """Where configurations are kept and work is done: on this machine, or in the cloud.

    Opening one costs nothing: files are made and services called at the first verb that needs them. The one
    opened last is the current one, which ``job.run()`` and its like ask.

    Examples
    --------
    >>> import tempfile
    >>> ws = Workspace.local(tempfile.mkdtemp())
    >>> ws.tables().rows
    []
    >>> ws.close()
    """

    def __init__(self, home: Home) -> None:
        self.home = home
        self._seen: dict[tuple[str, str], int] = {}
        context.set_current(self)

    @classmethod
    def local(cls, path: str | Path | None = None) -> Workspace:
        """Open the home on this machine: DuckDB, SQLite, the OS keyring, this process. No account, no network.

        Parameters
        ----------
        path
            A folder, made when needed. Default: the environment's ``B2BRECS_HOME``, or ``.b2brecs`` here.
        """
        return cls.opened(lambda run: resolve.local(path, run))

    @classmethod
    def gcp(
        cls, *, project: str, location: str = "EU", dataset: str = "b2brecs", bucket: str | None = None
    ) -> Workspace:
        """Open the home on Google Cloud: BigQuery, Firestore, Secret Manager, Cloud Scheduler.

        Parameters
        ----------
        project
            Google Cloud project.
        location
            BigQuery location, such as ``EU`` or ``europe-west1``.
        dataset
            BigQuery dataset for the tables; made when needed.
        bucket
            Cloud Storage bucket for models and other files.

        Raises
        ------
        MissingExtra
            The cloud libraries are not installed.
        """
        return cls.opened(
            lambda run: resolve.gcp(project=project, location=location, dataset=dataset, bucket=bucket, run=run)
        )

    @classmethod
    def opened(cls, make: Any) -> Workspace:
        """Open the home that ``make(run)`` returns; ``run`` does a task in it."""
        holder: list[Home] = []

        def run(spec: TaskSpec, control: tasks.Control) -> None:
            tasks.run(holder[0], spec, control)

        holder.append(make(run))
        return cls(holder[0])

    @property
    def secrets(self) -> SecretVerbs:
        """Secrets: put, delete. They are only read by what needs them."""
        return SecretVerbs(self.home.secrets)

    def edit(self, noun: Any, *others: Any) -> Any:
        """Open the widget for a noun: the schema builder for a dataset, the tower designer for features and a model."""
        from b2brecs.workspace.widgets import schema_builder, tower_designer

        return schema_builder(self, noun) if isinstance(noun, Dataset) else tower_designer(noun, *others)

    def filters(self, dataset: Dataset) -> Any:
        """Open the filter panel of a dataset: what each step keeps, and every filter to add, change or remove."""
        from b2brecs.workspace.widgets import filter_panel

        return filter_panel(self, dataset)

    def pareto(self, dataset: Dataset, side: Side = "product") -> Any:
        """Open the Pareto chart of a dataset's products (or buyers) by revenue."""
        from b2brecs.workspace.widgets import pareto_chart

        return pareto_chart(self, dataset, side)

    def close(self) -> None:
        """Close what is open. The workspace can be used again; it opens what it needs."""
        self.home.warehouse.close()
        self.home.registry.close()
        context.forget(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Workspace {self.home.url}>"

    def _repr_html_(self) -> str:
        names = self.home.warehouse.tables()
        saved = [f"{d.kind} {d.name} v{d.version}" for d in self.home.registry.list()]
        facts = {"tables": ", ".join(names) or "none yet", "saved": ", ".join(saved) or "nothing yet"}
        return Card("Workspace", self.home.url, facts).to_html()


def connect(url: str = "local") -> Workspace:
    """Open a workspace by its address: the one line that changes between homes.

    Parameters
    ----------
    url
        ``local``, ``local:/path/to/folder``, ``gcp://project/location?dataset=...``, or what an installed package
        adds (entry points ``b2brecs.backends``).
    """
    return Workspace.opened(lambda run: resolve.from_url(url, run))
