"""Checks that tests of several elements share: runs within bounds, and flips against the list of all."""

from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from spikecert import LInf, SpikeFlip, SpikingNetwork, bounds, load, save, verify
from spikecert.certify import Perturbation
from spikecert.certify.replay import margins
from spikecert.certify.verifiers import MarginVerifier
from spikecert.models import network_hash
from support.oracles import every_flip, least_margin, line_margin
from support.recurrent import fill


def grid_sample(network: SpikingNetwork, seed: int, batch: int = 3) -> tuple[Tensor, Tensor]:
    """Return inputs on a grid of quarters, and the network's own answers."""
    first = network.layers[0]
    assert isinstance(first, nn.Linear)
    shape = (network.num_steps,) * network.timed + (first.in_features,)
    drawn = torch.rand(batch, *shape, generator=torch.Generator().manual_seed(seed))
    inputs = ((drawn * 4).round() / 4).to(network.dtype)
    with torch.no_grad():
        return inputs, network(inputs).argmax(1)


def on_quarters(network: SpikingNetwork, seed: int, *shape: int) -> tuple[Tensor, Tensor]:
    """Return inputs of a shape on the grid, and the network's own answers."""
    drawn = torch.rand(*shape, generator=torch.Generator().manual_seed(seed))
    inputs = ((drawn * 4).round() / 4).to(network.dtype)
    with torch.no_grad():
        return inputs, network(inputs).argmax(1)


def check_line(
    network: SpikingNetwork,
    asked: tuple[Tensor, Tensor],
    epsilon: float,
    verifier: str,
    least: Callable[[SpikingNetwork, float, float, int], float] = line_margin,
    timeout: float = 2.0,
) -> None:
    """Assert that verdicts around points of a line, and their classes, say what its pieces say, or less."""
    found = verify(network, *asked, LInf(epsilon), verifier, timeout=timeout, ties="strict")
    for sample, label, verdict in zip(*asked, found, strict=True):
        low, high = (float((sample + e).clamp(0, 1)) for e in (-epsilon, epsilon))
        exact = least(network, low, high, int(label))
        assert verdict.status != "verified" or exact > 0
        assert verdict.margin is None or verdict.margin <= exact + 1e-6


def check_one_flip(hidden: nn.Module, dtype: torch.dtype, verifiers: Iterable[str]) -> int:
    """Hold verifiers to the list of all flips of small recordings; return how many "complete" decides of three."""
    decided = 0
    for seed in range(3):
        network = SpikingNetwork(nn.Linear(3, 4), hidden, nn.Linear(4, 3), num_steps=3, encoding="none")
        generator = torch.Generator().manual_seed(seed)
        fill(network, True, generator)
        network = network.to(dtype).eval()
        events = (torch.rand(1, 3, 3, generator=generator) < 0.5).to(dtype)
        label = int(network(events).argmax())
        exact = least_margin(network, every_flip(events[0], 1), label)
        for name in verifiers:
            (verdict,) = verify(network, events, torch.tensor([label]), SpikeFlip(1), name, timeout=5.0)
            assert verdict.status != "verified" or exact > 0
            assert verdict.status != "falsified" or exact <= 0
            decided += name == "complete" and verdict.status != "unknown"
    return decided


def check_file(network: SpikingNetwork, folder: Path) -> None:
    """Assert that a file holds a network: the same digest, and the same answers."""
    save(network, folder / "network.safetensors")
    again, (inputs, _) = load(folder / "network.safetensors"), grid_sample(network, 1)
    assert network_hash(again) == network_hash(network)
    assert torch.equal(again(inputs), network(inputs))


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
