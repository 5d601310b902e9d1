"""A module and how it is run: who drives its steps, what its states start from, what it returns."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..constants import at_least, unless_none
from ..validation import check_choice
from .refusal import ConversionRefused

STATES = {"mem", "spk", "syn", "syn_exc", "syn_inh"}
"""Of snnTorch's neurons."""

RESTARTS = {"snntorch": "reset_mem", "spikingjelly": "reset", "spikecert": "restart"}
"""Libraries whose neurons keep states, and what puts these back to their start."""
OVER_TIME = ("LIF", "LI", "IAF", "LIFRecurrent", "Lift")
"""Norse's modules that take all steps in one call."""
ROUNDS = "which rounds numbers to times or bits"
FIELDS, SIGNS = "whose receptive fields are no affine layer", "whose spikes have two signs"
UNFOLLOWED = {
    ("norse", "PopulationEncoder"): FIELDS,
    ("norse", "SignedPoissonEncoder"): SIGNS,
    ("norse", "SpikeLatencyEncoder"): "which takes spikes over time, expected encoding='none'",
    ("spikingjelly", "LatencyEncoder"): ROUNDS,
    ("spikingjelly", "WeightedPhaseEncoder"): ROUNDS,
    ("spikingjelly", "PopSpikeEncoderDeterministic"): FIELDS,
    ("spikingjelly", "PopSpikeEncoderRandom"): FIELDS,
}
"""Library and type of neurons and encoders that no element here is, and why."""
FUNCTIONS = {
    "rate": "draws from its own numbers; give the network numbers, encoding='rate', or recorded spikes, 'none'",
    "latency": f"is an encoder {ROUNDS}; give the network its spikes, encoding='none'",
    "delta": "compares inputs of steps with each other; give the network its spikes, encoding='none'",
}
"""Of snnTorch's spikegen those that no network begins with, and why."""
LIBRARIES = ("snntorch", "spikingjelly", "norse")


class FunctionModule(nn.Module):
    """A plain function as a module."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, *given: Any) -> Any:
        """Return what the function does."""
        return self.function(*given)


@dataclass(frozen=True)
class Source:
    """A module and how to run it.

    Attributes:
        module: itself.
        timed: whether its input has an axis of time.
        num_steps: T of one that a caller drives, once a step; None for one that runs all steps in one call.
        output: the one of several that it returns; None for all.
        stateful: whether a step is called with the state of the one before, and returns (output, state).
        own: whether all of its code is this library's own, as of a NIR graph.
        ending: "before" where the numbers before a last function that keeps their order are asked about; None
            where that may only be one that keeps the class.
        rates: whether it is asked about inputs from 0 on alone, of which it draws spikes.
    """

    module: nn.Module
    timed: bool
    num_steps: int | None = None
    output: str | int | None = None
    stateful: bool = False
    own: bool = False
    ending: str | None = None
    rates: bool = False

    @staticmethod
    def of(
        module: Any,
        encoding: str,
        num_steps: int | None,
        output: str | int | None = None,
        ending: str | None = None,
    ) -> "Source":
        """Return the source for an encoding by name, of a module or a function.

        One of Norse's neurons alone, or with no known neurons and a second argument, is given its state.

        Raises:
            TypeError, ValueError: for what is no module, another encoding, or no positive number of steps.
        """
        if not isinstance(module, nn.Module):
            if not callable(module):
                raise TypeError(f"module: got {type(module).__name__}, expected a torch module")
            module = FunctionModule(module)
        check_choice("encoding", encoding, ("direct", "none", "rate"))
        if ending is not None:
            check_choice("ending", ending, ("before",))
        steps = unless_none(at_least(1))("num_steps", num_steps)
        held = {library_of(part) for part in module.modules()} & set(LIBRARIES)
        runs = module.function if isinstance(module, FunctionModule) else module.forward
        handed = not held and len(inspect.signature(runs).parameters) > 1
        stateful = held == {"norse"} or handed
        return Source(module, encoding == "none", steps, output, stateful, ending=ending, rates=encoding == "rate")


def library_of(module: nn.Module) -> str:
    """Return the package that a module's type comes from."""
    return type(module).__module__.split(".")[0]


def restart(module: nn.Module) -> None:
    """Put the states that neurons of known libraries keep back to their start.

    snnTorch's own leaves zeros of the last batch's size, by which the next one begins: none are there at first.
    """
    for part in module.modules():
        again = getattr(part, RESTARTS.get(library_of(part), ""), None)
        if again is None:
            continue
        again()
        if library_of(part) == "snntorch":
            for name in part._non_persistent_buffers_set & STATES:
                setattr(part, name, torch.zeros(0))


def takes_all_steps(module: nn.Module) -> bool:
    """Return whether a neuron of a module takes all steps in one call."""
    return any(
        getattr(part, "step_mode", "s") == "m"
        or (library_of(part) == "norse" and type(part).__name__ in OVER_TIME)
        or "s" not in getattr(part, "supported_step_mode", lambda: "s")()  # pyright: ignore[reportCallIssue]
        for part in module.modules()
    )


def run_once(source: Source, inputs: Tensor) -> tuple[Tensor, ...]:
    """Return the tensors that the module returned, those of single steps stacked to (T, batch, ...)."""
    timed = inputs.transpose(0, 1).contiguous() if source.timed else None
    if source.num_steps is None:
        return _tensors(source, source.module(inputs if timed is None else timed))
    if takes_all_steps(source.module):
        sequence = timed if timed is not None else inputs.expand(source.num_steps, *inputs.shape)
        return _tensors(source, source.module(sequence))
    state, steps = None, []
    for t in range(source.num_steps):
        step = inputs if timed is None else timed[t]
        found = source.module(step) if state is None else source.module(step, state)
        if source.stateful:
            if not (isinstance(found, tuple) and len(found) == 2):
                raise ConversionRefused(
                    f"module: returned {type(found).__name__}, expected (output, state) a step"
                )
            found, state = found
        steps.append(_tensors(source, found))
    return tuple(torch.stack(parts) for parts in zip(*steps, strict=True))


def _tensors(source: Source, found: Any) -> tuple[Tensor, ...]:
    """Return the tensors that a module returned, or those of the output that the source names."""
    if source.output is None:
        return _within(found)
    try:
        return _within(found[source.output])
    except (KeyError, IndexError, TypeError) as error:
        held = ", ".join(map(repr, found)) if isinstance(found, Mapping) else type(found).__name__
        raise ConversionRefused(f"output: got {source.output!r}, and the module returns {held}") from error


def _within(found: Any) -> tuple[Tensor, ...]:
    if isinstance(found, Tensor):
        return (found.detach(),)
    if isinstance(found, Mapping):
        return tuple(tensor for part in found.values() for tensor in _within(part))
    if isinstance(found, tuple | list):
        if found and isinstance(found, list) and all(isinstance(part, Tensor) for part in found):
            shapes = {part.shape for part in found}
            return (torch.stack(found).detach(),) if len(shapes) == 1 else tuple(part.detach() for part in found)
        return tuple(tensor for part in found for tensor in _within(part))
    return ()
