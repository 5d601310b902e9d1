"""F9 in whole numbers: what came into a neuron that subtracts is what it fired, and what is left of it.

**Statement.** Let a neuron subtract θ for each of its n[t] spikes, be driven by its current alone, and let no
potential reach an end of its width. Each decay is a product and a residual, f(v) = λ·v + r, r within e of a middle
m of its cut (`RESIDUALS`). So a run of the chip is a run of the real recursion

    v[t] = λ·u[t−1] + (c[t] + m) + ε[t],    |ε[t]| ≤ e,    u = v − θ·n,

on currents that are m greater and stray by e: all that F9 says of real neurons whose recursion strays by e a step
(cells/automaton.py, cells/looking_through.py, F9b) holds, with S[t] = Σ λ^{t−k}·n[k] and L that of c + m. *Proof:*
f(0) = 0 = λ·0 + r has r = 0, which is in the interval; the rest is the definition of r. ∎ A whole potential is
silent up to θ₁ − 1 and fires from θ₁ on, the least that fires, so what is neither is empty.

**Widths.** u ≥ 0 behind a spike, since n·θ ≤ v, so |u[t]|, |v[t]| ≤ Σ_{k<T} λ^k·(max |c| + max |r|) by induction:
the law is used where that is below both ends.

**Several spikes.** The law counts them. Cells know silence and one spike: they are used where paths show that no
step may have more; tables count.

Rounding: the sums are real, and so are taken in float64 and pay for it; the run's own share of what is paid, of
which it needs nothing, covers the additions here.
"""

from dataclasses import dataclass, replace

from torch import Tensor

from ....models.elements.integers import Stepped
from ....models.rules import Leaky
from ...rounding import Rounding, power_sum
from ..cells.automaton import CELLS, CellTrains
from ..signals.affine import AffineMap
from ..signals.box import Box
from ..signals.inflow import Inflow, filter_sums, inflow_of
from ..signals.signals import AffineSignal, Balance, Signal
from ..trains.base import Trains
from .paths import PathTrains
from .whole_windows import REAL, paying, residuals


@dataclass(frozen=True)
class Law:
    """The real recursion that neurons of a rule obey.

    Attributes:
        rule: its constants.
        current: their currents, m greater.
        middle: m.
        stray: e.
        firing: θ₁.
    """

    rule: Leaky
    current: Signal
    middle: float
    stray: float
    firing: int

    @property
    def inflow(self) -> Inflow:
        """Return what drives the neurons."""
        plain = inflow_of(self.current, self.rule, REAL)
        wide = self.stray * filter_sums(self.rule, plain.lower)
        tie = plain.surely - self.rule.threshold
        return Inflow(
            plain.lower - wide,
            plain.upper + wide,
            plain.low - self.stray,
            plain.high + self.stray,
            plain.slack + self.stray,
            surely=self.firing - 1 + tie,
            perhaps=self.firing - tie,
        )

    @property
    def slack(self) -> Tensor:
        """Return what the recursion may add to each current, (batch, ...)."""
        return self.inflow.slack


def law_of(current: Signal, rule: Stepped) -> Law | None:
    """Return the law of neurons under `current`; None where there is none, or a width may break it."""
    plain = rule.reset == "subtract" and rule.synapse is None and not rule.towards
    if not plain or not isinstance(current, AffineSignal):
        return None
    low, high = residuals(rule)
    decay = rule.leak.share
    reach = power_sum(decay, current.num_steps) * (float(current.steps().magnitude.max()) + max(-low, high))
    if not reach * (1.0 + 2.0**-40) < min(rule.top, -rule.bottom):
        return None
    middle, stray = (low + high) / 2, (high - low) / 2
    real = Leaky(decay, float(rule.first_firing), "subtract", drop=float(rule.threshold))
    return Law(real, moved(paying(current), middle), middle, stray * (1.0 + 2.0**-40), rule.first_firing)


def moved(signal: Signal, by: float) -> AffineSignal:
    """Return the affine signal that is greater by a number."""
    assert isinstance(signal, AffineSignal)
    layer: AffineMap = signal.map
    if by == 0.0:
        return signal
    changed = replace(layer, bias=layer.bias + by, bias_magnitude=layer.bias_magnitude + abs(by))
    return replace(signal, map=changed)


@dataclass(frozen=True)
class LawfulPaths(Trains):
    """The trains of a layer as paths of whole states, met with the cells of its law.

    Attributes:
        graph: the paths.
        cells: what the law leaves.
    """

    graph: PathTrains
    cells: CellTrains

    @property
    def num_steps(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return the number of steps T."""
        return self.graph.num_steps

    def steps(self) -> Box:
        """Return whether each step's spike is certain, impossible or open, (T, batch, ...)."""
        return self.graph.steps().intersection(self.cells.steps())

    def combine(self, rows: Tensor) -> Box:
        """Return what both say of each row."""
        return self.graph.combine(rows).intersection(self.cells.combine(rows))

    def filtered(self, rule: Leaky) -> Box:
        """Return what both say of filtered trains."""
        return super().filtered(rule).intersection(self.cells.filtered(rule))

    def balance(self, rule: Leaky) -> Balance | None:
        """Return what the cells know of S and of u."""
        return self.cells.balance(rule)

    def margins(self, labels: Tensor, known: Tensor, rounding: Rounding) -> Tensor:
        """Return the bounds by pairs of neurons, where that is better."""
        return self.cells.margins(labels, known, rounding)


def lawful(graph: PathTrains, current: Signal, rule: Stepped) -> Trains:
    """Return the paths, with what the law says where it holds of all neurons."""
    law = law_of(current, rule) if graph.binary else None
    if law is None:
        return graph
    cells = max(CELLS, current.num_steps + 1) if law.rule.decay == 1.0 else CELLS
    return LawfulPaths(graph, CellTrains(law.rule, law.current, law.inflow, cells))
