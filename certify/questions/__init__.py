"""What is asked of a network: the class of its outputs, or any property of outputs and inputs."""

from .classes import abstains, moves_at_most, robust, targeted, top_k
from .forms import Form, Inequality, Property, inputs, output, sample

__all__ = [
    "Form",
    "Inequality",
    "Property",
    "abstains",
    "inputs",
    "moves_at_most",
    "output",
    "robust",
    "sample",
    "targeted",
    "top_k",
]
