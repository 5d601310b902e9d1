"""Any PyTorch code: with the neurons of these libraries, of several in one module as well, or with its own.

What is made of known layers and neurons is read off these. What the readers refuse, and code without such neurons,
is traced, and known by what it computes (`models/tracing/`).
"""

from contextlib import suppress
from typing import Any

from torch import Tensor, nn

from ...networks import SpikingNetwork
from ..constants import library_of
from ..converting import Conversion, converted
from ..neurons import ForeignNeuron
from ..observing.drawing import drawing_encoder
from ..observing.observing import ForeignLibrary, Source
from ..refusal import ConversionRefused
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


def from_torch(
    module: Any,
    sample: Tensor,
    num_steps: int | None = None,
    encoding: str = "direct",
    readout: str | None = None,
    seed: int = 0,
    classes: int | None = None,
    output: str | int | None = None,
) -> SpikingNetwork:
    """Return the `SpikingNetwork` that spikes as any PyTorch code does, known by what it computes.

    Args:
        module: a module or a function that does one step a call, or loops over time itself; Norse's neurons beside
            those of another library must be given their states inside. One that takes a second argument and does
            a step a call is given the state that it returned, (output, state).
        sample, num_steps, encoding, readout, seed, classes, output: as in `from_snntorch`.

    Raises:
        ConversionRefused: with the layer or the line, what is computed there, and what is expected.
    """
    return converted_any(module, sample, num_steps, encoding, readout, seed, classes, output).network


def converted_any(
    module: Any,
    sample: Tensor,
    num_steps: int | None = None,
    encoding: str = "direct",
    readout: str | None = None,
    seed: int = 0,
    classes: int | None = None,
    output: str | int | None = None,
) -> Conversion:
    """Return the network of any PyTorch code, with its comparison and notes; arguments as of `from_torch`."""
    from ...tracing import converting as tracer  # torch's own takes long to import

    if not isinstance(module, nn.Module) or not libraries_in(module):
        traced = tracer.plain_source(module, encoding, num_steps, output)
        return tracer.converted_by_trace(traced, sample, readout, seed, classes)
    source = Source.of(detect(module), module, encoding, num_steps, output)
    try:
        return converted(source, sample, readout, seed, classes)
    except ConversionRefused:
        if classes is None and drawing_encoder(module) is None:
            with suppress(ConversionRefused):
                return tracer.converted_by_trace(source, sample, readout, seed)
        raise


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
