"""Each service is reached by its real client library: write, then read back."""

import json
from typing import Any

import pytest

from tests.services.addresses import GCS, S3, Azure, BigQuery, Database, Emulator
from tests.services.need import need


def _write_and_read(connection: Any) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE parts (id integer PRIMARY KEY, name varchar(40))")
        cursor.execute("INSERT INTO parts VALUES (%s, %s)", (1, "Mutter ü 螺母"))
        connection.commit()
        cursor.execute("SELECT id, name FROM parts")
        rows = list(cursor.fetchall())
        cursor.execute("DROP TABLE parts")
        connection.commit()
    connection.close()
    return rows


def test_postgres(postgres: Database) -> None:
    psycopg2 = pytest.importorskip("psycopg2")
    connection = psycopg2.connect(postgres.url("postgresql"))
    assert _write_and_read(connection) == [(1, "Mutter ü 螺母")]


def test_mariadb(mariadb: Database) -> None:
    pymysql = pytest.importorskip("pymysql")
    connection = pymysql.connect(
        host=mariadb.host,
        port=mariadb.port,
        user=mariadb.user,
        password=mariadb.password,
        database=mariadb.database,
    )
    assert _write_and_read(connection) == [(1, "Mutter ü 螺母")]


def test_firestore(firestore_emulator: Emulator) -> None:
    firestore = pytest.importorskip("google.cloud.firestore")
    client = firestore.Client(project=firestore_emulator.project)
    document = client.document("parts/1")
    document.set({"name": "Mutter"})
    assert document.get().to_dict() == {"name": "Mutter"}
    client.close()


def test_pubsub(pubsub_emulator: Emulator) -> None:
    pubsub = pytest.importorskip("google.cloud.pubsub_v1")
    project = f"projects/{pubsub_emulator.project}"
    topic, subscription = f"{project}/topics/orders", f"{project}/subscriptions/orders"
    with pubsub.PublisherClient() as publisher, pubsub.SubscriberClient() as subscriber:
        publisher.create_topic(name=topic)
        subscriber.create_subscription(name=subscription, topic=topic)
        publisher.publish(topic, b"Mutter").result(timeout=30)
        answer = subscriber.pull(subscription=subscription, max_messages=1, timeout=30)
        assert [each.message.data for each in answer.received_messages] == [b"Mutter"]


def test_bigquery(bigquery_emulator: BigQuery) -> None:
    bigquery = pytest.importorskip("google.cloud.bigquery")
    credentials = pytest.importorskip("google.auth.credentials").AnonymousCredentials()
    client = bigquery.Client(project=bigquery_emulator.project, credentials=credentials)
    client.create_dataset("shop")
    client.load_table_from_json(
        [{"id": 1, "name": "Mutter"}, {"id": 2, "name": "Schraube"}],
        "shop.parts",
        job_config=bigquery.LoadJobConfig(autodetect=True),
    ).result()
    rows = client.query_and_wait("SELECT name FROM shop.parts WHERE id = 2")
    assert [row.name for row in rows] == ["Schraube"]
    client.close()


def test_bigquery_storage(bigquery_emulator: BigQuery) -> None:
    grpc = pytest.importorskip("grpc")
    pyarrow = pytest.importorskip("pyarrow")
    storage = pytest.importorskip("google.cloud.bigquery_storage_v1")
    bigquery = pytest.importorskip("google.cloud.bigquery")
    credentials = pytest.importorskip("google.auth.credentials").AnonymousCredentials()
    client = bigquery.Client(project=bigquery_emulator.project, credentials=credentials)
    client.query_and_wait("CREATE SCHEMA IF NOT EXISTS stock")
    client.query_and_wait("CREATE TABLE stock.items AS SELECT 7 AS id")
    transports = storage.BigQueryReadClient.get_transport_class("grpc")
    with grpc.insecure_channel(bigquery_emulator.grpc_endpoint) as channel:
        reader = storage.BigQueryReadClient(transport=transports(channel=channel))
        parent = f"projects/{bigquery_emulator.project}"
        session = reader.create_read_session(
            parent=parent,
            read_session={"table": f"{parent}/datasets/stock/tables/items", "data_format": "ARROW"},
            max_stream_count=1,
        )
        schema = pyarrow.ipc.read_schema(pyarrow.py_buffer(session.arrow_schema.serialized_schema))
        batches = [
            pyarrow.ipc.read_record_batch(pyarrow.py_buffer(part.arrow_record_batch.serialized_record_batch), schema)
            for part in reader.read_rows(session.streams[0].name)
        ]
        assert pyarrow.Table.from_batches(batches).to_pylist() == [{"id": 7}]
    client.close()


def test_gcs(gcs_server: GCS) -> None:
    storage = pytest.importorskip("google.cloud.storage")
    client = storage.Client.create_anonymous_client()
    client.create_bucket("b2brecs-parts", project=gcs_server.project)
    client.bucket("b2brecs-parts").blob("a/1.txt").upload_from_string("Mutter")
    assert [blob.name for blob in client.list_blobs("b2brecs-parts")] == ["a/1.txt"]
    assert client.bucket("b2brecs-parts").blob("a/1.txt").download_as_text() == "Mutter"
    client.close()


def test_s3(s3_server: S3) -> None:
    boto3 = pytest.importorskip("boto3")
    client = boto3.client("s3")
    client.create_bucket(Bucket="parts", CreateBucketConfiguration={"LocationConstraint": s3_server.region})
    client.put_object(Bucket="parts", Key="1.json", Body=json.dumps({"id": 1}))
    assert json.load(client.get_object(Bucket="parts", Key="1.json")["Body"]) == {"id": 1}


def test_azure(azure_server: Azure) -> None:
    blob = pytest.importorskip("azure.storage.blob")
    with blob.BlobServiceClient.from_connection_string(azure_server.connection_string) as client:
        container = client.create_container("parts")
        container.upload_blob("1.txt", b"Mutter")
        assert container.download_blob("1.txt").readall() == b"Mutter"


def test_missing_program_skips_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "")
    with pytest.raises(pytest.skip.Exception, match=r"^no-such-program is missing: brew some$"):
        need("no-such-program", "brew some", ["/nowhere/no-such-program"])


def test_missing_program_fails_under_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=r"missing: run tests/services/install\.sh$"):
        need("no-such-program")
