"""Pub/Sub: a subscription as a table that never ends, pulled message by message."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from b2brecs.configs.sources import PubSubSettings
from b2brecs.errors import NotFound, SourceError, nearest, require, show
from b2brecs.sources.base import WHOLE, OnReject, Part, ReadSecret, Source
from b2brecs.sources.google import TEST_SECONDS, Google
from b2brecs.sources.pubsub_rows import DATA, HEAD, Messages
from b2brecs.types import TableSchema

if TYPE_CHECKING:
    import pyarrow as pa
    from google.cloud.pubsub_v1 import SubscriberClient

T = TypeVar("T")

EMULATOR = "PUBSUB_EMULATOR_HOST"
ROLE = "roles/pubsub.subscriber (on the subscription)"
_CONSUME = "pubsub.subscriptions.consume"
# Ids of messages that one request names at most; its size is limited.
_AT_ONCE = 1000
_ATTEMPTS = 5
# What the server takes one request for at most, and how long more messages are waited for once some are there.
_MOST = 1000
_LINGER = 0.25
_log = logging.getLogger(__name__)


class PubSubSource(Source[PubSubSettings]):
    """A pull subscription: one table, called like it.

    Columns are ``message_id`` (the key), ``publish_time``, ``ordering_key``, ``attributes`` (JSON), the ``fields`` of
    the settings, taken from payloads that are JSON objects, and ``data``, the whole payload as JSON: JSON as it was
    sent, other text as a JSON string, other bytes as a JSON string of their base64, NULL if there is none.

    A subscription has no end, so it is not read but pulled, see ``b2brecs.etl.streaming``. Messages come at least
    once; one that is not acknowledged comes again.
    """

    # How long a message is held, in seconds, before it is given to others; it is held on to while it is worked on.
    LEASE: ClassVar[int] = 60

    def __init__(self, settings: PubSubSettings, read_secret: ReadSecret) -> None:
        super().__init__(settings, read_secret)
        self._emulated = bool(os.environ.get(EMULATOR))
        self._google = Google(settings.label(), ROLE, settings.credentials, read_secret, emulated=self._emulated)
        self._messages = Messages(settings.label(), settings.fields)
        self._path = f"projects/{settings.project}/subscriptions/{settings.subscription}"
        self._client: SubscriberClient | None = None
        self._lock = threading.Lock()

    def test(self) -> str:
        return self._google.in_time(self._look)

    def tables(self) -> list[TableSchema]:
        return [TableSchema(self.settings.subscription, ())]

    def schema(self, table: str) -> TableSchema:
        name = self.settings.subscription
        if table != name:
            raise NotFound("subscription", table, [name], where=self.settings.label())
        taken = {column.name for column in (*HEAD, DATA)}
        for column in self.settings.fields:
            if column.name in taken:
                said = f"the field {show(column.name)} is called like another column."
                raise SourceError(self.settings.label(), said, "Leave it out: data holds the whole payload.")
            taken.add(column.name)
        return TableSchema(name, (*HEAD, *self.settings.fields, DATA), ("message_id",))

    def read(self, table: TableSchema, part: Part = WHOLE, *, on_reject: OnReject | None = None) -> NoReturn:
        del table, part, on_reject
        raise SourceError(
            self.settings.label(), "a subscription has no end, so it cannot be read as a whole.",
            "Load it as a stream: b2brecs.etl.streaming.stream(...).",
        )  # fmt: skip

    def preview(self, table: str, limit: int) -> pa.Table:
        """Return some messages that wait, and give them back at once. That counts as a delivery of each."""
        import pyarrow as pa

        self.schema(table)
        rejected: list[Any] = []
        batch, ack_ids = self.pull(limit, 3.0, on_reject=rejected.append)
        self.release(ack_ids)
        return pa.Table.from_batches([batch])

    def pull(
        self, max_messages: int, timeout: float, *, on_reject: OnReject | None = None
    ) -> tuple[pa.RecordBatch, list[str]]:
        """Wait for messages and return them with the ids by which they are acknowledged.

        Parameters
        ----------
        max_messages
            How many to return at most. Once some are there, more are waited for only as long as they come at once.
        timeout
            How many seconds to wait for the first.
        on_reject
            Takes messages whose payload does not fit the fields; they have ids too.

        Returns
        -------
        tuple
            The rows, and the ids of all messages, none if none came in time.

        Raises
        ------
        SourceError
            The subscription refused, or a message does not fit and nobody takes rejects.
        """
        received: list[Any] = []
        until = time.monotonic() + timeout
        while len(received) < max_messages:
            wait = min(_LINGER, until - time.monotonic()) if received else timeout
            found = self._ask_for(min(max_messages - len(received), _MOST), wait) if wait > 0 else []
            if not found:
                break
            received += found
        ack_ids = [each.ack_id for each in received]
        try:
            return self._messages.batch((each.message for each in received), on_reject), ack_ids
        except BaseException:
            self.release(ack_ids)
            raise

    def acknowledge(self, ack_ids: Sequence[str]) -> None:
        """Say that messages need not come again.

        Raises
        ------
        SourceError
            The subscription did not take it, several times; the messages come again.
        """
        client = self._open()
        for ids in _pieces(ack_ids):
            request = {"subscription": self._path, "ack_ids": ids}
            self._again(lambda request=request: client.acknowledge(request, retry=None, timeout=30.0))  # type: ignore[misc]

    def release(self, ack_ids: Sequence[str]) -> None:
        """Give messages back, so that they come again at once; if that fails, they come when their lease ends."""
        with suppress(SourceError):
            self._hold(ack_ids, 0)

    @contextmanager
    def leased(self, ack_ids: Sequence[str]) -> Iterator[None]:
        """Hold on to messages while they are worked on, however long it takes."""
        done = threading.Event()

        def hold() -> None:
            while not done.is_set():
                try:
                    self._hold(ack_ids, self.LEASE)
                except SourceError as error:
                    # What comes again meanwhile is merged.
                    _log.warning("messages could not be held: %s", error)
                done.wait(self.LEASE / 3)

        thread = threading.Thread(target=hold, name="b2brecs-lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def close(self) -> None:
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _open(self) -> SubscriberClient:
        require("google.cloud.pubsub_v1", feature="a Pub/Sub connection", extra="gcp")
        from google.cloud.pubsub_v1 import SubscriberClient

        with self._lock:
            if self._client is None:
                with self._google.explained():
                    credentials = self._google.credentials()
                    # With an emulator the client makes a channel of its own.
                    self._client = SubscriberClient() if self._emulated else SubscriberClient(credentials=credentials)
            return self._client

    def _look(self) -> str:
        from google.api_core.exceptions import NotFound as Missing
        from google.api_core.exceptions import PermissionDenied

        client, name = self._open(), self.settings.subscription
        try:
            found = client.get_subscription({"subscription": self._path}, retry=None, timeout=TEST_SECONDS)
        except Missing:
            raise self._missing(client) from None
        except PermissionDenied:
            # Those who may pull need not be allowed to look.
            asked = {"resource": self._path, "permissions": [_CONSUME]}
            if _CONSUME in client.test_iam_permissions(asked, timeout=TEST_SECONDS).permissions:
                return f"Pub/Sub subscription {name!r}"
            raise
        elsewhere = found.push_config.push_endpoint or found.bigquery_config.table or found.cloud_storage_config.bucket
        if elsewhere or found.detached:
            said = f"messages are delivered to {elsewhere}." if elsewhere else "it is detached from its topic."
            raise SourceError(self.settings.label(), said, "Make a pull subscription of the topic.")
        return f"Pub/Sub subscription {name!r} of topic {found.topic.rpartition('/')[2]!r}"

    def _missing(self, client: SubscriberClient) -> SourceError:
        project, name = self.settings.project, self.settings.subscription
        names: list[str] = []
        with suppress(Exception):
            found = client.list_subscriptions({"project": f"projects/{project}"}, retry=None, timeout=TEST_SECONDS)
            names = [each.name.rpartition("/")[2] for each in found]
        said = f"there is no subscription {name!r} in project {project!r}."
        return SourceError(self.settings.label(), said, nearest(name, names))

    def _ask_for(self, count: int, wait: float) -> list[Any]:
        from google.api_core.exceptions import DeadlineExceeded
        from google.api_core.exceptions import NotFound as Missing

        client = self._open()
        request = {"subscription": self._path, "max_messages": count}
        with self._google.explained():
            try:
                return list(client.pull(request, retry=None, timeout=wait).received_messages)
            except DeadlineExceeded:
                return []
            except Missing:
                raise self._missing(client) from None

    def _hold(self, ack_ids: Sequence[str], seconds: int) -> None:
        client = self._open()
        for ids in _pieces(ack_ids):
            request = {"subscription": self._path, "ack_ids": ids, "ack_deadline_seconds": seconds}
            with self._google.explained():
                client.modify_ack_deadline(request, retry=None, timeout=10.0)

    def _again(self, ask: Callable[[], T]) -> T:
        def once() -> T:
            with self._google.explained():
                return ask()

        return Retrying(
            stop=stop_after_attempt(_ATTEMPTS),
            wait=wait_exponential_jitter(initial=0.2, max=10),
            retry=retry_if_exception(lambda error: isinstance(error, SourceError) and error.transient),
            reraise=True,
        )(once)


def _pieces(ack_ids: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(ack_ids), _AT_ONCE):
        yield list(ack_ids[start : start + _AT_ONCE])


__all__ = ["PubSubSource"]
