"""Robust samples that each attack leaves, beside pyautoattack's standard run on the same network and samples.

    python benchmarks/attacks.py [--samples 200] [--quick] [--members]

Trains two 64-64-10 networks (T = 8, λ = .9) on digits, plainly and with single-step adversarial noise of .05, and
attacks test samples; the plain one also with thresholds and currents 50 times as great, which changes no output.
Each attack's inputs are judged alike: run alone, ties between logits count as failures.
With `--members` a second table says what each member of the standard attack adds to those before it.
Times are CPU seconds of one thread. pyautoattack is optional: `pip install --no-deps pyautoattack`.
"""

import argparse
import copy
import importlib.util
import time
import warnings
from dataclasses import replace

import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn import functional as F

from spikecert.certify import APGD, L2, LInf, attack
from spikecert.certify.attacks import AdaptiveArctan, Attack
from spikecert.certify.replay import replays
from spikecert.models import LIF, SpikingNetwork, mlp

METHODS: dict[str, str | Attack] = {
    **{name: name for name in ("fgsm", "pgd", "apgd-ce", "apgd-dlr")},
    "apgd-ce, adaptive": APGD(surrogate=AdaptiveArctan()),
    **{name: name for name in ("square", "sapgd", "guided", "ensemble-fast", "ensemble", "standard")},
}
UNIT = 50.0
SETS = (LInf(0.1), LInf(0.05), LInf(0.03), L2(0.5), L2(0.25))
REFERENCE = "pyautoattack"
TRAINED = 1297
"""Digits used for training; the others are attacked."""


def main() -> None:
    """Print one Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=200, help="test samples attacked")
    parser.add_argument("--members", action="store_true", help="what each member of the standard attack adds")
    parser.add_argument("--quick", action="store_true", help="leave pyautoattack out")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    installed = importlib.util.find_spec(REFERENCE) is not None
    if not installed:
        print(f"{REFERENCE} is not installed, its column is missing: pip install --no-deps {REFERENCE}\n")
    if arguments.members:
        members(arguments.samples)
        return
    columns = (*METHODS, REFERENCE) if installed and not arguments.quick else tuple(METHODS)
    print(f"| network | set | clean | {' | '.join(columns)} |")
    print("|" + "---|" * (3 + len(columns)))
    for name, noise in (("plain", 0.0), ("adversarial", 0.05)):
        network, inputs, labels = train(noise)
        rows(name, network, inputs[: arguments.samples], labels[: arguments.samples], columns)
        if not noise:
            other = in_another_unit(network)
            rows(f"{name}, × {UNIT:g}", other, inputs[: arguments.samples], labels[: arguments.samples], columns)


def members(samples: int) -> None:
    """Print what each member of the standard attack breaks of what those before it left."""
    subjects = {"plain": train(0.0), "adversarial": train(0.05)}
    found = {
        f"{name}, {threat.norm} {threat.epsilon:g}": attack(
            network, inputs[:samples], labels[:samples], threat, "standard"
        )
        for name, (network, inputs, labels) in subjects.items()
        for threat in SETS
    }
    print(f"| member | {' | '.join(found)} |")
    print("|" + "---|" * (1 + len(found)))
    for row in zip(*(result.members for result in found.values()), strict=True):
        if any(one.broken for one in row):
            print(f"| {row[0].name} | {' | '.join(str(one.broken) for one in row)} |")
    print(f"| **left** | {' | '.join(str(int((~result.success).sum())) for result in found.values())} |")


def in_another_unit(network: SpikingNetwork) -> SpikingNetwork:
    """Return the same function, with thresholds and the currents of neurons times `UNIT`."""
    found = copy.deepcopy(network)
    for neuron in found.neurons:
        neuron.dynamics = replace(neuron.dynamics, threshold=UNIT * neuron.dynamics.threshold)
    first = found.layers[0]
    assert isinstance(first, torch.nn.Linear)
    for parameter in first.parameters():
        parameter.data *= UNIT
    return found


def rows(name: str, network: SpikingNetwork, inputs: Tensor, labels: Tensor, columns: tuple[str, ...]) -> None:
    """Print a network's rows."""
    clean = standing(network, inputs, labels)
    for perturbation in SETS:
        cells = [measured(network, inputs, labels, perturbation, column) for column in columns]
        print(
            f"| {name} | {perturbation.norm} {perturbation.epsilon:g} | {clean} | {' | '.join(cells)} |",
            flush=True,
        )


def measured(network: SpikingNetwork, inputs: Tensor, labels: Tensor, perturbation: LInf | L2, method: str) -> str:
    """Return "robust samples left (CPU seconds)"."""
    started = time.process_time()
    if method == REFERENCE:
        found = reference(network, inputs, labels, perturbation)
        inside = perturbation.project(found, inputs)
        assert float((inside - found).abs().max()) < 1e-5, "pyautoattack left the set"
        found = inside
    else:
        found = attack(network, inputs, labels, perturbation, METHODS[method]).inputs
    seconds = time.process_time() - started
    return f"{standing(network, found, labels)} ({seconds:.1f} s)"


def standing(network: SpikingNetwork, inputs: Tensor, labels: Tensor) -> int:
    """Return how many samples are classified correctly, each run alone."""
    return sum(not replays(network, *pair, "strict") for pair in zip(inputs, labels.tolist(), strict=True))


def reference(network: SpikingNetwork, inputs: Tensor, labels: Tensor, perturbation: LInf | L2) -> Tensor:
    """Return the inputs of pyautoattack's standard run: APGD-CE, targeted APGD, targeted FAB and Square."""
    from pyautoattack import AutoAttack  # pyright: ignore[reportMissingImports]

    class Image(torch.nn.Module):
        """The network on 8×8 images: Square wants images."""

        def forward(self, images: Tensor) -> Tensor:
            return network(images.flatten(1))

    norm = {"linf": "Linf", "l2": "L2"}[perturbation.norm]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = AutoAttack(Image(), norm=norm, eps=perturbation.epsilon, seed=0, version="standard")
        found = run.run_standard_evaluation(inputs.reshape(-1, 1, 8, 8), labels, batch_size=len(inputs))
    return (found[0] if isinstance(found, tuple) else found).detach().flatten(1)


def train(noise: float, epochs: int = 30) -> tuple[SpikingNetwork, Tensor, Tensor]:
    """Return a network, and the samples that it was not trained on."""
    torch.manual_seed(0)
    data, target = load_digits(return_X_y=True)
    inputs, labels = torch.tensor(data / 16, dtype=torch.float32), torch.tensor(target)
    order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(1))
    inputs, labels = inputs[order], labels[order]
    network = mlp((64, 64, 10), num_steps=8, neuron=LIF(decay=0.9))
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    for _ in range(epochs):
        for batch in torch.randperm(TRAINED).split(64):
            loss = objective(network, inputs[batch], labels[batch], noise)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return network.eval(), inputs[TRAINED:], labels[TRAINED:]


def objective(network: SpikingNetwork, inputs: Tensor, labels: Tensor, noise: float) -> Tensor:
    """Return half the clean cross-entropy and half that of a single adversarial step."""
    start = (inputs + 0.001 * torch.randn_like(inputs)).requires_grad_()
    (gradient,) = torch.autograd.grad(F.cross_entropy(network(start), labels), start)
    moved = (start.detach() + noise * gradient.sign()).clamp(0, 1)
    return 0.5 * F.cross_entropy(network(inputs), labels) + 0.5 * F.cross_entropy(network(moved), labels)


if __name__ == "__main__":
    main()
