"""The base of the widgets: what the page drafts comes to Python, which alone decides what becomes the value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import anywidget
import traitlets

from b2brecs.configs.code import Code
from b2brecs.errors import B2BRecsError, ConfigError, Problem, show

STATIC = Path(__file__).parent / "static"
_WIDGET_MIME = "application/vnd.jupyter.widget-view+json"


def bundle(name: str) -> tuple[str, str]:
    """Return a widget's module and style sheet.

    Raises
    ------
    B2BRecsError
        They were not built.
    """
    try:
        script = (STATIC / f"{name}.js").read_text(encoding="utf-8")
        style = (STATIC / f"{name}.css").read_text(encoding="utf-8")
    except FileNotFoundError:
        raise B2BRecsError(
            f"the page part of this widget ({name}.js) was not built. Run: npm ci && npm run build in widgets/"
        ) from None
    return script, style


class ConfigWidget(anywidget.AnyWidget):
    """A widget on an immutable value.

    ``value`` is the last valid value; set it to change the page, observe it to follow the page. The synced
    traits: ``_draft`` (the value's JSON as the page has it, both ways), ``_facts`` and ``_problems`` (Python
    to page), ``_view`` (what is only about the looks, and the number of the page's last edit).

    A subclass gives ``BUNDLE``, a ``value`` trait, and the five methods below.
    """

    BUNDLE: ClassVar[str]

    value: Any
    _draft = traitlets.Dict().tag(sync=True)
    _facts = traitlets.Dict().tag(sync=True)
    _problems: Any = traitlets.List().tag(sync=True)
    _view = traitlets.Dict().tag(sync=True)

    def __init__(self, value: Any) -> None:
        self._esm, self._css = bundle(self.BUNDLE)
        self._publishing = False
        super().__init__()
        self.value = value

    # -- what a subclass gives ---------------------------------------------------------------------

    def _read(self, draft: Mapping[str, Any]) -> Any:
        """Make a value of a draft, or raise ConfigError."""
        raise NotImplementedError

    def _write(self, value: Any) -> dict[str, Any]:
        """Write a value as a draft."""
        raise NotImplementedError

    def _describe(self, value: Any) -> dict[str, Any]:
        """Compute what the page shows about a value; aggregates only, never rows."""
        raise NotImplementedError

    def _check(self, value: Any) -> Sequence[Problem]:
        """List what is unfinished or unwise about a value."""
        raise NotImplementedError

    def _codes(self, value: Any) -> Sequence[Code]:
        """Return the Python of a value, in one or several parts."""
        raise NotImplementedError

    def _cards(self, value: Any) -> Sequence[Any]:
        """Return the objects whose own cards stand for the widget where it cannot run."""
        return (value,)

    # -- for users ---------------------------------------------------------------------------------

    @property
    def code(self) -> str:
        """Python that, executed, makes an object equal to ``value``."""
        return "\n".join(str(code) for code in self._codes(self.value))

    @property
    def problems(self) -> list[Problem]:
        """What is wrong with the draft on the page, or unfinished about the value."""
        return [Problem(**item) for item in self._problems]

    def observe_value(self, callback: Callable[[Any], object]) -> Callable[[], None]:
        """Call back with every new value; return the function that ends it."""

        def handler(change: Mapping[str, Any]) -> None:
            callback(change["new"])

        self.observe(handler, names="value")

        def stop() -> None:
            self.unobserve(handler, names="value")

        return stop

    # -- between the page and the value ------------------------------------------------------------

    @traitlets.observe("_draft")
    def _page_edited(self, change: Mapping[str, Any]) -> None:
        if self._publishing:
            return
        try:
            value = self._read(change["new"])
        except ConfigError as error:
            self._refuse(error.problems)
        except (TypeError, ValueError, LookupError) as error:
            self._refuse([Problem("draft", show(error), "is not something this widget can read.")])
        else:
            with self._quietly():
                self.value = value
            self._tell(value)

    @traitlets.observe("value")
    def _value_set(self, change: Mapping[str, Any]) -> None:
        if self._publishing:
            return
        with self._quietly():
            self._draft = self._write(change["new"])
        self._tell(change["new"])

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """Change the draft or the value without hearing of it."""
        self._publishing = True
        try:
            yield
        finally:
            self._publishing = False

    def _tell(self, value: Any) -> None:
        codes = self._codes(value)
        setup = "\n".join(code.setup for code in codes)
        chain = "\n\n".join(code.chain for code in codes)
        with self.hold_sync():
            self._problems = [asdict(problem) for problem in self._check(value)]
            self._facts = {
                **self._describe(value),
                "code": {"setup": setup, "chain": chain},
                "edit": self._edit,
                "accepted": True,
            }

    def _refuse(self, problems: Sequence[Problem]) -> None:
        with self.hold_sync():
            self._problems = [asdict(problem) for problem in problems]
            self._facts = {**self._facts, "edit": self._edit, "accepted": False}

    @property
    def _edit(self) -> int:
        number = self._view.get("edit", 0)
        return number if isinstance(number, int) else 0

    # -- display -----------------------------------------------------------------------------------

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        shown = super()._repr_mimebundle_(**kwargs)
        if shown is None:
            return None
        data, metadata = shown
        cards = self._cards(self.value)
        return {
            **data,
            "text/html": "".join(card._repr_html_() for card in cards),
            "text/plain": "\n".join(map(repr, cards)),
        }, metadata

    def __repr__(self) -> str:
        return f"<{type(self).__name__} on {', '.join(map(repr, self._cards(self.value)))}>"
