"""Windows of bits whose least margin is that of running all their bits."""

import itertools
from dataclasses import replace

import torch
from torch import Tensor

from spikecert.kernels.bits import BitHeap, BitWindow, CompiledBits, LayerConstants

STEPS, BITS, SIZES, NODES = 3, 5, (7, 4), 2**7
"""Of the probes; the nodes are more than a tree over the bits has."""


def agrees(built: CompiledBits) -> bool:
    """Return whether probes come to the least of all their runs, whose potentials are known at the start."""
    generator = torch.Generator().manual_seed(0)
    for decay, reset, counts in (
        (0.25, "zero", False),
        (0.9, "subtract", False),
        (1.0, "none", False),
        (1.0, "subtract", True),
    ):
        window = _probe(LayerConstants(decay, 1.0, 1.0, 1.0, reset), counts, generator)
        heap = BitHeap.of(window, NODES)
        built.split(window, heap, NODES, torch.inf)
        choices = [bits for bits in itertools.product((0.0, 1.0), repeat=BITS) if bits[1] >= bits[2]]
        least = min(_run(window, torch.tensor(bits, dtype=torch.float64)) for bits in choices)
        if not heap.done or abs(heap.low - least) > 1e-9:
            return False
    return True


def _probe(rule: LayerConstants, counts: bool, generator: torch.Generator) -> BitWindow:
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


def _run(window: BitWindow, bits: Tensor) -> float:
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
