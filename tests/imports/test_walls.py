"""The floors of the house, as ``docs/architecture.md`` draws them: imports go down, never up, never in a circle."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_import_linter_keeps_the_walls():
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def modules():
    found = {}
    for path in (ROOT / "b2brecs").rglob("*.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        found[name] = path
    return found


def test_no_module_imports_itself_in_a_circle():
    known = modules()
    edges = {}
    for name, path in known.items():
        targets = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                targets |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                targets |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
        # The face only names its rooms, lazily.
        edges[name] = {t for t in targets if t in known and t != name} if name != "b2brecs" else set()
    state: dict = {}

    def visit(name, trail):
        if state.get(name) == "done":
            return
        assert state.get(name) != "open", " → ".join([*trail, name])
        state[name] = "open"
        for target in sorted(edges[name]):
            visit(target, [*trail, name])
        state[name] = "done"

    for name in sorted(edges):
        visit(name, [])


def test_the_document_draws_the_floors_that_are_checked():
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contract = config["tool"]["importlinter"]["contracts"][0]
    checked = [sorted(part.strip(" ()") for part in layer.split("|")) for layer in contract["layers"]]
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    drawn = re.search(r"```floors\n(.*?)```", text, re.DOTALL)
    assert drawn is not None
    floors = [sorted(part.strip() for part in line.split("·")[0].split("|")) for line in drawn[1].strip().splitlines()]
    assert floors == checked


def test_files_stay_small():
    long = {
        str(path): n for path in modules().values() if (n := len(path.read_text(encoding="utf-8").splitlines())) > 450
    }
    assert not long
