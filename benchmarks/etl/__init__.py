"""Loads by b2brecs beside the same loads by others, in one run."""
