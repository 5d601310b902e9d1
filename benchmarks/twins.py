"""Float networks against their rounded and chip builds, and how much mismatch certified networks bear.

Each line is one question, kept in the folder of `--out` as soon as it is answered; the same command goes on there.

    python benchmarks/twins.py builds [--samples 60] [--out runs/twins]
    python benchmarks/twins.py gaps
    python benchmarks/twins.py tolerance --root DATA [--samples 20]
"""

import argparse
import copy
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spikecert import (
    LIF,
    CrossEntropy,
    LInf,
    SpikeFlip,
    SpikingNetwork,
    Synapse,
    Tolerance,
    attack,
    certified_radius,
    dataset,
    equivalent,
    fit,
    mlp,
)
from spikecert.certified_networks import load_zoo
from spikecert.certify.network_sets.base import Shares, drawn, moved
from spikecert.certify.pairs.equivalence import Gaps
from spikecert.files import write_atomically
from spikecert.models.chips import quantization
from spikecert.runs.building import normalised
from spikecert.training import Dataset

BITS = (8, 6, 4)
EPSILONS = (0.0, 0.5, 2.0, 8.0)
"""In 255ths, of a chip in units."""
FLIPS = (0, 1, 2)
ZOO = ("mnist-linf-0.1", "mnist-linf-0.3", "fashion-mnist-linf-0.02")
SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4)
DRAWS, POINTS = 8, 60


def rounded(network: SpikingNetwork, bits: int) -> SpikingNetwork:
    """Return a build with weights of so many bits, one scale a layer."""
    found = copy.deepcopy(network)
    with torch.no_grad():
        for name, parameter in found.named_parameters():
            if name.endswith("weight"):
                step = parameter.abs().max() / (2 ** (bits - 1) - 1)
                parameter.copy_((parameter / step).round() * step)
    return found


def trained(make: Callable[[], SpikingNetwork], data: Dataset) -> SpikingNetwork:
    """Return a network of seed 0, trained for six epochs."""
    torch.manual_seed(0)
    run = fit(make(), data, CrossEntropy(), epochs=6, optimizer="adam", learning_rate=0.01)
    return run.network.eval()


def synaptic() -> SpikingNetwork:
    """Return what Xylo runs: synapses and neurons behind each layer, the last one, too."""
    layers: list[nn.Module] = []
    for before, after in ((64, 64), (64, 10)):
        layers += [nn.Linear(before, after, bias=False), Synapse(0.5), LIF(0.875, reset="subtract")]
    return SpikingNetwork(*layers, num_steps=8, readout="spikes")


def events() -> SpikingNetwork:
    """Return a network of recordings of digits."""
    layers = nn.Flatten(), nn.Linear(128, 32), LIF(0.9), nn.Linear(32, 10)
    return SpikingNetwork(*layers, num_steps=6, encoding="none")


NETWORKS: dict[str, tuple[Callable[[], SpikingNetwork], dict[str, Any]]] = {
    "64-64-10": (lambda: mlp((64, 64, 10), num_steps=8, neuron=LIF(0.9)), {"name": "digits"}),
    "64-64-64-10": (lambda: mlp((64, 64, 64, 10), num_steps=8, neuron=LIF(0.9)), {"name": "digits"}),
    "64-64-10, synapses": (synaptic, {"name": "digits"}),
    "128-32-10, events": (events, {"name": "digit-events", "num_steps": 6}),
}
CHIPS = {"64-64-10": "loihi", "64-64-64-10": "loihi", "64-64-10, synapses": "xylo"}


class Kept:
    """Answers by their question, in one file."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "twins.json"
        self.found: dict[str, Any] = json.loads(self.path.read_text()) if self.path.is_file() else {}

    def answer(self, question: str, ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return a kept answer, or ask and keep it; say it."""
        if question not in self.found:
            started = time.process_time()
            self.found[question] = ask() | {"CPU s": round(time.process_time() - started, 1)}
            write_atomically(self.path, json.dumps(self.found, indent=1).encode())
        print(f"{question}: {self.found[question]}", flush=True)
        return self.found[question]


def told(a: SpikingNetwork, b: SpikingNetwork, inputs: Tensor, sets: Any) -> dict[str, Any]:
    """Return how many samples are equivalent, different and unknown."""
    found = equivalent(a, b, inputs, sets, "trains")
    counts = {name: sum(one.status == name for one in found) for name in ("equivalent", "different", "unknown")}
    return counts | {"of": len(found)}


