"""Random chains of dense layers that fire, as `walks.c` walks them."""

import itertools
import random

import torch
from torch import Tensor, nn

from spikecert.models import DLIF, LIF, Recurrent, SpikingNetwork, Synapse
from support.recurrent import fill

DECAYS = (0.0, 0.5, 0.9, 0.99, 1.0)


def drawn_chain(seed: int, most_steps: int = 8, heard: float = 0.5) -> SpikingNetwork:
    """Return a network of one to three layers that fire, of one to nine neurons, of which some hear themselves.

    Args:
        seed: of all that is drawn.
        most_steps: T.
        heard: how many layers hear themselves.
    """
    draw = random.Random(seed)
    steps, sizes = draw.randint(1, most_steps), [draw.choice((1, 2, 3, 5, 9)) for _ in range(draw.randint(1, 3))]

    def neuron() -> LIF:
        """Return neurons of any reset, of whose spikes some take more, or less, away than θ."""
        threshold, reset = draw.choice((1.0, 0.75)), draw.choice(("zero", "subtract", "subtract", "none"))
        amount = draw.choice((None, 0.5, 1.25)) if reset == "subtract" else None
        constants = draw.choice(DECAYS), threshold, reset, draw.choice((">=", ">"))
        if draw.random() < 0.7:
            return LIF(*constants, reset_amount=amount)
        scaled = DLIF(steps, *constants, reset_amount=amount)
        scaled.input_scale.data = torch.tensor([draw.choice((1.0, -0.5, 0.0, 0.75)) for _ in range(steps)])
        return scaled

    sizes.append(draw.choice((2, 3, 5)))
    layers = list[nn.Module]()
    for before, size in itertools.pairwise(sizes):
        layers.append(nn.Linear(before, size, bias=draw.random() < 0.7))
        if draw.random() < 0.3:
            layers.append(Synapse(draw.choice(DECAYS)))
        if draw.random() < heard:
            synapse = Synapse(draw.choice(DECAYS)) if draw.random() < 0.5 else None
            layers.append(Recurrent(neuron(), nn.Linear(size, size, bias=draw.random() < 0.5), synapse))
        else:
            layers.append(neuron())
    readout = draw.choice(("spikes", "mean"))
    layers += [nn.Linear(sizes[-1], 3)] if readout == "mean" else []
    encoding = draw.choice(("none", "none", "direct"))
    network = SpikingNetwork(*layers, num_steps=steps, encoding=encoding, readout=readout)
    fill(network, draw.random() < 0.6, torch.Generator().manual_seed(seed))
    return network.to(draw.choice((torch.float32, torch.float64))).eval()


def drawn_inputs(network: SpikingNetwork, seed: int, batch: int = 4) -> Tensor:
    """Return events, or quarters, or any numbers; the first two rows are alike up to half of the steps."""
    first, generator = network.layers[0], torch.Generator().manual_seed(seed)
    assert isinstance(first, nn.Linear)
    shape = (network.num_steps,) * network.timed + (first.in_features,)
    drawn = torch.rand(batch, *shape, generator=generator)
    kind = int(torch.randint(3, (1,), generator=generator))
    drawn = (drawn.round(), (drawn * 4).round() / 4, drawn - 0.3)[kind]
    if network.timed and batch > 1:
        drawn[1, : network.num_steps // 2] = drawn[0, : network.num_steps // 2]
    return drawn.to(network.dtype)
