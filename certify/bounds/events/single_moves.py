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

import torch
from torch import Tensor

from ....kernels.moves import MovingLayer, moves_kernel
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
        device = self.layer.lower.device
        layer = MovingLayer(*(part.cpu() for part in vars(self.layer).values()))
        ends = moves_kernel().sums(layer, self.constants, self.reset, rows.double().cpu())
        low, high = (end.unflatten(2, self.shape).to(device) for end in ends)
        return Box(low, high)

    def magnitude(self) -> Tensor:
        """Return 1: a neuron may fire."""
        return self.layer.lower.new_ones(len(self.layer.event), *self.shape)
