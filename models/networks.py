"""Spiking networks: affine layers and neurons in sequence, simulated over T steps."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .constants import at_least
from .elements.layers import BATCH_NORMS, MAX_POOLS, WEIGHTED, PerStep, Residual, in_row, max_windows, walk
from .elements.neurons import LIF, Run
from .elements.recurrent import Recurrent
from .elements.registry import ELEMENTS, known
from .elements.synapses import Synapse
from .running.encoding import (
    ENCODINGS,
    MEANS,
    READOUTS,
    RateDraws,
    fits,
    fresh_thresholds,
    latency_code,
    over_time,
    rate_code,
    reads_potentials,
)
from .running.running import listen_to, mean_over_time, run_in_parts, run_layers, run_through, run_to_mean
from .source import UNCONFIRMED, SourceArithmetic
from .validation import check_choice, check_inputs

TIMED = (LIF, Synapse, PerStep, Residual, *MAX_POOLS, *BATCH_NORMS)
"""Layers that do not commute with the mean over time."""
SETTINGS = ("num_steps", "encoding", "readout")
"""What a network is asked to do with its layers."""


@dataclass(frozen=True)
class Trace:
    """Everything that happened in one pass. Time is the first axis of currents, potentials and spikes.

    Attributes:
        currents: per spiking layer k, its input current I (before the input scale), (T, batch, ...).
        potentials: per spiking layer, v before reset, (T, batch, ...).
        spikes: per spiking layer, s, (T, batch, ...).
        logits: (batch, classes).
    """

    currents: tuple[Tensor, ...]
    potentials: tuple[Tensor, ...]
    spikes: tuple[Tensor, ...]
    logits: Tensor


class SpikingNetwork(nn.Module):
    """A spiking network, in which at most layers of neurons hear themselves (`Recurrent`).

    Args:
        modules: affine layers (Linear, convolutions, average pools, batch norms, Normalize, Flatten), max pools,
            Residual, PerStep, SpikeAnd, SpikeIand, synapses, delays, neurons and Recurrent layers of neurons, in
            order.
        num_steps: T, the number of simulated steps.
        encoding: "direct" (the same input at every step), "none" (inputs are (batch, T, ...)), "rate" (inputs in
            [0, 1] are the firing probabilities of Bernoulli spikes) or "latency" (inputs in [0, 1] fire once each,
            the brighter the earlier; see `latency_code`).
        readout: "mean" (over time, of the last affine layer), "spikes" (mean of the output spikes) or
            "potential" (last potential of a final neuron that never fires), "summed" or "largest" (sum or maximum
            over time of such potentials; "largest" of the last affine layer, too) or "first" (minus the step of
            each output's first spike). Default: "spikes" where a neuron is last, "mean" elsewhere.
        draws: with encoding "rate", what evaluation draws its spikes by: the network that attacks and verifiers
            are about is the one with these draws. Default: those of seed 0.

    Raises:
        TypeError, ValueError: for an unknown module, a network with no affine layer, a readout that does not
            fit the last module, or a DLIF whose length differs from `num_steps`.

    >>> network = SpikingNetwork(nn.Linear(4, 3), LIF(), nn.Linear(3, 2), num_steps=5)
    >>> network(torch.rand(7, 4)).shape
    torch.Size([7, 2])
    """

    steps_at_once: int | None = None
    """The most steps whose activations a pass with gradients holds at once (`running.py`); None for all T."""
    unconfirmed: bool = False
    """Whether what it came from was never run: verdicts, records and pages say so (`called`)."""
    at_hand: Any = None
    """What runs the module that it was made of (`tracing.converting.SourceAtHand`); None where there is none."""

    def __init__(
        self,
        *modules: nn.Module,
        num_steps: int,
        encoding: str = "direct",
        readout: str | None = None,
        draws: RateDraws | None = None,
    ) -> None:
        super().__init__()
        self.layers: nn.ModuleList = nn.ModuleList(in_row(modules))
        self.num_steps: int = num_steps
        self.encoding = encoding
        usual = "spikes" if modules and isinstance(self.layers[-1], LIF) else "mean"
        self.readout: str = usual if readout is None else readout
        self.draws: RateDraws = draws or RateDraws()
        self.source: SourceArithmetic | None = None
        _check_structure(self.layers, self.num_steps, self.encoding, self.readout)
        if draws is not None and encoding != "rate":
            raise ValueError(f'draws: got some with encoding {encoding!r}, expected them with "rate" only')

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; a setting that does not fit the layers is refused."""
        value = at_least(1)(name, value) if name == "num_steps" else value
        settings = {key: vars(self)[key] for key in SETTINGS if key in vars(self)}
        if name in SETTINGS and len(settings) == len(SETTINGS):
            _check_structure(self.layers, **{**settings, name: value})
        super().__setattr__(name, value)

    @property
    def neurons(self) -> tuple[LIF, ...]:
        """Return the spiking layers in execution order."""
        return tuple(layer for layer in walk(self.layers) if isinstance(layer, LIF))

    @property
    def reads_potentials(self) -> bool:
        """Return whether a final neuron never fires, and its potentials are read."""
        return reads_potentials(self.readout, isinstance(self.layers[-1], LIF))

    @property
    def dtype(self) -> torch.dtype:
        """Return the floating-point type that the network computes in."""
        return next(self.parameters()).dtype

    @property
    def device(self) -> torch.device:
        """Return the device that holds the parameters."""
        return next(self.parameters()).device

    @property
    def timed(self) -> bool:
        """Return whether inputs have an axis of time, (batch, T, ...)."""
        return self.encoding == "none"

    def forward(self, inputs: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return logits (batch, classes) for inputs (batch, ...), or (batch, T, ...) with encoding "none".

        Args:
            inputs: in the network's dtype.
            generator: with encoding "rate", see `encode`.

        Raises:
            TypeError, ValueError: for inputs of another dtype or shape, an empty batch, NaN or inf.
        """
        return self._execute(inputs, None, generator)

    def encode(self, inputs: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the signal that enters the first layer, (T, batch, ...), or (1, batch, ...) where it is constant.

        With encoding "rate" spikes are drawn afresh, for each sample, from `generator`, or without one from
        torch's global generator in training; in evaluation they come from the network's own `draws`.

        Raises:
            ValueError: for a generator with an encoding that draws nothing, or inputs of a latency code outside
                [0, 1].
        """
        if self.encoding == "rate":
            return rate_code(inputs, self.thresholds(inputs, generator))
        if generator is not None:
            raise ValueError(f"generator: got one with encoding {self.encoding!r}, which draws nothing")
        if self.encoding == "latency":
            return latency_code(inputs, self.num_steps).transpose(0, 1)
        return inputs.transpose(0, 1) if self.timed else inputs.unsqueeze(0)

    def thresholds(self, inputs: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return what encoding "rate" compares `inputs` with, (T, ...) or (T, batch, ...): see `encode`."""
        if generator is not None or self.training:
            return fresh_thresholds(inputs, self.num_steps, generator)
        return self.draws.of_batch(self.num_steps, inputs).to(inputs.device)

    def trace(self, inputs: Tensor, generator: torch.Generator | None = None) -> Trace:
        """Return a `Trace` of one pass; differentiable, and its logits equal `forward`'s on the same draws."""
        runs: list[Run] = []
        logits = self._execute(inputs, runs.append, generator)
        return Trace(
            currents=tuple(run.current.expand_as(run.spikes) for run in runs),
            potentials=tuple(run.potentials for run in runs),
            spikes=tuple(run.spikes for run in runs),
            logits=logits,
        )

    def currents(
        self, inputs: Tensor, generator: torch.Generator | None = None
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """Return the currents and the logits of `trace`, faster: without the potentials."""
        if self.readout not in MEANS:
            trace = self.trace(inputs, generator)
            return trace.currents, trace.logits
        heard: list[Tensor] = []
        check_inputs(self, inputs)
        before, behind = _split(self.layers, self.readout)
        signal = run_through(before, self.encode(inputs, generator), listen_to(heard, self.num_steps))
        return tuple(heard), run_layers(behind, mean_over_time(signal), self.num_steps).squeeze(0)

    def _execute(
        self, inputs: Tensor, record: Callable[[Run], None] | None, generator: torch.Generator | None
    ) -> Tensor:
        check_inputs(self, inputs)
        signal = self.encode(inputs, generator)
        if self.reads_potentials:
            return self._potentials(signal, record)
        if self.readout not in MEANS:
            return over_time(self.readout, run_layers(self.layers, signal, self.num_steps, record))
        before, behind = _split(self.layers, self.readout)
        if self.steps_at_once is not None and record is None and torch.is_grad_enabled():
            total, _ = run_in_parts(before, signal, self.num_steps, self.steps_at_once)
            return run_layers(behind, total / self.num_steps, self.num_steps).squeeze(0)
        mean = run_to_mean(before, signal, self.num_steps, record)
        return run_layers(behind, mean, self.num_steps, record).squeeze(0)

    def _potentials(self, signal: Tensor, record: Callable[[Run], None] | None) -> Tensor:
        in_parts = self.readout == "potential" and self.steps_at_once is not None
        if in_parts and record is None and torch.is_grad_enabled():
            return run_in_parts([*self.layers], signal, self.num_steps, self.steps_at_once)[1][-1]  # type: ignore[arg-type]
        current = run_layers(self.layers[:-1], signal, self.num_steps, record)
        neuron = self.layers[-1]
        assert isinstance(neuron, LIF)
        run = neuron.run(current, self.num_steps)
        if record is not None:
            record(Run(current, run.potentials, torch.zeros_like(run.spikes)))
        return over_time(self.readout, run.potentials)

    def called(self, name: str) -> str:
        """Return what verdicts, records and pages call the network of a name: an unconfirmed one says so in it."""
        return f"{name} ({UNCONFIRMED})" if self.unconfirmed and UNCONFIRMED not in name else name

    def extra_repr(self) -> str:
        """Return the settings of the simulation."""
        return f"num_steps={self.num_steps}, encoding={self.encoding}, readout={self.readout}"


def check_network(network: object, name: str = "network") -> None:
    """Raise TypeError for what is no `SpikingNetwork`; of another torch module the line says how to read it."""
    if not isinstance(network, SpikingNetwork):
        read = ": from_torch(module, sample, num_steps) reads other modules" * isinstance(network, nn.Module)
        raise TypeError(f"{name}: got {type(network).__name__}, expected a SpikingNetwork{read}")


def _split(layers: nn.ModuleList, readout: str) -> tuple[list[nn.Module], list[nn.Module]]:
    """Return the layers before which, and behind which, the mean over time may be taken.

    Trailing affine layers commute with it. Not so a max pool, a synapse, layers of their own at each step, nor a
    batch norm in training.
    """
    before, behind = [*layers], list[nn.Module]()
    while readout != "spikes" and before and not isinstance(before[-1], TIMED):
        behind.insert(0, before.pop())
    return before, behind


def _check_structure(layers: nn.ModuleList, num_steps: int, encoding: str, readout: str) -> None:
    """Raise TypeError or ValueError for layers that no network has, or settings that do not fit them."""
    check_choice("encoding", encoding, ENCODINGS)
    check_choice("readout", readout, READOUTS)
    modules = list(walk(layers))
    for module in modules:
        if not isinstance(module, tuple(ELEMENTS)):
            raise TypeError(f"modules: got {type(module).__name__}, expected {known()}")
        if isinstance(module, LIF):
            module.scale(num_steps)
        if isinstance(module, PerStep):
            module.check(num_steps)
        if type(module) in MAX_POOLS:
            max_windows(module)
    if not any(isinstance(part, WEIGHTED) for module in modules for part in module.modules()):
        raise ValueError(
            "modules: got no Linear or Conv2d or Conv1d, expected at least one affine layer with weights"
        )
    last = layers[-1]
    neuron_last = isinstance(last, LIF)
    if not fits(readout, neuron_last):
        raise ValueError(f"readout: got {readout!r} with {type(last).__name__} last, which it does not fit")
    resets = isinstance(last, Recurrent) or getattr(last, "reset", None) != "none"
    if reads_potentials(readout, neuron_last) and resets:
        raise ValueError(f'readout: "{readout}" needs a final neuron with reset="none"')
