"""What other C sources compute, by torch's operations: oracles that kernels are held against."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from spikecert.certify.bounds.intervals import fired
from spikecert.certify.bounds.signals.membrane import Pull
from spikecert.certify.bounds.signals.windows import Box, Spread
from spikecert.kernels.bits import BitHeap, BitWindow, CompiledBits, LayerConstants
from spikecert.kernels.walks import ListedLayer, member_sums
from spikecert.models.rules import Leaky
from spikecert.models.running import membrane as compiled
from spikecert.models.running import running as sparse

KERNELS = ("eager", "compiled")


@contextmanager
def by(kernel: str) -> Iterator[None]:
    """Run networks, and bounds in training, by torch's operations where `kernel` is "eager"."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (compiled, sparse) if kernel == "eager" else ():
            patch.setattr(module, "REALS", {})
        yield


STEPS, BITS, SIZES, NODES = 3, 5, (7, 4), 2**7
"""Of the probes; the nodes are more than a tree over the bits has."""


def bits_agree(built: CompiledBits) -> bool:
    """Return whether probes come to the least of all their runs, whose potentials are known at the start."""
    generator = torch.Generator().manual_seed(0)
    for decay, reset, counts in (
        (0.25, "zero", False),
        (0.9, "subtract", False),
        (1.0, "none", False),
        (1.0, "subtract", True),
    ):
        window = _window(LayerConstants(decay, 1.0, 1.0, 1.0, reset), counts, generator)
        heap = BitHeap.of(window, NODES)
        built.split(window, heap, NODES, torch.inf)
        choices = [bits for bits in itertools.product((0.0, 1.0), repeat=BITS) if bits[1] >= bits[2]]
        least = min(_run_of_bits(window, torch.tensor(bits, dtype=torch.float64)) for bits in choices)
        if not heap.done or abs(heap.low - least) > 1e-9:
            return False
    return True


def _window(rule: LayerConstants, counts: bool, generator: torch.Generator) -> BitWindow:
    """Return a window of neurons that are all open."""
    first, last = SIZES

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    total = STEPS * (first + last)
    base = torch.cat([drawn(STEPS * first) * 0.3 + 0.5, drawn(STEPS * last) * 0.3])
    start, costs = 0.2 * drawn(first + last), drawn(STEPS, last)
    window = BitWindow(
        layers=(rule, rule),
        sizes=SIZES,
        step=torch.arange(BITS) % STEPS,
        columns=drawn(BITS, first),
        lower=torch.tensor([-1, -1, 1, -1, -1]),
        upper=torch.tensor([-1, 2, -1, -1, -1]),
        base=base,
        matrix=drawn(first * last),
        factor=torch.ones(2, STEPS, dtype=torch.float64),
        low=start,
        high=start.clone(),
        widening=torch.zeros(first + last, dtype=torch.float64),
        known=torch.ones(total, dtype=torch.uint8),
        costs=costs,
        constant=0.5,
    )
    if not counts:
        return window
    ends = torch.zeros(total, dtype=torch.float64), torch.full((total,), float(STEPS), dtype=torch.float64)
    return replace(window, costs=costs[:1].expand(STEPS, -1).contiguous(), fewest=ends[0], greatest=ends[1])


def _run_of_bits(window: BitWindow, bits: Tensor) -> float:
    """Return the margin of one choice of the bits, run step by step."""
    (rule, _), (first, last) = window.layers, window.sizes
    base = [part.view(STEPS, -1) for part in window.base.split([STEPS * first, STEPS * last])]
    before, total = list(window.low.split([first, last])), window.constant
    for t in range(STEPS):
        current = base[0][t] + (bits * (window.step == t)) @ window.columns
        for layer in range(2):
            potential = rule.decay * before[layer] + current
            spikes = (potential >= rule.perhaps).double()
            left = {
                "zero": potential * (1 - spikes),
                "subtract": potential - rule.drop * spikes,
                "none": potential,
            }
            before[layer] = left[rule.reset]
            if layer == 0:
                current = base[1][t] + spikes @ window.matrix.view(first, last)
            else:
                total += float((spikes * window.costs[t]).sum())
    return total


