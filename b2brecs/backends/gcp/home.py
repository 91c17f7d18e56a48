"""The home in the cloud: BigQuery, Firestore, Secret Manager and Cloud Scheduler of one Google project."""

from __future__ import annotations

from urllib.parse import urlencode

from b2brecs.backends.protocols import Home, Runner

DATASET = "b2brecs"


def home(*, project: str, location: str, dataset: str = DATASET, bucket: str | None = None, runner: Runner) -> Home:
    """Put the backends of a Google project together; nothing is asked and no client made before the first use.

    Parameters
    ----------
    project
        The project that is billed.
    location
        Where data lies and work is done: a region, such as ``europe-west1``.
    dataset
        The BigQuery dataset; the registry's collections begin with its name too.
    bucket
        The bucket for models and other files; by default ``<project>-b2brecs``.
    runner
        Where tasks run.

    Examples
    --------
    >>> from b2brecs.backends.gcp.home import home
    >>> home(project="acme", location="europe-west1", runner=None).url
    'gcp://acme/europe-west1'
    """
    from b2brecs.backends.gcp.bigquery import BigQueryWarehouse
    from b2brecs.backends.gcp.firestore import FirestoreRegistry
    from b2brecs.backends.gcp.scheduler import CloudScheduler
    from b2brecs.backends.gcp.secret_manager import CloudSecrets

    chosen = {"dataset": dataset if dataset != DATASET else None, "bucket": bucket}
    query = urlencode({key: value for key, value in chosen.items() if value})
    return Home(
        url=f"gcp://{project}/{location}" + (f"?{query}" if query else ""),
        warehouse=BigQueryWarehouse(project, location, dataset),
        registry=FirestoreRegistry(project, prefix=dataset),
        secrets=CloudSecrets(project),
        runner=runner,
        scheduler=CloudScheduler(project, location, target_url="", service_account=""),
        files=f"gs://{bucket or f'{project}-b2brecs'}/{dataset}",
    )
