"""Exact spike-train sets: the table F1 where the current is constant over time, the graph F2 elsewhere."""

from functools import partial

from ....models.rules import Leaky
from ...rounding import Rounding, check_potential
from ..long.compiled_graph import kernel_graph
from ..long.compiled_long import kernel_trains, reaches
from ..long.long_trains import LONG, carried_trains, long_trains
from ..signals.membrane import Pull, pull
from ..signals.signals import AffineSignal, Signal
from .base import Trains
from .forms import TrainTable
from .step_trains import StepTable, StepTrains
from .train_graph import graph_trains
from .train_table import TableTrains, table_like, train_table

SHORT = 8
"""How many steps windows of events have at most, where sums from step 0 on are known: longer ones hardly narrow
what these tell."""


def train_spikes(current: Signal, rule: Leaky, rounding: Rounding, windows: bool = False) -> Trains:
    """Return the reachable spike trains of neurons of `rule` under `current`.

    Exact per neuron, up to rounding: with a constant current for every reset and input scale (F1), with a
    current in independent boxes over time for hard reset (F2); for a subtracting reset F2 is a relaxation.
    With `windows`, what the previous layer's trains say of several steps at once is used too (F5).
    """
    found = table_spikes(current, rule, rounding) or (kernel_graph(current, rule, rounding) if windows else None)
    return found or graph_trains(current, rule, rounding, windows)


def table_spikes(current: Signal, rule: Leaky, rounding: Rounding) -> TableTrains | None:
    """Return the rows that each neuron may have (F1); None where the current varies, or the table is too long."""
    table = _table(current, rule, rounding)
    if table is None:
        return None
    box = current.steps()[0]
    _check_range(float(box.magnitude.max()), rule, current.num_steps, rounding)
    table = table.like(box.lower)
    return TableTrains(table, *table.reachable(box))


def step_spikes(current: Signal, rule: Leaky, rounding: Rounding) -> Trains:
    """Return what `train_spikes` does of steps and sums, and forget the trains."""
    table = _table(current, rule, rounding)
    if table is None:
        return StepTrains(pull(current, rule, rounding), rule)
    spread = current.spread()
    _check_range(float(spread.middle.abs().add_(spread.radius).max()), rule, current.num_steps, rounding)
    like = spread.middle
    table = table_like(rule, current.num_steps, rounding, like.dtype, like.device)
    assert table is not None
    return StepTable(Pull(spread, current.num_steps), rule, table)


window_spikes = partial(train_spikes, windows=True)


def aged_spikes(current: Signal, rule: Leaky, rounding: Rounding) -> Trains:
    """Return what `window_spikes` does, over many steps by how long ago a neuron with a hard reset fired last.

    What earlier spikes took is told where no kernel knows what makes the current.
    """
    if rule.reset != "zero" or current.num_steps < LONG or _table(current, rule, rounding) is not None:
        return window_spikes(current, rule, rounding)
    if reaches(current, rounding):
        return kernel_trains(current, rule, rounding) or long_trains(current, rule, rounding)
    return carried_trains(current, rule, rounding, SHORT if hears_events(current) else None)


def hears_events(current: Signal) -> bool:
    """Return whether a current is made of events alone that move or flip within a budget."""
    front = current.front if isinstance(current, AffineSignal) else None
    return front is not None and front.budget is not None


def _table(current: Signal, rule: Leaky, rounding: Rounding) -> TrainTable | None:
    """Return the table of a layer whose current is constant, if it is not too large."""
    if not current.constant:
        return None
    return train_table(rule, current.num_steps, rounding)


def _check_range(widest: float, rule: Leaky, num_steps: int, rounding: Rounding) -> None:
    """Raise OverflowError where a potential may overflow: |v[t]| ≤ Σ_t |a[t]|·|I| + T·max(θ, d), as λ ≤ 1."""
    reach = sum(map(abs, rule.factors(num_steps))) * widest + num_steps * rule.span
    check_potential(reach, rounding)
