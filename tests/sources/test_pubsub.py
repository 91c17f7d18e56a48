"""Pub/Sub as a source, on its emulator: messages as rows, and who holds them."""

import datetime as dt
import json
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

grpc = pytest.importorskip("grpc")
pubsub = pytest.importorskip("google.cloud.pubsub_v1")

from b2brecs.configs.sources import PubSubSettings  # noqa: E402
from b2brecs.errors import NotFound, SourceError  # noqa: E402
from b2brecs.etl.cast import cast_batches  # noqa: E402
from b2brecs.sources.pubsub import EMULATOR, PubSubSource  # noqa: E402
from b2brecs.sources.pubsub_rows import payload  # noqa: E402
from b2brecs.types import Column  # noqa: E402

FIELDS = (
    Column("id", "INT64"), Column("price", "NUMERIC"), Column("name", "STRING"), Column("ok", "BOOL"),
    Column("at", "TIMESTAMP"), Column("inner", "JSON"), Column("tags", "ARRAY<STRING>"),
    Column("numbers", "ARRAY<INT64>"), Column("raw", "BYTES"),
)  # fmt: skip


class Subscription:
    """A topic and its subscription, of their own."""

    def __init__(self, project):
        self.project, self.name = project, f"s-{uuid.uuid4().hex[:10]}"
        self.topic = f"projects/{project}/topics/{self.name}"
        self.path = f"projects/{project}/subscriptions/{self.name}"
        options = pubsub.types.PublisherOptions(enable_message_ordering=True)
        self.publisher, self.subscriber = pubsub.PublisherClient(publisher_options=options), pubsub.SubscriberClient()
        self.publisher.create_topic(name=self.topic)
        self.subscriber.create_subscription(name=self.path, topic=self.topic, ack_deadline_seconds=600)

    def publish(self, *messages, **attributes):
        sent = [
            self.publisher.publish(
                self.topic, each if isinstance(each, bytes) else json.dumps(each).encode(), **attributes
            )
            for each in messages
        ]
        return [each.result(timeout=30) for each in sent]

    def close(self):
        self.publisher.stop()
        self.publisher.transport.close()
        self.subscriber.close()


@pytest.fixture
def subscription(pubsub_emulator):
    made = Subscription(pubsub_emulator.project)
    yield made
    made.close()


@pytest.fixture
def source(subscription):
    found = PubSubSource(
        PubSubSettings(project=subscription.project, subscription=subscription.name, fields=FIELDS), lambda _: ""
    )
    yield found
    found.close()


def test_a_connection_says_what_it_found(subscription, source):
    assert source.test() == f"Pub/Sub subscription '{subscription.name}' of topic '{subscription.name}'"
    [table] = source.tables()
    assert table.name == subscription.name
    schema = source.schema(table.name)
    assert schema.primary_key == ("message_id",)
    assert schema.names == (
        "message_id", "publish_time", "ordering_key", "attributes", *(field.name for field in FIELDS), "data",
    )  # fmt: skip


def test_a_payload_becomes_a_row(subscription, source):
    text = (
        '{"id": 9007199254740993, "price": 12345678901234567890.123456789, "name": "ü", "ok": true, '
        '"at": "2024-03-31T01:30:00.000001Z", "inner": {"b": 1.50, "a": [null, "x"]}, "tags": ["a", 1.0], '
        '"numbers": [1, 2], "raw": "AP8=", "more": 1}'
    )
    [message_id] = subscription.publish(text.encode(), origin="shop", ordering_key="k")
    batch, ack_ids = source.pull(10, 30)
    [row] = next(cast_batches(iter([batch]), source.schema(subscription.name))).to_pylist()
    assert len(ack_ids) == 1
    published = row.pop("publish_time")
    assert abs(dt.datetime.now(dt.UTC) - published) < dt.timedelta(minutes=10)
    assert row == {
        "message_id": message_id, "ordering_key": "k", "attributes": '{"origin": "shop"}', "id": 2**53 + 1,
        "price": Decimal("12345678901234567890.123456789"), "name": "ü", "ok": True,
        "at": dt.datetime(2024, 3, 31, 1, 30, 0, 1, dt.UTC), "inner": '{"b":1.50,"a":[null,"x"]}',
        "tags": ["a", "1.0"], "numbers": [1, 2], "raw": b"\x00\xff", "data": text,
    }  # fmt: skip


PAYLOADS = {
    b'{"a": 1.50}': ({"a": "1.50"}, '{"a": 1.50}'),
    b'\xef\xbb\xbf{"a": null}': ({"a": None}, '{"a": null}'),
    b"[1, 2]": ({}, "[1, 2]"),
    b'"text"': ({}, '"text"'),
    b"12": ({}, "12"),
    b"": ({}, None),
    b"plain text": ({}, '"plain text"'),
    b"NaN": ({}, '"NaN"'),
    b'{"a": NaN}': ({}, '"{\\"a\\": NaN}"'),
    b"\x00\xff": ({}, '"AP8="'),
    b'{"a": "\\ud83d\\ude00"}': ({"a": "😀"}, '{"a": "\\ud83d\\ude00"}'),
    # Half a character is no text.
    b'{"a": "\\ud83d"}': ({}, '"{\\"a\\": \\"\\\\ud83d\\"}"'),
    b"[" * 100_000: ({}, '"' + "[" * 100_000 + '"'),
    b'{"a": ' + b"9" * 5000 + b"}": ({"a": "9" * 5000}, '{"a": ' + "9" * 5000 + "}"),
}


