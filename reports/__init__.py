"""The record of a run, and its reports: HTML, Markdown, CSV and JSON."""

from .joining import join
from .measuring import Plan, gain_table, measure
from .recording import environment, record
from .records import ModelRecord, Record, load_record
from .rendering import RENDERERS, render
from .schema import SCHEMA, Data, Threat, Training

__all__ = [
    "RENDERERS",
    "SCHEMA",
    "Data",
    "ModelRecord",
    "Plan",
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
