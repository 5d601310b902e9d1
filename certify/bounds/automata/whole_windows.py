"""F5 in whole numbers: where a potential lies that grew since the last spike, by what trains say of several steps.

**Statement.** Let a neuron be at 0 behind step a and silent until t, and its potential not be cut on the way. Each
decay f is a product and a residual, f(v) = λ·v + r, r in an interval [r₋, r₊] of the cut (`RESIDUALS`). So

    v[t] = Σ_{a<k≤t} λ^{t−k}·c[k] + ρ,    ρ ∈ [r₋, r₊]·Σ_{j<m} λ^j,    m = t − a − 1,

since f(0) = 0; of neurons that go towards their drive, with (1 − λ)·c and m = t − a. A whole number in an interval
of reals is in that of its inner whole ends. The sums are real: they and their ends pay the rounding of float64.

**Cuts.** A silent potential never was at the top, where it would fire. At the bottom it is raised, so lower ends
hold; upper ends are kept for neurons of which no window reaches the bottom: then none of their potentials does.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ....models.elements.integers import Stepped
from ....models.rules import Label, Range
from ...rounding import Rounding
from ..signals.filtered import FilteredSignal
from ..signals.signals import AffineSignal, Signal
from ..trains.base import Trains

RESIDUALS = {
    "truncate": (-1.0, 1.0),
    "floor": (-1.0, 0.0),
    "nearest": (-0.5, 0.5),
    "shift": (0.0, 1.0),
    "dash": (-1.0, 1.0),
}
REAL = Rounding(torch.float64)
MOST_STEPS = 32
"""Windows grow with the square of T."""


@dataclass(frozen=True)
class WholeWindows:
    """Ends of a potential at step t if the last spike was at a < t: `ends[t − 1]` holds those of a = 0..t − 1."""

    ends: tuple[Range, ...]

    def cut(self, labels: tuple[Label, ...], t: int) -> Range:
        """Return those of labels, whose second number is a."""
        places = torch.tensor([label[1] for label in labels], device=self.ends[0].low.device)
        return Range(self.ends[t - 1].low[places], self.ends[t - 1].high[places])


def whole_windows(current: Signal, rule: Stepped) -> WholeWindows | None:
    """Return the windows of a layer; None where they tell nothing, or nothing is known of them."""
    known = rule.reset == "zero" and rule.synapse is None and not rule.rest and rule.first_firing <= rule.top
    if not known or current.num_steps > MOST_STEPS or not _remembers(current):
        return None
    steps, decay = current.num_steps, rule.leak.share
    rows, places = _rows(steps, decay)
    box = paying(current).combine(rows * ((1.0 - decay) if rule.towards else 1.0))
    residual = torch.tensor([_residual(rule, t - a - (not rule.towards)) for a, t in places], dtype=torch.float64)
    residual = residual.to(box.lower.device).view(*residual.shape, *([1] * (box.lower.dim() - 1)))
    low, high = (box.lower + residual[:, 0]).ceil(), (box.upper + residual[:, 1]).floor()
    high = high.masked_fill((low < rule.bottom).any(0), torch.inf)
    parts = [[index for index, (_, end) in enumerate(places) if end == t] for t in range(1, steps + 1)]
    return WholeWindows(tuple(Range(low[part], high[part].clamp_max(float(rule.top))) for part in parts))


def paying(signal: Signal) -> Signal:
    """Return the same signal, whose real sums pay for float64's rounding."""
    if isinstance(signal, AffineSignal | FilteredSignal):
        return replace(signal, source=paying(signal.source), rounding=REAL)
    return signal


def _remembers(current: Signal) -> bool:
    """Return whether trains, or events of one budget, stand right behind an affine layer, perhaps delayed."""
    if not isinstance(current, AffineSignal):
        return False
    source = current.source
    while (isinstance(source, FilteredSignal) and source.filter.moves) or (
        isinstance(source, AffineSignal) and source.map.reshapes
    ):
        source = source.source
    return isinstance(source, Trains) or not source.plain


def _rows(steps: int, decay: float) -> tuple[Tensor, list[tuple[int, int]]]:
    """Return the weights of each window as a row, and its (a, t), by t and then by a."""
    places = [(a, t) for t in range(1, steps + 1) for a in range(t)]
    rows = torch.zeros(len(places), steps, dtype=torch.float64)
    for index, (a, t) in enumerate(places):
        rows[index, a:t] = decay ** torch.arange(t - a - 1, -1, -1, dtype=torch.float64)
    return rows, places


def _residual(rule: Stepped, times: int) -> tuple[float, float]:
    """Return the ends of ρ after so many decays, with room for the rounding of this sum."""
    total = sum(rule.leak.share**j for j in range(times)) * (1.0 + 2.0**-40)
    low, high = residuals(rule)
    return low * total, high * total


def residuals(rule: Stepped) -> tuple[float, float]:
    """Return the ends of r, f(v) = λ·v + r."""
    return (0.0, 0.0) if rule.leak.keeps else RESIDUALS[rule.leak.cut]