@pytest.mark.parametrize("content", PAYLOADS, ids=lambda content: repr(content[:20]))
def test_every_payload_is_kept(content):
    found = payload(content)
    assert found == PAYLOADS[content]
    assert found[1] is None or isinstance(json.loads(found[1], parse_int=str) if len(content) < 50_000 else 0, object)


def test_fields_that_are_missing_are_null(subscription, source):
    subscription.publish({}, {"id": None}, b"x", b"[]")
    batch, _ = source.pull(4, 30)
    assert batch["id"].to_pylist() == [None] * 4
    assert set(batch["data"].to_pylist()) == {"{}", '{"id": null}', '"x"', "[]"}


@pytest.mark.parametrize("wrong", [{"tags": "a"}, {"tags": ["a", None]}, {"raw": "?"}, {"raw": 12}])
def test_what_cannot_be_made_is_rejected(subscription, source, wrong):
    subscription.publish(wrong, {"id": 1})
    rejects: list = []
    batch, ack_ids = source.pull(2, 30, on_reject=rejects.append)
    assert (batch["id"].to_pylist(), len(ack_ids)) == (["1"], 2)
    [reject] = rejects
    assert (reject.column, json.loads(reject.row)["data"]) == (next(iter(wrong)), wrong)
    source.release(ack_ids)
    with pytest.raises(SourceError, match="'JSON'"):
        source.pull(2, 30)
    # They were given back, and come again.
    assert len(source.pull(2, 30, on_reject=rejects.append)[1]) == 2


def test_a_pull_takes_what_waits(subscription, source):
    sent = subscription.publish(*({"id": number} for number in range(2500)))
    first, first_ids = source.pull(2000, 30)
    second, second_ids = source.pull(2000, 30)
    assert (first.num_rows, second.num_rows) == (2000, 500)
    assert sorted(first["message_id"].to_pylist() + second["message_id"].to_pylist()) == sorted(sent)
    source.acknowledge(first_ids + second_ids)
    assert source.pull(10, 0.2)[1] == []


def test_messages_are_held_while_they_are_worked_on(subscription, source, monkeypatch):
    held: list = []
    hold = PubSubSource._hold

    def record(self, ack_ids, seconds):
        hold(self, ack_ids, seconds)
        held.append(seconds)
        if len(held) >= 3:
            enough.set()

    enough = threading.Event()
    monkeypatch.setattr(PubSubSource, "LEASE", 1)
    monkeypatch.setattr(PubSubSource, "_hold", record)
    subscription.publish({"id": 1})
    _, ack_ids = source.pull(1, 30)
    with source.leased(ack_ids):
        assert enough.wait(30)
        assert source.pull(1, 0.1)[1] == []
    assert held[:3] == [1, 1, 1]
    source.release(ack_ids)
    assert len(source.pull(1, 30)[1]) == 1


def test_a_preview_takes_nothing_away(subscription, source):
    subscription.publish({"id": 1})
    assert source.preview(subscription.name, 5)["id"].to_pylist() == ["1"]
    assert source.pull(5, 30)[0]["id"].to_pylist() == ["1"]


def test_refusals_are_in_words(subscription, source):
    with pytest.raises(NotFound):
        source.schema("other")
    with pytest.raises(SourceError, match="has no end"):
        source.read(source.schema(subscription.name))
    near = PubSubSettings(project=subscription.project, subscription=subscription.name + "x")
    for act in (lambda lost: lost.test(), lambda lost: lost.pull(1, 5)):
        with pytest.raises(SourceError, match=f"there is no subscription.*Did you mean '{subscription.name}'"):
            act(PubSubSource(near, lambda _: ""))
    taken = PubSubSettings(project="p", subscription="s", fields=(Column("data", "STRING"),))
    with pytest.raises(SourceError, match="'data' is called like"):
        PubSubSource(taken, lambda _: "").schema("s")


def test_a_push_subscription_is_refused(subscription):
    name = f"push-{subscription.name}"
    subscription.subscriber.create_subscription(
        name=f"projects/{subscription.project}/subscriptions/{name}", topic=subscription.topic,
        push_config={"push_endpoint": "http://127.0.0.1:1/x"},
    )  # fmt: skip
    with pytest.raises(SourceError, match=r"delivered to http://127.0.0.1:1/x\. Make a pull subscription"):
        PubSubSource(PubSubSettings(project=subscription.project, subscription=name), lambda _: "").test()


@pytest.mark.parametrize("allowed", [True, False])
def test_who_may_pull_need_not_be_allowed_to_look(monkeypatch, allowed):
    from google.iam.v1.iam_policy_pb2 import TestIamPermissionsResponse

    class Service:
        def service(self, details):
            def answer(_request, context):
                if details.method.endswith("TestIamPermissions"):
                    granted = ["pubsub.subscriptions.consume"] if allowed else []
                    return TestIamPermissionsResponse(permissions=granted).SerializeToString()
                return context.abort(grpc.StatusCode.PERMISSION_DENIED, "User not authorized to perform this action.")

            return grpc.unary_unary_rpc_method_handler(answer)

    server = grpc.server(ThreadPoolExecutor(2), handlers=[Service()])
    monkeypatch.setenv(EMULATOR, f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
    server.start()
    source = PubSubSource(PubSubSettings(project="p", subscription="s"), lambda _: "")
    if allowed:
        assert source.test() == "Pub/Sub subscription 's'"
    else:
        with pytest.raises(SourceError, match=r"Grant roles/pubsub\.subscriber"):
            source.test()
    with pytest.raises(SourceError, match=r"Grant roles/pubsub\.subscriber"):
        source.pull(1, 5)
    source.close()
    server.stop(0)
