"""The record of a run, and its reports: HTML, Markdown, CSV, LaTeX and JSON."""

if __name__ == "reports":
    raise ImportError("import spikecert.reports, not reports: by another name each class would be there twice")

from .joining import join
from .measuring import measure
from .plans import Plan, RadiusPlan
from .radii import RadiusTable
from .recording import environment, record
from .records import ModelRecord, Record, load_record
from .rendering import RENDERERS, render
from .schema import SCHEMA, Counterexample, Data, Threat, Training
from .tables import gain_table

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
    "record",
    "render",
]
