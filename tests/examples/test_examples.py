"""Every example runs, and the quickstart ends as the README says."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(path, tmp_path):
    done = subprocess.run(
        [sys.executable, str(path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"COLUMNS": "120"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    if path.stem == "quickstart":
        board, _, list_ = done.stdout.partition("Leaderboard")[2].partition("Recommendations for buyer")
        for name in ("popularity", "personal", "item-kNN", "EASE", "ALS", "two-tower", "recommend"):
            assert name in board
        ranks = re.findall(r"^│ +(\d+) │ \S+ +│ (\S.*?) +│", list_, re.MULTILINE)
        assert [rank for rank, _ in ranks] == [str(n) for n in range(1, 11)]
        assert all(name for _, name in ranks)
        assert "The two-tower alone reaches" in done.stdout
