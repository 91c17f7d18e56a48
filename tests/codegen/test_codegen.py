"""Rendering: pure, readable, and safe whatever the names."""

from __future__ import annotations

import ast
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from b2brecs.codegen.context import CodegenContext, Embedding, History, Identifiers, Layer, RawColumn, Tower, safe
from b2brecs.codegen.from_configs import from_configs
from b2brecs.codegen.render import Code, literal, render
from b2brecs.codegen.verify import BadCode, formatted, verify
from b2brecs.configs.features import FeatureConfig
from b2brecs.configs.model import ModelConfig
from b2brecs.errors import ConfigError

from . import hostile

GOLDEN = Path(__file__).with_name("golden")


def small(column: str = "sku", title: str = "a test", **changes: object) -> CodegenContext:
    query = Tower("query", (Embedding("query_buyer", "buyer", 8, 1_000, 1, 1),), (Layer("dense", 16, "relu"),))
    candidate = Tower("candidate", (Embedding("candidate_id", column, 8, 1_000, 1, 1),), ())
    columns = (RawColumn("buyer", "buyer", "string"),)
    return replace(CodegenContext(title, "0" * 64, query, candidate, column, columns), **changes)  # type: ignore[arg-type]


def hostile_code() -> Code:
    return verify(render(from_configs(hostile.features(), hostile.model(), top_k=7)))


def strings(text: str) -> set[str]:
    return {
        node.value
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


@pytest.mark.parametrize("module", ["preprocessing", "trainer"])
def test_hostile_config_gives_the_golden_code(module: str) -> None:
    path = GOLDEN / f"{module}.py.txt"
    text = getattr(hostile_code(), module)
    if os.environ.get("B2BRECS_UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    assert text == path.read_text("utf-8")


def test_same_config_gives_the_same_bytes() -> None:
    assert hostile_code() == hostile_code()


def test_code_is_laid_out_as_ruff_would() -> None:
    code = hostile_code()
    assert formatted(code.preprocessing) == code.preprocessing
    assert formatted(code.trainer) == code.trainer


def test_names_are_data_and_never_code() -> None:
    code = hostile_code()
    names = {hostile.BUYER, hostile.PRODUCT, hostile.SIZE, hostile.WHEN, hostile.ACTIVE, hostile.CITY, hostile.HISTORY}
    assert names <= strings(code.preprocessing)
    assert names <= strings(code.trainer)


@given(name=st.text(min_size=1), title=st.text())
@settings(max_examples=60, deadline=None)
def test_any_text_can_be_a_column_or_a_title(name: str, title: str) -> None:
    code = verify(render(small(name, title)))
    plain = verify(render(small("sku", "a test")))
    assert name in strings(code.preprocessing)
    for mine, other in ((code.preprocessing, plain.preprocessing), (code.trainer, plain.trainer)):
        shapes = [[type(node) for node in ast.walk(ast.parse(text))] for text in (mine, other)]
        assert shapes[0] == shapes[1]


@given(text=st.text())
def test_literal_reads_back(text: str) -> None:
    assert ast.literal_eval(literal(text)) == text


@given(texts=st.lists(st.text(), max_size=20))
def test_identifiers_are_safe_and_distinct(texts: list[str]) -> None:
    names = Identifiers()
    given_names = [names.new(text) for text in texts]
    assert len(set(given_names)) == len(texts)
    assert all(safe(name) for name in given_names)


def test_unsafe_identifier_is_refused() -> None:
    with pytest.raises(ValueError, match="class"):
        small(columns=(RawColumn("class", "class", "string"),))


def test_history_without_product_id_is_refused() -> None:
    query = Tower("query", (History("query_history", "h", 5, 8),), ())
    with pytest.raises(ValueError, match="candidate_key"):
        small(query=query)


@pytest.mark.parametrize("optimizer", ["adagrad", "adam", "sgd", "rmsprop", "adamw", "ftrl"])
def test_every_optimizer_has_its_class(optimizer: str) -> None:
    text = render(small(optimizer=optimizer)).trainer
    assert f"tf.keras.optimizers.{optimizer}(".casefold() in text.casefold()


def test_each_kind_of_layer_is_written() -> None:
    text = hostile_code().trainer
    for call in ("Dense(\n        32,", "LayerNormalization(epsilon=1e-06)", "Dropout(0.1)", "BatchNormalization()"):
        assert call in text


def test_broken_code_names_module_and_line() -> None:
    with pytest.raises(BadCode, match="trainer module is not valid Python: line 2") as caught:
        verify(Code(preprocessing="", trainer="x = 1\nclass = 2\n"))
    assert caught.value.line == 2


def test_without_ruff_the_text_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert formatted("x   = 1\n") == "x   = 1\n"


def test_history_needs_the_product_id_in_its_tower() -> None:
    features = hostile.features().product.remove(hostile.PRODUCT).config
    with pytest.raises(ConfigError, match="no embedded product id to share"):
        from_configs(features, hostile.model())


def test_roles_are_needed() -> None:
    features = FeatureConfig(name="f", dataset="d").buyer.id("a").product.id("b").build()
    with pytest.raises(ConfigError, match=r"roles\(product"):
        from_configs(features, ModelConfig.preset("minimal"))


def test_types_follow_the_columns_and_default_to_the_transform() -> None:
    columns = {column.name: column.type for column in from_configs(hostile.features(), hostile.model()).columns}
    assert columns == {
        hostile.BUYER: "string", hostile.CITY: "string", hostile.SIZE: "float", hostile.WHEN: "int",
        hostile.ACTIVE: "int", hostile.HISTORY: "string",
    }  # fmt: skip


def test_any_setting_changes_the_identity() -> None:
    one = from_configs(hostile.features(), hostile.model())
    other = from_configs(hostile.features(), hostile.model().train(seed=7))
    renamed = from_configs(hostile.features(), hostile.model().changed(name="else"))
    assert one.config_hash != other.config_hash
    assert one.config_hash == renamed.config_hash
