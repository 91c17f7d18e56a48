"""The workspace: everything that touches the world, one short method per verb."""

from b2brecs.workspace.base import Workspace, connect

__all__ = ["Workspace", "connect"]
