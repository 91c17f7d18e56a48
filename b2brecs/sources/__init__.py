"""Where customer data comes from, and how rows are read from there."""

from b2brecs.sources.base import (
    WHOLE,
    KeyRange,
    OnReject,
    Part,
    Reject,
    Since,
    Source,
    SourceFile,
    open_source,
    register_source,
)

__all__ = [
    "WHOLE",
    "KeyRange",
    "OnReject",
    "Part",
    "Reject",
    "Since",
    "Source",
    "SourceFile",
    "open_source",
    "register_source",
]
