"""A recommender with its products' names: what is asked for recommendations, kept and loaded."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from b2brecs.display import Table
from b2brecs.errors import NotFound
from b2brecs.training.recommender import Recommender

if TYPE_CHECKING:
    import pandas as pd

_NAMES = "names.json"


@dataclass(frozen=True)
class Recommendations:
    """Products for one buyer, best first: id, name, score, reason."""

    buyer: Any
    items: tuple[dict[str, Any], ...]
    new_only: bool = False

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def to_pandas(self) -> pd.DataFrame:
        """Return the rows as a data frame."""
        import pandas as pd

        return pd.DataFrame(list(self.items))

    def _table(self) -> Table:
        return Table(
            f"{'New products' if self.new_only else 'Recommendations'} for buyer {self.buyer}",
            ["#", "product", "name", "score", "why"],
            [
                [i, str(r["product"]), r["name"] or "", round(r["score"], 4), r["reason"]]
                for i, r in enumerate(self.items, 1)
            ],
        )

    def __repr__(self) -> str:
        return str(self._table())

    def _repr_html_(self) -> str:
        return self._table().to_html()


@dataclass(frozen=True, eq=False)
class Model:
    """A fitted recommender and the names of its products. Needs no TensorFlow."""

    recommender: Recommender
    names: Mapping[str, str]

    def recommend(
        self, buyer: Any, k: int = 10, *, new_only: bool = False, exclude: Iterable[Any] = ()
    ) -> Recommendations:
        """Recommend ``k`` products to a buyer, best first.

        Parameters
        ----------
        buyer
            Its id. One who is unknown, or never bought, gets what is popular, and the reason says so.
        k
            How many.
        new_only
            Leave out what the buyer bought before.
        exclude
            Product ids to leave out.
        """
        found = self.recommender.recommend(buyer, k, new_only=new_only, exclude=exclude)
        items = tuple(
            {
                "product": r.product,
                "name": self.names.get(str(r.product)),
                "score": r.score,
                "reason": r.reason,
                "code": r.code,
            }
            for r in found
        )
        return Recommendations(buyer, items, new_only)

    def save(self, place: str) -> None:
        """Write into a folder, or below a ``gs://`` or ``s3://`` address."""
        from pyarrow import fs

        with tempfile.TemporaryDirectory() as folder:
            self.recommender.save(folder)
            (Path(folder) / _NAMES).write_text(json.dumps(dict(self.names), ensure_ascii=False), encoding="utf-8")
            system, path = fs.FileSystem.from_uri(place)
            system.create_dir(path, recursive=True)
            fs.copy_files(folder, path, destination_filesystem=system)

    @classmethod
    def load(cls, place: str) -> Model:
        """Read what ``save`` wrote.

        Raises
        ------
        NotFound
            Nothing is there.
        """
        from pyarrow import fs

        system, path = fs.FileSystem.from_uri(place)
        if system.get_file_info(f"{path}/{_NAMES}").type == fs.FileType.NotFound:
            raise NotFound("model", place.rsplit("/", 1)[-1])
        with tempfile.TemporaryDirectory() as folder:
            fs.copy_files(path, folder, source_filesystem=system)
            names = json.loads((Path(folder) / _NAMES).read_text(encoding="utf-8"))
            return cls(Recommender.load(folder), names)
