"""Why a sample is not proved: what bounds leave open, layer by layer, and what would help."""

from .explanation import Explanation, Rung, explain
from .openness import LayerOpenness

__all__ = ["Explanation", "LayerOpenness", "Rung", "explain"]
