"""F9b: margins of a readout that counts the spikes of a layer that subtracts, by pairs of its neurons.

Counts of two classes, bounded one by one, forget that both read the same spikes. Here a cell holds intervals of S
and of u for neuron y and for neuron k at once (automaton.py), and each step knows a strip: D[t] = L_y[t] − L_k[t]
lies in [p, q], from one product with W_y − W_k. A step with spikes (s_y, s_k) needs L_y in [a, b] and L_k in
[c, e], by the cell and the firing conditions; the strip cuts that to

    a' = max(a, c + p),  b' = min(b, e + q),  c' = max(c, a − q),  e' = min(e, b − p),

and the step exists iff both intervals are left. The least N_y − N_k over all paths of cells bounds every run's,
since every run stays in some path. Beyond side² cells, neighbours in (S_y, S_k) merge into their hulls.

Rounding: as in automaton.py; the strip pays for the slack of both neurons, as L does.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ....models.rules import Leaky
from ...rounding import Rounding, reading_slack
from ..signals.box import Box
from ..signals.inflow import Inflow, filter_sums
from ..signals.signals import Signal
from .compiled_cells import Pairs, least_differences
from .looking_through import MatrixChain, filtered_sums, gain_sums

SIDE = 32
"""The side of the square of cells: more cells hardly help."""


@dataclass(frozen=True)
class CountedLayer:
    """What is known of a layer that subtracts, whose spikes are counted.

    Attributes:
        rule: of the layer.
        current: its input currents.
        inflow: what they drive it with.
    """

    rule: Leaky
    current: Signal
    inflow: Inflow


def pair_margins(last: CountedLayer, labels: Tensor, known: Tensor, rounding: Rounding) -> Tensor:
    """Return better lower bounds of logit_y − logit_k, (batch, classes), where `known` ones are not positive.

    Args:
        last: what is known of the last layer's spikes, whose mean over time the logits are.
        labels: y.
        known: lower bounds, (batch, classes); those above 0 stay.
        rounding: of the run; the mean of T numbers 0 and 1 errs by less than 8u.
    """
    samples, classes = (known <= 0).nonzero(as_tuple=True)
    kept = classes != labels[samples]
    samples, classes = samples[kept], classes[kept]
    if len(samples) == 0:
        return known
    neurons = torch.stack((labels[samples], classes))
    pairs = Pairs(last.inflow.at(samples, neurons), _strip(last, samples, neurons))
    found = _least(pairs, last.rule) / len(last.inflow.lower) - 2 * reading_slack(1.0, rounding)
    return known.index_put((samples, classes), found.maximum(known[samples, classes]))


def _least(pairs: Pairs, rule: Leaky) -> Tensor:
    """Return the least N_y − N_k, (P,); with λ = 1 of cells that hold all counts apart."""
    side = max(SIDE, len(pairs.strip.lower) + 1) if rule.decay == 1.0 else SIDE
    return least_differences(pairs, rule, side)


def _strip(last: CountedLayer, samples: Tensor, neurons: Tensor) -> Box:
    """Return the ends of L_y[t] − L_k[t], (T, P): one product with W_y − W_k, within the separate boxes."""
    inflow, rule = last.inflow.at(samples, neurons), last.rule
    separate = Box(inflow.lower[:, 0] - inflow.upper[:, 1], inflow.upper[:, 0] - inflow.lower[:, 1])
    reader = MatrixChain.of(last.current)
    if reader is None:
        return separate
    gains, moduli = gain_sums(rule, len(inflow.lower), reader.matrix)
    sums = _differences(reader, last, samples, neurons)
    middle = (reader.bias[neurons[0]] - reader.bias[neurons[1]]) * gains
    chain = reader.slack.expand(last.inflow.lower.shape[1], -1)[samples, neurons].sum(0)
    slack = chain * moduli + inflow.slack.sum(0) * filter_sums(rule, separate.lower)
    return separate.intersection(Box(sums.lower + (middle - slack), sums.upper + (middle + slack)))


def _differences(reader: MatrixChain, last: CountedLayer, samples: Tensor, neurons: Tensor) -> Box:
    """Return where Σ_j (W_yj − W_kj)·S_j[t] lies, (T, P): all pairs of a sample at once."""
    labels = torch.zeros(int(samples.max()) + 1, dtype=torch.long, device=samples.device)
    labels[samples] = neurons[0]
    batch = last.inflow.lower.shape[1]
    labels = torch.nn.functional.pad(labels, (0, batch - len(labels)))
    weights = reader.matrix[labels, None] - reader.matrix[None]  # (batch, classes, n)
    sums = filtered_sums(weights, reader.signal, last.rule)
    return Box(sums.lower[:, samples, neurons[1]], sums.upper[:, samples, neurons[1]])
