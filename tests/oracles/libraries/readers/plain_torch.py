"""Any PyTorch code: with the neurons of these libraries, of several in one module as well, or with its own.

What is made of known layers and neurons is read off these. What the readers refuse, and code without such neurons,
is traced, and known by what it computes (`models/tracing/`).
"""

from torch import nn

from ..constants import library_of
from ..neurons import ForeignNeuron
from ..observing.observing import ForeignLibrary
from .norse import NORSE
from .snntorch import SNNTORCH
from .spikingjelly import SPIKINGJELLY

LIBRARIES = {library.name: library for library in (SNNTORCH, SPIKINGJELLY, NORSE)}


def libraries_in(module: nn.Module) -> list[ForeignLibrary]:
    """Return the libraries whose neurons a module may hold."""
    return [LIBRARIES[name] for name in LIBRARIES if name in set(map(library_of, module.modules()))]


def detect(module: nn.Module) -> ForeignLibrary:
    """Return the library whose neurons a module holds, or, of several, what reads them all.

    Raises:
        ValueError: for a module with neurons of none.
    """
    found = libraries_in(module)
    if not found:
        held = f"holds no modules of {', '.join(LIBRARIES)}"
        raise ValueError(f"module: {held}, expected neurons of one of them, which plain PyTorch has not")
    return found[0] if len(found) == 1 else _mixed(tuple(found))


def _mixed(libraries: tuple[ForeignLibrary, ...]) -> ForeignLibrary:
    """Return the library that reads the neurons of several."""

    def read(module: nn.Module, name: str) -> ForeignNeuron | None:
        """Return what the one library says that knows the neuron."""
        found = (library.read(module, name) for library in libraries)
        return next((neuron for neuron in found if neuron is not None), None)

    def reset(module: nn.Module) -> None:
        """Reset the states of each library."""
        for library in libraries:
            library.reset(module)

    names = " and ".join(library.name for library in libraries)
    return ForeignLibrary(names, read, reset, lambda module: any(each.multistep(module) for each in libraries))
