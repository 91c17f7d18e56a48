"""What is special to BigQuery: load jobs that may be retried, limits, and what is said when it refuses."""

from __future__ import annotations

import datetime as dt
import io
from typing import Any

import pytest
from google.api_core import exceptions
from sqlglot import parse_one

from b2brecs.backends.gcp import bigquery_commit, bigquery_stage
from b2brecs.backends.gcp.bigquery import DOLLARS_PER_TIB, TIB, BigQueryWarehouse
from b2brecs.backends.gcp.bigquery_types import ROW
from b2brecs.backends.gcp.refusals import sentence
from b2brecs.backends.protocols import Change, LoadState, Staged
from b2brecs.errors import WarehouseError
from b2brecs.types import Column, TableSchema
from tests.conformance.gcp import gcp_warehouse  # noqa: F401
from tests.conformance.rows import ORDERS, batches, load, pairs, stage

ROWS = [{"id": 1, "note": "a"}, {"id": 2, "note": "b"}]


def jobs(warehouse: BigQueryWarehouse, kind: str) -> list[Any]:
    found = warehouse._open().list_jobs(max_results=1000)
    return [job for job in found if job.job_type == kind and f"_{warehouse.dataset}_" in job.job_id]


def test_the_same_rows_again_wait_for_the_job_that_there_is(gcp_warehouse: BigQueryWarehouse) -> None:  # noqa: F811
    first = stage(gcp_warehouse, ROWS)
    again = stage(gcp_warehouse, ROWS)
    assert again == first
    assert len(jobs(gcp_warehouse, "load")) == 1


def test_other_rows_of_the_same_run_lie_elsewhere(gcp_warehouse: BigQueryWarehouse) -> None:  # noqa: F811
    first = stage(gcp_warehouse, ROWS)
    other = stage(gcp_warehouse, ROWS[:1])
    assert other.name != first.name
    assert gcp_warehouse.commit(Change(other, "swap")) == 1


def test_rows_whose_table_is_gone_are_loaded_again(gcp_warehouse: BigQueryWarehouse) -> None:  # noqa: F811
    gcp_warehouse.drop(stage(gcp_warehouse, ROWS).name)
    assert gcp_warehouse.commit(Change(stage(gcp_warehouse, ROWS), "swap")) == 2
    assert len(jobs(gcp_warehouse, "load")) == 2


