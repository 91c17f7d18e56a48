"""The filter panel: what a dataset keeps, step by step, and every filter to add, change and remove."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, ClassVar

import traitlets

from b2brecs.backends.protocols import Warehouse
from b2brecs.configs.code import Code, dataset_parts
from b2brecs.configs.dataset import Dataset
from b2brecs.data.what_if import Kept, WhatIf, count, what_if
from b2brecs.errors import B2BRecsError, ConfigError, Problem
from b2brecs.types import NUMERIC_TYPES, TIME_TYPES
from b2brecs.widgets.base import ConfigWidget
from b2brecs.widgets.looks import can_list, look


class FilterPanel(ConfigWidget):
    """Add, change and remove a dataset's filters, and see what each step keeps.

    Parameters
    ----------
    dataset
        Where to start; ``value`` is the edited one.
    warehouse
        Where its tables lie. Without one nothing is counted, and columns show no values.
    """

    BUNDLE: ClassVar[str] = "filter_panel"
    value = traitlets.Instance(Dataset, allow_none=False)

    def __init__(self, dataset: Dataset, warehouse: Warehouse | None = None) -> None:
        self.warehouse = warehouse
        self._counted: WhatIf | None = None
        # What the page asked for, answered: the counts, the column it looks at, the filter that is being written.
        self._answers: dict[str, Any] = {"kept": None, "look": None, "form": None}
        super().__init__(dataset)

    # -- the value ---------------------------------------------------------------------------------

    def _read(self, draft: Mapping[str, Any]) -> Dataset:
        wanted = Dataset.from_dict(draft)
        standing = self.value.filters
        for number, each in enumerate(wanted.filters):
            if each not in standing:
                others = wanted.filters[:number] + wanted.filters[number + 1 :]
                made = wanted.changed(filters=others).filter(each)
                if len(made.filters) != len(wanted.filters):
                    raise ConfigError.single("Filters", f"filters[{number}]", str(each), "there is one of this kind "
                                             "already.", "Change that one.")  # fmt: skip
        # What was broken before may be mended one filter at a time.
        known = {(problem.value, problem.message) for problem in self.value.structure()}
        wrong = [problem for problem in wanted.structure() if (problem.value, problem.message) not in known]
        if wrong:
            raise ConfigError(f"Dataset {wanted.name!r}", wrong)
        return wanted

    def _write(self, value: Dataset) -> dict[str, Any]:
        return value.to_dict()

    def _describe(self, value: Dataset) -> dict[str, Any]:
        return {
            "columns": [
                {"name": item.name, "type": item.type, "lists": can_list(item.type)} for item in value.output()
            ],
            "numbers": sorted(NUMERIC_TYPES),
            "times": sorted(TIME_TYPES),
            "labels": [str(each) for each in value.filters],
            "stamp": value.content_hash,
            "counts": self.warehouse is not None,
            **self._answers,
        }

    def _check(self, value: Dataset) -> Sequence[Problem]:
        return value.problems()

    def _codes(self, value: Dataset) -> Sequence[Code]:
        return (dataset_parts(value),)

    # -- what the page asks ------------------------------------------------------------------------

    @traitlets.observe("_view")
    def _page_asked(self, change: Mapping[str, Any]) -> None:
        new = change["new"]
        old = change["old"] if isinstance(change["old"], dict) else {}
        for name, answer in (("form", self._try), ("look", self._look), ("sample", self._sample)):
            if new.get(name) != old.get(name):
                answer(new.get(name))
        if new.get("count") != old.get("count") and new.get("count") == self.value.content_hash:
            self.count()

    def count(self) -> WhatIf | None:
        """Count what each filter keeps; None without a warehouse, or where counting fails."""
        stamp = self.value.content_hash
        known = self._answers["kept"]
        if self.warehouse is None or (known is not None and known["stamp"] == stamp):
            return self._counted
        self._counted = None
        try:
            self._counted = what_if(self.warehouse, self.value)
        except B2BRecsError as error:
            self._answer(kept={"stamp": stamp, "error": str(error), "steps": [], "undone": []})
        else:
            steps = [
                {"label": label, **_plain(kept), "alone": None if alone is None else alone.rows}
                for label, kept, alone in self._counted.steps
            ]
            undone = [list(pair) for pair in self._counted.undone]
            self._answer(kept={"stamp": stamp, "error": "", "steps": steps, "undone": undone})
        return self._counted

    def _look(self, asked: Any) -> None:
        """Describe the column that the page looks at."""
        match asked:
            case {"column": str(column), "search": str(search)}:
                pass
            case _:
                self._answer(look=None)
                return
        known = {item.name for item in self.value.output()}
        if self.warehouse is None or column not in known:
            return
        try:
            found = look(self.warehouse, self.value, column, search[:200])
        except B2BRecsError as error:
            found = {"column": column, "search": search, "error": str(error)}
        self._answer(look=found)

    def _try(self, asked: Any) -> None:
        """Say what the library says of a filter that is being written."""
        if not isinstance(asked, dict):
            self._answer(form=None)
            return
        answer: dict[str, Any] = {"number": asked.get("number"), "problems": [], "text": "", "kept": None}
        try:
            answer["text"] = str(self._with(asked).filters[-1])
        except ConfigError as error:
            answer["problems"] = [asdict(_near(problem)) for problem in error.problems]
        except (TypeError, ValueError, LookupError) as error:
            answer["problems"] = [asdict(Problem("", "", str(error)))]
        self._answer(form=answer)

    def _sample(self, number: Any) -> None:
        """Count what the filter that is being written would leave."""
        form = self._view.get("form")
        answer = self._answers["form"]
        if self.warehouse is None or not isinstance(form, dict) or answer is None or answer["problems"]:
            return
        if number != answer["number"]:
            return
        try:
            kept = _plain(count(self.warehouse, self._with(form)))
        except B2BRecsError as error:
            self._answer(form={**answer, "problems": [asdict(Problem("", "", str(error)))]})
        else:
            self._answer(form={**answer, "kept": kept})

    def _with(self, form: Mapping[str, Any]) -> Dataset:
        """Return the value with the filter that is being written, the one that it replaces left out."""
        others = list(self.value.filters)
        index = form.get("index")
        if isinstance(index, int) and 0 <= index < len(others):
            del others[index]
        base = self.value.changed(filters=())
        new = Dataset.from_dict({**base.to_dict(), "filters": [form["filter"]]}).filters[0]
        if any(_slot(new) == _slot(other) for other in others):
            raise ConfigError.single(
                "Filters", "column" if "column" in form["filter"] else "side", str(new),
                "a filter of this kind stands already.", "Edit that one instead.",
            )  # fmt: skip
        standing: Dataset = self.value.changed(filters=tuple(others))
        return standing.filter(new)

    def _answer(self, **parts: Any) -> None:
        self._answers |= parts
        self._facts = {**self._facts, **parts}

    # -- display -----------------------------------------------------------------------------------

    def _cards(self, value: Dataset) -> Sequence[Any]:
        known = self._answers["kept"]
        current = self._counted is not None and known is not None and known["stamp"] == value.content_hash
        return (value, self._counted) if current else (value,)

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        # The picture that stands where no kernel runs holds the counts.
        self.count()
        return super()._repr_mimebundle_(**kwargs)


def _near(problem: Problem) -> Problem:
    """Name the field alone: the page shows the problem beside it."""
    return replace(problem, field=problem.field.rpartition(".")[2].partition("[")[0])


def _slot(each: Any) -> tuple[str, str, str]:
    return each.kind, each.section, getattr(each, "column", getattr(each, "measure", ""))


def _plain(kept: Kept) -> dict[str, Any]:
    revenue = kept.revenue
    if revenue is not None and not math.isfinite(revenue):
        revenue = None
    return {"rows": kept.rows, "buyers": kept.buyers, "products": kept.products, "revenue": revenue}
