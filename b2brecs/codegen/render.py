"""Fill the templates. Pure: the same context gives the same bytes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from b2brecs.codegen.context import CodegenContext, Hashed

if TYPE_CHECKING:
    from jinja2 import Environment

_DTYPES = {"string": "string", "int": "int64", "float": "float32"}
_OPTIMIZERS = {
    "adagrad": "Adagrad", "adam": "Adam", "sgd": "SGD", "rmsprop": "RMSprop", "adamw": "AdamW", "ftrl": "Ftrl",
}  # fmt: skip
PREPROCESSING = "b2brecs_preprocessing.py"
TRAINER = "b2brecs_trainer.py"


@dataclass(frozen=True)
class Code:
    """The two modules of a TFX pipeline, as text."""

    preprocessing: str
    trainer: str

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write both into a folder and return their paths."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = folder / PREPROCESSING, folder / TRAINER
        for path, text in zip(paths, (self.preprocessing, self.trainer), strict=True):
            path.write_text(text, "utf-8", newline="\n")
        return paths


def render(context: CodegenContext) -> Code:
    """Write the preprocessing module and the trainer module.

    Examples
    --------
    >>> from b2brecs.codegen.context import Embedding, RawColumn, Tower
    >>> query = Tower("query", (Embedding("query_buyer", "the buyer's id", 8, 1000, 1, 1),), ())
    >>> candidate = Tower("candidate", (Embedding("candidate_sku", "class", 8, 1000, 1, 1),), ())
    >>> code = render(CodegenContext("a test", "0" * 64, query, candidate, "class",
    ...     (RawColumn("the buyer's id", "the_buyer_s_id", "string"),)))
    >>> '''text(inputs["the buyer's id"])''' in code.preprocessing
    True
    """
    environment = _environment()
    columns = _candidate_columns(context)
    preprocessing = environment.get_template("preprocessing.py.jinja").render(c=context)
    trainer = environment.get_template("trainer.py.jinja").render(c=context, candidate_columns=columns)
    return Code(preprocessing, trainer)


def literal(value: object) -> str:
    """Write a value as a Python literal, text in double quotes where that needs no escape."""
    text = repr(value)
    if isinstance(value, str) and text[0] == "'" and '"' not in value:
        return f'"{text[1:-1]}"'
    return text


def line(value: str) -> str:
    """Keep a text on the one comment line it stands in."""
    return "".join(letter if letter.isprintable() else " " for letter in value)[:200]


def _candidate_columns(context: CodegenContext) -> list[str]:
    columns = [context.candidate_id]
    for item in context.candidate.inputs:
        columns += item.columns if isinstance(item, Hashed) else (item.column,)
    return list(dict.fromkeys(columns))


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("b2brecs.codegen"),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701  (it writes Python; text enters through `literal` only)
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "literal": literal,
        "line": line,
        "dtype": _DTYPES.__getitem__,
        "optimizer": _OPTIMIZERS.__getitem__,
    }
    return environment
