"""The part of b2brecs that runs in JupyterLab's server.

Installed with the package and switched on by ``jupyter-config/server-config``; nothing is imported before the server
loads it.
"""

from __future__ import annotations


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    """Tell Jupyter which module to load."""
    return [{"module": "b2brecs.lab.server"}]
