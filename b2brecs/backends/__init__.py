"""Where a workspace keeps its tables, configurations, secrets and work."""
