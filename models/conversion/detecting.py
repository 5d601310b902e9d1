"""Which library a module comes from, and what the module does."""

from torch import Tensor, nn

from ..networks import SpikingNetwork
from .constants import library_of
from .norse import NORSE
from .observing import ForeignLibrary, Observation, Source, observe
from .snntorch import SNNTORCH
from .spikingjelly import SPIKINGJELLY

LIBRARIES = {library.name: library for library in (SNNTORCH, SPIKINGJELLY, NORSE)}


def detect(module: nn.Module) -> ForeignLibrary:
    """Return the library whose neurons a module holds.

    Raises:
        ValueError: for a module with neurons of none, or of several.
    """
    found = {name for name in map(library_of, module.modules()) if name in LIBRARIES}
    if len(found) != 1:
        held = " and ".join(sorted(found)) or "no library's"
        raise ValueError(f"module: holds {held} modules, expected those of one of {', '.join(LIBRARIES)}")
    return LIBRARIES[found.pop()]


def observed(module: nn.Module, network: SpikingNetwork, inputs: Tensor, num_steps: int | None) -> Observation:
    """Return what `module` does on the network's inputs."""
    return observe(Source.of(detect(module), module, network.encoding, num_steps), inputs)
