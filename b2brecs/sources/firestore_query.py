"""Firestore's queries: a collection's documents page by page, their number, and where to cut them."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from b2brecs.errors import SourceError, show
from b2brecs.sources.google import Google

if TYPE_CHECKING:
    from google.cloud.firestore_v1.services.firestore import FirestoreClient
    from google.cloud.firestore_v1.types import StructuredQuery, Value

T = TypeVar("T")

EMULATOR = "FIRESTORE_EMULATOR_HOST"
_NAME = "__name__"
_GROUP = "**/"
# Documents of the first page; those that follow are sized by the documents met.
_FIRST_PAGE = 300
_MOST_ON_PAGE = 5000
_PAGE_BYTES = 16 * 2**20
_AT_ONCE = 100
_ATTEMPTS = 6
# Seconds before the second attempt.
_WAIT = 0.2
_NUMBERED = re.compile(r"__id(-?\d+)__", re.ASCII)
_LINK = re.compile(r"https://\S+")
_YEAR_ONE = -62_135_596_800


@dataclass(frozen=True)
class Collection:
    """A table: a collection, ``orders`` or ``shops/s1/orders``, or all collections of a name, ``**/orders``."""

    root: str
    table: str

    @property
    def is_group(self) -> bool:
        """Whether it is all collections of a name."""
        return self.table.startswith(_GROUP)

    @property
    def id(self) -> str:
        """The collection's own name."""
        return self.table.rpartition("/")[2]

    @property
    def parent(self) -> str:
        """The full name of what the collection lies in."""
        above = "" if self.is_group else self.table.rpartition("/")[0]
        return f"{self.root}/{above}" if above else self.root

    def check(self, label: str) -> None:
        """Refuse a name that can be none of a collection.

        Raises
        ------
        SourceError
            It has an even number of parts, or an empty one.
        """
        parts = self.table.removeprefix(_GROUP).split("/")
        if not all(parts) or len(parts) % 2 == 0 or (self.is_group and len(parts) > 1):
            raise SourceError(
                label, f"{show(self.table)} cannot be a collection.",
                "Write 'orders', 'shops/s1/orders' for one within a document, or '**/orders' for all of a name.",
            )  # fmt: skip

    def name_of(self, document_id: str) -> str:
        """Return a document's full name. In a group, ids are paths."""
        return f"{self.root}/{document_id}" if self.is_group else f"{self.parent}/{self.id}/{document_id}"

    def id_of(self, name: str) -> str:
        """Return a document's id by its full name."""
        return name.removeprefix(f"{self.root}/" if self.is_group else f"{self.parent}/{self.id}/")


class FirestoreErrors(Google):
    """Google's errors in words, with what Firestore says besides."""

    def failed(self, error: Exception) -> SourceError | None:
        said = str(error)
        if "requires an index" in said or "no matching index" in said:
            link = _LINK.search(said)
            fix = f"Create it: {link[0]}" if link else "Create a single-field index of it in the Firestore console."
            return SourceError(self.label, "the watermark's field has no index, which ordering by it needs.", fix)
        if "too old" in said:
            return SourceError(
                self.label, "reading took longer than the hour for which Firestore keeps a moment.",
                "Load more often, or switch on point-in-time recovery of the database.",
            )  # fmt: skip
        return super().failed(error)


