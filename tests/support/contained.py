"""Checks that tests of several elements share: runs within bounds, and flips against the list of all."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from spikecert import SpikeFlip, SpikingNetwork, bounds, verify
from spikecert.certify import Perturbation
from spikecert.certify.replay import margins
from spikecert.certify.verifiers import MarginVerifier
from support.oracles import every_flip, least_margin


def grid_sample(network: SpikingNetwork, seed: int, batch: int = 3) -> tuple[Tensor, Tensor]:
    """Return inputs on a grid of quarters, and the network's own answers."""
    first = network.layers[0]
    assert isinstance(first, nn.Linear)
    shape = (network.num_steps,) * network.timed + (first.in_features,)
    drawn = torch.rand(batch, *shape, generator=torch.Generator().manual_seed(seed))
    inputs = ((drawn * 4).round() / 4).to(network.dtype)
    with torch.no_grad():
        return inputs, network(inputs).argmax(1)


def check_contained(
    verifier: MarginVerifier,
    network: SpikingNetwork,
    inputs: Tensor,
    seed: int,
    threats: Iterable[Perturbation],
    count: int = 6,
) -> None:
    """Assert that no run of inputs of the sets, `count` of each, has another margin or logit than is proven."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        labels = network(inputs).argmax(1)
    for threat in threats:
        lower, ends = verifier.margins(network, inputs, labels, threat), bounds(network, inputs, threat, verifier)
        for _ in range(count):
            with torch.no_grad():
                logits = network(threat.sample(inputs, generator)).double()
            assert bool((margins(logits, labels) >= lower).all())
            assert bool(((logits >= ends.lower) & (logits <= ends.upper)).all())


def check_flips(network: SpikingNetwork, events: Tensor, verifier: str) -> None:
    """Assert that a verifier says of one flipped event what the list of all flips says, or less."""
    with torch.no_grad():
        labels = network(events).argmax(1)
    found = verify(network, events, labels, SpikeFlip(1), verifier, timeout=2.0)
    for sample, label, verdict in zip(events, labels.tolist(), found, strict=True):
        exact = least_margin(network, every_flip(sample, 1), label)
        assert verdict.status != "verified" or exact > 0
        assert verdict.status != "falsified" or exact <= 0
        assert verdict.margin is None or verdict.margin <= exact + 1e-6