def eager_sums(
    layer: ListedLayer, constants: tuple[float, ...], reset: str, rows: Tensor
) -> tuple[Tensor, Tensor]:
    """Return what `members.c` does, (k, M, n) each, but for neurons being open from the first doubt on."""
    decay, surely, perhaps, drop, span, unit, smallest = constants
    columns = layer.columns[layer.event]
    low = high = torch.zeros_like(columns).sum(1)
    opened = torch.zeros_like(low, dtype=torch.bool)
    ends = rows.new_zeros(2, len(rows), *low.shape)
    for t, row in enumerate(rows.T):
        here = (layer.step == t) * layer.weight * layer.factors[t]
        added = (here[:, :, None] * columns).sum(1)
        least, greatest = layer.lower[t] + added, layer.upper[t] + added
        size = decay * high.maximum(-low) + greatest.maximum(-least) + span
        slack = unit * size + smallest
        low, high = decay * low + (least - slack), decay * high + (greatest + slack)
        fires, may = low > surely, high >= perhaps
        opened = opened | (fires != may) | ~(low <= high)
        left = {"zero": (low * 0.0, high * 0.0), "subtract": (low - drop, high - drop), "none": (low, high)}[reset]
        low, high = (torch.where(fires, *pair) for pair in zip(left, (low, high), strict=True))
        weights = row.view(-1, 1, 1)
        ends[0] += torch.where(opened, weights.clamp_max(0.0), fires * weights)
        ends[1] += torch.where(opened, weights.clamp_min(0.0), fires * weights)
    return ends[0], ends[1]


def members_agree() -> bool:
    """Return whether the sums of 37 neurons over 11 steps are torch's, or between them, for each reset."""
    generator = torch.Generator().manual_seed(0)
    lower, columns, rows = (
        torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((11, 37), (5, 37), (3, 11))
    )
    event, step = torch.arange(45).view(15, 3) % 5, torch.arange(45).view(15, 3) * 3 % 11
    weight = torch.tensor([-1.0, 1.0, 1.0, 0.0], dtype=torch.float64)[torch.arange(45).view(15, 3) % 4]
    factors = torch.linspace(0.5, 1.5, 11, dtype=torch.float64)
    layer = ListedLayer(lower, lower + 0.01, factors, columns, event, step, weight)
    for decay, reset in ((0.9, "zero"), (1.0, "subtract"), (0.5, "none")):
        asked = layer, (decay, 1.001, 0.999, 1.0, 1.0, 1e-6, 1e-30), reset, rows
        (low, high), (least, most) = member_sums(*asked), eager_sums(*asked)
        inside = (low >= least - 1e-12) & (high <= most + 1e-12) & (low <= high)
        known = (most - least).abs() <= 1e-12
        if not bool(inside.all()) or not torch.allclose(low[known], high[known], rtol=0.0, atol=1e-12):
            return False
    return True


def interval_steps(pull: Pull, rule: Leaky) -> Spread:
    """Return what each step's spike may be, as middle and radius: exactly 0, ½ or 1 each."""
    shape = (pull.num_steps, *pull.current.middle.shape[1:])
    middle, radius = pull.current.middle.new_empty((2, *shape))
    for t, (certain, possible) in enumerate(fired(pull, rule)):
        half = possible.mul(0.5)
        torch.add(half, certain, alpha=0.5, out=middle[t])
        torch.sub(half, certain, alpha=0.5, out=radius[t])
    return Spread(middle, radius)


def interval_counts(pull: Pull, rule: Leaky) -> Box:
    """Return the fewest and the most spikes, (batch, ...)."""
    fewest, most = torch.zeros_like(pull.current.middle[0]), torch.zeros_like(pull.current.middle[0])
    for certain, possible in fired(pull, rule):
        fewest += certain
        most += possible
    return Box(fewest, most)
