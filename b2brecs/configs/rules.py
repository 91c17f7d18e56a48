"""What must hold of the rows of a load, and what happens when it does not.

Each rule has an ``action``: ``fail`` stops the load before a reader sees a row, ``quarantine`` moves the rows that
break it to ``<table>__rejects``, ``warn`` only tells.

Examples
--------
>>> NotNull("customer_id").describe()
'customer_id is not NULL'
>>> Range("price", minimum=0, action="quarantine").describe()
'price is at least 0'
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StringConstraints, field_validator

from b2brecs.configs.kinds import Member
from b2brecs.errors import ConfigError

Text = Annotated[str, StringConstraints(min_length=1)]
Action = Literal["fail", "quarantine", "warn"]
Scalar = bool | int | float | str


class Rule(Member, family="rule", entry_points="b2brecs.rules"):
    """Base of every rule. ``columns`` are those of the warehouse's table."""

    action: Action = "fail"

    def columns(self) -> tuple[str, ...]:
        """Return the columns the rule looks at."""
        return ()

    def describe(self) -> str:
        """Say the rule in words."""
        return type(self).kind


class _OfColumns(Rule):
    of: tuple[Text, ...] = Field(min_length=1)

    def __init__(self, *of: str, **fields: Any) -> None:
        super().__init__(**({"of": of} if of else {}), **fields)

    @field_validator("of", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    def columns(self) -> tuple[str, ...]:
        return self.of


class _OfColumn(Rule):
    column: Text

    def __init__(self, column: str | None = None, /, **fields: Any) -> None:
        super().__init__(**({"column": column} if column is not None else {}), **fields)

    def columns(self) -> tuple[str, ...]:
        return (self.column,)


class _OfTable(Rule):
    def model_post_init(self, _context: Any, /) -> None:
        if self.action == "quarantine":
            raise ConfigError.single(
                f"rule {type(self).kind}", "action", "quarantine", "this rule speaks of the table, not of single rows.",
                "Choose 'fail' or 'warn'.",
            )  # fmt: skip


class NotNull(_OfColumns):
    """None of the columns is NULL."""

    kind: ClassVar[str] = "not_null"

    def __init__(self, *of: str, **fields: Any) -> None:
        super().__init__(*of, **fields)

    def describe(self) -> str:
        return f"{', '.join(self.of)} {'is' if len(self.of) == 1 else 'are'} not NULL"


class Unique(_OfColumns):
    """The columns together differ from row to row; NULLs are left out. Quarantine keeps the first row."""

    kind: ClassVar[str] = "unique"

    def __init__(self, *of: str, **fields: Any) -> None:
        super().__init__(*of, **fields)

    def describe(self) -> str:
        return f"{', '.join(self.of)} {'is' if len(self.of) == 1 else 'are'} unique"


class Range(_OfColumn):
    """A number, date or time lies between two bounds, both included; NULL passes."""

    kind: ClassVar[str] = "range"
    minimum: Scalar | None = None
    maximum: Scalar | None = None

    def __init__(self, column: str | None = None, /, **fields: Any) -> None:
        super().__init__(column, **fields)

    def model_post_init(self, _context: Any, /) -> None:
        if self.minimum is None and self.maximum is None:
            raise ConfigError.single("rule range", "minimum", None, "there is no bound.", "Give minimum= or maximum=.")

    @field_validator("minimum", "maximum", mode="before")
    @classmethod
    def _dates(cls, value: Any) -> Any:
        return value.isoformat() if isinstance(value, dt.date) else value

    def describe(self) -> str:
        bounds = [f"at least {self.minimum}"] if self.minimum is not None else []
        bounds += [f"at most {self.maximum}"] if self.maximum is not None else []
        return f"{self.column} is {' and '.join(bounds)}"


class Accepted(_OfColumn):
    """The column holds one of these values; NULL passes."""

    kind: ClassVar[str] = "accepted"
    values: tuple[Scalar, ...] = Field(min_length=1)

    def __init__(self, column: str | None = None, /, **fields: Any) -> None:
        super().__init__(column, **fields)

    def describe(self) -> str:
        return f"{self.column} is one of {', '.join(map(str, self.values))}"


class Fresh(_OfColumn, _OfTable):
    """The latest time in the column is at most so old when the load runs; see ``within``."""

    kind: ClassVar[str] = "fresh"
    within_seconds: Annotated[int, Field(gt=0)]

    def __init__(self, column: str | None = None, /, *, within: dt.timedelta | None = None, **fields: Any) -> None:
        if within is not None:
            fields["within_seconds"] = int(within.total_seconds())
        super().__init__(column, **fields)

    def describe(self) -> str:
        return f"{self.column} reaches within {dt.timedelta(seconds=self.within_seconds)} of now"


class RowCount(_OfTable):
    """The table's rows after the load: between bounds, and not changed by more than a share of those before.

    ``change=0.5`` allows half as many more or fewer.
    """

    kind: ClassVar[str] = "row_count"
    minimum: Annotated[int, Field(ge=0)] | None = None
    maximum: Annotated[int, Field(ge=0)] | None = None
    change: Annotated[float, Field(gt=0)] | None = None

    def describe(self) -> str:
        parts = [f"at least {self.minimum:,}"] if self.minimum is not None else []
        parts += [f"at most {self.maximum:,}"] if self.maximum is not None else []
        parts += [f"within {self.change:.0%} of before"] if self.change is not None else []
        return f"the table's rows are {' and '.join(parts)}" if parts else "the table has rows"


class ForeignKey(_OfColumn):
    """Each value is found in a column of another loaded table; NULL passes."""

    kind: ClassVar[str] = "foreign_key"
    table: Text
    to: Text

    def __init__(self, column: str | None = None, /, **fields: Any) -> None:
        super().__init__(column, **fields)

    def describe(self) -> str:
        return f"{self.column} is found in {self.table}.{self.to}"


__all__ = ["Accepted", "ForeignKey", "Fresh", "NotNull", "Range", "RowCount", "Rule", "Unique"]