def test_a_lost_answer_to_an_upload_loads_once(
    gcp_warehouse: BigQueryWarehouse,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = gcp_warehouse._open()
    upload = client.load_table_from_file

    def lose(*given: Any, **options: Any) -> Any:
        upload(*given, **options)
        raise exceptions.Conflict("Already Exists: Job")

    monkeypatch.setattr(client, "load_table_from_file", lose)
    assert gcp_warehouse.commit(Change(stage(gcp_warehouse, ROWS), "swap")) == 2
    assert pairs(gcp_warehouse) == [(1, "a"), (2, "b")]
    assert len(jobs(gcp_warehouse, "load")) == 1


def test_staged_rows_expire(gcp_warehouse: BigQueryWarehouse) -> None:  # noqa: F811
    staged = stage(gcp_warehouse, ROWS)
    found = gcp_warehouse._open().get_table(gcp_warehouse._reference(staged.name))
    assert 0.9 < (found.expires - found.created) / bigquery_stage.KEPT < 1.1


def test_rows_that_were_left_without_an_end_are_swept(
    gcp_warehouse: BigQueryWarehouse,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gcp_warehouse.tables()
    for name in ("_b2b_stage_left", "_b2b_state_x", "stage"):
        gcp_warehouse._run(f"CREATE TABLE `{name}` AS SELECT 1 AS `id`")
    kept = stage(gcp_warehouse, ROWS)

    def left() -> list[str]:
        return sorted(item.table_id for item in gcp_warehouse._open().list_tables(gcp_warehouse._path))

    assert left() == sorted(["_b2b_stage_left", "_b2b_state_x", kept.name, "stage"])
    monkeypatch.setattr(bigquery_stage, "KEPT", dt.timedelta(seconds=-60))
    bigquery_stage.sweep(gcp_warehouse._open(), gcp_warehouse._path)
    assert left() == sorted(["_b2b_state_x", kept.name, "stage"])


def test_jobs_carry_the_label(gcp_warehouse: BigQueryWarehouse) -> None:  # noqa: F811
    stage(gcp_warehouse, ROWS)
    (job,) = jobs(gcp_warehouse, "load")
    assert job.labels == {"app": "b2brecs"}
    config = gcp_warehouse._config()
    assert config.labels == {"app": "b2brecs"}
    assert config.maximum_bytes_billed == 100 * 2**30


def test_a_failed_first_commit_leaves_no_table(gcp_warehouse: BigQueryWarehouse) -> None:  # noqa: F811
    schema = TableSchema("orders", (Column("id", "INT64"), Column("doc", "JSON")))
    state = LoadState("k", "1", "r1")
    with pytest.raises(WarehouseError):
        load(gcp_warehouse, [{"id": 1, "doc": "{not json"}], schema, mode="append", state=state)
    assert gcp_warehouse.tables() == []
    assert gcp_warehouse.state("k") is None


def test_columns_may_be_called_as_the_scripts_words(gcp_warehouse: BigQueryWarehouse) -> None:  # noqa: F811
    schema = TableSchema("orders", tuple(Column(name, "STRING") for name in ("standing", "done", "run", "expect")))
    rows = [dict.fromkeys(schema.names, "x")]
    assert load(gcp_warehouse, rows, schema, mode="merge", keys=["run", "done"], state=LoadState("k", None, "r")) == 1
    assert pairs_of(gcp_warehouse) == [("x", "x", "x", "x")]


def pairs_of(warehouse: BigQueryWarehouse) -> list[tuple[Any, ...]]:
    rows = warehouse.query(parse_one("SELECT * FROM orders", dialect="bigquery")).read_all().to_pylist()
    return [tuple(row.values()) for row in rows]


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_results_come_by_the_storage_read_interface(gcp_warehouse: BigQueryWarehouse, bigquery_emulator: Any) -> None:  # noqa: F811
    import grpc
    from google.cloud.bigquery_storage import BigQueryReadClient
    from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport

    load(gcp_warehouse, ROWS)
    channel = grpc.insecure_channel(bigquery_emulator.grpc_endpoint)
    reader = BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))
    streamed = BigQueryWarehouse(
        gcp_warehouse.project, "EU", gcp_warehouse.dataset, client=gcp_warehouse._open(), storage_client=reader
    )
    assert pairs(streamed) == [(1, "a"), (2, "b")]
    assert not streamed._no_storage
    channel.close()
    # Where the Storage interface refuses, the rows come by REST.
    refusing: Any = Refusing()
    unreachable = BigQueryWarehouse(
        gcp_warehouse.project, "EU", gcp_warehouse.dataset, client=gcp_warehouse._open(), storage_client=refusing
    )
    assert pairs(unreachable) == [(1, "a"), (2, "b")]
    assert unreachable._no_storage


class Refusing:
    """A Storage client without permission."""

    def create_read_session(self, *_given: Any, **_options: Any) -> Any:
        raise exceptions.Forbidden("no bigquery.readsessions.create")


def test_names_that_bigquery_refuses_are_named_all_at_once() -> None:
    warehouse = BigQueryWarehouse("acme", "EU", "b2brecs")
    columns = (Column("a.b", "INT64"), Column("_PARTITIONTIME", "DATE"), Column(ROW, "INT64"), Column("", "INT64"))
    with pytest.raises(WarehouseError) as caught:
        warehouse.stage(TableSchema("orders/1", columns), "r1", [])
    for part in ("'a.b'", "'_PARTITIONTIME'", f"'{ROW}'", "''", "table 'orders/1'"):
        assert part in str(caught.value)


