"""Queries as trees, and the types that travel."""
