"""A module and how it is run: who drives its steps, what its states start from, what it returns.

Encoders of other libraries that draw their spikes: a module is traced as a function of what they drew.

A Poisson encoder fires where a fresh number u of [0, 1) is below its input x, at each step. No two runs are the
same, so nothing could be compared; and what is proven of a network is proven for its draws. So spikes that the
network draws take the encoder's place, which must be given the module's input itself, and become a network of
encoding "rate". An encoder that takes a share f of its input fires where u < f·x: its draws are u/f. That of
SpikingJelly fires at u = x, too, which comes once in 2²⁴ draws of float32; `RateDraws` are of float64, and ours
does not.
"""

import copy
import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..constants import at_least, unless_none
from ..running.encoding import RateDraws
from ..validation import check_choice
from .populations import uniform
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


DRAWING = {("spikingjelly", "PoissonEncoder"), ("norse", "PoissonEncoder"), ("norse", "PoissonEncoderStep")}
"""Library and type of what fires at random, by its input."""


@dataclass(frozen=True)
class PoissonCode:
    """An encoder within a module.

    Attributes:
        name: its own.
        module: itself.
    """

    name: str
    module: nn.Module

    @property
    def share(self) -> float:
        """Return which share of its input is the probability of a spike."""
        return uniform(getattr(self.module, "dt", 1.0) * getattr(self.module, "f_max", 1.0), self.name, "f_max·dt")

    @property
    def steps(self) -> int | None:
        """Return T of an encoder that makes all steps of one input, None for one that makes one a call."""
        steps = getattr(self.module, "seq_length", None)
        return None if steps is None else int(steps)

    def check(self) -> None:
        """Raise unless it runs by its type's own methods alone, with a share in (0, 1]."""
        if self.module._forward_hooks or self.module._forward_pre_hooks or "forward" in vars(self.module):
            raise ConversionRefused(f"{self.name}: has a hook or a forward of its own, expected none")
        if not (0.0 < self.share <= 1.0 and math.isfinite(1.0 / self.share)):
            raise ConversionRefused(
                f"{self.name}: fires by {self.share:g} of its input, expected a share in (0, 1]"
            )

    def draws(self, steps: int, features: tuple[int, ...], seed: int) -> RateDraws:
        """Return draws from a seed as a network has them, u/f where it takes a share f of its input."""
        drawn = RateDraws(seed)
        return drawn if self.share == 1.0 else RateDraws(drawn.thresholds(steps, features) / self.share)


class DrawnSpikes(nn.Module):
    """Stands for an encoder: hands on spikes that were drawn, where it is given the module's own input."""

    def __init__(self, encoder: PoissonCode) -> None:
        super().__init__()
        self.name, self.whole, self.calls = encoder.name, encoder.steps is not None, 0
        self.step_mode = getattr(encoder.module, "step_mode", "s")

    def begin(self, spikes: Tensor, x: Tensor | None) -> None:
        """Take the spikes of all steps, (T, batch, ...), and the input that they are drawn of; None: any."""
        self.spikes, self.x, self.calls = spikes, x, 0

    def forward(self, given: Tensor) -> Tensor:
        """Return the spikes of a step, or of all of them.

        Raises:
            ConversionRefused: where it is given something else than the module's input.
        """
        steps, rest = divmod(given.numel(), self.spikes[0].numel())
        other = rest > 0 or steps == 0
        if self.x is not None and not other:
            other = not torch.equal(given.reshape(steps, -1), self.x.reshape(1, -1).expand(steps, -1))
        if other:
            told = "draws its spikes of something else than the module's input; expected it to be first"
            raise ConversionRefused(f"{self.name}: {told}")
        self.calls += len(self.spikes) if self.whole else steps
        if self.whole:
            return self.spikes
        if steps > 1:
            known = len(self.spikes) == steps
            spikes = self.spikes if known else self.spikes[:1].expand(steps, *self.spikes.shape[1:])
            return spikes.reshape(given.shape)
        return self.spikes[(self.calls - 1) % len(self.spikes)].reshape(given.shape)


