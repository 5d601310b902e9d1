"""The record of a run, and its reports: HTML, Markdown, CSV, LaTeX and JSON."""

if __name__ == "reports":
    raise ImportError("import spikecert.reports, not reports: by another name each class would be there twice")

from ..asking import Threat
from .figures.plots import plot, save_figures
from .making.combining import join
from .making.measuring import measure
from .making.plans import Plan, RadiusPlan, environment, record
from .making.tables import gain_table
from .pages.rendering import RENDERERS, render
from .records.radii import RadiusTable
from .records.records import ModelRecord, Record, load_record
from .records.schema import SCHEMA, Counterexample, Data, Training

__all__ = [
    "RENDERERS",
    "SCHEMA",
    "Counterexample",
    "Data",
    "ModelRecord",
    "Plan",
    "RadiusPlan",
    "RadiusTable",
    "Record",
    "Threat",
    "Training",
    "environment",
    "gain_table",
    "join",
    "load_record",
    "measure",
    "plot",
    "record",
    "render",
    "save_figures",
]
