"""Why a sample is not proved: what bounds leave open, layer by layer, and what would help."""

from .explanation import Rung, SampleExplained, explain
from .openness import LayerOpenness

__all__ = ["LayerOpenness", "Rung", "SampleExplained", "explain"]
