"""Exact spike-train sets: the table F1 where the current is constant over time, the graph F2 elsewhere."""

from functools import partial

from ...models.neurons import LIF
from .box import Box
from .rounding import Rounding
from .signals import Signal
from .train_graph import graph_trains
from .train_table import TableTrains, train_table


def train_spikes(
    current: Signal, neuron: LIF, rounding: Rounding, windows: bool = False, keep: bool = True
) -> Signal:
    """Return the reachable spike trains of `neuron` under `current`.

    Exact per neuron, up to rounding: with a constant current for every reset and input scale (F1), with a
    current in independent boxes over time for hard reset (F2); for a subtracting reset F2 is a relaxation.
    With `windows`, what the previous layer's trains say of several steps at once is used too (F5). Without `keep`
    a graph forgets the potentials it was built from.
    """
    if not current.constant:
        return graph_trains(current, neuron, rounding, windows, keep)
    scale = neuron.scale(current.num_steps)
    factors = (1.0,) * current.num_steps if scale is None else tuple(scale.detach().double().tolist())
    table = train_table(neuron.dynamics, factors, rounding)
    if table is None:
        return graph_trains(current, neuron, rounding, windows, keep)
    box = current.steps()[0]
    _check_range(box, factors, neuron.dynamics.span, rounding)
    table = table.like(box.lower)
    return TableTrains(table, *table.reachable(box))


step_spikes = partial(train_spikes, keep=False)
window_spikes = partial(train_spikes, windows=True)


def _check_range(box: Box, factors: tuple[float, ...], span: float, rounding: Rounding) -> None:
    """Raise OverflowError where a potential may overflow: |v[t]| ≤ Σ_t |a[t]|·|I| + T·max(θ, d), as λ ≤ 1."""
    reach = sum(map(abs, factors)) * float(box.magnitude.max()) + len(factors) * span
    if not reach <= rounding.largest:
        raise OverflowError(f"a membrane potential may reach {reach:.3g}, beyond {rounding.dtype}")
