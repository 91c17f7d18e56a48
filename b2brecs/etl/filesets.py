"""Of a table of files: what has changed, and whether the changed files can be loaded alone. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from b2brecs.etl.plan import SOURCE_FILE, LoadPlan
from b2brecs.etl.results import FileResult
from b2brecs.etl.tracking import FileChanges, Stamps, compare
from b2brecs.sources import SourceFile
from b2brecs.types import TableSchema


def changes_of(listed: Sequence[SourceFile], known: Mapping[str, Any], settings: str) -> FileChanges:
    """Compare files with those loaded; with other settings than then, all of them count as modified."""
    before: Stamps = {name: (int(size), str(stamp)) for name, (size, stamp) in known.get("files", {}).items()}
    if known.get("settings") != settings:
        before = dict.fromkeys(before, (-1, ""))
    return compare(listed, before)


def whole_or_changed(
    planned: LoadPlan, target: TableSchema | None, known: Mapping[str, Any], changes: FileChanges
) -> tuple[LoadPlan, FileChanges]:
    """Return the plan and the files to read.

    Changed files alone replace their rows where each row tells its file and the columns are the same; else a
    catalog is read as a whole. A transactional load only ever reads what changed.
    """
    if target is None:
        return planned, changes
    by_file = planned.tagged and bool(known.get("tagged")) and SOURCE_FILE in target
    alone = dataclasses.replace(planned, mode="replace", keys=(SOURCE_FILE,))
    if planned.load.strategy == "transactional":
        return (alone if planned.mode == "refresh" and by_file else planned), changes
    same_columns = len(target.columns) == len(planned.write.columns) + len(planned.gone) and all(
        column.name in target and target.column(column.name).type == column.type for column in planned.write
    )
    if by_file and same_columns and changes.same:
        return alone, changes
    return planned, FileChanges(changes.new, (*changes.modified, *changes.same), changes.gone, ())


def file_results(changes: FileChanges | None, skipped: Sequence[FileResult] = ()) -> tuple[FileResult, ...]:
    """Say of each file what happened to it."""
    if changes is None:
        return ()
    left_out = {item.name for item in skipped}
    found = [FileResult(name, "loaded") for name in changes.to_read if name not in left_out]
    found += [FileResult(name, "unchanged") for name in changes.same]
    found += [FileResult(name, "removed") for name in changes.gone]
    return (*skipped, *found)


def stamps(listed: Sequence[SourceFile], skipped: Sequence[FileResult]) -> dict[str, tuple[int, str]]:
    """Return what tells a file's content, for the files that were loaded; those left out are tried again."""
    left_out = {item.name for item in skipped}
    return {file.name: (file.size, file.stamp) for file in listed if file.name not in left_out}
