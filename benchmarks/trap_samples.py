"""Sets, samples and labels of a random network of benchmarks/traps.py."""

import torch
from torch import Tensor
from trap_draw import Draw
from trap_events import listed_family
from trap_networks import Drawn, fill
from trap_search import Family, Problem

from spikecert import SpikingNetwork
from spikecert.certify.ties import ARGMAX, STRICT

LEAST, REFILLS, SAMPLES = 4, 8, 128
LISTED_REFILLS = 40


def labelled(network: SpikingNetwork, inputs: Tensor, logits: Tensor, ties: str) -> Problem:
    """Return the samples with their classes; with ties "strict" only those that are classified without one."""
    top = logits.double().topk(2).values
    clear = ((top[:, 0] > top[:, 1]) | (ties == ARGMAX)).nonzero().flatten()
    return Problem(network, inputs[clear], logits[clear].argmax(1), ties)


def family_of(draw: Draw, made: Drawn) -> tuple[Family, Tensor]:
    """Return a family of sets, and samples for it."""
    if draw.listed:
        return listed_family(draw, made)
    name = draw.random.choice(("linf", "linf", "l2", "box"))
    lower, upper = draw.random.choice(((0.0, 1.0), (0.0, 1.0), (-1.0, 1.0)))
    inputs = draw.uniform(SAMPLES // (1 if len(made.shape) == 1 else 2), *made.shape)
    if made.network.timed and draw.random.random() < 0.6:
        return Family("l0"), inputs.round().to(draw.dtype).unique(dim=0)
    if made.network.encoding == "rate":
        lower = 0.0
    share = None
    if name == "box":
        share = torch.rand(made.shape, generator=draw.generator, dtype=torch.float64)
        share = torch.where(share < 0.2, 0.0, share)
    return Family(name, lower, upper, share), inputs.to(draw.dtype).unique(dim=0)


@torch.no_grad()
def varied(draw: Draw, made: Drawn, inputs: Tensor) -> Tensor:
    """Return the logits of the samples, after drawing weights anew until there are two classes among them."""
    for _ in range(LISTED_REFILLS if draw.listed else REFILLS):
        logits = made.network(inputs)
        clear = labelled(made.network, inputs, logits, STRICT).labels
        if len(clear) > LEAST and int((clear != clear.mode().values).sum()) >= len(clear) / 5:
            return logits
        fill(made.network, draw)
    return made.network(inputs)
