"""Geometry of a report's pictures: plain numbers that templates draw as SVG."""

from ..pages.markdown import changed_events, recording
from .accuracy import BOTTOM, HEIGHT, LABEL_SPACING, LEFT, RIGHT, TOP, WIDTH, panels
from .charts import growths, level_charts
from .membranes import scene
from .sandwich import sandwiches

__all__ = [
    "BOTTOM",
    "HEIGHT",
    "LABEL_SPACING",
    "LEFT",
    "RIGHT",
    "TOP",
    "WIDTH",
    "changed_events",
    "growths",
    "level_charts",
    "panels",
    "recording",
    "sandwiches",
    "scene",
]
