"""The shipped bundle in a bare page, joined to its real Python widget by a stub model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route

from b2brecs.widgets.base import ConfigWidget

HOME = "http://widget.test/"
SYNCED = ("_draft", "_facts", "_problems", "_view")

# The notebook's, VS Code's and no colours, each light and dark.
THEMES = {
    "light": ("data-jp-theme-light='true'", "--jp-layout-color1:#fff;--jp-content-font-color1:rgba(0,0,0,.87)"),
    "dark": ("data-jp-theme-light='false'", "--jp-layout-color1:#111;--jp-content-font-color1:#fff"),
    "vscode-dark": (
        "data-vscode-theme-kind='vscode-dark'",
        "--vscode-editor-background:#1f1f1f;--vscode-editor-foreground:#cccccc",
    ),
    "plain": ("", ""),
}

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Widget</title>
<link rel="stylesheet" href="{name}.css"><style>body{{margin:12px;background:var(--jp-layout-color1,
var(--vscode-editor-background,Canvas));{style}}}</style></head><body {attributes}><main id="outside"><h1
style="position:absolute;left:-999px">Widget</h1><div id="here"></div></main><script type="module">
import widget from "./{name}.js";
const state = {state};
const heard = new Map();
let dirty = {{}};
const fire = (name) => [...(heard.get(name) ?? [])].forEach((call) => call());
const put = (name, value) => {{
  if (JSON.stringify(state[name]) === JSON.stringify(value)) return;
  state[name] = value;
  fire(`change:${{name}}`);
}};
const model = {{
  get: (name) => state[name],
  set: (name, value) => {{ dirty[name] = value; put(name, value); }},
  save_changes: async () => {{
    const sent = dirty; dirty = {{}};
    const answer = await window.toPython(JSON.stringify(sent));
    for (const [name, value] of Object.entries(answer)) if (!(name in dirty)) put(name, value);
  }},
  on: (name, call) => heard.set(name, [...(heard.get(name) ?? []), call]),
  off: (name, call) => heard.set(name, (heard.get(name) ?? []).filter((other) => other !== call)),
}};
window.fromPython = (values) => Object.entries(values).forEach(([name, value]) => put(name, value));
window.heard = heard;
window.leaks = [];
document.getElementById("outside").addEventListener("keydown", (event) => window.leaks.push(event.key));
window.close_widget = await widget.render({{ model, el: document.getElementById("here") }});
window.ready = true;
</script></body></html>"""


class Mounted:
    """A widget on a page."""

    def __init__(self, page: Page, widget: ConfigWidget) -> None:
        self.page, self.widget = page, widget
        self.sent: list[str] = []

    @property
    def root(self) -> Locator:
        """The widget's root element."""
        return self.page.locator(".b2b-root")

    def push(self) -> None:
        """Bring what Python changed to the page, as a kernel does."""
        self.page.evaluate("values => window.fromPython(values)", self.state())

    def state(self) -> dict[str, Any]:
        """Return the synced traits."""
        return {name: getattr(self.widget, name) for name in SYNCED}

    def receive(self, text: str) -> dict[str, Any]:
        """Take what the page sends, answer with what changed in Python by it, as a kernel does."""
        import json

        self.sent.append(text)
        sent = json.loads(text)
        before = self.state()
        with self.widget.hold_trait_notifications():
            for name, value in sent.items():
                setattr(self.widget, name, value)
        return {name: value for name, value in self.state().items() if name not in sent and value != before[name]}


Mount = Callable[..., Mounted]


@pytest.fixture
def mount(page: Page, bundles: Path) -> Iterator[Mount]:
    """Return a function that shows a widget; fails on console errors and on any request to elsewhere."""
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))

    def show(widget: ConfigWidget, *, theme: str = "light", frame: bool = False) -> Mounted:
        import json

        mounted = Mounted(page, widget)
        attributes, style = THEMES[theme]
        text = PAGE.format(name=widget.BUNDLE, state=json.dumps(mounted.state()), attributes=attributes, style=style)

        def serve(route: Route) -> None:
            name = route.request.url.removeprefix(HOME)
            if name in ("", "inner"):
                body = text if not frame or name else '<iframe src="/inner" style="width:1200px;height:900px"></iframe>'
                route.fulfill(body=body, content_type="text/html")
            elif (bundles / name).is_file():
                kind = "text/css" if name.endswith(".css") else "text/javascript"
                route.fulfill(body=(bundles / name).read_bytes(), content_type=kind)
            else:
                route.fulfill(status=204)

        def refuse(route: Route) -> None:
            wrong.append(f"a request to {route.request.url}")
            route.abort()

        page.route("**/*", refuse)
        page.route(f"{HOME}**", serve)
        page.expose_function("toPython", mounted.receive)
        page.goto(HOME)
        inside = page.frames[-1] if frame else page.main_frame
        inside.wait_for_function("window.ready")
        return mounted

    yield show
    assert wrong == []
