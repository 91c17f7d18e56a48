"""Measurements, beside peers."""
