"""Where tests/services/install.sh puts what is of no use outside this repository."""

from pathlib import Path

CACHE = Path(__file__).parents[2] / ".cache"
