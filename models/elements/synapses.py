"""Synapses and delays: causal linear filters over time, of currents or of spikes.

    i[t] = κ·i[t−1] + x[t−d],    i[0] = 0,  x[k] = 0 for k ≤ 0,

which is i = H·x with H[t,k] = κ^{t−d−k} for k ≤ t − d and 0 behind. A second-order neuron, current-based as the
field calls it, is such a filter in front of a `LIF`; κ = 0 is a pure delay. An alpha function needs no more: with
α^n − β^n = (α − β)·Σ_{i+j=n−1} α^i·β^j it is a synapse of decay α and delay 1 in front of a neuron of decay β.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..constants import at_least, check_normal, settle, share
from .neurons import in_full
from .registry import Element, UpToOne, Wait, register


@dataclass(frozen=True)
class TemporalFilter:
    """What a synapse does, as plain numbers.

    Attributes:
        decay: κ ∈ [0, 1].
        delay: d ≥ 0, in steps.
    """

    decay: float
    delay: int = 0

    def __post_init__(self) -> None:
        settle(self, share, "decay")
        settle(self, at_least(0), "delay")

    @property
    def moves(self) -> bool:
        """Return whether it only moves numbers in time, which never rounds."""
        return self.decay == 0.0

    def check(self, dtype: torch.dtype) -> None:
        """Raise ValueError for a decay that is subnormal in the dtype of the run."""
        check_normal("decay", self.decay, dtype)

    def rows(self, steps: int) -> Tensor:
        """Return H over T steps, (T, T), float64."""
        index = torch.arange(steps, dtype=torch.float64)
        ages = index[:, None] - index - self.delay
        return torch.where(ages >= 0, self.decay ** ages.clamp_min(0), 0.0)

    def gain(self, steps: int) -> float:
        """Return Σ_{n<T} κ^n, which no row and no column of H sums up to more than."""
        return sum(self.decay**n for n in range(steps))

    def start(self, like: Tensor) -> Tensor:
        """Return the residue before the first step, i and the last d inputs, oldest first, (1 + d, batch, ...)."""
        nothing = like[:1].masked_fill(like.new_ones((), dtype=torch.bool), 0.0)  # a part of the graph, always
        return nothing.expand(1 + self.delay, *like.shape[1:])

    def run(self, x: Tensor, residue: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """Return i over `steps` steps and the residue behind them; x is (steps, batch, ...) or (1, batch, ...)."""
        state, *waiting = residue.unbind(0)
        found = []
        for t in range(steps):
            waiting.append(x[t % len(x)])
            entering = waiting.pop(0)
            state = entering if self.moves else self.decay * state + entering
            found.append(state)
        return torch.stack(found), torch.stack((state, *waiting))


class Synapse(nn.Module):
    """A causal filter of the layer before it: i[t] = κ·i[t−1] + x[t−d].

    Args:
        decay: κ ∈ [0, 1], the share of the current that survives a step; 0 for a delay alone.
        delay: d ≥ 0, by how many steps the input comes late.

    Raises:
        ValueError, TypeError: for a constant outside its range.

    >>> Synapse(decay=0.5, delay=1)(torch.ones(1, 1, 1), num_steps=4).flatten()
    tensor([0.0000, 1.0000, 1.5000, 1.7500])

    References: eshraghian2023training
    """

    def __init__(self, decay: float = 0.9, delay: int = 0) -> None:
        super().__init__()
        settled = TemporalFilter(decay, delay)
        self.decay: float = settled.decay
        self.delay: int = settled.delay

    @property
    def filter(self) -> TemporalFilter:
        """Return its constants."""
        return TemporalFilter(self.decay, self.delay)

    def forward(self, current: Tensor, num_steps: int) -> Tensor:
        """Return i, (num_steps, batch, ...), of x: (num_steps, batch, ...), or (1, batch, ...) if constant."""
        return self.resume(current, None, 0, num_steps, num_steps)[0]

    def resume(
        self, current: Tensor, residue: Tensor | None, start: int, steps: int, num_steps: int
    ) -> tuple[Tensor, Tensor]:
        """Return i and the residue of `steps` steps from `start` on, of T = `num_steps`."""
        current = in_full(current)
        if len(current) not in (1, steps):
            raise ValueError(f"inputs: a Synapse was given {len(current)} steps, expected 1 or {steps}")
        known = TemporalFilter(self.decay, min(self.delay, num_steps))
        return known.run(current, known.start(current) if residue is None else residue, steps)

    def extra_repr(self) -> str:
        """Return the constants."""
        return f"decay={self.decay}, delay={self.delay}"


def Delay(steps: int) -> Synapse:
    """Return a pure delay, x[t−d], with nothing before step d + 1: a `Synapse` that keeps nothing.

    Args:
        steps: d ≥ 0.

    >>> Delay(2)(torch.ones(1, 1, 1), num_steps=4).flatten()
    tensor([0., 0., 1., 1.])
    """
    return Synapse(0.0, at_least(0)("steps", steps))


register(Element(Synapse, "filtered", lambda layer: layer.filter, fields={"decay": UpToOne, "delay": Wait}))
