"""A spiking layer that hears its own spikes of one step before.

    c[t] = x[t] + (V·s[t−1] + b),      s[0] = 0,      then v[t] = λ·u[t−1] + a[t]·c[t] as in `neurons.py`

The order of the sums is this one: the feedback's own products and its bias first, then the current from below.
With a synapse what the neurons get is i[t] = κ·i[t−1] + c[t−d] in the place of c, as in `synapses.py`.
"""

from dataclasses import dataclass
from types import NoneType
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..dynamics import Dynamics, Surrogate
from ..linear_maps.averaging import Share
from ..rules import DeclaredRule, Rule
from ..running.membrane import Membrane
from .layers import apply_affine
from .neuron import AdaptiveLIF, CoupledLIF, Neuron, OneSpikeLIF, RefractoryLIF
from .neurons import DLIF, LIF, Run, SteppedLIF, in_full
from .registry import Element, register
from .synapses import Synapse, TemporalFilter
from .varied import VariedLIF

FEEDBACKS = (nn.Linear, nn.Conv1d, nn.Conv2d, Share)
"""Affine layers that a feedback may be: of one step, without statistics."""
STEPPED = (VariedLIF, RefractoryLIF, OneSpikeLIF, AdaptiveLIF, CoupledLIF, Neuron)
"""Neurons with a state of their own that may hear themselves."""
NEURONS = (LIF, DLIF, *STEPPED)
CODE = ("rule", "forward", "run", "step", "resume", "_go")
"""What a subclass of them leaves as it is."""


class Recurrent(LIF):
    """A layer of neurons under a current from below and an affine map of their own last spikes.

    c[t] = x[t] + feedback(s[t−1]), s[0] = 0; `neuron` says what c makes of potentials and spikes.

    Args:
        neuron: LIF, DLIF, VariedLIF, RefractoryLIF, OneSpikeLIF, AdaptiveLIF, CoupledLIF or Neuron, any reset and
            firing rule: a recurrent adLIF (RadLIF) is a CoupledLIF, a recurrent ALIF an AdaptiveLIF.
        feedback: Linear, Conv1d, Conv2d or Share that keeps the shape of the layer's spikes.
        synapse: what filters c over time before it reaches the neuron; None: nothing does.

    Raises:
        TypeError: for another neuron, feedback or synapse. PLIF is refused: its decay would have no gradient here.

    >>> layer = Recurrent(LIF(decay=0.5), nn.Linear(1, 1, bias=False))
    >>> _ = nn.init.constant_(layer.feedback.weight, -1.0)
    >>> layer(torch.full((1, 1, 1), 1.2), num_steps=4).flatten().tolist()
    [1.0, 0.0, 1.0, 0.0]

    References: eshraghian2023training, bittar2022surrogate, bellec2018long
    """

    holds = ("neuron", "feedback", "synapse")

    hears = True

    def __init__(self, neuron: LIF, feedback: nn.Module, synapse: Synapse | None = None) -> None:
        nn.Module.__init__(self)
        self.neuron: LIF = neuron
        self.feedback: nn.Module = feedback
        self.synapse: Synapse | None = synapse

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; a part that this layer does not run by is refused."""
        _check_part(name, value)
        super().__setattr__(name, value)

    @property
    def firing(self) -> LIF:
        """Return the neurons that hear themselves."""
        return self.neuron

    def keep(self, steps: slice) -> None:
        """Leave only the neurons' constants of some steps."""
        self.neuron.keep(steps)

    @property
    def dynamics(self) -> Dynamics:
        """Return the neuron's constants."""
        return self.neuron.dynamics

    @dynamics.setter
    def dynamics(self, constants: Dynamics) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        self.neuron.dynamics = constants

    @property
    def surrogate(self) -> Surrogate:
        """Return the neuron's."""
        return self.neuron.surrogate

    @surrogate.setter
    def surrogate(self, surrogate: Surrogate) -> None:
        self.neuron.surrogate = surrogate

    @property
    def reset(self) -> str:
        """Return the neuron's."""
        return self.neuron.reset

    def scale(self, num_steps: int) -> Tensor | None:
        """Return the neuron's input scale."""
        return self.neuron.scale(num_steps)

    def rule(self, num_steps: int) -> Rule:
        """Return that the neuron's rule reads its own spikes, which only the node of this layer says whole."""
        own = self.neuron.rule(num_steps)
        assert isinstance(own, DeclaredRule)
        return FedBack(own)

    def run(self, current: Tensor, num_steps: int) -> Run:
        """Simulate; the run's current is what the neuron gets, (T, batch, ...): c, or i behind a synapse."""
        found = self._go(in_full(current), None, 0, num_steps, num_steps, keep=True)
        return Run(*(torch.stack(signal) for signal in (found.currents, found.potentials, found.spikes)))

    def forward(self, current: Tensor, num_steps: int) -> Tensor:
        """Return the spikes, (num_steps, batch, ...)."""
        return torch.stack(self._go(in_full(current), None, 0, num_steps, num_steps).spikes)

    def resume(
        self, current: Tensor, residue: Tensor | None, start: int, steps: int, num_steps: int
    ) -> tuple[Tensor, Tensor]:
        """Go on as `LIF.resume`; the residue: the neuron's state, the last spikes and the synapse's own."""
        found = self._go(in_full(current), residue, start, steps, num_steps)
        assert found.left is not None
        return torch.stack(found.spikes), torch.stack((*found.left, found.spikes[-1], *found.filtered))

    def _go(
        self, current: Tensor, residue: Tensor | None, start: int, steps: int, num_steps: int, keep: bool = False
    ) -> "_Steps":
        known = self._filter(num_steps)
        kept = 0 if known is None else 1 + known.delay
        if residue is None:
            silent = torch.zeros_like(current[0])
            left, spikes, filtered = None, silent, [silent] * kept
        else:
            left, spikes = residue[: len(residue) - 1 - kept], residue[len(residue) - 1 - kept]
            filtered = [*residue[len(residue) - kept :]]
        found = _Steps([], [], [], left, filtered)
        for t in range(steps):
            drive = in_full(current[t % len(current)] + self._fed_back(spikes))[None]
            if known is not None:
                drive, states = known.run(drive, torch.stack(found.filtered), 1)
                found.filtered = list(states)
            potential, spikes, found.left = self._step(drive, found.left, start + t, num_steps, keep)
            found.currents.append(drive[0])
            found.potentials += [] if potential is None else [potential]
            found.spikes.append(spikes)
        return found

    def _step(
        self, drive: Tensor, left: Tensor | None, t: int, num_steps: int, keep: bool
    ) -> tuple[Tensor | None, Tensor, Tensor]:
        """Return the neuron's potential, its spikes and its state, (numbers, batch, ...), of one step."""
        if isinstance(self.neuron, SteppedLIF):
            run, left = self.neuron.step(drive, left, t, num_steps)
            return run.potentials[0], run.spikes[0], left
        scale = self.neuron.scale(num_steps)
        factor, before = None if scale is None else scale[t : t + 1], None if left is None else left[0]
        potentials, fired, after = Membrane.apply(  # type: ignore[misc]
            drive, factor, before, self.dynamics, 1, "potentials" if keep else "final"
        )
        return None if potentials is None else potentials[0], fired[0], after[None]

    def _filter(self, num_steps: int) -> TemporalFilter | None:
        """Return what the synapse does within T steps."""
        if self.synapse is None:
            return None
        return TemporalFilter(self.synapse.decay, min(self.synapse.delay, num_steps))

    def _fed_back(self, spikes: Tensor) -> Tensor:
        """Return V·s + b, of the shape of s: torch would stretch another one in silence."""
        found = apply_affine(self.feedback, spikes[None])[0]
        if found.shape != spikes.shape:
            shapes = f"{tuple(found.shape[1:])} of spikes {tuple(spikes.shape[1:])}"
            raise ValueError(f"inputs: the feedback {self.feedback} makes {shapes}, expected the same shape")
        return found

    def extra_repr(self) -> str:
        """Return nothing: the parts say it."""
        return ""


