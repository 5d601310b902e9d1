"""Rate codes: what the verifiers decide of a network whose inputs are Bernoulli spikes with given draws.

    python benchmarks/rate_codes.py --root FOLDER [--samples 100] [--searched 10] [--seconds 60] [--cache FOLDER]
                                    [--network zoo:mnist-rate-linf-0.08 | FILE] [--epsilon 0.02]

Without `--network`: 784-128-10, T = 10, λ = .9 and hard reset, on MNIST, trained on the worst logits over ε
(per-step intervals of the spikes that fresh draws give). First the bounds and the attack on the first test images;
then, of the images that intervals and the attack leave open, what each verifier decides, each image by itself, one
thread, CPU seconds.
"""

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from spikecert import LIF, LInf, SpikingNetwork, attack, dataset, load, mlp, save, verify
from spikecert.certified_networks import load_zoo
from spikecert.training.bounds.interval_bounds import worst_logits

SIZES, STEPS, EPSILON = (784, 128, 10), 10, 0.02
BATCH, RATE, WEIGHT = 128, 2e-3, 0.5
SEARCHES = ("trains", "complete", "milp", "auto")


def trained(root: Path, epochs: int, path: Path) -> SpikingNetwork:
    """Return the network from `path`, or train it from seed 0."""
    if path.exists():
        return load(path)
    torch.manual_seed(0)
    network = mlp(SIZES, num_steps=STEPS, neuron=LIF(decay=0.9), encoding="rate").train()
    split = dataset("mnist", root).train
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    steps = epochs * (len(split) // BATCH)
    for step in range(steps):
        chosen = torch.randint(len(split), (BATCH,))
        inputs, labels = split.inputs[chosen].flatten(1), split.labels[chosen]
        loss = interval_loss(network, inputs, labels, min(1.0, 2 * step / steps))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    save(network, path)
    return load(path)


def named(name: str | None) -> SpikingNetwork | None:
    """Return a network of the zoo, or of a file; None where none is named."""
    if name is None:
        return None
    zoo, _, member = name.partition("zoo:")
    return load(Path(name)).eval() if zoo or not member else load_zoo(member).eval()


def interval_loss(network: SpikingNetwork, inputs: Tensor, labels: Tensor, progress: float) -> Tensor:
    """Return cross-entropy of the spikes of fresh draws, and of the worst logits over ε, each by half."""
    draws, radius = torch.rand(BATCH, STEPS, inputs.shape[1]), progress * EPSILON
    timed = SpikingNetwork(*network.layers, num_steps=STEPS, encoding="none")
    middle, lower, upper = ((draws < (inputs + move)[:, None]).float() for move in (0.0, -radius, radius))
    worst = cross_entropy(worst_logits(timed, lower, upper, labels), labels)
    weight = WEIGHT * progress
    return (1 - weight) * cross_entropy(timed(middle), labels) + weight * worst


def bounded(network: SpikingNetwork, inputs: Tensor, labels: Tensor, threat: LInf) -> list[int]:
    """Print what bounds prove and the attack leaves; return the samples that intervals and attack leave."""
    right = network(inputs).argmax(1) == labels
    stands = ~attack(network, inputs, labels, threat, "ensemble").success
    print(f"{len(inputs)} images: {int(right.sum())} right, {int(stands.sum())} left by the ensemble")
    is_open = stands
    for name in ("interval", "trains", "linear"):
        started = time.process_time()
        found = verify(network, inputs, labels, threat, name)
        proven = torch.tensor([verdict.status == "verified" for verdict in found])
        each = (time.process_time() - started) / len(inputs)
        print(f"{name}: {int(proven.sum())} verified, {1000 * each:.1f} ms an image", flush=True)
        is_open = is_open & ~proven if name == "interval" else is_open
    return is_open.nonzero().flatten().tolist()


def searched(
    network: SpikingNetwork, inputs: Tensor, labels: Tensor, threat: LInf, name: str, seconds: float
) -> None:
    """Print what one verifier decides of samples that are open, each by itself."""
    statuses: Counter[str] = Counter()
    times = []
    for sample, label in zip(inputs, labels, strict=True):
        started = time.process_time()
        (verdict,) = verify(network, sample[None], label[None], threat, name, timeout=seconds)
        times.append(time.process_time() - started)
        statuses[verdict.status] += 1
        print(
            f"  {name}: {verdict.status} after {times[-1]:.1f} s, {verdict.verifier}: {verdict.reason}", flush=True
        )
    total = f"{statuses['verified']} verified, {statuses['falsified']} falsified, {statuses['unknown']} unknown"
    print(f"{name}: of {len(times)}: {total}; {sum(times):.0f} s in all", flush=True)


def main() -> None:
    """Train, bound, search, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="folder with MNIST's four files")
    parser.add_argument("--cache", type=Path, help="where the network is kept")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--searched", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--network", help="a network of the zoo, zoo:NAME, or a file, in place of the trained one")
    parser.add_argument("--epsilon", type=float, default=EPSILON)
    parser.add_argument("--verifiers", default=",".join(SEARCHES))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cache = arguments.cache or Path(tempfile.mkdtemp())
    network = named(arguments.network) or trained(
        arguments.root, arguments.epochs, cache / "rate-codes.safetensors"
    )
    test, threat = dataset("mnist", arguments.root).test, LInf(arguments.epsilon)
    inputs, labels = test.inputs[: arguments.samples].flatten(1), test.labels[: arguments.samples]
    left = bounded(network, inputs, labels, threat)[: arguments.searched]
    for name in arguments.verifiers.split(","):
        searched(network, inputs[left], labels[left], threat, name, arguments.seconds)


if __name__ == "__main__":
    main()