def test_identifiers_are_quoted_and_values_are_parameters() -> None:
    schema = TableSchema("select", (Column("group by", "INT64", nullable=False), Column("größe", "JSON")))
    step = bigquery_commit.step(Change(Staged("_b2b_stage_x", schema, 1), "merge", ("group by",)), schema)
    delete, insert = step.statements
    assert delete == (
        "DELETE FROM `select` AS `t` WHERE EXISTS(SELECT 1 FROM `_b2b_stage_x` AS `s` "
        "WHERE `t`.`group by` = `s`.`group by`)"
    )
    assert insert == (
        "INSERT INTO `select` (`group by`, `größe`) SELECT `group by` AS `group by`, PARSE_JSON(`größe`) AS `größe` "
        "FROM `_b2b_stage_x` QUALIFY ROW_NUMBER() OVER (PARTITION BY `group by` ORDER BY `_b2b_row` DESC) = 1"
    )
    script = bigquery_commit.script([step], "select", bigquery_commit.state_table("k"))
    assert script.index("BEGIN TRANSACTION") < script.index("DELETE") < script.index("COMMIT TRANSACTION")
    assert "`watermark` = @watermark" in script


def test_a_swap_with_other_columns_replaces_the_table() -> None:
    def shape(*columns: Column) -> TableSchema:
        return TableSchema("t", columns)

    a, b, required = Column("a", "INT64"), Column("b", "STRING"), Column("b", "STRING", nullable=False)
    assert bigquery_commit.fits(shape(a, b), shape(a))
    assert bigquery_commit.fits(shape(a, b), shape(a, required))
    for other in (shape(a), shape(b, a), shape(a, required), shape(a, Column("b", "JSON"))):
        assert not bigquery_commit.fits(other, shape(a, b))


def test_the_name_of_staged_rows_holds_run_target_and_content() -> None:
    name = bigquery_stage.staged_name("run 1/ü", "orders", io.BytesIO(b"x"))
    assert name.startswith("_b2b_stage_run_1_orders_")
    others = [("run 1/ü", "orders", b"y"), ("run 1/u", "orders", b"x"), ("run 1/ü", "order", b"x")]
    assert name not in {bigquery_stage.staged_name(run, to, io.BytesIO(data)) for run, to, data in others}


def test_parquet_is_written_as_the_batches_come() -> None:
    file = io.BytesIO()
    taken = []

    def source() -> Any:
        for number in range(3):
            taken.append((number, file.tell()))
            yield batches(ORDERS, [{"id": number, "note": "x" * 1000}])[0]

    assert bigquery_stage.write_parquet(file, ORDERS, source()) == 3
    assert taken[2][1] > taken[1][1] > 0


def test_dry_run_is_priced_by_the_tib(monkeypatch: pytest.MonkeyPatch) -> None:
    class Job:
        total_bytes_processed = TIB // 2

    class Client:
        def get_dataset(self, _name: str) -> None: ...

        def query(self, _sql: str, job_config: Any) -> Job:
            assert job_config.dry_run
            return Job()

    warehouse = BigQueryWarehouse("acme", "EU", "b2brecs", client=Client())  # type: ignore[arg-type]
    assert warehouse.dry_run(parse_one("SELECT 1")).dollars == DOLLARS_PER_TIB / 2


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            exceptions.Forbidden(
                "POST https://bigquery.example/jobs: Access Denied: Project acme",
                errors=[{"reason": "accessDenied", "message": "Access Denied: Project acme: no bigquery.jobs.create"}],
            ),
            "BigQuery refused: Access Denied: Project acme: no bigquery.jobs.create. Grant the role r to the account",
        ),
        (
            exceptions.Forbidden("x", errors=[{"reason": "bytesBilledLimitExceeded", "message": "Limit exceeded"}]),
            "raise max_bytes_billed",
        ),
        (exceptions.Unauthorized("no token"), "gcloud auth application-default login"),
        (exceptions.ServiceUnavailable("try later"), "cannot be reached at the moment: try later."),
        (exceptions.RetryError("late", None), "did not answer in time"),
        (ConnectionError("x"), "cannot be reached"),
        (exceptions.BadRequest("Unrecognized name: x; reason: invalidQuery\n\nLocation: EU"), "BigQuery: Unrecognized"),
    ],
)
def test_refusals_are_one_sentence_with_the_fix(error: Exception, words: str) -> None:
    text = sentence(error, "BigQuery", "r")
    assert text is not None
    assert words in text
    assert "\n" not in text
    assert "https://" not in text


def test_other_errors_are_left_alone() -> None:
    assert sentence(KeyError("x"), "BigQuery", "r") is None
