"""Looking at data before training: profiles, joins, roles, previews, Pareto."""
