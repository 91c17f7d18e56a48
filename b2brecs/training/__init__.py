"""Training: interactions, splits, baselines, two-tower, blend, leaderboard."""
