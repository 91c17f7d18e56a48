"""From sources to the warehouse: plan, stream, commit."""
