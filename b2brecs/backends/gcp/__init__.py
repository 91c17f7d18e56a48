"""The home on Google Cloud."""
