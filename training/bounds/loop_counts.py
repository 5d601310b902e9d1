"""Bounds of counts of a layer that hears itself, which training can differentiate: two runs that are coupled.

Without leak, and with subtraction, a neuron's count N[t] is monotone in the sum C[t] of what came in
(prefix_bounds.py). With feedback V = V⁺ − V⁻, both parts at least 0, and b,

    C[t] = X[t] + V·N[t−1] + b·t  ∈  [X_low[t] + V⁺·N_low[t−1] − V⁻·N_high[t−1] + b·t,
                                      X_high[t] + V⁺·N_high[t−1] − V⁻·N_low[t−1] + b·t]

wherever N_low[t−1] ≤ N[t−1] ≤ N_high[t−1], and X_low ≤ X ≤ X_high hold the sums of what comes from below. So
two runs side by side, each hearing its own spikes where a weight is positive and the other's where it is
negative, have counts N_low[t] ≤ N[t] ≤ N_high[t]: by induction over t, from N[0] = 0. Their currents at a step
are

    x + b + V·m ± |V|·r  for the middle m and the radius r of both runs' last spikes, of any sign,

whose sums are those ends. ∎ A synapse, i[t] = κ·i[t−1] + c[t−d] with κ ≥ 0, makes of sums that are in order sums
that are in order: Σ_{k≤t} i[k] = Σ_{n≥0} κ^n·C[t−d−n]. Rounding is not paid.
"""

import torch
from torch import Tensor

from ...certify.bounds.signals.box import Box
from ...models.circuit import Recurred
from ...models.elements.recurrent import Recurrent
from ...models.running.membrane import Membrane
from .event_ends import through


def loop_counts(node: Recurred, currents: Box, num_steps: int) -> Box:
    """Return two trains of spikes, (T, batch, ...), whose counts bound those of a layer that hears itself.

    Args:
        node: the layer, without leak, with subtraction.
        currents: two signals whose sums over time bound those of what comes from below, (T or 1, batch, ...).
        num_steps: T.
    """
    layer = node.layer
    assert isinstance(layer, Recurrent)
    ends = torch.stack((currents.lower, currents.upper), 1)  # (T or 1, 2, batch, ...)
    spikes = left = torch.zeros_like(ends[0])
    waiting = None if node.filter is None else node.filter.start(ends[:1])
    found: list[Tensor] = []
    for t in range(num_steps):
        heard = through(node.feedback, Box(spikes[:1], spikes[1:]))
        drive = ends[t % len(ends)] + torch.cat((heard.lower, heard.upper))
        if node.filter is not None and waiting is not None:
            filtered, waiting = node.filter.run(drive[None], waiting, 1)
            drive = filtered[0]
        _, fired, left = Membrane.apply(drive[None], None, left, layer.dynamics, 1, "final")  # type: ignore[misc]
        spikes = fired[0]
        found.append(spikes)
    trains = torch.stack(found, 1)
    return Box(trains[0], trains[1])