class Reader:
    """Asks the database about one collection.

    Parameters
    ----------
    client
        The client; see ``open_client``.
    database
        The database's full name.
    """

    def __init__(self, client: FirestoreClient, google: Google, database: str, table: str) -> None:
        self.client, self.google = client, google
        self.root = f"{database}/documents"
        self.collection = Collection(self.root, table)
        self.collection.check(google.label)
        self.headers = headers(database)

    def query(
        self,
        field: str | None = None,
        *,
        low: Value | None = None,
        high: Value | None = None,
        only: Sequence[str] | None = None,
    ) -> StructuredQuery:
        """Ask for documents ordered by a field, or by name: from ``low`` on, before ``high``.

        In the order of a field there are only those documents that have it, of whatever type it is. With ``only``,
        no other fields are sent.
        """
        from google.cloud.firestore_v1.types import Cursor, StructuredQuery

        asked = StructuredQuery(
            from_=[{"collection_id": self.collection.id, "all_descendants": self.collection.is_group}],
            order_by=[{"field": {"field_path": _path(name)}, "direction": "ASCENDING"} for name in _order(field)],
        )
        if low is not None:
            asked.start_at = Cursor(values=[low], before=True)
        if high is not None:
            asked.end_at = Cursor(values=[high], before=True)
        if only is not None:
            asked.select = StructuredQuery.Projection(fields=[{"field_path": _path(name)} for name in (*only, _NAME)])
        return asked

    def pages(
        self, asked: StructuredQuery, *, field: str | None = None, moment: Any = None, limit: int | None = None
    ) -> Iterator[list[Any]]:
        """Give a query's documents page by page, each page tried again while its fault may pass.

        Parameters
        ----------
        field
            What ``asked`` is ordered by.
        moment
            The time as of which to read; None: now.
        limit
            How many documents to give at most.
        """
        from google.cloud.firestore_v1.types import Cursor, StructuredQuery, Value

        asked = StructuredQuery(asked)
        size, left = _FIRST_PAGE, limit
        while left is None or left > 0:
            size = size if left is None else min(size, left)
            asked.limit = size
            page = self._again(lambda: self._page(asked, moment))
            if page:
                yield page
            if len(page) < size:
                return
            last = page[-1]
            place = [Value(reference_value=last.name)]
            if field is not None:
                place.insert(0, Value.wrap(last.fields[field]))
            asked.start_at = Cursor(values=place, before=False)
            left = None if left is None else left - len(page)
            mean = max(1, sum(document.ByteSize() for document in page) // len(page))
            size = max(1, min(_MOST_ON_PAGE, _PAGE_BYTES // mean))

    def count(self, asked: StructuredQuery, *, moment: Any = None, timeout: float | None = None) -> tuple[int, Any]:
        """Count a query's documents, at the price of one read for a thousand; also say as of when."""
        request = {
            "parent": self.collection.parent,
            "structured_aggregation_query": {
                "structured_query": asked,
                "aggregations": [{"alias": "n", "count": {}}],
            },
            **_as_of(moment),
        }
        options = {} if timeout is None else {"timeout": timeout}

        def ask() -> tuple[int, Any]:
            for answer in self.client.run_aggregation_query(request, metadata=self.headers, retry=None, **options):
                if "n" in answer.result.aggregate_fields:
                    return int(answer.result.aggregate_fields["n"].integer_value), answer.read_time
            return 0, None

        return self._again(ask)

    def without(self, field: str, *, moment: Any) -> Iterator[list[Any]]:
        """Give the documents that lack a field. No index knows them: the whole collection is looked through."""
        asked = self.query(only=[field])
        lacking: list[str] = []
        for page in self.pages(asked, moment=moment):
            lacking += [document.name for document in page if field not in document.fields]
            while len(lacking) >= _AT_ONCE:
                yield self._fetch(lacking[:_AT_ONCE], moment)
                lacking = lacking[_AT_ONCE:]
        if lacking:
            yield self._fetch(lacking, moment)

    def cuts(self, parts: int) -> list[str] | None:
        """Return ids that cut the collection into at most so many parts, about equal, in Firestore's order.

        A small collection is not cut. None: the server, an emulator, cannot say.
        """
        from google.api_core.exceptions import MethodNotImplemented

        if parts < 2:
            return []
        asked = self.query()
        # Only groups can be cut by the server; of its cuts those within this collection count.
        asked.from_[0].all_descendants = True
        request = {"parent": self.root, "structured_query": asked, "partition_count": parts - 1}
        try:
            with self.google.explained():
                try:
                    found = list(self.client.partition_query(request, metadata=self.headers))
                except MethodNotImplemented:
                    return None
        except SourceError as error:
            if error.transient:
                raise
            return []
        # The server gives them page by page in order, not all in order.
        names = sorted((cursor.values[0].reference_value for cursor in found), key=_rank)
        inside = [name for name in names if self.collection.is_group or self._is_inside(name)]
        return [self.collection.id_of(name) for name in inside]

    def counted_cuts(self, parts: int) -> list[str]:
        """Return ids that cut the collection into equal parts, by going through all of them."""
        names = [document.name for page in self.pages(self.query(only=[])) for document in page]
        chosen = dict.fromkeys(len(names) * number // parts for number in range(1, parts))
        return [self.collection.id_of(names[position]) for position in chosen if position]

    def _is_inside(self, name: str) -> bool:
        return name.rpartition("/")[0] == f"{self.collection.parent}/{self.collection.id}"

    def _page(self, asked: StructuredQuery, moment: Any) -> list[Any]:
        request = {"parent": self.collection.parent, "structured_query": asked, **_as_of(moment)}
        answers = self.client.run_query(request, metadata=self.headers, retry=None)
        raw = (type(answer).pb(answer) for answer in answers)
        return [answer.document for answer in raw if answer.HasField("document")]

    def _fetch(self, names: list[str], moment: Any) -> list[Any]:
        request = {"database": self.root.removesuffix("/documents"), "documents": names, **_as_of(moment)}

        def ask() -> list[Any]:
            answers = self.client.batch_get_documents(request, metadata=self.headers, retry=None)
            raw = (type(answer).pb(answer) for answer in answers)
            return [answer.found for answer in raw if answer.HasField("found")]

        return self._again(ask)

    def _again(self, ask: Callable[[], T]) -> T:
        def once() -> T:
            with self.google.explained():
                return ask()

        return Retrying(
            stop=stop_after_attempt(_ATTEMPTS),
            wait=wait_exponential_jitter(initial=_WAIT, max=100 * _WAIT),
            retry=retry_if_exception(lambda error: isinstance(error, SourceError) and error.transient),
            reraise=True,
        )(once)


def open_client(google: Google) -> FirestoreClient:
    """Make a client, of the emulator where there is one."""
    from google.cloud.firestore_v1.services.firestore import FirestoreClient
    from google.cloud.firestore_v1.services.firestore.transports import FirestoreGrpcTransport

    credentials = google.credentials()
    host = os.environ.get(EMULATOR)
    if not host:
        return FirestoreClient(credentials=credentials)
    import grpc

    channel = grpc.insecure_channel(host, options=[("grpc.max_receive_message_length", -1)])
    return FirestoreClient(transport=FirestoreGrpcTransport(channel=channel))


def headers(database: str) -> list[tuple[str, str]]:
    """Return what each request carries besides: the database, and the emulator's owner."""
    found = [("google-cloud-resource-prefix", database)]
    return [*found, ("authorization", "Bearer owner")] if os.environ.get(EMULATOR) else found


def value_of(kind: str, json_text: str) -> Value:
    """Return a watermark, JSON text of a column's type, as Firestore compares it."""
    from google.cloud.firestore_v1.types import Value

    given = json.loads(json_text)
    if kind == "TIMESTAMP":
        return Value(timestamp_value=dt.datetime.fromisoformat(given))
    if kind == "INT64":
        return Value(integer_value=int(given))
    return Value(double_value=float(given)) if kind == "FLOAT64" else Value(string_value=str(given))


def least_of(kind: str) -> Value:
    """Return the least value of a type: below it lie NULL and the types that Firestore sorts before."""
    from google.cloud.firestore_v1.types import Value

    if kind == "TIMESTAMP":
        return Value(timestamp_value={"seconds": _YEAR_ONE})
    return Value(string_value="") if kind == "STRING" else Value(double_value=float("-inf"))


def _rank(name: str) -> list[tuple[int, int, str]]:
    """Return what sorts full names as Firestore does: numbered ids first, then others by their bytes."""
    parts = [(_NUMBERED.fullmatch(part), part) for part in name.split("/")]
    return [(0, int(number[1]), "") if number else (1, 0, part) for number, part in parts]


def _order(field: str | None) -> tuple[str, ...]:
    return (_NAME,) if field is None else (field, _NAME)


def _path(name: str) -> str:
    from google.cloud.firestore_v1.field_path import FieldPath

    return name if name == _NAME else str(FieldPath(name).to_api_repr())


def _as_of(moment: Any) -> dict[str, Any]:
    return {} if moment is None else {"read_time": moment}
