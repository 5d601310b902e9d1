"""What is known of a rate-coded network over one sample's set, layer by layer, as windows of its steps read it.

Each layer's current is the exact a[t]·(W·s[t] + b) of the run's own spikes s, up to `widening`: the chain's
rounding and the recursion's (rounding/recursion.py), and what float64 loses of sums of products, whatever their
order: at most 8·T·(inputs + outputs + terms + 16)·u of the sum of moduli, as in branching/ranges, of T steps that
counts add up. So every run is a run of the exact recursion on widened currents, with θ taken as in
intervals/resets.py.

A spike that the layer's trains exclude, or that all have, is so in every run; `low` and `high` are the ends
of the potentials before each step that the interval recursion makes of these spikes and of the layer's currents.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...kernels.bits import MOST_LAYERS, LayerConstants
from ...models.rules import plain
from ..bounds.prices.prices import PricedProblem, Specifications
from ..bounds.prices.stages import Stage, Staged
from ..rounding import recursion_slack
from ..rounding import tie as threshold_tie

MOST_WEIGHTS = 2**22
"""Numbers that a layer's matrix may hold."""


@dataclass(frozen=True)
class KnownLayer:
    """One spiking layer of n neurons that read m signals, float64.

    Attributes:
        constants: λ, θ and the reset.
        matrix, bias: (n, m), (n,).
        factor: a[t], (T,).
        widening: (n,).
        may, must: which spikes can be and which are in every run, (T, n) of bool.
        low, high: ends of the potentials before each step, (T, n).
        fewest, greatest: spikes up to each step, (T, n), where the layer counts; None: it forgets.
    """

    constants: LayerConstants
    matrix: Tensor
    bias: Tensor
    factor: Tensor
    widening: Tensor
    may: Tensor
    must: Tensor
    low: Tensor
    high: Tensor
    fewest: Tensor | None
    greatest: Tensor | None

    @staticmethod
    def of(stage: Stage, size: Tensor, staged: Staged) -> "KnownLayer":
        """Return a stage of the one sample of a network; `size` bounds its signals' moduli, (1, ...)."""
        rule, rounding, steps = stage.rule, staged.rounding, stage.trains.num_steps
        tie, chain = threshold_tie(rule.threshold, rounding), stage.branches[0].chain
        constants = LayerConstants(rule.decay, rule.threshold + tie, rule.threshold - tie, rule.drop, rule.reset)
        matrix, bias = (part.double().contiguous() for part in stage.matrix())
        factor = stage.scale.double()
        shape = stage.lower.shape[2:]
        moduli = chain.magnitude(size).expand(1, *shape).reshape(-1)
        error = 8 * steps * (sum(matrix.shape) + chain.terms + 16) * torch.finfo(torch.float64).eps
        widest = stage.lower.abs().maximum(stage.upper.abs()).amax(0).flatten() * factor.abs().max()
        widening = (chain.slack.expand(1, *shape).reshape(-1) + error * moduli) * factor.abs().max()
        widening = widening + recursion_slack(widest, rule.decay, rule.span, steps, rounding)
        spikes = stage.trains.steps()
        may, must = spikes.upper.flatten(1) > 0, spikes.lower.flatten(1) > 0
        currents = _scaled(stage, factor, widening)
        ends = _carried(currents, constants, may, must)
        keeps = constants.decay == 1.0 and constants.reset == "subtract"  # what came in, less what spikes took
        counts = _counts(stage) if keeps and bool((factor == 1.0).all()) else (None, None)
        return KnownLayer(constants, matrix, bias, factor, widening, may, must, *ends, *counts)


