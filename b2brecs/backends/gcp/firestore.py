"""The registry in the cloud: collections of Firestore."""

from __future__ import annotations

import builtins
import datetime as dt
import json
import threading
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, cast

from b2brecs.backends.gcp.firestore_payload import erase, read_payload, write_payload
from b2brecs.backends.gcp.refusals import explained
from b2brecs.backends.protocols import Document, RunRecord
from b2brecs.configs.base import differences
from b2brecs.errors import B2BRecsError, InUse, NotFound, VersionConflict, require

if TYPE_CHECKING:
    from google.cloud import firestore

ROLE = "roles/datastore.user"
_TRIES = 20
# Stands between the parts of a sort key; names hold no control characters.
_SEPARATOR, _AFTER = "\x1f", "\x20"


class FirestoreRegistry:
    """Configurations, all their versions, and runs, in one Firestore database.

    ``<prefix>_names/<kind>:<name>`` holds a name's latest version number, and below it ``versions/<number>`` the
    versions. One batch creates a version and moves the number, so that a killed ``put`` leaves both or nothing,
    and of two savers one finds that the version exists already. ``<prefix>_runs`` holds the runs. No query needs
    an index that Firestore does not make by itself.

    Parameters
    ----------
    project
        The project that holds the database.
    prefix
        Begins the names of the collections.
    client
        A client to use instead of one with the default credentials and the ``(default)`` database.
    """

    def __init__(self, project: str, *, prefix: str = "b2brecs", client: firestore.Client | None = None) -> None:
        self.project, self.prefix = project, prefix
        self._client, self._own = client, client is None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<FirestoreRegistry {self.prefix!r} in {self.project}>"

    def get(self, kind: str, name: str, version: int | None = None) -> Document:
        """Return a version, the latest by default.

        Raises
        ------
        NotFound
            There is no such name, or no such version of it.
        """
        with self._explained():
            latest = self._latest(kind, name) if version is None else version
            if latest is not None:
                found = self._version(kind, name, latest).get()
                if found.exists:
                    return _document(found)
            if version is not None and self._latest(kind, name) is not None:
                saved = [item.id.lstrip("0") for item in self._head(kind, name).collection("versions").select([]).get()]
                raise NotFound(f"version of {kind} {name!r}", str(version), saved)
            raise self._missing(kind, name)

    def put(self, document: Document, *, expect: int | None) -> Document:
        """Save a new version and return it with its number and time.

        Raises
        ------
        VersionConflict
            Somebody saved another version than ``expect``; the fields that differ are listed.
        """
        text = json.dumps(document.data, ensure_ascii=False)
        with self._explained():
            for _ in range(_TRIES):
                head = self._head(document.kind, document.name).get()
                latest = int(head.get("version")) if head.exists else None
                if latest is not None and head.get("content_hash") == document.content_hash:
                    return self.get(document.kind, document.name, latest)
                if latest != expect:
                    raise self._conflict(document, text, expect, latest)
                if self._write(document, text, head, (latest or 0) + 1):
                    return self.get(document.kind, document.name, (latest or 0) + 1)
        raise B2BRecsError(f"{document.kind} {document.name!r} is being saved by many at once. Try again.")

    def history(self, kind: str, name: str) -> list[Document]:
        """Return all versions, the latest first.

        Raises
        ------
        NotFound
            There is no such name.
        """
        with self._explained():
            found = [_document(item) for item in self._head(kind, name).collection("versions").get()]
            if not found:
                raise self._missing(kind, name)
        return sorted(found, key=lambda item: -item.version)

    def list(self, kind: str | None = None) -> list[Document]:
        """Return the latest version of every name, sorted by kind and name."""
        with self._explained():
            heads = self._heads(kind)
            latest = [self._version(head["kind"], head["name"], head["version"]) for head in heads]
            found = [_document(item) for item in self._open().get_all(latest) if item.exists] if latest else []
        return sorted(found, key=lambda item: (item.kind, item.name))

    def delete(self, kind: str, name: str) -> None:
        """Delete all versions.

        The references are asked for in the transaction that deletes, so that none can appear meanwhile.

        Raises
        ------
        NotFound
            There is no such name.
        InUse
            The latest version of another configuration refers to it.
        """
        with self._explained():
            from google.cloud import firestore

            client = self._open()
            head = self._head(kind, name)
            contains = firestore.FieldFilter("refers", "array_contains", _key(kind, name))
            referring = client.collection(f"{self.prefix}_names").where(filter=contains)

            def act(transaction: firestore.Transaction) -> None:
                if not head.get(transaction=transaction).exists:
                    raise self._missing(kind, name)
                users = [
                    item.to_dict() or {} for item in referring.stream(transaction=transaction) if item.id != head.id
                ]
                if users:
                    named = sorted((user["kind"], user["name"]) for user in users)
                    raise InUse(kind, name, [f"{of} {user!r}" for of, user in named])
                below = [head.collection(part).select([]) for part in ("versions", "parts")]
                going = [item.reference for query in below for item in query.stream(transaction=transaction)]
                for reference in (*going, head):
                    transaction.delete(reference)

            try:
                firestore.transactional(act)(client.transaction())
            except ValueError as error:
                raise B2BRecsError(f"{kind} {name!r} is being saved at the same time. Try again. ({error})") from None

    def log_run(self, run: RunRecord) -> None:
        """Write a run, or what is new of it, by id; facts are added to those that stand."""
        with self._explained():
            from google.api_core import exceptions

            client = self._open()
            ref = client.collection(f"{self.prefix}_runs").document(_escape(run.id))
            for _ in range(_TRIES):
                old = ref.get()
                before = json.loads(read_payload(old))["facts"] if old.exists else {}
                payload = json.dumps({"facts": {**before, **run.facts}, "error": run.error}, ensure_ascii=False)
                stored = write_payload(ref, payload)
                fields = {**_run_fields(run), **stored}
                try:
                    if old.exists:
                        unchanged = client.write_option(last_update_time=old.update_time)
                        ref.update(fields, option=unchanged)
                        erase(ref, old.get("parts"))
                    else:
                        ref.create(fields)
                except (exceptions.AlreadyExists, exceptions.FailedPrecondition, exceptions.Aborted):
                    erase(ref, stored["parts"])
                else:
                    return
        raise B2BRecsError(f"run {run.id!r} is being written by many at once. Try again.")

    def runs(self, kind: str | None = None, name: str | None = None, limit: int = 100) -> builtins.list[RunRecord]:
        """Return runs, the latest first."""
        with self._explained():
            from google.cloud import firestore

            chosen = [part for part in (kind, name) if part is not None]
            field = "by_" + ("_".join(word for word, part in (("kind", kind), ("name", name)) if part is not None))
            field = field if chosen else "by_time"
            query: Any = self._open().collection(f"{self.prefix}_runs")
            if chosen:
                begin = _SEPARATOR.join(chosen)
                query = query.where(filter=firestore.FieldFilter(field, ">=", begin + _SEPARATOR))
                query = query.where(filter=firestore.FieldFilter(field, "<", begin + _AFTER))
            ordered = query.order_by(field, direction=firestore.Query.DESCENDING).limit(limit)
            return [_run(item) for item in ordered.stream()]

    def close(self) -> None:
        """Give back the client that was made here."""
        with self._lock:
            if self._own and self._client is not None:
                self._client.close()  # type: ignore[no-untyped-call]
                self._client = None

    def _explained(self) -> AbstractContextManager[None]:
        require("google.cloud.firestore", feature="the Firestore registry", extra="gcp")
        return explained("Firestore", role=f"{ROLE} (on project {self.project!r})")

    def _open(self) -> firestore.Client:
        from google.cloud import firestore

        with self._lock:
            if self._client is None:
                # The client itself heeds FIRESTORE_EMULATOR_HOST and is anonymous there.
                self._client = firestore.Client(project=self.project)
            return self._client

    def _head(self, kind: str, name: str) -> firestore.DocumentReference:
        names = self._open().collection(f"{self.prefix}_names")
        return names.document(_key(kind, name))

    def _version(self, kind: str, name: str, version: int) -> firestore.DocumentReference:
        versions: firestore.CollectionReference = self._head(kind, name).collection("versions")
        return versions.document(f"{version:08d}")

    def _latest(self, kind: str, name: str) -> int | None:
        head = self._head(kind, name).get()
        return int(head.get("version")) if head.exists else None

    def _heads(self, kind: str | None) -> builtins.list[dict[str, Any]]:
        from google.cloud import firestore

        query: Any = self._open().collection(f"{self.prefix}_names")
        if kind is not None:
            query = query.where(filter=firestore.FieldFilter("kind", "==", kind))
        return [item.to_dict() for item in query.stream()]

    def _missing(self, kind: str, name: str) -> NotFound:
        return NotFound(kind, name, sorted(head["name"] for head in self._heads(kind)), where="the registry")

    def _conflict(self, mine: Document, text: str, expect: int | None, latest: int | None) -> VersionConflict:
        changes: Iterable[tuple[str, object, object]] = ()
        if latest is not None:
            theirs = self.get(mine.kind, mine.name, latest)
            changes = differences(dict(theirs.data), json.loads(text))
        return VersionConflict(mine.kind, mine.name, expect, latest, list(changes))

    def _write(self, document: Document, text: str, head: firestore.DocumentSnapshot[Any], number: int) -> bool:
        """Create a version and point to it; False if somebody was faster."""
        from google.api_core import exceptions
        from google.cloud import firestore

        client = self._open()
        stored = write_payload(head.reference, text)
        pointer = {
            "kind": document.kind,
            "name": document.name,
            "version": number,
            "content_hash": document.content_hash,
            "refers": [_key(kind, name) for kind, name in document.references],
        }
        version = pointer | {
            "author": document.author,
            "saved_at": firestore.SERVER_TIMESTAMP,
            "references": [{"kind": kind, "name": name} for kind, name in document.references],
            **stored,
        }
        batch = client.batch()
        batch.create(self._version(document.kind, document.name, number), version)
        if head.exists:
            batch.update(head.reference, pointer, option=client.write_option(last_update_time=head.update_time))
        else:
            batch.create(head.reference, pointer)
        try:
            batch.commit()
        except (exceptions.AlreadyExists, exceptions.FailedPrecondition, exceptions.Aborted, exceptions.NotFound):
            # Also when our own first try got through and only its answer was lost: the caller looks again.
            if not _names_parts(self._version(document.kind, document.name, number).get(), stored["parts"]):
                erase(head.reference, stored["parts"])
            return False
        return True


