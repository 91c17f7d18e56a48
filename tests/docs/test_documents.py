"""What the documents say runs: docstring examples, the README's first block, the architecture's extensions."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Modules that need an extra or TensorFlow, or run in another environment.
SKIPPED = ("b2brecs/backends/local/tfx", "b2brecs/training/tfrs", "b2brecs/codegen/templates")
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((ROOT / "b2brecs").rglob("*.py"))
    if not str(path.relative_to(ROOT)).startswith(SKIPPED)
]


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_give_what_they_say(name):
    assert doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS).failed == 0


def blocks(document):
    return re.findall(r"```python\n(.*?)```", (ROOT / document).read_text(encoding="utf-8"), re.DOTALL)


def test_the_readmes_code_is_the_quickstarts(tmp_path, monkeypatch):
    """All of it up to the training, which the example's own test runs."""
    monkeypatch.chdir(tmp_path)
    code, _, rest = blocks("README.md")[0].partition("test = ws.quick_test")
    scope: dict = {}
    exec(code, scope)
    assert scope["sales"].joins
    assert "test.recommend(15311, k=10)" in rest
    scope["ws"].close()


def test_the_architectures_extensions_are_the_tested_ones():
    written = (ROOT / "tests" / "extending" / "erp_plugin.py").read_text(encoding="utf-8")
    for block in blocks("docs/architecture.md"):
        for name in re.findall(r"^class (\w+)", block, re.MULTILINE):
            assert f"class {name}" in written
        exec(compile(block, "architecture.md", "exec"), {})


def test_the_loading_guides_code_makes_a_job():
    scope: dict = {}
    exec(blocks("docs/loading.md")[0], scope)
    assert [table.target for table in scope["job"].build().tables] == ["products", "orders"]
