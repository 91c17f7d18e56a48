"""One real JupyterLab a session, and notebooks in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.services.process import free_ports, http_answers
from tests.widgets.conftest import ROOT

# The news toast covers the corner where the last cell's output stands.
SETTINGS = {
    "disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True},
}


class Lab:
    """A running JupyterLab."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder


@pytest.fixture(scope="session")
def lab(bundles: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Start JupyterLab on a free port, with settings and workspaces of its own."""
    del bundles
    home = tmp_path_factory.mktemp("lab")
    folders = {name: home / name for name in ("config", "data", "runtime", "settings", "workspaces", "notebooks")}
    for folder in folders.values():
        folder.mkdir()
    labconfig = folders["config"] / "labconfig"
    labconfig.mkdir()
    (labconfig / "page_config.json").write_text(json.dumps(SETTINGS))
    (port,) = free_ports(1)
    environment = {
        **os.environ,
        "JUPYTER_CONFIG_DIR": str(folders["config"]),
        "JUPYTER_DATA_DIR": str(folders["data"]),
        "JUPYTER_RUNTIME_DIR": str(folders["runtime"]),
        "JUPYTERLAB_SETTINGS_DIR": str(folders["settings"]),
        "JUPYTERLAB_WORKSPACES_DIR": str(folders["workspaces"]),
        "IPYTHONDIR": str(home / "ipython"),
        "PYTHONPATH": str(ROOT),
    }
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}",
        "--ServerApp.port_retries=0", "--ServerApp.ip=127.0.0.1", "--IdentityProvider.token=",
        f"--ServerApp.root_dir={folders['notebooks']}", "--LabApp.expose_app_in_browser=True",
    ]  # fmt: skip
    with (home / "log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT, cwd=home)
    try:
        _wait(process, port, home / "log")
        yield Lab(f"http://127.0.0.1:{port}", folders["notebooks"])
    finally:
        process.terminate()
        process.wait(30)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

    @retry(stop=stop_after_delay(90), wait=wait_fixed(0.2), retry=retry_if_exception_type(OSError), reraise=True)
    def answers() -> None:
        if process.poll() is not None:
            pytest.fail(f"JupyterLab ended:\n{log.read_text()}")
        http_answers(port)

    answers()


KERNEL = """async (code) => {
  const { kernel } = window.jupyterapp.shell.currentWidget.context.sessionContext.session;
  let text = "";
  const future = kernel.requestExecute({ code, store_history: false });
  future.onIOPub = (message) => {
    if (message.header.msg_type === "stream") text += message.content.text;
    if (message.header.msg_type === "error") text += message.content.evalue;
  };
  const late = new Promise((_, refuse) => setTimeout(refuse, 30000, new Error("the kernel does not answer")));
  await Promise.race([future.done, late]);
  return text;
}"""


# Before that, running a cell opens a dialog that asks for a kernel.
READY = """() => {
  const context = window.jupyterapp?.shell.currentWidget?.context?.sessionContext;
  return context?.isReady && context.session?.kernel?.status === "idle";
}"""


class Notebook:
    """A notebook that is open in JupyterLab, its cells executed."""

    def __init__(self, page: Page) -> None:
        self.page = page

    @property
    def widget(self) -> Locator:
        """The widget's root element."""
        return self.page.locator(".jp-OutputArea .b2b-root")

    @property
    def cells(self) -> Locator:
        """The notebook's cells."""
        return self.page.locator(".jp-Notebook .jp-Cell")

    def python(self, code: str) -> str:
        """Execute in the notebook's kernel and return what it prints."""
        return str(self.page.evaluate(KERNEL, code)).strip()

    def command(self, name: str, **arguments: Any) -> None:
        """Start a command of JupyterLab; some end only when the user does something, so it is not waited for."""
        self.page.evaluate("([name, args]) => void window.jupyterapp.commands.execute(name, args)", [name, arguments])


@pytest.fixture
def notebook(lab: Lab, page: Page, request: pytest.FixtureRequest) -> Iterator[Any]:
    """Return a function that opens a notebook of some cells and executes them."""
    wrong: list[str] = []

    def check(url: str) -> None:
        if not url.startswith((lab.url, lab.url.replace("http", "ws"), "data:", "blob:")):
            wrong.append(f"a request to {url}")

    page.on("request", lambda sent: check(sent.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.set_viewport_size({"width": 1500, "height": 1100})

    def show(cells: Sequence[str]) -> Notebook:
        name = f"{request.node.name.split('[')[0]}.ipynb"
        cell: dict[str, Any] = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": []}
        content = {
            "cells": [{**cell, "id": f"cell-{index}", "source": text} for index, text in enumerate(cells)],
            "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
        (lab.folder / name).write_text(json.dumps(content))
        page.goto(f"{lab.url}/lab/tree/{name}?reset")
        opened = Notebook(page)
        idle = page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]")
        page.wait_for_function(READY, timeout=60_000)
        expect(idle).to_be_attached(timeout=60_000)
        opened.command("notebook:run-all-cells")
        expect(page.locator(".jp-InputPrompt").last).not_to_have_text("[ ]:", timeout=60_000)
        expect(idle).to_be_attached(timeout=60_000)
        return opened

    yield show
    page.close()
    assert wrong == []
