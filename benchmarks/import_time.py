"""Compare ``import b2brecs`` with ``import pandas``, side by side, in fresh processes: ``make bench``."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

ROUNDS = 15


def seconds(module: str) -> float:
    """Time one fresh interpreter that imports a module."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
    return time.perf_counter() - start


def main() -> None:
    """Print the median times and the median of the ratios of each pair."""
    for module in ("b2brecs", "pandas"):
        seconds(module)
    pairs = [(seconds("b2brecs"), seconds("pandas")) for _ in range(ROUNDS)]
    ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"import b2brecs {ours:.3f} s, import pandas {theirs:.3f} s, ratio {ratio:.2f} (median of {ROUNDS} pairs)")


if __name__ == "__main__":
    main()
