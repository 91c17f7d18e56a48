# mypy: ignore-errors
"""Checks of a finished pipeline, run inside the TFX environment: ``inside_tfx.py result.json question.json``."""

import datetime as dt
import decimal
import glob
import importlib.util
import json
import sys
from pathlib import Path

import pyarrow as pa
import tensorflow as tf
import tensorflow_transform as tft


def served(saved_model, question):
    """Ask the exported model."""
    function = tf.saved_model.load(saved_model).signatures["serving_default"]
    specs = function.structured_input_signature[1]
    answer = function(**{name: tf.constant(values, specs[name].dtype) for name, values in question.items()})
    ids = [[item.decode() for item in row] for row in answer["product_id"].numpy()]
    return {"ids": ids, "scores": answer["score"].numpy().tolist()}


def calendar_differences(module):
    """Compare the generated calendar with Python's, over leap years, centuries and days before 1970."""
    spec = importlib.util.spec_from_file_location("generated", module)
    generated = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generated)
    epoch = dt.datetime(1970, 1, 1)
    moments = [epoch + dt.timedelta(days=97 * step - 30_000, hours=step % 24) for step in range(1_500)]
    moments += [dt.datetime(y, m, d) for y in (1900, 2000, 2023, 2024) for m, d in ((2, 28), (3, 1), (12, 31))]
    moments += [dt.datetime(2000, 2, 29, 23, 59, 59), dt.datetime(2024, 2, 29)]
    seconds = tf.constant([int((moment - epoch).total_seconds()) for moment in moments], tf.int64)
    expected = {
        "hour": [m.hour / 24 for m in moments],
        "weekday": [m.weekday() / 7 for m in moments],
        "day_of_month": [(m.day - 1) / 31 for m in moments],
        "month": [(m.month - 1) / 12 for m in moments],
        "quarter": [(m.month - 1) // 3 / 4 for m in moments],
    }
    return {
        name: sum(
            bool(abs(a - b) > 1e-6) for a, b in zip(getattr(generated, name)(seconds).numpy(), values, strict=True)
        )
        for name, values in expected.items()
    }


def values_of(feature):
    """Return a feature's values."""
    kind = feature.WhichOneof("kind")
    values = list(getattr(feature, kind).value) if kind else []
    return [value.decode() if isinstance(value, bytes) else value for value in values]


def column(examples, split, name):
    """Read one column of raw examples."""
    found = []
    for path in sorted(glob.glob(f"{examples}/Split-{split}/*")):
        for serialized in tf.data.TFRecordDataset(path, compression_type="GZIP"):
            found.append(values_of(tf.train.Example.FromString(serialized.numpy()).features.feature[name]))
    return found


def transformed(result):
    """Summarise the transformed training examples: count, finite, shape."""
    output = tft.TFTransformOutput(result["transform_graph"])
    files = glob.glob(f"{result['artefacts']['Transform']['transformed_examples'][0]}/Split-train/*")
    data = tf.data.TFRecordDataset(files, compression_type="GZIP").batch(100_000)
    batch = tf.io.parse_example(next(iter(data)), output.transformed_feature_spec())
    numbers = {k: v for k, v in batch.items() if v.dtype == tf.float32}
    return {
        "rows": int(batch["product_row"].shape[0]),
        "not_finite": [k for k, v in numbers.items() if not bool(tf.reduce_all(tf.math.is_finite(v)))],
        "constant": [k for k, v in batch.items() if v.dtype != tf.string and bool(tf.reduce_all(v == v[0]))],
    }


def converted(folder):
    """Write values of every type as tf.Examples; return name → values of each row."""
    sys.path.insert(0, folder)
    from parquet_examples import to_examples

    table = pa.table(
        {
            "decimal": pa.array([decimal.Decimal("1.50"), None]),
            "date": pa.array([dt.date(1969, 12, 31), dt.date(2024, 2, 29)]),
            "nanoseconds": pa.array([1_500_000_000_999_999_999, None], pa.timestamp("ns")),
            "zoned": pa.array([5, None], pa.timestamp("s", tz="Europe/Berlin")),
            "dictionary": pa.array(["ä", None]).dictionary_encode(),
            "flags": pa.array([[True, None], []]),
            "dates": pa.array([[dt.date(1970, 1, 2)], None]),
            "bytes": pa.array([b"a", b""]),
            "nothing": pa.nulls(2),
            "numbers": pa.array([[0.0, float("nan")], [float("nan")]]),
            "text": pa.array(["x", None], pa.large_string()),
            "flag": pa.array([False, None]),
        }
    )
    rows: dict = {name: [] for name in table.column_names}
    for example in to_examples(table):
        for name, found in rows.items():
            found.append(values_of(example.features.feature[name]))
    try:
        list(to_examples(pa.table({"noon": pa.array([dt.time(12)])})))
    except TypeError as error:
        return rows, str(error)
    return rows, ""


def main():
    """Answer everything at once: starting TensorFlow takes longer than the questions."""
    result, question = (json.loads(Path(path).read_text("utf-8")) for path in sys.argv[1:3])
    examples = result["artefacts"]["ExampleGen"]["examples"][0]
    answer = {
        "served": served(result["saved_model"], question["served"]),
        "calendar": calendar_differences(question["preprocessing"]),
        "columns": {name: column(examples, "test", name) for name in question["columns"]},
        "transformed": transformed(result),
        "converted": converted(question["scripts"]),
    }
    Path(question["answer"]).write_text(json.dumps(answer, ensure_ascii=False), "utf-8")


main()
