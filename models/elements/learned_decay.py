"""A LIF layer whose decay is trained, and the way back to plain LIF layers."""

import copy
from dataclasses import replace

import torch
from torch import Tensor, nn

from ..dynamics import Dynamics, Surrogate, Triangle
from ..networks import SpikingNetwork
from ..rules import Leaky
from ..running.membrane import simulate
from .layers import Residual
from .neurons import LEAKY, LIF, Run, built, in_full, said
from .registry import Element, register


class PLIF(LIF):
    """LIF with a learned decay, λ = σ(w) with one number w a layer, so that λ stays in [0, 1].

    `dynamics` holds the present λ as a number: bounds, gains, verifiers and saved files read that. The backward
    pass gives dL/dλ = Σ q[t]·u[t−1], q[t] = dL/dv[t], as of the recursion with λ as a tensor; it costs a second
    forward pass of the layer. `settled` makes plain LIF layers of it after training, as proof files need.

    Args:
        decay: λ at the start, in (0, 1).
        threshold, reset, fires_at, surrogate, reset_amount: as in `LIF`.

    Raises:
        ValueError, TypeError: for a constant outside its range.

    >>> round(PLIF(decay=0.5).dynamics.decay, 6)
    0.5

    References: fang2021incorporating
    """

    holds = ("decay_logit",)

    def __init__(
        self,
        decay: float = 0.9,
        threshold: float = 1.0,
        reset: str = "zero",
        fires_at: str = ">=",
        surrogate: Surrogate = Triangle(1.0),  # noqa: B008 (frozen)
        reset_amount: float | None = None,
    ) -> None:
        super().__init__(decay, threshold, reset, fires_at, surrogate, reset_amount)
        start = torch.tensor(self._constants.decay, dtype=torch.float64)
        logit = torch.logit(start, eps=1e-9).to(torch.get_default_dtype())
        self.decay_logit: nn.Parameter = nn.Parameter(logit)

    @property
    def share(self) -> Tensor:
        """Return λ as a scalar that gradients reach."""
        return self.decay

    @property
    def decay(self) -> Tensor:
        """Return λ as a scalar that gradients reach."""
        return torch.sigmoid(self.decay_logit)

    @property
    def dynamics(self) -> Dynamics:
        """Return the layer's constants, with the present λ."""
        return replace(self._constants, decay=float(torch.sigmoid(self.decay_logit.detach().double())))

    @dynamics.setter
    def dynamics(self, constants: Dynamics) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        if hasattr(self, "decay_logit") and constants.decay != (own := self.dynamics.decay):
            told = f"expected this PLIF's own, {own}, that decay_logit says"
            raise ValueError(f"decay: got {constants.decay}, {told}")
        self._constants = constants

    @property
    def reset(self) -> str:
        """Return "zero", "subtract" or "none"."""
        return self._constants.reset

    def run(self, current: Tensor, num_steps: int) -> Run:
        """Simulate as `LIF.run`; gradients reach λ."""
        current = in_full(current)
        found = super().run(self._driven(current, num_steps), num_steps)
        return Run(current, found.potentials, found.spikes)

    def forward(self, current: Tensor, num_steps: int) -> Tensor:
        """Return the spikes, (num_steps, batch, ...); gradients reach λ."""
        return super().forward(self._driven(in_full(current), num_steps), num_steps)

    def _driven(self, current: Tensor, num_steps: int) -> Tensor:
        """Return the current plus (λ − stopgrad λ)·u[t−1]: a zero, whose gradient in λ is u[t−1]."""
        if not (torch.is_grad_enabled() and self.decay_logit.requires_grad):
            return current
        with torch.no_grad():
            dynamics = self.dynamics
            before = _left_before(*simulate(current, None, dynamics, num_steps), dynamics)
        return current + (self.decay - self.decay.detach()) * before


register(
    Element(
        PLIF,
        rules=(Leaky,),
        fields=LEAKY,
        said=said,
        tensors=lambda fields: {"decay_logit": ()},  # λ = σ of it, which is what counts
        build=built(PLIF),
    )
)


def _left_before(potentials: Tensor, spikes: Tensor, dynamics: Dynamics) -> Tensor:
    """Return u[t−1] at each step t, (T, batch, ...)."""
    left = potentials
    if dynamics.reset == "zero":
        left = potentials * (1.0 - spikes)
    elif dynamics.reset == "subtract":
        left = potentials - dynamics.drop * spikes
    return torch.cat((torch.zeros_like(left[:1]), left[:-1]))


def settled(network: SpikingNetwork) -> SpikingNetwork:
    """Return a copy of `network` with a plain LIF of the present λ in place of each PLIF; it runs the same."""
    found = copy.deepcopy(network)
    _settle(found.layers)
    return found


def _settle(layers: nn.ModuleList) -> None:
    for index, layer in enumerate(layers):
        if isinstance(layer, Residual):
            _settle(layer.branch)
            _settle(layer.shortcut)
        elif isinstance(layer, PLIF):
            d = layer.dynamics
            plain = LIF(d.decay, d.threshold, d.reset, d.fires_at, d.surrogate, d.reset_amount)
            layers[index] = plain.train(layer.training)
