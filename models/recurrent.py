"""A spiking layer that hears its own spikes of one step before.

    c[t] = x[t] + (V·s[t−1] + b),      s[0] = 0,      then v[t] = λ·u[t−1] + a[t]·c[t] as in `neurons.py`

The order of the sums is this one: the feedback's own products and its bias first, then the current from below.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from .dynamics import Dynamics
from .layers import Share, apply_affine
from .membrane import Membrane
from .neurons import LIF, Run, in_full
from .rules import Leaky, Rule

FEEDBACKS = (nn.Linear, nn.Conv1d, nn.Conv2d, Share)
"""Affine layers that a feedback may be: of one step, without statistics."""


class Recurrent(LIF):
    """A layer of neurons under a current from below and an affine map of their own last spikes.

    c[t] = x[t] + feedback(s[t−1]), s[0] = 0; `neuron` says what c makes of potentials and spikes.

    Args:
        neuron: LIF or DLIF, any reset and firing rule.
        feedback: Linear, Conv1d, Conv2d or Share that keeps the shape of the layer's spikes.

    Raises:
        TypeError: for another neuron or feedback. PLIF is refused: its decay would have no gradient here.

    >>> layer = Recurrent(LIF(decay=0.5), nn.Linear(1, 1, bias=False))
    >>> _ = nn.init.constant_(layer.feedback.weight, -1.0)
    >>> layer(torch.full((1, 1, 1), 1.2), num_steps=4).flatten().tolist()
    [1.0, 0.0, 1.0, 0.0]

    References: eshraghian2023training
    """

    def __init__(self, neuron: LIF, feedback: nn.Module) -> None:
        nn.Module.__init__(self)
        check_parts(neuron, feedback)
        self.neuron, self.feedback = neuron, feedback

    @property
    def dynamics(self) -> Dynamics:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return the neuron's constants."""
        return self.neuron.dynamics

    @dynamics.setter
    def dynamics(self, constants: Dynamics) -> None:
        self.neuron.dynamics = constants

    def scale(self, num_steps: int) -> Tensor | None:
        """Return the neuron's input scale."""
        return self.neuron.scale(num_steps)

    def rule(self, num_steps: int) -> Rule:
        """Return that the neuron's rule reads its own spikes, which only the node of this layer says whole."""
        return FedBack(Leaky.of(self.dynamics, self.scale(num_steps), self.kernel))

    def run(self, current: Tensor, num_steps: int) -> Run:
        """Simulate; the run's current is c, (T, batch, ...), the feedback included."""
        found = self._go(in_full(current), None, 0, num_steps, num_steps, keep=True)
        return Run(*(torch.stack(signal) for signal in (found.currents, found.potentials, found.spikes)))

    def forward(self, current: Tensor, num_steps: int) -> Tensor:
        """Return the spikes, (num_steps, batch, ...)."""
        return torch.stack(self._go(in_full(current), None, 0, num_steps, num_steps).spikes)

    def resume(
        self, current: Tensor, residue: Tensor | None, start: int, steps: int, num_steps: int
    ) -> tuple[Tensor, Tensor]:
        """Go on as `LIF.resume`; the residue holds u and the last spikes, (2, batch, ...)."""
        found = self._go(in_full(current), residue, start, steps, num_steps)
        return torch.stack(found.spikes), torch.stack((found.left, found.spikes[-1]))

    def _go(
        self, current: Tensor, residue: Tensor | None, start: int, steps: int, num_steps: int, keep: bool = False
    ) -> "_Steps":
        scale = self.neuron.scale(num_steps)
        left, spikes = torch.zeros_like(current[0]).expand(2, *current.shape[1:]) if residue is None else residue
        found = _Steps([], [], [], left)
        for t in range(steps):
            drive = in_full(current[t % len(current)] + self._fed_back(spikes))[None]
            factor = None if scale is None else scale[start + t : start + t + 1]
            potentials, fired, left = Membrane.apply(  # type: ignore[misc]
                drive, factor, found.left, self.dynamics, 1, keep, self.kernel
            )
            spikes, found.left = fired[0], left
            found.currents.append(drive[0])
            found.potentials += [] if potentials is None else [potentials[0]]
            found.spikes.append(spikes)
        return found

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
    """What was done so far: signals step by step, and u."""

    currents: list[Tensor]
    potentials: list[Tensor]
    spikes: list[Tensor]
    left: Tensor


@dataclass(frozen=True)
class FedBack(Rule):
    """Spikes by a rule of currents to which the layer's own last spikes add; the weights are in the node."""

    layers: ClassVar[tuple[type[nn.Module], ...]] = (Recurrent,)

    own: Leaky

    def check(self, dtype: torch.dtype) -> None:
        """Raise ValueError as the neuron's rule."""
        self.own.check(dtype)


def check_parts(neuron: nn.Module, feedback: nn.Module) -> None:
    """Raise TypeError unless a layer may be made of these."""
    plain = isinstance(neuron, LIF) and type(neuron).rule is LIF.rule and type(neuron).forward is LIF.forward
    if not plain:
        raise TypeError(f"neuron: got {type(neuron).__name__}, expected LIF or DLIF")
    if type(feedback) not in FEEDBACKS:
        known = ", ".join(kind.__name__ for kind in FEEDBACKS)
        raise TypeError(f"feedback: got {type(feedback).__name__}, expected one of {known}")
