"""What a first layer's neurons do in every recording of which one event has moved, all at once.

Let an event of input i leave step t for step t', or vanish. Then the layer's currents are those of the recording
x, less a[t]·W_i at t and with a[t']·W_i more at t': two additions a neuron, where running the recording takes all
of the layer's products. From the first of both steps on each neuron is stepped by itself, from where it stands in
x. Its potential lies in

    [low, high] ← λ·[low, high] + [l[t], u[t]] ± a·W_i, widened by the step's rounding;

above θ + tie it fires for certain, below θ − tie it is silent for certain. Where neither holds it is followed both
ways, with [max(low, θ − tie), high] as it fires and [low, min(high, θ + tie)] as it is silent, a few times; from
then on it is *open*: whatever it does, Σ_t r[t]·s[t] moves by at most the sum of r's negative, or positive,
entries. So what is found holds for every run of the moved recording, and most neurons have one number.

Rounding. A step of x has k products other than 0, a moved one at most k + 1, and |W|·x̃[t] ≤ |W|·x[t] + max_i
|W_i|. So γ_{k+1} of that and |b| is what the run's current may stray by (sums.py: zeros round nothing); eight
roundings more pay for the sums that are kept here, two a current. One step of the recursion strays by
8u·(λ·M + X + δ) + η, M ≥ |û| the potential's own modulus and X ≥ |a·I| the current's (recursion.py): far less than
what serves all steps.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from ....kernels.loading import load
from ....kernels.moves import CompiledMoves, MovingLayer
from ....models.rules import Leaky
from ...rounding import product_error, step_error
from ..signals.box import Box
from ..signals.membrane import drive, scaled_box
from ..signals.signals import InputSignal, Signal
from .moved_events import MovedEvents

OWN = 8
"""Roundings that a current takes here, beside those of its products."""


@dataclass(frozen=True)
class EventMoves:
    """EventMoves of one event each, (M,) each.

    Attributes:
        column: which feature's, in the order in which columns are kept.
        before, after: from which step, and to which; −1 where the event vanishes.
    """

    column: Tensor
    before: Tensor
    after: Tensor


@dataclass(frozen=True, eq=False)
class SingleMoves(Signal):
    """The spikes of a layer in M recordings, as sums over time, (·, M, ...).

    Attributes:
        layer: its currents in the recording, and the moves.
        reset: of its neurons.
        constants: of its neurons, as the kernel names them.
        shape: of the layer's outputs.
    """

    layer: MovingLayer
    reset: str
    constants: tuple[float, ...]
    shape: torch.Size

    constant = False
    binary = True

    @staticmethod
    def of(events: MovedEvents, rule: Leaky, moves: EventMoves) -> "SingleMoves":
        """Return the signal of moves.

        Args:
            events: of the recording, and what the layer makes of each feature's.
            rule: of the neurons behind the layer.
            moves: which columns of `events` they are of, from which step, and to which.

        Raises:
            OverflowError: where the run may overflow.
        """
        made, rounding, sample = events.map, events.rounding, events.entering
        made.slack(2 * events.features, rounding)  # raises where a sum may overflow
        far = events.columns.abs().amax(0).view(events.currents[0].shape)
        active = None if made.active is None else made.active(sample)
        count = (sample.new_full((1,), made.terms) if active is None else active + 1.0).clamp_max(made.terms)
        size = made.absolute(sample) + far + made.bias_magnitude
        slack = size * product_error(count, rounding, OWN) + made.underflow(2 * events.features, rounding)
        lower, upper = events.currents - slack, events.currents + slack
        hull = InputSignal(Box((lower - far)[:, None], (upper + far)[:, None]), len(sample))
        limits = drive(hull, rule, rounding).limits  # raises where a potential may overflow
        scaled, factors = scaled_box(Box(lower, upper), rule.scale_like(lower)), rule.factors(len(sample))
        kept = scaled.lower.flatten(1), scaled.upper.flatten(1), lower.new_tensor(factors), events.columns
        layer = MovingLayer(*kept, moves.column, moves.before, moves.after)
        constants = (
            rule.decay,
            *limits,
            rule.drop,
            step_error(0.0, 0.0, 1.0, rounding),
            rule.span,
            rounding.smallest,
        )
        return SingleMoves(layer, rule.reset, constants, far.shape)

    def part(self, some: slice) -> "SingleMoves":
        """Return some of the moves."""
        layer = self.layer
        event, before, after = layer.event[some], layer.before[some], layer.after[some]
        return replace(self, layer=replace(layer, event=event, before=before, after=after))

    @property
    def num_steps(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return the number of steps T."""
        return len(self.layer.lower)

    def steps(self) -> Box:
        """Return whether each spike is certain, impossible or open."""
        return self.combine(torch.eye(self.num_steps).to(self.layer.lower))

    def combine(self, rows: Tensor) -> Box:
        """Return the ends of Σ_t rows[k,t]·s[t], (k, M, ...)."""
        kernel = moves_kernel() if self.layer.lower.device.type == "cpu" else ""
        rows = rows.to(self.layer.lower)
        if isinstance(kernel, str):
            low, high = eager_sums(self.layer, self.constants, self.reset, rows)
        else:
            low, high = kernel.sums(self.layer, self.constants, self.reset, rows)
        return Box(low.unflatten(2, self.shape), high.unflatten(2, self.shape))

    def magnitude(self) -> Tensor:
        """Return 1: a neuron may fire."""
        return self.layer.lower.new_ones(len(self.layer.event), *self.shape)


