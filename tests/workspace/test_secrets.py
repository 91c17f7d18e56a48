"""Secrets are asked for where nobody can read over the shoulder: a notebook's hidden prompt, or not at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from jupyter_client.manager import KernelManager

from b2brecs.errors import B2BRecsError

ROOT = Path(__file__).parents[2]
SECRET = "hunter2-very-secret"
SETUP = f"""
import sys, tempfile
sys.path.insert(0, {str(ROOT)!r})
import keyring
from tests.conformance.conftest import MemoryKeyring
keyring.set_keyring(MemoryKeyring())
import b2brecs as b2b
ws = b2b.Workspace.local(tempfile.mkdtemp())
"""
LIMIT = 120


def test_a_notebook_asks_with_a_hidden_prompt_and_keeps_nothing():
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=LIMIT)
        asked: list[dict] = []
        shown: list[dict] = []

        def answer(message):
            asked.append(message["content"])
            client.input(SECRET)

        def run(code):
            reply = client.execute_interactive(
                code, allow_stdin=True, stdin_hook=answer, output_hook=shown.append, timeout=LIMIT
            )
            assert reply["content"]["status"] == "ok", shown

        run(SETUP)
        run("ws.secrets.put('keyring:erp')")
        run("assert keyring.get_keyring().kept == {('b2brecs', 'erp'): " + repr(SECRET) + "}")
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert [(content["prompt"], content["password"]) for content in asked] == [("keyring:erp: ", True)]
    outputs = [message["content"] for message in shown if message["msg_type"] != "execute_input"]
    assert "Secret('keyring:erp')" in str(outputs)
    assert SECRET not in str(outputs)


def test_where_nobody_can_be_asked_it_says_so_and_echoes_nothing(tmp_path):
    code = "import sys, b2brecs as b\nb.Workspace.local(sys.argv[1]).secrets.put('keyring:erp')"
    # A session of its own has no terminal.
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], input=SECRET + "\n", capture_output=True, text=True, check=False,
        cwd=ROOT, start_new_session=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert "nobody to ask for keyring:erp" in done.stderr
    assert SECRET not in done.stdout + done.stderr


def test_an_empty_answer_is_not_stored(ws, os_keyring, monkeypatch):
    monkeypatch.setattr("getpass.getpass", lambda _prompt: "")
    with pytest.raises(B2BRecsError, match="empty"):
        ws.secrets.put("keyring:erp")
    assert os_keyring.kept == {}
