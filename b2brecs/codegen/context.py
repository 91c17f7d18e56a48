"""What the templates are given: safe identifiers and plain values, nothing of a user's text as code.

Users speak of buyers and products; TensorFlow code speaks of queries and candidates. Here is where one becomes
the other.
"""

from __future__ import annotations

import hashlib
import keyword
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from b2brecs.naming import TENSORFLOW_SIDE, sanitise

ValueType = Literal["string", "int", "float"]
TowerName = Literal["query", "candidate"]
LayerKind = Literal["dense", "dropout", "batch_norm", "layer_norm"]
Period = Literal["hour", "weekday", "day_of_month", "month", "quarter"]

# Raised when the templates change what they write for the same configuration.
TEMPLATE_VERSION = 1
HISTORY_SUFFIX = "__history"


def history_column(product: str) -> str:
    """Return the list column of the examples that holds the products a buyer bought before the row."""
    return f"{product}{HISTORY_SUFFIX}"


@dataclass(frozen=True)
class RawColumn:
    """A column of the examples that is asked for when a recommendation is wanted.

    Parameters
    ----------
    name
        The column's own name, any text.
    argument
        The name of the serving signature's argument: an identifier.
    type
        What callers send: text, whole numbers or numbers.
    many
        Whether a row holds a list.
    """

    name: str
    argument: str
    type: ValueType
    many: bool = False


@dataclass(frozen=True)
class Embedding:
    """A vector per value of a vocabulary."""

    kind: ClassVar[str] = "embedding"
    key: str
    column: str
    dim: int
    vocabulary_size: int
    min_frequency: int
    oov_buckets: int


@dataclass(frozen=True)
class Hashed:
    """A vector per hash bucket, of one column or of several crossed."""

    kind: ClassVar[str] = "hashed"
    key: str
    columns: tuple[str, ...]
    dim: int
    buckets: int


@dataclass(frozen=True)
class Scale:
    """A number on a common scale."""

    kind: ClassVar[str] = "scale"
    key: str
    column: str
    method: Literal["z_score", "min_max"]
    log: bool


@dataclass(frozen=True)
class Buckets:
    """A vector per bucket of a number; a missing number has a bucket of its own."""

    kind: ClassVar[str] = "buckets"
    key: str
    column: str
    count: int
    boundaries: tuple[float, ...]
    dim: int

    @property
    def size(self) -> int:
        """The number of buckets, with the one for missing values."""
        return (len(self.boundaries) + 1 if self.boundaries else self.count) + 1


@dataclass(frozen=True)
class Cycle:
    """Sine and cosine of a date's place in the calendar."""

    kind: ClassVar[str] = "cycle"
    key: str
    column: str
    period: Period


@dataclass(frozen=True)
class History:
    """The mean vector of a list of products, looked up in the product id's own table."""

    kind: ClassVar[str] = "history"
    key: str
    column: str
    max_length: int
    dim: int


Input = Embedding | Hashed | Scale | Buckets | Cycle | History


@dataclass(frozen=True)
class Layer:
    """A layer of a tower; only the fields of its kind count."""

    kind: LayerKind
    units: int = 0
    activation: str = "linear"
    l1: float = 0.0
    l2: float = 0.0
    rate: float = 0.0
    epsilon: float = 1e-6


@dataclass(frozen=True)
class Tower:
    """One tower: its inputs, its layers, and the final linear projection, which is not among the layers."""

    name: TowerName
    inputs: tuple[Input, ...]
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class CodegenContext:
    """Everything that the two modules are made of.

    Parameters
    ----------
    title
        Which configurations these are; shown in the header only.
    config_hash
        Identity of the configurations.
    candidate_id
        Column with the product's id.
    candidate_key
        The embedding input of the candidate tower that stands for the id; a history shares its table.
    columns
        The columns that a recommendation request carries.
    negatives
        How many other rows of a batch each row is told apart from.
    """

    title: str
    config_hash: str
    query: Tower
    candidate: Tower
    candidate_id: str
    columns: tuple[RawColumn, ...]
    candidate_key: str = ""
    embedding_dim: int = 32
    normalize: bool = True
    temperature: float = 0.05
    optimizer: str = "adam"
    learning_rate: float = 0.001
    batch_size: int = 4096
    negatives: int = 511
    epochs: int = 10
    log_q: bool = True
    remove_accidental_hits: bool = True
    seed: int = 42
    top_k: int = 100
    version: int = field(default=TEMPLATE_VERSION)

    def __post_init__(self) -> None:
        keys = [item.key for tower in self.towers for item in tower.inputs]
        arguments = [column.argument for column in self.columns]
        for names in (keys, arguments):
            wrong = [name for name in names if not safe(name)]
            twice = [name for name in names if names.count(name) > 1]
            if wrong or twice:
                message = f"not usable as identifiers: {wrong or twice}"
                raise ValueError(message)
        if self.inputs("history") and self.shared is None:
            message = "a history needs `candidate_key`, the product id's embedding"
            raise ValueError(message)

    @property
    def towers(self) -> tuple[Tower, Tower]:
        """Both towers."""
        return self.query, self.candidate

    @property
    def shared(self) -> Embedding | None:
        """The product id's embedding, which a history shares."""
        found = [
            item for item in self.candidate.inputs if isinstance(item, Embedding) and item.key == self.candidate_key
        ]
        return found[0] if found else None

    def inputs(self, kind: str) -> list[Input]:
        """Return both towers' inputs of one kind."""
        return [item for tower in self.towers for item in tower.inputs if item.kind == kind]


# Names that the generated modules use themselves.
_TAKEN = frozenset({"self", "raw", "features", "best", "scores", "vectors", "tf", "json", "math"})


def safe(name: str) -> bool:
    """Whether a name can stand in the generated code as an identifier."""
    return name.isidentifier() and name.isascii() and not keyword.iskeyword(name) and name not in _TAKEN


class Identifiers:
    """Give each text an identifier of its own.

    Examples
    --------
    >>> names = Identifiers()
    >>> [names.new(text) for text in ("Größe (cm)", "gr e cm", "class", "class")]
    ['gr_e_cm', 'gr_e_cm_2', 'class_', 'class_2']
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)

    def new(self, text: str) -> str:
        """Return an identifier that this object has not given before."""
        base = sanitise(text)[:40].rstrip("_")
        name, number = base if safe(base) else f"{base}_", 2
        while name in self._taken:
            name, number = f"{base}_{number}", number + 1
        self._taken.add(name)
        return name


def config_hash(*hashes: str) -> str:
    """Return one identity for several configurations and this version of the templates."""
    return hashlib.sha256("\n".join([str(TEMPLATE_VERSION), *hashes]).encode()).hexdigest()


def tower_name(side: str) -> TowerName:
    """Return TensorFlow's name for a side."""
    return "query" if TENSORFLOW_SIDE[side] == "query" else "candidate"
