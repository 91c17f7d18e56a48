"""Charts that show without a network where the page has its own Vega, as JupyterLab and VS Code do."""

from __future__ import annotations

import os
import re
from typing import Any

# The newest kind of specification that JupyterLab draws by itself; later ones differ little.
_DRAWN = "application/vnd.vegalite.v5+json"


def offline(chart: Any) -> Any:
    """Return the Altair chart, still one to restyle, that pages draw from its plain specification.

    Altair's HTML loads Vega from the network. JupyterLab would prefer it, so under a Jupyter server it is left out.
    """
    import altair as alt

    base: Any = type(chart)

    def bundle(self: Any, *args: Any, **kwargs: Any) -> Any:
        shown = base._repr_mimebundle_(self, *args, **kwargs) or {}
        with alt.renderers.enable("mimetype"):
            plain = base._repr_mimebundle_(self, *args, **kwargs) or {}
        html, spec = (each[0] if isinstance(each, tuple) else each for each in (shown, plain))
        (drawn,) = [value for kind, value in spec.items() if kind.startswith("application/vnd.vegalite")]
        schema = re.sub(r"/v\d[^/]*\.json$", "/v5.json", drawn["$schema"])
        by_server = "JPY_SESSION_NAME" in os.environ
        return {**({} if by_server else html), **spec, _DRAWN: {**drawn, "$schema": schema}}

    copy = chart.copy(deep=False)
    # Altair's own attribute setting would take this for a field of the chart.
    object.__setattr__(copy, "__class__", type(base.__name__, (base,), {"_repr_mimebundle_": bundle}))
    return copy
