"""Charts that show without a network where the page has its own Vega, as JupyterLab and VS Code do."""

from __future__ import annotations

from typing import Any


def offline(chart: Any) -> Any:
    """Return the Altair chart, still one to restyle, with its plain specification beside Altair's HTML.

    Altair's HTML loads Vega from the network; pages that draw the specification themselves prefer that.
    """
    import altair as alt

    base: Any = type(chart)

    def bundle(self: Any, *args: Any, **kwargs: Any) -> Any:
        shown = base._repr_mimebundle_(self, *args, **kwargs) or {}
        with alt.renderers.enable("mimetype"):
            plain = base._repr_mimebundle_(self, *args, **kwargs) or {}
        html, spec = (each[0] if isinstance(each, tuple) else each for each in (shown, plain))
        return {**html, **spec}

    copy = chart.copy(deep=False)
    # Altair's own attribute setting would take this for a field of the chart.
    object.__setattr__(copy, "__class__", type(base.__name__, (base,), {"_repr_mimebundle_": bundle}))
    return copy
