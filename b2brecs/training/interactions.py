"""Who bought what and when, as integer arrays: the one form of data that training works on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from b2brecs.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scipy.sparse import csr_matrix

DAY = 86_400

Ids = NDArray[Any]
IntArray = NDArray[np.int32]
TimeArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

Weight = Literal["binary", "lines", "log_lines", "quantity", "revenue"]


@dataclass(frozen=True, eq=False)
class Interactions:
    """Purchase lines with buyers and products as codes.

    Parameters
    ----------
    users, items
        Sorted distinct ids; a code is a position in them, so ascending codes are ascending ids. Whole
        numbers sort as numbers, everything else as text (by code point).
    user, item
        Codes of each line, int32[n].
    time
        Seconds since 1970 UTC of each line, int64[n].
    revenue, quantity
        Of each line, float64[n]; zeros and ones when unknown.
    dropped
        Lines left out by ``from_arrays`` because buyer, product or time was NULL.
    """

    users: Ids
    items: Ids
    user: IntArray
    item: IntArray
    time: TimeArray
    revenue: FloatArray
    quantity: FloatArray
    dropped: int = 0

    def __len__(self) -> int:
        return len(self.user)

    @property
    def n_users(self) -> int:
        """Number of known buyers, with or without lines here."""
        return len(self.users)

    @property
    def n_items(self) -> int:
        """Number of known products, with or without lines here."""
        return len(self.items)

    @property
    def day(self) -> TimeArray:
        """Calendar day (UTC) of each line, as days since 1970."""
        return self.time // DAY

    def select(self, mask: NDArray[Any]) -> Interactions:
        """Keep some lines (boolean mask or positions); ids and codes stay as they are."""
        return replace(
            self,
            user=self.user[mask],
            item=self.item[mask],
            time=self.time[mask],
            revenue=self.revenue[mask],
            quantity=self.quantity[mask],
        )

    def before(self, time: int) -> Interactions:
        """Keep lines strictly before a moment (seconds UTC)."""
        return self.select(self.time < time)

    def between(self, start: int, end: int) -> Interactions:
        """Keep lines with ``start <= time < end`` (seconds UTC)."""
        return self.select((self.time >= start) & (self.time < end))

    def of_users(self, codes: NDArray[Any]) -> Interactions:
        """Keep the lines of some buyers and re-number, so that only ids with lines remain."""
        keep = np.zeros(self.n_users, dtype=bool)
        keep[codes] = True
        part = self.select(keep[self.user])
        users, user = np.unique(part.user, return_inverse=True)
        items, item = np.unique(part.item, return_inverse=True)
        return replace(
            part,
            users=self.users[users],
            items=self.items[items],
            user=user.astype(np.int32),
            item=item.astype(np.int32),
        )

    def has_lines(self) -> BoolArray:
        """Whether each buyer has a line here, bool[n_users]."""
        return np.bincount(self.user, minlength=self.n_users) > 0

    def sold(self) -> BoolArray:
        """Whether each product has a line here, bool[n_items]."""
        return np.bincount(self.item, minlength=self.n_items) > 0

    def matrix(self, weight: Weight = "binary") -> csr_matrix:
        """Return the buyer × product matrix, float32, one entry for each pair that occurs.

        Parameters
        ----------
        weight
            ``"binary"`` 1; ``"lines"`` number of lines; ``"log_lines"`` 1 + ln(lines); ``"quantity"`` and
            ``"revenue"`` the sums over lines.

        Raises
        ------
        ConfigError
            The weight is none of these.
        """
        from scipy.sparse import csr_matrix

        if weight not in get_args(Weight):
            raise ConfigError.single(
                "Interactions.matrix", "weight", weight, "unknown weight.", f"Choose one of {get_args(Weight)}."
            )
        values = {"quantity": self.quantity, "revenue": self.revenue}.get(weight, np.ones(len(self)))
        result = csr_matrix((values, (self.user, self.item)), shape=(self.n_users, self.n_items))
        result.sum_duplicates()
        if weight == "binary":
            result.data = np.ones_like(result.data)
        elif weight == "log_lines":
            result.data = 1.0 + np.log(result.data)
        return result.astype(np.float32)


def from_arrays(
    users: Iterable[Any],
    items: Iterable[Any],
    time: Iterable[Any],
    *,
    revenue: Iterable[Any] | None = None,
    quantity: Iterable[Any] | None = None,
) -> Interactions:
    """Make ``Interactions`` from columns of equal length.

    Parameters
    ----------
    users, items
        Ids: text or whole numbers. Lines where either is None or NaN are dropped and counted.
    time
        ``datetime64`` values, or numbers of seconds since 1970 UTC; NULL drops the line.
    revenue, quantity
        Numbers; NULL counts as 0. Left out: 0 and 1.

    Examples
    --------
    >>> data = from_arrays(["b", "a", None], ["x", "x", "y"], [0, 86400, 5])
    >>> data.users.tolist(), data.user.tolist(), data.dropped
    (['a', 'b'], [1, 0], 1)
    """
    seconds, timed = _seconds(np.asarray(time))
    user_ids, user = _encode(users, timed)
    item_ids, item = _encode(items, timed)
    n = len(timed)
    if not len(user) == len(item) == n:
        raise ConfigError.single(
            "Interactions", "length", (len(user), len(item), n), "the columns differ in length.", ""
        )
    keep = (user >= 0) & (item >= 0)
    dropped = int(n - keep.sum())
    if dropped:  # an id may have lost all its lines
        user_ids, user = _only(user_ids, user, keep)
        item_ids, item = _only(item_ids, item, keep)
    return Interactions(
        users=user_ids,
        items=item_ids,
        user=user[keep],
        item=item[keep],
        time=seconds[keep],
        revenue=_numbers(revenue, n, 0.0)[keep],
        quantity=_numbers(quantity, n, 1.0)[keep],
        dropped=dropped,
    )


def _encode(values: Iterable[Any], valid: BoolArray) -> tuple[Ids, IntArray]:
    listed: list[Any] = values.tolist() if hasattr(values, "tolist") else list(values)
    known = {value: _plain(value) for value in dict.fromkeys(listed) if not _missing(value)}
    if all(isinstance(value, int) for value in known.values()):
        ids: Ids = np.array(sorted(set(known.values())), dtype=np.int64)
    else:
        known = {value: str(plain) for value, plain in known.items()}
        ids = np.array(sorted(set(known.values())), dtype=np.str_)
    place = {plain: code for code, plain in enumerate(ids.tolist())}
    index = {value: place[plain] for value, plain in known.items()}
    codes = np.fromiter((index.get(value, -1) for value in listed), dtype=np.int32, count=len(listed))
    if len(codes) == len(valid):
        codes[~valid] = -1
    return ids, codes


def _only(ids: Ids, codes: IntArray, keep: BoolArray) -> tuple[Ids, IntArray]:
    used, inverse = np.unique(codes[keep], return_inverse=True)
    renumbered = np.full(len(codes), -1, dtype=np.int32)
    renumbered[keep] = inverse
    return ids[used], renumbered


def _missing(value: Any) -> bool:
    try:
        return value is None or bool(value != value)  # noqa: PLR0124 - NaN
    except TypeError:  # pandas' NA compares to NA
        return True


def _plain(value: Any) -> Any:
    """Undo that NULLs beside whole numbers turn them into floats."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _seconds(time: NDArray[Any]) -> tuple[TimeArray, BoolArray]:
    if time.dtype == object:
        time = time.astype("datetime64[s]")
    if time.dtype.kind == "M":
        valid = ~np.isnat(time)
        return np.where(valid, time, np.datetime64(0, "s")).astype("datetime64[s]").astype(np.int64), valid
    valid = np.isfinite(time.astype(np.float64))
    return np.where(valid, time, 0).astype(np.int64), valid


def _numbers(values: Iterable[Any] | None, n: int, default: float) -> FloatArray:
    if values is None:
        return np.full(n, default)
    return np.nan_to_num(np.asarray(values, dtype=np.float64))
