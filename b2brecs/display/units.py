"""Numbers as people read them: bytes, durations, rates."""

from __future__ import annotations


def size_text(size: float) -> str:
    """Write bytes in decimal units.

    Examples
    --------
    >>> size_text(999), size_text(12_340_000)
    ('999 B', '12.3 MB')
    """
    value = float(size)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(value) < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{value:,.0f} {unit}" if unit == "B" else f"{value:,.1f} {unit}"


def seconds_text(seconds: float) -> str:
    """Write a duration.

    Examples
    --------
    >>> seconds_text(0.25), seconds_text(9.4), seconds_text(75), seconds_text(7384)
    ('0.25 s', '9.4 s', '1 min 15 s', '2 h 3 min')
    """
    if seconds < 1:
        return f"{max(seconds, 0):.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def rate_text(rate: float, unit: str = "rows") -> str:
    """Write a speed.

    Examples
    --------
    >>> rate_text(0.5), rate_text(34_567.8)
    ('0.5 rows/s', '34,568 rows/s')
    """
    return f"{rate:,.1f} {unit}/s" if rate < 10 else f"{rate:,.0f} {unit}/s"
