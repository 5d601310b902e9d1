"""Conversions of any PyTorch code or of a NIR graph, and the check that anyone may repeat."""

import logging
from inspect import isroutine
from typing import Any

from torch import Tensor, nn

from ..networks import SpikingNetwork
from ..validation import check_inputs
from .checking import ConversionCheck
from .converting import Conversion
from .nir.nir_reading import convert_nir, graph_source, warn_of_reset
from .sources import Source

LOG = logging.getLogger(__name__)


def from_torch(
    module: Any,
    sample: Tensor,
    num_steps: int | None = None,
    encoding: str = "direct",
    readout: str | None = None,
    seed: int = 0,
    classes: int | None = None,
    output: str | int | None = None,
    ending: str | None = None,
) -> SpikingNetwork:
    """Return the `SpikingNetwork` that spikes as any PyTorch code does, known by what it computes.

    Neurons may be those of snnTorch, SpikingJelly and Norse, of several of them, or of one's own. A Poisson
    encoder of SpikingJelly or Norse, or of one's own, that is first makes it a network of encoding "rate".

    Args:
        module: a module or a function that does one step a call, or loops over time itself. One of Norse, or one
            that takes a second argument and does a step a call, is given the state that it returned, (output,
            state).
        sample: inputs as the network takes them, (batch, ...), or (batch, T, ...) with encoding "none", which the
            module is given with time first.
        num_steps: T for a module that does one step a call, or takes a sequence of T copies of the input, as
            SpikingJelly's step mode "m" and Norse's LIF do; None for one that loops over time itself.
        encoding: "direct": the module gets one input for all steps; "none": one for each; "rate": it gets one,
            from 0 on, and draws spikes of it, with its sign or without.
        readout: None for the one that the module's output is; where it returns each step, any that reads these.
        seed: of the random inputs that the conversion is compared on, besides the sample, and of the draws of a
            rate code.
        classes: of a population code: outputs are summed in so many groups of neighbours, as snnTorch's
            `population_code=True` has it; None: each output is a class.
        output: the key or the place of the output among several that the module returns; None: the one that fits.
        ending: "before": the network gives the numbers that a last `tanh`, `sigmoid` or `relu` is of, and a class
            is the greatest of these, which it may make equal to others; None: such an ending is refused.

    Raises:
        ConversionRefused: with the line, what is computed there, and what is expected.

    References: eshraghian2023training, fang2023spikingjelly, pehle2021norse
    """
    source = Source.of(module, encoding, num_steps, output, ending)
    return _converted(source, sample, readout, seed, classes).network


from_snntorch = from_spikingjelly = from_norse = from_torch


def _converted(source: Source, sample: Tensor, readout: str | None, seed: int, classes: int | None) -> Conversion:
    from ..tracing.converting import converted_by_trace  # torch's own takes long to import

    found = converted_by_trace(source, sample, readout, seed, classes)
    LOG.info("%d layers over %d steps come in", len(found.network.layers), found.network.num_steps)
    for note in found.notes:
        LOG.info("%s", note)
    return found


def check_conversion(
    source: Any,
    network: SpikingNetwork,
    inputs: Tensor,
    num_steps: int | None = None,
    dt: float | None = None,
    reset: str | None = None,
    ending: str | None = None,
) -> ConversionCheck:
    """Compare a network, spike for spike, with the code or NIR graph that it was converted from.

    Args:
        source: a module or a function of PyTorch, or a `nir.NIRGraph`.
        network: its conversion.
        inputs: as the network takes them.
        num_steps: as in the conversion: T for a module that is driven by steps, None for one that loops itself.
        dt, reset: of a NIR graph, as in the conversion.
        ending: as in the conversion.

    Returns:
        A `ConversionCheck`; its `matches` and `reason` say whether and where the two differ.

    Raises:
        TypeError, ValueError: for inputs that don't fit, or a source that can't be converted.
    """
    from ..tracing.converting import check_by_trace

    check_inputs(network, inputs)
    if isinstance(source, nn.Module) or isroutine(source):
        encoding = network.encoding if network.encoding in ("none", "rate") else "direct"
        made = Source.of(source, encoding, num_steps, ending=ending)
    else:
        made = graph_source(source, network.num_steps, dt, network.encoding, reset)
        warn_of_reset(made)
    return check_by_trace(made, network, inputs)


def into(
    module: nn.Module,
    network: SpikingNetwork,
    sample: Tensor,
    num_steps: int | None = None,
    output: str | int | None = None,
    ending: str | None = None,
) -> None:
    """Write the weights of a network that was trained back into the module that it was converted from.

    Each number that changed goes to the entry of the module's `state_dict` that it came from; then the module is
    compared with the network, spike for spike.

    Args:
        module: as the conversion had it, with the numbers that it had then.
        network: its conversion, trained since: weights, not constants of neurons.
        sample, num_steps, output, ending: as in the conversion.

    Raises:
        ConversionRefused: where a number has no one place of its own in the module, which is left as it was.
    """
    from ..tracing.writing import written_back

    encoding = network.encoding if network.encoding in ("none", "rate") else "direct"
    written_back(Source.of(module, encoding, num_steps, output, ending), network, sample)


def convert(
    source: Any,
    sample: Tensor | None = None,
    num_steps: int | None = None,
    encoding: str | None = None,
    readout: str | None = None,
    seed: int = 0,
    classes: int | None = None,
    output: str | int | None = None,
    ending: str | None = None,
    **settings: Any,
) -> Conversion:
    """Return the network of any PyTorch code, or of a NIR graph, with its comparison and notes.

    Args:
        source: what `from_torch` or `from_nir` takes.
        sample, num_steps, encoding, readout, seed, classes, output, ending: as there.
        settings: what `from_nir` takes besides: `dt`, `reset`, `origin`, `recorded` and `silent`.

    Raises:
        ConversionRefused, TypeError, ValueError: as there.
    """
    if not isinstance(source, nn.Module) and not isroutine(source):
        if ending is not None:
            raise ValueError(f"ending: got {ending!r} for a NIR graph, expected one for a module only")
        timing = {"num_steps": num_steps, "encoding": encoding}
        return convert_nir(source, sample, readout, seed, classes=classes, **timing, **settings)
    if settings:
        raise TypeError(f"{min(settings)}: got one for a module, expected it of a NIR graph only")
    if sample is None:
        raise ValueError("sample: got None, expected a batch of inputs for the module")
    made = Source.of(source, encoding or "direct", num_steps, output, ending)
    return _converted(made, sample, readout, seed, classes)
