"""``import b2brecs`` is light, the core works without extras, and a missing extra says which."""

import subprocess
import sys

import pytest

import b2brecs

HEAVY = ["tensorflow", "tf_keras", "apache_beam", "google.cloud", "boto3", "azure", "pandas", "duckdb", "sqlglot", "pyarrow",
         "numpy", "anywidget", "altair", "sqlalchemy"]  # fmt: skip
NEVER_IN_CORE = ["tensorflow", "tf_keras", "apache_beam", "google.cloud", "boto3", "azure", "psycopg2", "pymysql"]

CORE_JOB = """
import sys, tempfile
import b2brecs as b2b
ws = b2b.Workspace.local(tempfile.mkdtemp())
c = b2b.Connection.files("s", path=b2b.sample.path()); ws.save(c)
b2b.EtlJob("j", connection=c).load("order_lines").load("orders").load("products").run()
ds = ws.dataset("d", "order_lines", "orders", "products").roles(user="customer_id", product="stock_code", timestamp="invoice_date")
ws.save(ds); b2b.FeatureConfig.auto(ds); ds.preview(); repr(ws); ws._repr_html_()
"""


def loaded(code, names):
    # Some packages put a namespace in place at start-up, whatever is imported; only what comes on top counts.
    script = f"import sys\nbefore = set(sys.modules)\n{code}\nnow = set(sys.modules) - before\n"
    script += f"print([n for n in {names!r} if any(m == n or m.startswith(n + '.') for m in now)])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.strip().splitlines()[-1]


def test_import_brings_nothing_heavy():
    assert loaded("import b2brecs", HEAVY) == "[]"


def test_configs_bring_no_data_library():
    code = "import b2brecs as b\nb.ModelConfig.preset().flow('buyer', 8); b.Connection.files('x', path='.'); b.FeatureConfig; b.EtlJob"
    assert loaded(code, HEAVY) == "[]"


def test_the_local_home_needs_no_cloud_and_no_tensorflow():
    assert loaded(CORE_JOB, NEVER_IN_CORE) == "[]"


BLOCK = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Block())
import b2brecs as b2b
"""
MISSING = {
    "psycopg2": (
        "b2b.Workspace.local('/tmp/x').test(b2b.Connection.postgres('p', host='h', database='d', user='u'))",
        "a PostgreSQL connection needs psycopg2: pip install 'b2brecs[postgres]'",
    ),
    "tensorflow": (
        (
            "import b2brecs.training.interactions as i, b2brecs.training.quick as q\n"
            "    q.quick_test(i.from_arrays(['a'], ['b'], [0]), model=b2b.ModelConfig.preset())"
        ),
        "the two-tower model needs tensorflow: pip install 'b2brecs[train]'",
    ),
    "google": (
        "b2b.Workspace.gcp(project='p').tables()",
        "pip install 'b2brecs[gcp]'",
    ),
}


@pytest.mark.parametrize("package", MISSING)
def test_a_missing_extra_names_its_install(package):
    code, message = MISSING[package]
    script = f"BLOCKED = {package!r}\n{BLOCK}\ntry:\n    {code}\nexcept b2b.errors.MissingExtra as e:\n    print(e)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert message in done.stdout


def test_every_public_name_is_there_and_documented():
    for name in b2brecs.__all__:
        thing = getattr(b2brecs, name)
        assert name == "__version__" or thing.__doc__, name
    assert "Workspace" in dir(b2brecs)
    with pytest.raises(AttributeError, match="Did you mean 'Workspace'"):
        _ = b2brecs.Workspce
