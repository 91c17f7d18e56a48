"""A recommender in a folder: ``recommender.json`` says what there is, ``*.npz`` hold the arrays."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from b2brecs.errors import NotFound
from b2brecs.training.baselines import (
    FactorScorer,
    FrequencyScorer,
    HistoryScorer,
    Scorer,
    VectorScorer,
    WithFallback,
)
from b2brecs.training.blend import Blend
from b2brecs.training.candidates import Facts

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 1
Arrays = dict[str, NDArray[Any]]


class Parts(NamedTuple):
    """What a recommender is made of, in the order of its fields."""

    users: NDArray[Any]
    items: NDArray[Any]
    components: Mapping[str, WithFallback]
    facts: Facts
    blends: Mapping[str, Blend]


def save(parts: Parts, folder: Path) -> None:
    """Write a recommender's parts; a folder that holds some is overwritten."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = parts.facts
    arrays: Arrays = {
        "users": parts.users,
        "items": parts.items,
        "own_key": facts.own_key,
        "sold": facts.sold,
    }
    for group in ("own", "product", "buyer"):
        arrays |= {f"{group}/{name}": value for name, value in getattr(facts, group).items()}
    shared = next(iter(parts.components.values()))
    arrays |= {"known": shared.known, "popularity": shared.popularity}
    np.savez(folder / "facts.npz", **arrays)  # type: ignore[arg-type]
    kinds = []
    for number, (name, component) in enumerate(parts.components.items()):
        kind, packed = _pack(component.scorer)
        np.savez(folder / f"component_{number}.npz", **packed)  # type: ignore[arg-type]
        kinds.append({"name": name, "kind": kind})
    document = {
        "format": FORMAT,
        "as_of": facts.as_of,
        "components": kinds,
        "blends": {name: _blend_out(blend) for name, blend in parts.blends.items()},
    }
    (folder / "recommender.json").write_text(json.dumps(document, indent=1), encoding="utf-8")


def load(folder: Path) -> Parts:
    """Read a recommender's parts.

    Raises
    ------
    NotFound
        The folder holds none.
    """
    path = folder / "recommender.json"
    if not path.is_file():
        raise NotFound("recommender", "recommender.json", where=f"folder {str(folder)!r}")
    document = json.loads(path.read_text(encoding="utf-8"))
    arrays = _read(folder / "facts.npz")
    groups: dict[str, dict[str, NDArray[Any]]] = {"own": {}, "product": {}, "buyer": {}}
    for key, value in arrays.items():
        group, _, name = key.partition("/")
        if name:
            groups[group][name] = value
    facts = Facts(
        n_items=len(arrays["items"]),
        as_of=int(document["as_of"]),
        own_key=arrays["own_key"],
        own=groups["own"],
        product=groups["product"],
        buyer=groups["buyer"],
        sold=arrays["sold"],
    )
    components = {
        entry["name"]: WithFallback(
            _unpack(entry["kind"], _read(folder / f"component_{number}.npz")), arrays["known"], arrays["popularity"]
        )
        for number, entry in enumerate(document["components"])
    }
    blends = {name: _blend_in(data) for name, data in document["blends"].items()}
    return Parts(arrays["users"], arrays["items"], components, facts, blends)


def _read(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def _pack(scorer: Scorer) -> tuple[str, Arrays]:
    if isinstance(scorer, VectorScorer):
        return "vector", {"values": scorer.values}
    if isinstance(scorer, FactorScorer):
        return "factors", {"user": scorer.user, "item": scorer.item}
    if isinstance(scorer, FrequencyScorer):
        return "frequency", {"fill": scorer.fill, **_sparse_out("own", scorer.own)}
    if isinstance(scorer, HistoryScorer):
        parts = _sparse_out("history", scorer.history)
        if isinstance(scorer.weights, np.ndarray):
            parts["weights"] = scorer.weights
        else:
            parts |= _sparse_out("weights", scorer.weights)
        if scorer.kept is not None:
            parts["kept"] = scorer.kept
        return "history", parts
    raise TypeError(f"a component of type {type(scorer).__name__} cannot be saved")


def _unpack(kind: str, parts: Arrays) -> Scorer:
    if kind == "vector":
        return VectorScorer(parts["values"])
    if kind == "factors":
        return FactorScorer(parts["user"], parts["item"])
    if kind == "frequency":
        return FrequencyScorer(_sparse_in("own", parts), parts["fill"])
    weights = parts["weights"] if "weights" in parts else _sparse_in("weights", parts)
    return HistoryScorer(_sparse_in("history", parts), weights, parts.get("kept"))


def _sparse_out(name: str, matrix: Any) -> Arrays:
    return {
        f"{name}/data": matrix.data,
        f"{name}/indices": matrix.indices,
        f"{name}/indptr": matrix.indptr,
        f"{name}/shape": np.array(matrix.shape),
    }


def _sparse_in(name: str, parts: Arrays) -> Any:
    from scipy.sparse import csr_matrix

    data, indices, indptr = (parts[f"{name}/{part}"] for part in ("data", "indices", "indptr"))
    rows, columns = parts[f"{name}/shape"].tolist()
    return csr_matrix((data, indices, indptr), shape=(rows, columns))


def _blend_out(blend: Blend) -> dict[str, Any]:
    return {
        "names": list(blend.names),
        "centre": blend.centre.tolist(),
        "scale": blend.scale.tolist(),
        "weights": blend.weights.tolist(),
        "constant": blend.constant,
        "single": blend.single,
        "validation": dict(blend.validation),
    }


def _blend_in(data: dict[str, Any]) -> Blend:
    return Blend(
        names=tuple(data["names"]),
        centre=np.array(data["centre"], dtype=np.float64),
        scale=np.array(data["scale"], dtype=np.float64),
        weights=np.array(data["weights"], dtype=np.float64),
        constant=data["constant"],
        single=data["single"],
        validation=data["validation"],
    )
