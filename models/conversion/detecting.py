"""Which library a module comes from, and the check that anyone may repeat."""

from typing import Any

from torch import Tensor, nn

from ..networks import SpikingNetwork
from ..validation import check_inputs
from .checking import ConversionCheck, compare
from .constants import library_of
from .converting import Conversion, converted
from .nir_reading import convert_nir, graph_source
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


def check_conversion(
    source: Any, network: SpikingNetwork, inputs: Tensor, num_steps: int | None = None, dt: float | None = None
) -> ConversionCheck:
    """Compare a network, spike for spike, with the module or NIR graph that it was converted from.

    Args:
        source: an snnTorch, SpikingJelly or Norse module, or a `nir.NIRGraph`.
        network: its conversion.
        inputs: as the network takes them.
        num_steps: as in the conversion: T for a module that is driven by steps, None for one that loops itself.
        dt: of a NIR graph.

    Returns:
        A `ConversionCheck`; its `matches` and `reason` say whether and where the two differ.

    Raises:
        TypeError, ValueError: for inputs that don't fit, or a source of no known library.
    """
    check_inputs(network, inputs)
    if not isinstance(source, nn.Module):
        seen = observe(graph_source(source, network.num_steps, dt, network.encoding), inputs)
    else:
        seen = observed(source, network, inputs, num_steps)
    return compare(network, seen, inputs)


def observed(module: nn.Module, network: SpikingNetwork, inputs: Tensor, num_steps: int | None) -> Observation:
    """Return what `module` does on the network's inputs."""
    return observe(Source.of(detect(module), module, network.encoding, num_steps), inputs)


def convert(
    source: Any,
    sample: Tensor | None = None,
    num_steps: int | None = None,
    encoding: str = "direct",
    readout: str | None = None,
    seed: int = 0,
    **settings: Any,
) -> Conversion:
    """Return the network of a module of any known library, or of a NIR graph, with its comparison and notes.

    Args:
        source: what `from_snntorch`, `from_spikingjelly`, `from_norse` or `from_nir` takes.
        sample, num_steps, encoding, readout, seed: as there.
        settings: what `from_nir` takes besides.

    Raises:
        ConversionRefused, TypeError, ValueError: as there.
    """
    if not isinstance(source, nn.Module):
        return convert_nir(source, sample, readout, seed, num_steps=num_steps, encoding=encoding, **settings)
    if sample is None:
        raise ValueError("sample: got None, expected a batch of inputs for the module")
    return converted(Source.of(detect(source), source, encoding, num_steps), sample, readout, seed)
