"""How "linear" grows with depth, with the ceilings that end a search (price_search.py) and without them, in turns.

    python benchmarks/depth.py [--samples 40] [--cache FOLDER]

64-64-…-64-10, T = 8, λ = .9, hard reset, trained on digits here (800 steps of Adam; all layers but the first start
2.5 times as large, else nothing fires behind the fourth). Prints Markdown: CPU milliseconds a sample, one thread.
"""

import argparse
import math
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from spikecert import LIF, LInf, SpikingNetwork, Verdict, dataset, load, mlp, save, verify
from spikecert.certify.bounds.prices import price_search
from spikecert.certify.bounds.prices.price_search import ceilings
from spikecert.certify.bounds.prices.prices import PricedProblem

DEPTHS, EPSILONS = (2, 3, 4, 5, 6, 8, 10), (0.002, 0.01)


def trained(depth: int, cache: Path) -> SpikingNetwork:
    """Return the network of so many hidden layers."""
    path = cache / f"depth-{depth}.safetensors"
    if not path.exists():
        torch.manual_seed(0)
        network, train = mlp((64, *[64] * depth, 10), num_steps=8, neuron=LIF(0.9)), dataset("digits").train
        inputs, generator = train.inputs.flatten(1), torch.Generator().manual_seed(0)
        for layer in [layer for layer in network.layers if isinstance(layer, nn.Linear)][1:-1]:
            layer.weight.data.mul_(2.5)
        optimizer = torch.optim.Adam(network.parameters(), 1e-3)
        for _ in range(800):
            rows = torch.randint(len(inputs), (64,), generator=generator)
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(inputs[rows]) * 3, train.labels[rows]).backward()
            optimizer.step()
        save(network.eval(), path)
    return load(path)


@contextmanager
def without_ceilings() -> Iterator[None]:
    """Let every search go on."""

    def unknown(problem: PricedProblem) -> Tensor:
        return torch.full_like(problem.specifications.coefficients[:, 0], math.inf)

    setattr(price_search, "ceilings", unknown)  # noqa: B010 (a type checker sees no export)
    try:
        yield
    finally:
        setattr(price_search, "ceilings", ceilings)  # noqa: B010


def clocked(network: SpikingNetwork, inputs: Tensor, labels: Tensor, threat: LInf) -> tuple[float, list[Verdict]]:
    """Return CPU milliseconds a sample, and the verdicts."""
    started = time.process_time()
    found = verify(network, inputs, labels, threat, "linear")
    return 1000 * (time.process_time() - started) / len(inputs), found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=40)
    parser.add_argument("--cache", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cache, test = arguments.cache or Path(tempfile.mkdtemp()), dataset("digits").test
    inputs, labels = test.inputs.flatten(1)[: arguments.samples], test.labels[: arguments.samples]
    print("| hidden layers | ε | verified | all searches | with ceilings | margins lower, by at most |")
    print("|---" * 6 + "|")
    for depth in DEPTHS:
        network = trained(depth, cache)
        verify(network, inputs[:1], labels[:1], LInf(0.01), "linear")  # kernels are built
        for epsilon in EPSILONS:
            with without_ceilings():
                before, whole = clocked(network, inputs, labels, LInf(epsilon))
            after, found = clocked(network, inputs, labels, LInf(epsilon))
            assert [one.status for one in found] == [one.status for one in whole]
            less = [(other.margin or 0.0) - (one.margin or 0.0) for one, other in zip(found, whole, strict=True)]
            lower = sum(gap > 1e-9 for gap in less)
            verified = sum(one.status == "verified" for one in found)
            cells = (
                depth,
                epsilon,
                verified,
                f"{before:.1f}",
                f"{after:.1f}",
                f"{lower}, {max(less):.3f}",
            )
            print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    main()