def _names_parts(version: firestore.DocumentSnapshot[Any], parts: Iterable[str]) -> bool:
    return bool(version.exists and set(version.get("parts")) & set(parts))


def _escape(text: str) -> str:
    """Write any text as a document's id; a slash, and a colon, have a meaning there."""
    for sign in "%/:":
        text = text.replace(sign, f"%{ord(sign):02X}")
    if text in (".", "..") or text.startswith("__"):
        text = f"%{ord(text[0]):02X}{text[1:]}"
    return text


def _key(kind: str, name: str) -> str:
    return f"{_escape(kind)}:{_escape(name)}"


def _instant(time: dt.datetime) -> str:
    """Write a time in UTC, so that text sorts as time does; one without a zone is local time."""
    return time.astimezone(dt.UTC).isoformat(timespec="microseconds")


def _document(snapshot: firestore.DocumentSnapshot[Any]) -> Document:
    fields = cast("Mapping[str, Any]", snapshot.to_dict())
    at = fields["saved_at"]
    return Document(
        fields["kind"],
        fields["name"],
        int(fields["version"]),
        json.loads(read_payload(snapshot)),
        fields["content_hash"],
        fields["author"],
        dt.datetime(at.year, at.month, at.day, at.hour, at.minute, at.second, at.microsecond, dt.UTC),
        tuple((item["kind"], item["name"]) for item in fields["references"]),
    )


def _run_fields(run: RunRecord) -> dict[str, Any]:
    """Write a run, with a sort key for each question, as a range of one field needs no index of ours."""
    newest = (_instant(run.started_at), run.id)
    return {
        "id": run.id,
        "kind": run.kind,
        "name": run.name,
        "status": run.status,
        "started_at": newest[0],
        "finished_at": _instant(run.finished_at) if run.finished_at else None,
        "by_time": _SEPARATOR.join(newest),
        "by_kind": _SEPARATOR.join((run.kind, *newest)),
        "by_name": _SEPARATOR.join((run.name, *newest)),
        "by_kind_name": _SEPARATOR.join((run.kind, run.name, *newest)),
    }


def _run(snapshot: firestore.DocumentSnapshot[Any]) -> RunRecord:
    fields = cast("Mapping[str, Any]", snapshot.to_dict())
    payload = json.loads(read_payload(snapshot))
    finished = fields["finished_at"]
    return RunRecord(
        fields["id"],
        fields["kind"],
        fields["name"],
        fields["status"],
        dt.datetime.fromisoformat(fields["started_at"]),
        dt.datetime.fromisoformat(finished) if finished else None,
        payload["error"],
        payload["facts"],
    )
