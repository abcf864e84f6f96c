"""Plots as SVG that lives in a page: its text is text, its colours are the page's."""

import io
import math
import re
from html import escape

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

SIZE_INCHES = (4.2, 2.4)
MOST_BARS = 30
# Written into the SVG, then replaced by what the page's style sheet says, light or dark.
INK, BAR = "#0a0b0c", "#0c0b0a"
STYLE = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 8,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
NAME_OF_GROUP = re.compile(r'<g id="[^"]*"')
NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


def histogram(values: npt.ArrayLike, unit: str, said: str = "", rows: str = "rows") -> str:
    """A histogram as an SVG element; the same values give the same bytes.

    `said` is read to who cannot see it; where it differs, several can stand on one page.
    """
    with mpl.rc_context({**STYLE, "svg.hashsalt": said or unit}):
        figure = Figure(figsize=SIZE_INCHES, layout="constrained")
        axes = figure.add_subplot()
        axes.hist(np.asarray(values), bins=edges(values), color=BAR, rwidth=0.9)
        axes.set_xlabel(unit)
        axes.set_ylabel(rows)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
        with io.StringIO() as file:
            figure.savefig(file, format="svg", transparent=True, metadata=NO_METADATA)
            svg = file.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor").replace(BAR, "var(--accent)")
    svg = NAME_OF_GROUP.sub("<g", svg)  # each plot would name its own alike
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{escape(said or unit)}"', 1)
    return "\n".join(line.rstrip() for line in svg.splitlines())


def edges(values: npt.ArrayLike) -> list[float]:
    """Edges of at most 30 bars of equal whole width, around whole numbers."""
    low, high = math.floor(np.min(values) + 0.5), math.floor(np.max(values) + 0.5) + 1
    width = max(1, -(-(high - low) // MOST_BARS))
    return [low - 0.5 + width * i for i in range(-(-(high - low) // width) + 1)]
