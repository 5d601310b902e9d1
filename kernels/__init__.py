"""Compiled kernels: the C sources, the one loader that builds them, and what calls each of them with tensors.

Nothing here imports the rest of the library. A kernel counts only after it agreed with torch's own operations on a
probe; whoever uses it passes that comparison in.
"""

if __name__ == "kernels":
    raise ImportError("import spikecert.kernels, not kernels: by another name each class would be there twice")

from .loading import load
from .membrane import CompiledMembrane, MembraneLayer
from .paths import CompiledPaths, PackedGraphs
from .spikes import CompiledSpikes, SpikesLayer

__all__ = [
    "CompiledMembrane",
    "CompiledPaths",
    "CompiledSpikes",
    "MembraneLayer",
    "PackedGraphs",
    "SpikesLayer",
    "load",
]
