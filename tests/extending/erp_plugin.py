"""What somebody else writes: a source and a transform, in one file of their own, outside the package."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from b2brecs import Column, Engine, Source, SourceSettings, TableSchema, Transform, register_source, register_transform
from b2brecs.types import COLUMN_TYPES


class RestSettings(SourceSettings):
    kind = "rest"
    pages: int = 2


class RestSource(Source[RestSettings]):
    def test(self) -> str:
        return f"{self.settings.pages} pages"

    def tables(self) -> list[TableSchema]:
        return [TableSchema("orders", ())]

    def schema(self, table: str) -> TableSchema:
        return TableSchema(table, (Column("id", "INT64"), Column("sku", "STRING")))

    def read(self, table, part=None, *, on_reject=None):
        batches = [pa.record_batch({"id": [page], "sku": [f"sku-{page}"]}) for page in range(self.settings.pages)]
        return pa.RecordBatchReader.from_batches(batches[0].schema, batches)


class Length(Transform):
    """The length of the text, and whether there is one."""

    kind = "length"
    TYPES = frozenset(COLUMN_TYPES)

    def width(self) -> int:
        return 2


class LengthEngine(Engine[Length]):
    INPUT = "dense"

    def fit(self, transform, values):
        return {"longest": max((len(str(v)) for v in values.to_pylist() if v is not None), default=1)}

    def apply(self, transform, state, values):
        texts = values.to_pylist()
        return np.array([[len(v) / state["longest"], 1] if v is not None else [0, 0] for v in texts], dtype=np.float32)


register_source(RestSettings, RestSource)
register_transform(Length, LengthEngine)
