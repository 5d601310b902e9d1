"""File formats of other programs: VNN-LIB properties, ONNX, and the verification competition's results."""

if __name__ == "formats":
    raise ImportError("import spikecert.formats, not formats: by another name each class would be there twice")

from .deciding import PropertyVerdict, verify_property
from .onnx import read_onnx, write_onnx
from .properties import Constraint, PropertyCase, VnnlibProperty
from .results import competition_result, read_counterexample
from .vnnlib import read_vnnlib
from .writing import robustness, write_vnnlib

__all__ = [
    "Constraint",
    "PropertyCase",
    "PropertyVerdict",
    "VnnlibProperty",
    "competition_result",
    "read_counterexample",
    "read_onnx",
    "read_vnnlib",
    "robustness",
    "verify_property",
    "write_onnx",
    "write_vnnlib",
]