@dataclass
class _Steps:
    """What was done so far: signals step by step, the neuron's state, None at the start, and the synapse's."""

    currents: list[Tensor]
    potentials: list[Tensor]
    spikes: list[Tensor]
    left: Tensor | None
    filtered: list[Tensor]


@dataclass(frozen=True)
class FedBack(Rule):
    """Spikes by a rule of currents to which the layer's own last spikes add; the weights are in the node."""

    layers: ClassVar[tuple[type[nn.Module], ...]] = (Recurrent,)

    own: DeclaredRule

    def check(self, dtype: torch.dtype) -> None:
        """Raise ValueError as the neuron's rule."""
        self.own.check(dtype)


def check_parts(neuron: nn.Module, feedback: nn.Module, synapse: nn.Module | None = None) -> None:
    """Raise TypeError unless a layer may be made of these."""
    for name, part in (("neuron", neuron), ("feedback", feedback), ("synapse", synapse)):
        _check_part(name, part)


def _check_part(name: str, part: object) -> None:
    kind: Any = type(part)
    got = kind.__name__
    if name == "neuron" and not _may_hear(part):
        known = ", ".join(kind.__name__ for kind in NEURONS)
        raise TypeError(f"neuron: got {got}, expected one of {known}")
    if name == "feedback" and kind not in FEEDBACKS:
        known = ", ".join(kind.__name__ for kind in FEEDBACKS)
        raise TypeError(f"feedback: got {got}, expected one of {known}")
    if name == "synapse" and part is not None and kind is not Synapse:
        raise TypeError(f"synapse: got {got}, expected Synapse or None")


def _may_hear(part: object) -> bool:
    """Return whether a neuron is one of those known here, or of a subclass that only sets constants."""
    kind: Any = type(part)
    code = [getattr(kind, name, None) for name in CODE]
    return any(isinstance(part, own) and code == [getattr(own, name, None) for name in CODE] for own in NEURONS)


PARTS = {"neuron": NEURONS, "feedback": FEEDBACKS, "synapse": (Synapse, NoneType)}
register(Element(Recurrent, "recurred", fields={}, parts=PARTS))
