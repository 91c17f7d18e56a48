"""Settings of sources that never end."""

from __future__ import annotations

from typing import ClassVar

from b2brecs.configs.secrets import SecretRef
from b2brecs.configs.sources.base import SourceSettings, Text
from b2brecs.types import Column


class PubSubSettings(SourceSettings):
    """A Pub/Sub subscription whose messages are JSON objects: one table, named like the subscription.

    ``fields`` are the columns taken from a message; what else it holds stays in the column ``data``.
    """

    kind: ClassVar[str] = "pubsub"
    project: Text
    subscription: Text
    fields: tuple[Column, ...] = ()
    credentials: SecretRef | None = None

    def identity(self) -> tuple[str, ...]:
        return ("pubsub", self.project, self.subscription)

    def label(self) -> str:
        return f"pubsub {self.project}/{self.subscription}"
