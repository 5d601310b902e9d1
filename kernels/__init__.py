"""Compiled kernels: the C sources, what builds them, the one loader, and what calls each of them with tensors.

Nothing here imports the rest of the library.
"""

if __name__ == "kernels":
    raise ImportError("import spikecert.kernels, not kernels: by another name each class would be there twice")

from .spikes import CompiledMembrane

__all__ = ["CompiledMembrane"]
