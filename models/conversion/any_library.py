"""Conversions of a module of any known library or a NIR graph, and the check that anyone may repeat."""

from inspect import isroutine
from typing import Any

from torch import Tensor, nn

from ..networks import SpikingNetwork
from ..validation import check_inputs
from .checking import ConversionCheck, compare
from .converting import Conversion
from .libraries.plain_torch import converted_any
from .nir.nir_reading import convert_nir, graph_source, warn_of_reset
from .observing.detecting import observed
from .observing.observing import observe


def check_conversion(
    source: Any,
    network: SpikingNetwork,
    inputs: Tensor,
    num_steps: int | None = None,
    dt: float | None = None,
    reset: str | None = None,
) -> ConversionCheck:
    """Compare a network, spike for spike, with the module or NIR graph that it was converted from.

    Args:
        source: an snnTorch, SpikingJelly or Norse module, or a `nir.NIRGraph`.
        network: its conversion.
        inputs: as the network takes them.
        num_steps: as in the conversion: T for a module that is driven by steps, None for one that loops itself.
        dt, reset: of a NIR graph, as in the conversion.

    Returns:
        A `ConversionCheck`; its `matches` and `reason` say whether and where the two differ.

    Raises:
        TypeError, ValueError: for inputs that don't fit, or a source of no known library.
    """
    check_inputs(network, inputs)
    if not isinstance(source, nn.Module):
        graph = graph_source(source, network.num_steps, dt, network.encoding, reset)
        warn_of_reset(graph)
        seen = observe(graph, inputs)
    else:
        seen = observed(source, network, inputs, num_steps)
    return compare(network, seen, inputs)


def convert(
    source: Any,
    sample: Tensor | None = None,
    num_steps: int | None = None,
    encoding: str | None = None,
    readout: str | None = None,
    seed: int = 0,
    classes: int | None = None,
    output: str | int | None = None,
    **settings: Any,
) -> Conversion:
    """Return the network of any PyTorch code, or of a NIR graph, with its comparison and notes.

    Args:
        source: what `from_torch` or `from_nir` takes.
        sample, num_steps, encoding, readout, seed, classes, output: as there.
        settings: what `from_nir` takes besides: `dt`, `reset` and `origin`.

    Raises:
        ConversionRefused, TypeError, ValueError: as there.
    """
    if not isinstance(source, nn.Module) and not isroutine(source):
        timing = {"num_steps": num_steps, "encoding": encoding}
        return convert_nir(source, sample, readout, seed, classes=classes, **timing, **settings)
    if settings:
        raise TypeError(f"{min(settings)}: got one for a module, expected it of a NIR graph only")
    if sample is None:
        raise ValueError("sample: got None, expected a batch of inputs for the module")
    return converted_any(source, sample, num_steps, encoding or "direct", readout, seed, classes, output)
