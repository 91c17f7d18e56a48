"""What Firestore refuses, and what its emulator does not know: a server that gives one answer stands in."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

grpc = pytest.importorskip("grpc")
pytest.importorskip("google.cloud.firestore")

from b2brecs import Connection  # noqa: E402
from b2brecs.configs.sources import FirestoreSettings  # noqa: E402
from b2brecs.errors import SourceError  # noqa: E402
from b2brecs.sources import open_source  # noqa: E402
from b2brecs.sources.firestore import FirestoreSource  # noqa: E402
from b2brecs.sources.firestore_query import EMULATOR, _rank  # noqa: E402


def test_numbered_ids_are_sorted_as_firestore_does():
    names = ["p/a", "p/__id10__", "p/Z", "p/__id9__", "p/ü", "p/__x", "o/z", "p/__id-3__"]
    assert sorted(names, key=_rank) == [
        "o/z", "p/__id-3__", "p/__id9__", "p/__id10__", "p/Z", "p/__x", "p/a", "p/ü",
    ]  # fmt: skip


def test_the_servers_cuts_are_put_in_order(monkeypatch):
    from google.cloud.firestore_v1.types import Cursor, PartitionQueryRequest, PartitionQueryResponse, Value

    root = "projects/p/databases/(default)/documents"
    names = ["orders/b", "orders/__id9__", "shops/s/orders/c", "orders/__id10__", "orders/a", "archive/x/orders/d"]

    class Service:
        def service(self, details):
            def answer(request, _context):
                asked = PartitionQueryRequest.deserialize(request)
                assert (asked.parent, asked.partition_count) == (root, 9)
                assert asked.structured_query.from_[0].all_descendants
                found = [Cursor(values=[Value(reference_value=f"{root}/{name}")]) for name in names]
                return PartitionQueryResponse.serialize(PartitionQueryResponse(partitions=found))

            return grpc.unary_unary_rpc_method_handler(answer) if details.method.endswith("/PartitionQuery") else None

    server = grpc.server(ThreadPoolExecutor(2), handlers=[Service()])
    monkeypatch.setenv(EMULATOR, f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
    server.start()
    source = FirestoreSource(FirestoreSettings(project="p"), lambda _: "")
    assert source._reader("orders").cuts(10) == ["__id9__", "__id10__", "a", "b"]
    assert source._reader("shops/s/orders").cuts(10) == ["c"]
    assert source._reader("**/orders").cuts(10) == [
        "archive/x/orders/d", "orders/__id9__", "orders/__id10__", "orders/a", "orders/b", "shops/s/orders/c",
    ]  # fmt: skip
    source.close()
    server.stop(0)


class Answers:
    """A Firestore that says one thing to whatever it is asked."""

    def __init__(self, code, text):
        self.code, self.text, self.asked = code, text, 0

    def service(self, details):
        def answer(_request, context):
            self.asked += 1
            context.abort(self.code, self.text)

        streams = details.method.rpartition("/")[2] in ("RunQuery", "RunAggregationQuery")
        make = grpc.unary_stream_rpc_method_handler if streams else grpc.unary_unary_rpc_method_handler
        return make(answer)


@pytest.fixture
def answering(monkeypatch):
    """Let the source meet a server that refuses."""
    servers = []

    def serve(code, text):
        answers = Answers(code, text)
        server = grpc.server(ThreadPoolExecutor(2), handlers=[answers])
        monkeypatch.setenv(EMULATOR, f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
        server.start()
        servers.append(server)
        return open_source(Connection.firestore("app", project="p"), lambda _: ""), answers

    yield serve
    for server in servers:
        server.stop(0)


LINK = f"https://console.firebase.google.com/v1/r/project/p/firestore/indexes?create_exemption={'C' * 400}"


def test_a_missing_index_comes_with_its_link(answering):
    source, _ = answering(
        grpc.StatusCode.FAILED_PRECONDITION, f"The query requires an index. You can create it here: {LINK}"
    )
    with pytest.raises(SourceError) as caught:
        source.schema("c")
    assert caught.value.fix == f"Create it: {LINK}"


def test_a_refusal_names_the_role(answering):
    source, answers = answering(grpc.StatusCode.PERMISSION_DENIED, "Missing or insufficient permissions.")
    with pytest.raises(SourceError, match=r"Grant roles/datastore\.viewer"):
        source.test()
    with pytest.raises(SourceError, match=r"Grant roles/datastore\.viewer"):
        source.schema("c")
    assert answers.asked == 3


def test_a_fault_that_passes_is_tried_again(answering, monkeypatch):
    monkeypatch.setattr("b2brecs.sources.firestore_query._WAIT", 0.001)
    source, answers = answering(grpc.StatusCode.UNAVAILABLE, "try later")
    with pytest.raises(SourceError) as caught:
        source.preview("c", 1)
    assert caught.value.transient
    assert answers.asked == 6


def test_a_moment_that_is_gone_is_said(answering):
    source, _ = answering(grpc.StatusCode.FAILED_PRECONDITION, "The requested snapshot version is too old.")
    with pytest.raises(SourceError, match="point-in-time recovery"):
        source.preview("c", 1)


def test_the_test_ends_in_time(monkeypatch, firestore_emulator):
    silence = threading.Event()
    source = FirestoreSource(FirestoreSettings(project="p"), lambda _: "")
    with pytest.raises(SourceError, match=r"no answer in 0\.05 s") as caught:
        source._google.in_time(silence.wait, 0.05)
    assert caught.value.transient
    silence.set()