@dataclass(frozen=True)
class KnownNetwork:
    """A network over the set of one sample.

    Attributes:
        certain, open: which bits are 1, and which are not known, (T, inputs) of bool.
        rank: in the order of a feature's draws, in which its bits come, (T, inputs).
        stages: first layer first.
        costs: of each row asked for, of the last layer's spikes, (rows, T, n).
        constant: what each row has besides, (rows,); what float64 loses of the sums is paid.
    """

    certain: Tensor
    open: Tensor
    rank: Tensor
    stages: tuple[KnownLayer, ...]
    costs: Tensor
    constant: Tensor

    @property
    def counts(self) -> bool:
        """Return whether each layer counts, and each row's costs are about counts alone."""
        return all(layer.fewest is not None for layer in self.stages) and bool(
            (self.costs == self.costs[:, :1]).all()
        )

    def opened(self, steps: slice) -> list[Tensor]:
        """Return the neurons of each layer that are open at one of some steps."""
        return [(layer.may & ~layer.must)[steps].any(0).nonzero().flatten() for layer in self.stages]

    @staticmethod
    def of(staged: Staged, specifications: Specifications) -> "KnownNetwork | None":
        """Return what is known of a staged network of one sample; None where windows do not reach it."""
        box, rank = staged.source.box, staged.source.rank
        if rank is None or not _reached(staged) or specifications.inputs is not None:
            return None
        certain, possible = box.lower.flatten(1) > 0, box.upper.flatten(1) > 0
        layers, size = [], staged.source.magnitude()
        for stage in staged.stages:
            layers.append(KnownLayer.of(stage, size, staged))
            size = stage.trains.magnitude()
        found, constant = PricedProblem(staged, specifications, ()).readout()
        costs = found.of(len(layers)).flatten(2).transpose(0, 1)
        costs = costs.expand(-1, len(certain), -1).double().contiguous()
        terms = 8 * (costs[0].numel() + len(certain) + 16) * torch.finfo(torch.float64).eps
        paid = terms * (costs.abs().flatten(1).sum(1) + constant.abs())
        return KnownNetwork(certain, possible & ~certain, rank.flatten(1), tuple(layers), costs, constant - paid)


def _reached(staged: Staged) -> bool:
    """Return whether a network is a sequence of layers, none of them too large."""
    if not staged.sequential or len(staged.stages) > MOST_LAYERS:
        return False
    before = staged.source.box.lower[0, 0].numel()
    for stage in staged.stages:
        numbers = stage.lower[0, 0].numel()
        if not plain(stage.rule) or numbers * before > MOST_WEIGHTS or not stage.branches[0].direct:
            return False
        before = numbers
    return staged.row.device.type == "cpu"


def _counts(stage: Stage) -> tuple[Tensor, Tensor]:
    """Return the fewest and the most spikes up to each step, (T, n) each: whole numbers, up to float64's sums."""
    steps = stage.trains.num_steps
    found = stage.trains.combine(torch.ones(steps, steps, dtype=torch.float64).tril())
    return (found.lower.flatten(1) - 0.01).ceil(), (found.upper.flatten(1) + 0.01).floor()


def _scaled(stage: Stage, factor: Tensor, widening: Tensor) -> tuple[Tensor, Tensor]:
    """Return where a[t]·I[t] lies in the run's exact recursion, (T, n) each."""
    ends = [
        factor[:, None] * end.expand(len(factor), *end.shape[1:]).flatten(1) for end in (stage.lower, stage.upper)
    ]
    return ends[0].minimum(ends[1]) - widening, ends[0].maximum(ends[1]) + widening


def _carried(
    currents: tuple[Tensor, Tensor], rule: LayerConstants, may: Tensor, must: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the ends of the potentials before each step, (T, n) each, as bits.c finds them."""
    low, high = torch.zeros_like(currents[0]), torch.zeros_like(currents[1])
    for t in range(len(low) - 1):
        below, above = rule.decay * low[t] + currents[0][t], rule.decay * high[t] + currents[1][t]
        low[t + 1], high[t + 1] = _left(below, above, rule, may[t], must[t])
    return low, high


def _left(below: Tensor, above: Tensor, rule: LayerConstants, may: Tensor, must: Tensor) -> tuple[Tensor, Tensor]:
    """Return what a step leaves of potentials in [below, above] whose spikes `may` or `must` be."""
    if rule.reset == "none":
        return below, above
    silent, fired = above.clamp_max(rule.surely), below.clamp_min(rule.perhaps)
    if rule.reset == "zero":
        low, high = below.clamp_max(0.0), silent.clamp_min(0.0)
        after = torch.zeros_like(below), torch.zeros_like(below)
    else:
        low, high = below.minimum(fired - rule.drop), silent.maximum(above - rule.drop)
        after = fired - rule.drop, above.clamp_min(rule.perhaps) - rule.drop
    low, high = torch.where(may, low, below.clamp_max(rule.surely)), torch.where(may, high, silent)
    return torch.where(must, after[0], low), torch.where(must, after[1], high)