def eager_sums(
    layer: MovingLayer, constants: tuple[float, ...], reset: str, rows: Tensor
) -> tuple[Tensor, Tensor]:
    """Return what `moves.c` does, (k, M, n) each, but for neurons being open from the first doubt on."""
    decay, surely, perhaps, drop, unit, span, smallest = constants
    columns = layer.columns[layer.event]
    low, high = torch.zeros_like(columns), torch.zeros_like(columns)
    opened = torch.zeros_like(columns, dtype=torch.bool)
    ends = rows.new_zeros(2, len(rows), *columns.shape)
    for t, row in enumerate(rows.T):
        sign = (layer.after == t).to(columns) - (layer.before == t).to(columns)
        added = (sign * layer.factors[t])[:, None] * columns
        least, greatest = layer.lower[t] + added, layer.upper[t] + added
        size = decay * high.maximum(-low) + greatest.maximum(-least) + span
        slack = unit * size + smallest
        low, high = decay * low + (least - slack), decay * high + (greatest + slack)
        fires, may = low > surely, high >= perhaps
        opened = opened | (fires != may) | ~(low <= high)
        left = {"zero": (low * 0.0, high * 0.0), "subtract": (low - drop, high - drop), "none": (low, high)}[reset]
        low, high = (torch.where(fires, *pair) for pair in zip(left, (low, high), strict=True))
        weights = row.view(-1, 1, 1)
        ends[0] += torch.where(opened, weights.clamp_max(0.0), fires * weights)
        ends[1] += torch.where(opened, weights.clamp_min(0.0), fires * weights)
    return ends[0], ends[1]


@lru_cache
def moves_kernel() -> CompiledMoves | str:
    """Return the kernel if its sums of a probe are torch's, or why there is none."""
    return load("moves.c", torch.float64, CompiledMoves.of, _agrees)


def _agrees(built: CompiledMoves, dtype: torch.dtype) -> bool:
    """Return whether the sums of 37 neurons over 11 steps are torch's, or between them, for each reset."""
    generator = torch.Generator().manual_seed(0)
    lower, columns, rows = (
        torch.randn(shape, generator=generator, dtype=dtype) for shape in ((11, 37), (5, 37), (3, 11))
    )
    event, before = torch.arange(15) % 5, torch.arange(15) % 11
    after = torch.cat((torch.arange(14) * 3 % 11, torch.tensor([-1])))
    factors = torch.linspace(0.5, 1.5, 11, dtype=dtype)
    layer = MovingLayer(lower, lower + 0.01, factors, columns, event, before, after)
    for decay, reset in ((0.9, "zero"), (1.0, "subtract"), (0.5, "none")):
        asked = layer, (decay, 1.001, 0.999, 1.0, 1e-6, 1.0, 1e-30), reset, rows
        (low, high), (least, most) = built.sums(*asked), eager_sums(*asked)
        inside = (low >= least - 1e-12) & (high <= most + 1e-12) & (low <= high)
        known = (most - least).abs() <= 1e-12
        if not bool(inside.all()) or not torch.allclose(low[known], high[known], rtol=0.0, atol=1e-12):
            return False
    return True
