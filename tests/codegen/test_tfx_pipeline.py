"""The generated code in a real TFX pipeline on hostile rows, and the exported model's answers."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from b2brecs.backends.local.tfx import environment
from b2brecs.codegen.from_configs import from_configs
from b2brecs.codegen.render import render
from b2brecs.codegen.verify import verify

from . import hostile

pytestmark = pytest.mark.tfx

SCRIPT = Path(environment.__file__).with_name("pipeline.py")
MISSING_INT = -(2**63)


@dataclass
class Finished:
    """A finished pipeline and what was asked of it."""

    result: dict[str, Any]
    answer: dict[str, Any]
    test: pa.Table
    log: list[str]


@pytest.fixture(scope="module")
def tfx() -> environment.TfxEnvironment:
    found = environment.find()
    if found is None:
        message = f"there is no TFX environment at {environment.location()}; make it with `{environment.COMMAND}`"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return found


@pytest.fixture(scope="module")
def finished(tfx: environment.TfxEnvironment, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("pipeline")
    tables = {split: hostile.purchases(rows, seed) for split, rows, seed in
              (("train", 1_600, 1), ("eval", 200, 2), ("test", 200, 3))}  # fmt: skip
    for split, table in {**{f"examples/{k}": v for k, v in tables.items()}, "catalogue": hostile.catalogue()}.items():
        (folder / split).mkdir(parents=True)
        pq.write_table(table, folder / split / "part-0.parquet")
    code = verify(render(from_configs(hostile.features(), hostile.model(), top_k=7)))
    preprocessing, trainer = code.write(folder / "code")
    spec = {
        "name": "hostile",
        "root": str(folder / "pipeline"),
        "examples": {"folder": str(folder / "examples"), "splits": ["train", "eval", "test"]},
        "catalogue": str(folder / "catalogue"),
        "preprocessing_module": str(preprocessing),
        "trainer_module": str(trainer),
        "push_to": str(folder / "pushed"),
        "result": str(folder / "result.json"),
    }
    log: list[str] = []
    (folder / "spec.json").write_text(json.dumps(spec), "utf-8")
    tfx.run(SCRIPT, [str(folder / "spec.json")], log=log.append)

    buyers = range(80)
    question = {
        "preprocessing": str(preprocessing),
        "scripts": str(SCRIPT.parent),
        "answer": str(folder / "answer.json"),
        "columns": [hostile.PRICE, hostile.SIZE, hostile.HISTORY, hostile.WHEN, hostile.ACTIVE],
        "served": {
            "the_buyer_s_id": [*(f"Käufer {n}" for n in buyers), "nobody", ""],
            "ville": ["日本", *[""] * 81],
            "gr_e_m": [1.5, *[float("nan")] * 81],
            "import_": [1_700_000_000, *[MISSING_INT] * 81],
            "return_": [1, *[MISSING_INT] * 81],
            "class_history": [["P-1", "P-2"], *[["", ""]] * 81],
        },
    }
    (folder / "question.json").write_text(json.dumps(question), "utf-8")
    tfx.run(Path(__file__).with_name("inside_tfx.py"), [str(folder / "result.json"), str(folder / "question.json")])
    result, answer = (json.loads((folder / name).read_text("utf-8")) for name in ("result.json", "answer.json"))
    return Finished(result, answer, tables["test"], log)


def test_every_component_ran(finished: Finished) -> None:
    assert finished.result["ok"]
    expected = {"ExampleGen", "StatisticsGen", "SchemaGen", "Transform", "Trainer", "Pusher"}
    assert set(finished.result["artefacts"]) == expected
    assert "INFO:absl:Component Trainer is finished." in finished.log


def test_served_ids_exist_in_the_catalogue(finished: Finished) -> None:
    known = {*hostile.PRODUCTS, hostile.NEVER_SOLD}
    for row in finished.answer["served"]["ids"]:
        assert len(row) == len(set(row)) == 7
        assert set(row) <= known


def test_scores_fall_and_are_cosines(finished: Finished) -> None:
    for row in finished.answer["served"]["scores"]:
        assert row == sorted(row, reverse=True)
        assert all(abs(score) <= 1.0001 for score in row)


def test_ids_belong_to_their_scores(finished: Finished) -> None:
    # Each buyer buys three products of sixty: only with ids aligned to vectors does the model give these back.
    served = finished.answer["served"]["ids"][:80]
    found = [len({hostile.PRODUCTS[n] for n in hostile.favourites(buyer)} & set(served[buyer])) for buyer in range(80)]
    assert sum(found) > 0.6 * 3 * 80


def test_training_learned(finished: Finished) -> None:
    metrics = finished.result["metrics"]
    assert metrics["recall@5"] > 0.5
    assert metrics["eval_rows"] == 200
    assert metrics["products"] == len(hostile.PRODUCTS) + 1


def test_our_splits_are_kept_and_zeros_are_no_nulls(finished: Finished) -> None:
    columns, table = finished.answer["columns"], finished.test
    prices = table.column(hostile.PRICE).to_pylist()
    assert sorted(columns[hostile.PRICE]) == sorted([] if price is None else [price] for price in prices)
    assert [0] in columns[hostile.PRICE]
    sizes = [value for value in table.column(hostile.SIZE).to_pylist() if value is not None and not math.isnan(value)]
    assert sorted(value for row in columns[hostile.SIZE] for value in row) == sorted(sizes)
    assert [0] in columns[hostile.ACTIVE]


def test_timestamps_and_lists_arrive(finished: Finished) -> None:
    columns, table = finished.answer["columns"], finished.test
    moments = [value for value in table.column(hostile.WHEN).to_pylist() if value is not None]
    seconds = sorted(int(value.timestamp()) for value in moments)
    assert sorted(value for row in columns[hostile.WHEN] for value in row) == seconds
    histories = sorted(value or [] for value in table.column(hostile.HISTORY).to_pylist())
    assert sorted(columns[hostile.HISTORY]) == histories


def test_every_type_has_its_form(finished: Finished) -> None:
    rows, refused = finished.answer["converted"]
    assert rows == {
        "decimal": [[1.5], []],
        "date": [[-86_400], [1_709_164_800]],
        "nanoseconds": [[1_500_000_000], []],
        "zoned": [[5], []],
        "dictionary": [["ä"], []],
        "flags": [[1], []],
        "dates": [[86_400], []],
        "bytes": [["a"], [""]],
        "nothing": [[], []],
        "numbers": [[0.0], []],
        "text": [["x"], []],
        "flag": [[0], []],
    }
    assert refused.startswith("column 'noon' has type time64")


def test_transformed_numbers_are_finite_and_vary(finished: Finished) -> None:
    assert finished.answer["transformed"] == {"rows": 1_600, "not_finite": [], "constant": []}


def test_calendar_agrees_with_pythons(finished: Finished) -> None:
    assert set(finished.answer["calendar"].values()) == {0}


def test_vocabulary_honours_its_bounds(finished: Finished) -> None:
    vocabularies = {name: Path(path).read_text("utf-8") for name, path in finished.result["vocabularies"].items()}
    assert set(vocabularies["product_row"].splitlines()) == set(hostile.PRODUCTS)
    assert set(vocabularies["query_embedding_ville"].splitlines()) == {"a", "b", "日本"}


def test_failure_names_its_stage(tfx: environment.TfxEnvironment, tmp_path: Path) -> None:
    spec = {"name": "x", "root": str(tmp_path), "catalogue": str(tmp_path / "no"), "result": str(tmp_path / "r.json")}
    (tmp_path / "spec.json").write_text(json.dumps(spec), "utf-8")
    with pytest.raises(Exception, match="the catalogue holds no product"):
        tfx.run(SCRIPT, [str(tmp_path / "spec.json")])
    result = json.loads((tmp_path / "r.json").read_text("utf-8"))
    assert (result["ok"], result["stage"]) == (False, "Catalogue")
