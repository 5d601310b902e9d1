"""Plain PyTorch code that uses the neurons of these libraries, of several of them in one module as well."""

from torch import Tensor, nn

from ...networks import SpikingNetwork
from ..constants import library_of
from ..converting import converted
from ..neurons import ForeignNeuron
from ..observing.observing import ForeignLibrary, Source
from .norse import NORSE
from .snntorch import SNNTORCH
from .spikingjelly import SPIKINGJELLY

LIBRARIES = {library.name: library for library in (SNNTORCH, SPIKINGJELLY, NORSE)}


def detect(module: nn.Module) -> ForeignLibrary:
    """Return the library whose neurons a module holds, or, of several, what reads them all.

    Raises:
        ValueError: for a module with neurons of none.
    """
    found = [LIBRARIES[name] for name in LIBRARIES if name in set(map(library_of, module.modules()))]
    if not found:
        held = f"holds no modules of {', '.join(LIBRARIES)}"
        raise ValueError(f"module: {held}, expected neurons of one of them, which plain PyTorch has not")
    return found[0] if len(found) == 1 else _mixed(tuple(found))


def from_torch(
    module: nn.Module,
    sample: Tensor,
    num_steps: int | None = None,
    encoding: str = "direct",
    readout: str | None = None,
    seed: int = 0,
    classes: int | None = None,
    output: str | int | None = None,
) -> SpikingNetwork:
    """Return the `SpikingNetwork` that spikes as a module with neurons of snnTorch, SpikingJelly or Norse does.

    Args:
        module: any PyTorch code that does one step a call, or loops over time itself; Norse's neurons beside those
            of another library must be given their states inside.
        sample, num_steps, encoding, readout, seed, classes, output: as in `from_snntorch`.

    Raises:
        ConversionRefused: with the layer, the line where it is known, and the reason.
        ValueError: for a module without neurons of these libraries.
    """
    source = Source.of(detect(module), module, encoding, num_steps, output)
    return converted(source, sample, readout, seed, classes).network


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
