"""Texts of any length in Firestore, whose documents hold 1 MiB at most."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from google.cloud import firestore

PART = 900_000


def write_payload(owner: firestore.DocumentReference, text: str) -> dict[str, Any]:
    """Return the fields that hold a text; a long one goes to ``parts`` below ``owner`` first.

    Parts have names that nobody else uses. Until a document that names them is written, they mean nothing.
    """
    data = text.encode()
    if len(data) <= PART:
        return {"json": text, "parts": []}
    token = uuid.uuid4().hex
    names = []
    for number, begin in enumerate(range(0, len(data), PART)):
        names.append(f"{token}-{number:04d}")
        owner.collection("parts").document(names[-1]).create({"piece": data[begin : begin + PART]})
    return {"json": None, "parts": names}


def read_payload(snapshot: firestore.DocumentSnapshot[Any]) -> str:
    """Return the text of a document, or of a version below the document that owns the parts."""
    fields = snapshot.to_dict() or {}
    if not fields["parts"]:
        return str(fields["json"])
    owner = snapshot.reference
    if owner.parent.id == "versions":
        owner = owner.parent.parent
    pieces = [owner.collection("parts").document(name).get().get("piece") for name in fields["parts"]]
    return b"".join(pieces).decode()


def erase(owner: firestore.DocumentReference, names: Iterable[str]) -> None:
    """Delete parts that no document names any longer."""
    for name in names:
        owner.collection("parts").document(name).delete()
