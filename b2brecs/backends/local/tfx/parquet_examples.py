# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201, ANN202
"""Read Parquet as tf.Examples; runs inside the TFX environment.

TFX's own Parquet executor writes 0, 0.0 and False as missing values and refuses timestamps; this one does not.
Missing values and NaN become empty features. Dates and timestamps become whole seconds since 1970 (UTC).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf
from tfx.components.example_gen.base_example_gen_executor import BaseExampleGenExecutor

MICROSECONDS = 1_000_000
DAY = 86_400


def _ints(values: list[int]) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def _floats(values: list[float]) -> tf.train.Feature:
    numbers = [float(value) for value in values]
    kept = [value for value in numbers if not math.isnan(value)]
    return tf.train.Feature(float_list=tf.train.FloatList(value=kept)) if kept else tf.train.Feature()


def _texts(values: list[str]) -> tf.train.Feature:
    data = [value if isinstance(value, bytes) else value.encode() for value in values]
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=data))


def plain(name: str, column: pa.ChunkedArray) -> tuple[list, Callable[[list], tf.train.Feature], bool]:
    """Return a column's Python values, how to write them, and whether each is a list.

    Raises
    ------
    TypeError
        The column's type has no counterpart among TFX's.
    """
    kind = column.type
    many = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    element = kind.value_type if many else kind
    if pa.types.is_dictionary(element) and not many:
        column, element = column.cast(element.value_type), element.value_type
    if pa.types.is_timestamp(element) or pa.types.is_date(element):
        to = pa.timestamp("us") if pa.types.is_timestamp(element) else pa.date32()
        unit = MICROSECONDS if pa.types.is_timestamp(element) else None
        whole = pa.int64() if unit else pa.int32()
        column = column.cast(pa.list_(to) if many else to, safe=False)
        column = column.cast(pa.list_(whole) if many else whole)
        return column.to_pylist(), lambda values: _ints([v // unit if unit else v * DAY for v in values]), many
    if pa.types.is_boolean(element) or pa.types.is_integer(element):
        return column.to_pylist(), lambda values: _ints([int(value) for value in values]), many
    if pa.types.is_floating(element) or pa.types.is_decimal(element):
        return column.to_pylist(), _floats, many
    if any(check(element) for check in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary)):
        return column.to_pylist(), _texts, many
    if pa.types.is_null(element):
        return [None] * len(column), _texts, False
    message = f"column {name!r} has type {kind}, which TFX cannot read; turn it into text, a number or a timestamp"
    raise TypeError(message)


def to_examples(table: pa.Table) -> Iterator[tf.train.Example]:
    """Write each row of a table as a tf.Example."""
    columns = [(name, *plain(name, table.column(name))) for name in table.column_names]
    for row in range(table.num_rows):
        feature = {}
        for name, values, write, many in columns:
            value = values[row]
            if many:
                value = [item for item in value or () if item is not None]
            elif value is not None:
                value = [value]
            feature[name] = write(value) if value else tf.train.Feature()
        yield tf.train.Example(features=tf.train.Features(feature=feature))


def write_tfrecord(folder: str, target: str) -> int:
    """Copy a folder of Parquet files into one compressed TFRecord file and return the number of rows."""
    rows = 0
    with tf.io.TFRecordWriter(target, options="GZIP") as writer:
        for path in sorted(tf.io.gfile.glob(f"{folder.rstrip('/')}/*.parquet")):
            with tf.io.gfile.GFile(path, "rb") as file:
                table = pq.read_table(pa.BufferReader(file.read()))
            for example in to_examples(table):
                writer.write(example.SerializeToString())
            rows += table.num_rows
    return rows


@beam.ptransform_fn
@beam.typehints.with_input_types(beam.Pipeline)
@beam.typehints.with_output_types(tf.train.Example)
def _parquet_to_examples(pipeline, exec_properties, split_pattern):
    pattern = f"{exec_properties['input_base'].rstrip('/')}/{split_pattern}"
    return (
        pipeline
        | "ReadParquet" >> beam.io.ReadFromParquetBatched(pattern)
        | "ToExamples" >> beam.FlatMap(to_examples).with_output_types(tf.train.Example)
    )


class Executor(BaseExampleGenExecutor):
    """TFX's example generator for the Parquet files that b2brecs writes."""

    def GetInputSourceToExamplePTransform(self):  # noqa: N802  (the name is TFX's)
        """Return the transform from Parquet to tf.Examples."""
        return _parquet_to_examples
