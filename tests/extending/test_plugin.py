"""A new source and a new transform, from outside the package: one file, one registration each."""

import subprocess
import sys
from pathlib import Path

import pytest

from b2brecs import Column, Connection, Dataset, EtlJob, FeatureConfig, TableSchema, Workspace
from b2brecs.errors import ConfigError


@pytest.fixture
def plugin():
    from tests.extending import erp_plugin

    return erp_plugin


def test_a_source_from_outside_is_loaded_like_any_other(plugin, tmp_path):
    with Workspace.local(tmp_path) as ws:
        connection = Connection.of("shop", "rest", pages=3)
        assert Connection.from_json(connection.to_json()) == connection
        ws.save(connection)
        assert ws.test("shop") == "3 pages"
        assert EtlJob("j", connection="shop").load("orders").run().rows == 3
        assert sorted(ws.to_pandas("orders")["sku"]) == ["sku-0", "sku-1", "sku-2"]
        with pytest.raises(ConfigError, match="pages"):
            Connection.of("shop", "rest", pages="many")


def test_a_transform_from_outside_is_used_in_a_tower(plugin):
    import pyarrow as pa

    from b2brecs.features import SidePipeline

    table = TableSchema("t", (Column("buyer", "STRING"), Column("sku", "STRING")))
    dataset = Dataset.over("d", table).roles(user="buyer", product="sku")
    config = FeatureConfig.on(dataset).buyer.id("buyer").product.id("sku").config
    tower = config.product_tower.features[0]
    wider = config.with_tower(
        "product",
        config.product_tower.changed(features=[tower.changed(transforms=[*tower.transforms, plugin.Length()])]),
    ).build()
    assert wider.width("product") == 34
    assert FeatureConfig.from_json(wider.to_json()) == wider
    columns = {"sku": pa.array(["a", "bcde", None])}
    fitted = SidePipeline.fit(wider.product_tower, columns)
    made = fitted.transform(columns)
    assert made.arrays["sku:length"].tolist() == [[0.25, 1.0], [1.0, 1.0], [0.0, 0.0]]
    assert made.width == 34


def test_an_installed_package_is_found_by_its_entry_point(tmp_path):
    """Nothing is imported by the user: the kind's name is enough."""
    package = tmp_path / "erp_plugin-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: erp-plugin\nVersion: 1\n")
    (package / "entry_points.txt").write_text(
        "[b2brecs.sources]\nrest = erp_plugin\n[b2brecs.transforms]\nlength = erp_plugin\n"
    )
    (tmp_path / "erp_plugin.py").write_text((Path(__file__).parent / "erp_plugin.py").read_text())
    code = (
        "import b2brecs as b\n"
        "print(b.Connection.of('x', 'rest', pages=5).source.pages, b.Transform.from_dict({'kind': 'length'}).width())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}"},
    )
    assert done.stdout.split() == ["5", "2"]