def builds(kept: Kept, samples: int, root: Path | None) -> None:
    """Ask about rounded builds and chips, on samples, balls and flips."""
    for name, (make, source) in NETWORKS.items():
        data = dataset(**source)
        network, inputs = trained(make, data), data.test.inputs[:samples].float()
        for bits in BITS:
            sets: Iterable[tuple[str, Any]] = (
                ((f"{flips} flips", SpikeFlip(flips) if flips else None) for flips in FLIPS)
                if network.timed
                else ((f"ε = {size:g}/255", LInf(size / 255) if size else None) for size in EPSILONS)
            )
            for text, chosen in sets:
                question = f"{name}, {bits} bits, {text}"
                kept.answer(question, lambda n=network, b=bits, x=inputs, s=chosen: told(n, rounded(n, b), x, s))
            if name in CHIPS:
                _chip(kept, name, network, inputs, bits)
    if root is not None:
        data, network = dataset("mnist", root), load_zoo("mnist-linf-0.1").eval()
        for bits in BITS:
            for size in EPSILONS:
                chosen, inputs = (LInf(size / 255) if size else None), data.test.inputs[: samples // 3]
                question = f"zoo:mnist-linf-0.1, {bits} bits, ε = {size:g}/255"
                kept.answer(question, lambda n=network, b=bits, x=inputs, s=chosen: told(n, rounded(n, b), x, s))


def _chip(kept: Kept, name: str, network: SpikingNetwork, inputs: Tensor, bits: int) -> None:
    made = quantization(network, CHIPS[name], bits)
    real = normalised(network, tuple(inputs.shape[1:]), (0.0,), (float(made.levels),))
    whole = made.whole(inputs).to(real.dtype)
    for size in (0.0, 1.0, 2.0, 8.0):
        if size <= made.levels / 8:
            question = f"{name}, {CHIPS[name]}, {bits} bits, ε = {size:g} of {made.levels} units"
            chosen = LInf(size) if size else None
            kept.answer(question, lambda s=chosen: told(real, made.network, whole, s))


def gaps(kept: Kept, samples: int, root: Path | None) -> None:
    """Say d by bounds, by pairs and as seen, means over samples."""
    for name in ("64-64-10", "64-64-64-10"):
        make, source = NETWORKS[name]
        data = dataset(**source)
        network, inputs = trained(make, data), data.test.inputs[:samples]
        for bits in (8, 4):
            for size in EPSILONS:
                asked = network, rounded(network, bits), inputs, LInf(size / 255)
                kept.answer(f"gap of {name}, {bits} bits, ε = {size:g}/255", lambda q=asked: _gap(*q))


def _gap(a: SpikingNetwork, b: SpikingNetwork, inputs: Tensor, ball: LInf) -> dict[str, Any]:
    labels = a(inputs).argmax(1)
    found, generator = Gaps.of(a, b, inputs, labels, ball), torch.Generator().manual_seed(0)
    assert found is not None
    seen, worst = torch.zeros_like(found.joint), inputs
    for place in range(POINTS):
        points = ball.project(ball.sample(inputs, generator), inputs)
        if place % 2:
            signs = torch.randint(0, 2, inputs.shape, generator=generator) * 2.0 - 1.0
            points = ball.project(inputs + ball.epsilon * signs, inputs)
        seen = seen.maximum(_apart(a, b, points, labels).detach())
    for _ in range(POINTS):  # gradients of the widest gap
        worst = worst.detach().requires_grad_()
        apart = _apart(a, b, worst, labels)
        seen = seen.maximum(apart.detach())
        (slope,) = torch.autograd.grad(apart.amax(1).sum(), worst)
        worst = ball.project(worst.detach() + 0.2 * ball.epsilon * slope.sign(), inputs)
    if not bool((seen <= found.joint).all()):
        raise AssertionError("a gap was seen that is wider than its bound")
    sizes = {"naive": found.naive, "joint": found.joint, "seen": seen}
    return {name: round(float(gap.amax(1).mean()), 3) for name, gap in sizes.items()}


def _apart(a: SpikingNetwork, b: SpikingNetwork, points: Tensor, labels: Tensor) -> Tensor:
    logits = [build(points).double() for build in (a, b)]
    one, other = (each.gather(1, labels[:, None]) - each for each in logits)
    return (one - other).abs()


def tolerance(kept: Kept, samples: int, root: Path | None) -> None:
    """Say which share of weights certified networks bear: proven, at random corners, and as found."""
    for name in ZOO:
        network = load_zoo(name).eval()
        data = dataset(name.split("-linf")[0], root)
        inputs, labels = data.test.inputs[:samples], data.test.labels[:samples]
        right = network(inputs).argmax(1) == labels
        inputs, labels = inputs[right], labels[right]
        radii = kept.answer(f"{name}, proven", lambda n=network, x=inputs, y=labels: _proven(n, x, y))
        half = sorted(radii["shares"])[len(labels) // 2]
        print(f"{name}: half of {len(labels)} samples are proven up to p = {100 * half:.2f} %")
        for share in SHARES:
            asked = network, inputs, labels, share
            kept.answer(f"{name}, p = {share:g}, random", lambda q=asked: _random(*q))
            found = kept.answer(f"{name}, p = {share:g}, found", lambda q=asked: _found(*q))
            if found["standing"] * 4 < found["of"]:
                break


def _proven(network: SpikingNetwork, inputs: Tensor, labels: Tensor) -> dict[str, Any]:
    radii = certified_radius(network, inputs, labels, Tolerance(0.1), "trains", 1e-3)
    return {"shares": [round(radius.lower, 4) for radius in radii]}


@torch.no_grad()
def _random(network: SpikingNetwork, inputs: Tensor, labels: Tensor, share: float) -> dict[str, Any]:
    """Return how many samples all of a few random corners classify rightly."""
    nominal, generator = Tolerance(share).nominal(network), torch.Generator().manual_seed(0)
    standing = torch.ones_like(labels, dtype=torch.bool)
    for _ in range(DRAWS):
        member = moved(nominal, drawn(nominal, generator), Shares(share, 0.0, 0.0))
        standing &= member(inputs).argmax(1) == labels
    return {"standing": int(standing.sum()), "of": len(labels)}


def _found(network: SpikingNetwork, inputs: Tensor, labels: Tensor, share: float) -> dict[str, Any]:
    result = attack(network, inputs, labels, Tolerance(share), "fgsm")
    return {"standing": int((~result.success).sum()), "of": len(labels)}


PARTS = {"builds": builds, "gaps": gaps, "tolerance": tolerance}


def main() -> None:
    """Answer the questions of one part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--samples", type=int, default=60)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/twins"))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    PARTS[chosen.part](Kept(chosen.out), chosen.samples, chosen.root)


if __name__ == "__main__":
    main()