class DrivenBySpikes(nn.Module):
    """A module as a function of the spikes that its encoder drew, (T, batch, ...); its input is no number."""

    def __init__(self, source: Source, encoder: PoissonCode) -> None:
        super().__init__()
        self.stand_in = DrawnSpikes(encoder)
        self.inner = copy.deepcopy(source.module, {id(encoder.module): self.stand_in})
        self.how = {"num_steps": source.num_steps, "output": source.output, "stateful": source.stateful}

    def forward(self, spikes: Tensor) -> tuple[Tensor, ...]:
        """Return what the module gives."""
        return self.of(spikes, torch.full_like(spikes[0], math.nan), check=False)

    def of(self, spikes: Tensor, x: Tensor, check: bool = True) -> tuple[Tensor, ...]:
        """Return what the module gives of an input, whose spikes are known."""
        self.stand_in.begin(spikes, x if check else None)
        return run_once(Source(self.inner, False, **self.how), x)


@dataclass(frozen=True)
class DrawnSource:
    """A module that draws its spikes, as a function of them.

    Attributes:
        name: of the encoder.
        source: that function, of inputs over time.
        draws: of the network.
        num_steps: T.
    """

    name: str
    source: Source
    draws: RateDraws
    num_steps: int

    def spikes(self, inputs: Tensor) -> Tensor:
        """Return the spikes that are drawn of inputs, (batch, T, ...)."""
        features = tuple(inputs.shape[1:])
        thresholds = self.draws.thresholds(self.num_steps, features).view(self.num_steps, 1, *features)
        return (thresholds < inputs.double()).to(inputs).transpose(0, 1)

    def check(self, inputs: Tensor) -> None:
        """Raise unless the module is that function of these spikes on inputs, too."""
        module = copy.deepcopy(self.source.module).eval()
        spikes = self.spikes(inputs).transpose(0, 1).contiguous()
        with torch.no_grad():
            restart(module)
            expected = module.of(spikes, inputs)  # pyright: ignore[reportCallIssue]
            restart(module)
            found = module(spikes)
        if module.stand_in.calls != self.num_steps:  # pyright: ignore[reportAttributeAccessIssue]
            raise ConversionRefused("module: does not call its encoder once at each step; expected that")
        if not all(torch.equal(one, other) for one, other in zip(expected, found, strict=True)):
            raise ConversionRefused(
                "module: uses its input beside the encoder that draws; expected the spikes alone"
            )


def drawn_source(source: Source, encoder: PoissonCode, inputs: Tensor, draws: RateDraws | int) -> DrawnSource:
    """Return a module with an encoder as a function of its spikes.

    Args:
        source, encoder: the module, and what is in it.
        inputs: some of its inputs.
        draws: those of a network, or the seed of new ones.

    Raises:
        ConversionRefused: for an encoder that is not first, or steps that are not told.
    """
    if source.timed:
        raise ConversionRefused(
            f"{encoder.name}: draws its spikes of inputs over time, expected encoding='direct'"
        )
    if encoder.steps is not None and source.num_steps is not None:
        raise ConversionRefused(
            f"{encoder.name}: makes all {encoder.steps} steps of one input, and num_steps is given; expected None"
        )
    driven = DrivenBySpikes(source, encoder).eval()
    steps = encoder.steps or source.num_steps or _counted(driven, inputs)
    if isinstance(draws, int):
        draws = encoder.draws(steps, tuple(inputs.shape[1:]), draws)
    elif encoder.share != 1.0 and isinstance(draws.seed, int):
        share = f"fires by {encoder.share:g} of its input, and the network's draws, of a seed, by all of it"
        raise ConversionRefused(f"{encoder.name}: {share}; expected draws that are as much greater")
    return DrawnSource(encoder.name, Source(driven, True, ending=source.ending), draws, steps)


def _counted(driven: DrivenBySpikes, inputs: Tensor) -> int:
    """Return how many steps a module that loops over time by itself asks of its encoder."""
    counting = copy.deepcopy(driven)
    restart(counting)
    with torch.no_grad():
        counting(torch.zeros_like(inputs).unsqueeze(0))
    if counting.stand_in.calls == 0:
        name = counting.stand_in.name
        raise ConversionRefused(f"{name}: draws spikes, and is never called; expected it to be first")
    return counting.stand_in.calls


def drawing_encoder(module: nn.Module) -> PoissonCode | None:
    """Return the one encoder of a module that draws its spikes, None where there is none.

    Raises:
        ConversionRefused: for several, for one that is changed, and for a share of the input outside of (0, 1].
    """
    found = [
        PoissonCode(path, part)
        for path, part in module.named_modules()
        if (library_of(part), type(part).__name__) in DRAWING
    ]
    if len(found) > 1:
        names = ", ".join(encoder.name for encoder in found)
        raise ConversionRefused(f"module: has {len(found)} encoders that draw at random, {names}; expected one")
    if found:
        found[0].check()
    return found[0] if found else None
