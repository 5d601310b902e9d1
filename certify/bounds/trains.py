"""Exact spike-train sets: the table F1 where the current is constant over time, the graph F2 elsewhere."""

from functools import partial

from ...models.neurons import LIF
from .membrane import Pull, pull
from .rounding import Rounding
from .signals import Signal
from .step_trains import StepTable, StepTrains
from .train_graph import graph_trains
from .train_table import TableTrains, TrainTable, table_like, train_table


def train_spikes(current: Signal, neuron: LIF, rounding: Rounding, windows: bool = False) -> Signal:
    """Return the reachable spike trains of `neuron` under `current`.

    Exact per neuron, up to rounding: with a constant current for every reset and input scale (F1), with a
    current in independent boxes over time for hard reset (F2); for a subtracting reset F2 is a relaxation.
    With `windows`, what the previous layer's trains say of several steps at once is used too (F5).
    """
    table = _table(current, neuron, rounding)
    if table is None:
        return graph_trains(current, neuron, rounding, windows)
    box = current.steps()[0]
    _check_range(float(box.magnitude.max()), neuron, current.num_steps, rounding)
    table = table.like(box.lower)
    return TableTrains(table, *table.reachable(box))


def step_spikes(current: Signal, neuron: LIF, rounding: Rounding) -> Signal:
    """Return what `train_spikes` does of steps and sums, and forget the trains."""
    table = _table(current, neuron, rounding)
    if table is None:
        return StepTrains(pull(current, neuron, rounding), neuron.dynamics, neuron.kernel)
    spread = current.spread()
    _check_range(float(spread.middle.abs().add_(spread.radius).max()), neuron, current.num_steps, rounding)
    factors, like = _factors(neuron, current.num_steps), spread.middle
    table = table_like(neuron.dynamics, factors, rounding, like.dtype, like.device)
    assert table is not None
    return StepTable(table, Pull(spread, current.num_steps), neuron.dynamics, neuron.kernel)


window_spikes = partial(train_spikes, windows=True)


def _table(current: Signal, neuron: LIF, rounding: Rounding) -> TrainTable | None:
    """Return the table of a layer whose current is constant, if it is not too large."""
    if not current.constant:
        return None
    return train_table(neuron.dynamics, _factors(neuron, current.num_steps), rounding)


def _factors(neuron: LIF, num_steps: int) -> tuple[float, ...]:
    scale = neuron.scale(num_steps)
    return (1.0,) * num_steps if scale is None else tuple(scale.detach().double().tolist())


def _check_range(widest: float, neuron: LIF, num_steps: int, rounding: Rounding) -> None:
    """Raise OverflowError where a potential may overflow: |v[t]| ≤ Σ_t |a[t]|·|I| + T·max(θ, d), as λ ≤ 1."""
    reach = sum(map(abs, _factors(neuron, num_steps))) * widest + num_steps * neuron.dynamics.span
    if not reach <= rounding.largest:
        raise OverflowError(f"a membrane potential may reach {reach:.3g}, beyond {rounding.dtype}")
