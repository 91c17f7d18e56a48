"""Tower inputs by a ``FeatureConfig``: attributes as they were known, histories as they stood."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from b2brecs.configs.tower import Side, TowerFeatures
from b2brecs.configs.transforms import Embedding, History
from b2brecs.errors import B2BRecsError
from b2brecs.features.inputs import InputSpec, SideInputs, TowerInputs
from b2brecs.features.pipeline import SidePipeline, input_name
from b2brecs.training.history import states

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from b2brecs.configs.features import FeatureConfig
    from b2brecs.training.interactions import Interactions

_DEFAULT_HISTORY = 50


class ConfiguredInputs:
    """Makes tower inputs for any part of the data, from the rows of a dataset.

    Attributes of a buyer or a product are those of its latest row before the moment asked about; a buyer
    or product without such a row has NULL everywhere. Transforms are fitted on the rows before that moment.

    Parameters
    ----------
    config
        The features; its roles name the columns.
    rows
        The dataset's rows, one Arrow array per column.
    full
        The interactions of the same rows, of which later parts are selections: their ids are the codes.
    """

    def __init__(self, config: FeatureConfig, rows: pa.Table, full: Interactions) -> None:
        role = config.role
        if role.user is None or role.product is None or role.timestamp is None:
            raise B2BRecsError("the features' dataset has no user, product and timestamp role.")
        keep = pc.and_(pc.is_valid(rows[role.user]), pc.is_valid(rows[role.product]))
        rows = rows.filter(pc.and_(keep, pc.is_valid(rows[role.timestamp])))
        if rows.num_rows != len(full):
            raise B2BRecsError(
                f"{rows.num_rows:,} rows have a buyer, a product and a time, but {len(full):,} lines were given."
            )
        self.config, self.full = config, full
        self.rows = rows.combine_chunks()
        # Positions by time, so that the last row of each entity before a moment is found by one pass.
        self._order = np.argsort(full.time, kind="stable")
        self.pipelines: dict[Side, SidePipeline] = {}

    def __call__(self, data: Interactions, as_of: int) -> TowerInputs:
        """Return both sides' inputs for lines ``data`` (all before ``as_of``), served at ``as_of`` (seconds UTC)."""
        history = self._history()
        found = states(data, as_of, max_length=history.max_length if history else _DEFAULT_HISTORY)
        before = self._order[self.full.time[self._order] < as_of]
        buyer = self._side("buyer", self.full.user, data.n_users, data.users, before)
        product = self._side("product", self.full.item, data.n_items, data.items, before)
        # Buyer attributes are the same in all of a buyer's states; only the history moves.
        arrays = {name: array[found.user] for name, array in buyer.arrays.items()}
        specs = list(buyer.specs)
        if history is not None:
            spec, bag = self._bag(history, found.bag, product)
            position = self._history_position()
            specs.insert(position, spec)
            arrays[spec.name] = bag
        return TowerInputs(SideInputs(tuple(specs), arrays), product, found.train_rows, found.serve_rows)

    def _side(self, side: Side, codes: NDArray[Any], count: int, ids: NDArray[Any], before: NDArray[Any]) -> SideInputs:
        tower = self.config.tower(side)
        names = _columns(tower)
        last = np.full(count, -1, dtype=np.int64)
        last[codes[before]] = before
        key = self.config.role.user if side == "buyer" else self.config.role.product
        taken = pa.array(np.where(last < 0, 0, last), mask=last < 0)
        training = pa.array(before)
        fitted = SidePipeline.fit(tower, {name: self._column(name).take(training) for name in names})
        self.pipelines[side] = fitted
        # The id itself is known even where no row is; its vocabulary then says OOV.
        entity = {
            name: _ids(ids, self._column(name).type) if name == key else self._column(name).take(taken)
            for name in names
        }
        return fitted.transform(entity)

    def _column(self, name: str) -> pa.Array:
        column = self.rows[name]
        return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)

    def _history(self) -> History | None:
        for feature in self.config.buyer_tower.features:
            for transform in feature.transforms:
                if isinstance(transform, History):
                    return transform
        return None

    def _history_position(self) -> int:
        position = 0
        for feature in self.config.buyer_tower.features:
            for transform in feature.transforms:
                if isinstance(transform, History):
                    return position
                position += 1
        return position

    def _bag(
        self, history: History, bag: NDArray[np.int32], product: SideInputs
    ) -> tuple[InputSpec, NDArray[np.int32]]:
        assert self.config.role.product is not None
        shared = input_name(self.config.role.product, Embedding.kind)
        spec = next((each for each in product.specs if each.name == shared), None)
        if spec is None:
            raise B2BRecsError(
                f"the history needs the product id's embedding: .product.id({self.config.role.product!r})."
            )
        # One row more than the vocabulary and its OOV rows: the padding, which stays out of the mean.
        place = np.append(product.arrays[shared], spec.rows).astype(np.int32)
        name = input_name(self.config.role.product, History.kind)
        return InputSpec(name, "bag", spec.rows + 1, history.dim, shared_with=shared), place[bag]


def _columns(tower: TowerFeatures) -> list[str]:
    names = [feature.column for feature in tower.features if not feature.is_history]
    names += [column for cross in tower.crosses for column in cross.columns]
    return list(dict.fromkeys(names))


def _ids(ids: NDArray[Any], kind: pa.DataType) -> pa.Array:
    plain = pa.array(ids.tolist())
    return plain if plain.type == kind else pc.cast(plain, kind)
