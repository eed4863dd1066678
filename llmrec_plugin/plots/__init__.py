"""Pictures as SVG text: pure functions, no script, no style sheet, in the colours of the page around them."""

from llmrec_plugin.plots.charts import Axis, Chart, Mark, Picture, Series, Threshold, draw, round_ticks
from llmrec_plugin.plots.small import columns, interval
from llmrec_plugin.plots.style import COLOURS, text_width

__all__ = [
    "COLOURS",
    "Axis",
    "Chart",
    "Mark",
    "Picture",
    "Series",
    "Threshold",
    "columns",
    "draw",
    "interval",
    "round_ticks",
    "text_width",
]
