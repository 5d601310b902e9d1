"""Margins of a readout that counts the spikes of a layer that subtracts: by pairs of its neurons (F9b)."""

import torch
from torch import Tensor

from .automaton import AutomatonTrains
from .box import Box
from .looking_through import Source, filtered_sums, sums_of
from .pair_automaton import Pairs, least_differences
from .rounding import Rounding


def pair_margins(last: AutomatonTrains, labels: Tensor, known: Tensor, rounding: Rounding) -> Tensor:
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
    pairs = Pairs.of(last.inflow, samples, neurons, _strip(last, samples, neurons))
    found = least_differences(pairs, last.rule) / last.num_steps - 32 * rounding.unit
    return known.index_put((samples, classes), found.maximum(known[samples, classes]))


def _strip(last: AutomatonTrains, samples: Tensor, neurons: Tensor) -> Box:
    """Return the ends of L_y[t] − L_k[t], (T, P): one product with W_y − W_k, within the separate boxes."""
    inflow, rule = last.inflow, last.rule
    lower, upper = (ends.flatten(2)[:, samples, neurons] for ends in (inflow.lower, inflow.upper))
    separate = Box(lower[:, 0] - upper[:, 1], upper[:, 0] - lower[:, 1])
    reader = Source.of(last.current)
    if reader is None:
        return separate
    gains, moduli, decays = (values.squeeze(-1) for values in sums_of(rule, last.num_steps, reader.matrix))
    sums = _differences(reader, last, samples, neurons)
    middle = (reader.bias[neurons[0]] - reader.bias[neurons[1]]) * gains
    chain = reader.slack.expand(inflow.lower.shape[1], -1)[samples, neurons].sum(0)
    slack = chain * moduli + inflow.drives.slack.flatten(1)[samples, neurons].sum(0) * decays
    return separate.intersection(Box(sums.lower + (middle - slack), sums.upper + (middle + slack)))


def _differences(reader: Source, last: AutomatonTrains, samples: Tensor, neurons: Tensor) -> Box:
    """Return where Σ_j (W_yj − W_kj)·S_j[t] lies, (T, P): all pairs of a sample at once."""
    labels = torch.zeros(int(samples.max()) + 1, dtype=torch.long, device=samples.device)
    labels[samples] = neurons[0]
    batch = last.inflow.lower.shape[1]
    labels = torch.nn.functional.pad(labels, (0, batch - len(labels)))
    weights = reader.matrix[labels, None] - reader.matrix[None]  # (batch, classes, n)
    sums = filtered_sums(weights, reader.signal, last.rule)
    return Box(sums.lower[:, samples, neurons[1]], sums.upper[:, samples, neurons[1]])
