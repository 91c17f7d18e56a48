"""Columns become tensors: fitted on training rows, applied the same way in training and serving."""

from b2brecs.features.engines import Engine, register_transform
from b2brecs.features.inputs import InputSpec, SideInputs, TowerInputs
from b2brecs.features.pipeline import SidePipeline

__all__ = ["Engine", "InputSpec", "SideInputs", "SidePipeline", "TowerInputs", "register_transform"]
