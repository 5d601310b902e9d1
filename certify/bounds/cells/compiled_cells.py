"""`cells.c`: what cells say of the trains of layers that subtract (automaton.py), and of pairs of their neurons
(F9b).

Each number is made by the operations that are told there, in their order, so that the proofs hold for it. Where λ
= 1 and spikes are counted it takes one cell a count, which says the same (cells.c tells why).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ....kernels.cells import CellsLayer, cells_kernel
from ....models.rules import Leaky
from ..signals.box import Box
from ..signals.inflow import Inflow


@dataclass(frozen=True)
class CellRanges:
    """What the cells of a layer leave at each step, (T, ...) each.

    Attributes:
        spikes: whether each spike is certain, impossible or open.
        train: ends of the filtered trains S[t].
        potential: ends of the potentials u[t] that are left.
        sums: ends of Σ_{k≤t} decay^{t−k}·row[k]·s[k], for the row and the decay that were asked for.
    """

    spikes: Box
    train: Box
    potential: Box
    sums: Box


@dataclass(frozen=True)
class Pairs:
    """P pairs of neurons.

    Attributes:
        inflow: what drives them; ends are (T, 2, P), first neuron y, then k.
        strip: ends of L_y − L_k, (T, P) each.
    """

    inflow: Inflow
    strip: Box


def cell_ranges(inflow: Inflow, rule: Leaky, count: int, row: Tensor, decay: float) -> CellRanges:
    """Return what K cells a neuron say of each step.

    Args:
        inflow: what drives the neurons.
        rule: of the layer.
        count: K.
        row, decay: of the sum that is asked for; `row` is (T,).
    """
    filled = torch.empty((8, *inflow.lower.shape), dtype=torch.float64)
    row = row.double().cpu().contiguous()
    cells_kernel().ranges(_layer(inflow, rule), _flow(inflow), count, row, decay, filled)
    filled = filled.to(inflow.lower.device)
    return CellRanges(*(Box(*ends) for ends in zip(filled[::2], filled[1::2], strict=True)))


def least_differences(pairs: Pairs, rule: Leaky, side: int) -> Tensor:
    """Return a lower bound of N_y − N_k for each pair, (P,); ∞ where no run exists."""
    filled = torch.empty(pairs.strip.lower.shape[1], dtype=torch.float64)
    lower, upper = (ends.double().cpu().contiguous() for ends in (pairs.strip.lower, pairs.strip.upper))
    cells_kernel().least_differences(_layer(pairs.inflow, rule), _flow(pairs.inflow), (lower, upper), side, filled)
    return filled.to(pairs.strip.lower.device)


def _layer(inflow: Inflow, rule: Leaky) -> CellsLayer:
    steps, size, threads = len(inflow.lower), inflow.lower[0].numel(), torch.get_num_threads()
    return CellsLayer(rule.decay, inflow.surely, inflow.perhaps, rule.drop, steps, size, threads)


def _flow(inflow: Inflow) -> tuple[Tensor, ...]:
    return tuple(
        ends.double().cpu().contiguous() for ends in (inflow.lower, inflow.upper, inflow.low, inflow.high)
    )
