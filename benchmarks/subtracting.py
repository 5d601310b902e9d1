"""Subtracting resets and spike counts: what each verifier proves of what the attack leaves, and how fast.

    python benchmarks/subtracting.py [--network digits] [--samples 40] [--timeout 30] [--cache DIR] [--root DIR]

The digits networks are trained plainly here (600 Adam steps on counts, fires at >); "tutorial" is the network of
snnTorch's tutorials, 784-1000-10, β = .95, T = 25, its own delayed reset by subtraction, trained on MNIST (--root:
the four IDX files) in snnTorch and converted. "windows" is what "trains" was before F9. Cells are kept in
--cache/cells.csv as they come, and not measured again. Times are CPU milliseconds a sample on one thread.
"""

import argparse
import itertools
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from bounds import ENSEMBLE, Cell, Store, clocked, lost
from torch import nn

from spikecert import LIF, LInf, SpikingNetwork, attack, dataset, from_snntorch, load, save, verify
from spikecert.certify.bounds.trains.trains import step_spikes, window_spikes
from spikecert.certify.verifiers import BoundVerifier, Verifier
from spikecert.training import Split

VERIFIERS: dict[str, str | Verifier] = {
    "interval": "interval",
    "windows": BoundVerifier("windows", (step_spikes, window_spikes)),
    "trains": "trains",
    "linear": "linear",
    "complete": "complete",
}
COLUMNS = (ENSEMBLE, *VERIFIERS)
SHALLOW, DEEP, TUTORIAL = (1.0, 2.0, 4.0, 8.0), (0.5, 1.0, 2.0, 4.0), (0.5, 1.0, 2.0, 4.0)


@dataclass(frozen=True)
class Case:
    """One network and the ε, in 255ths, at which it is asked."""

    name: str
    epsilons: tuple[float, ...]
    data: str
    trained: Callable[[Split], SpikingNetwork]


def digits(sizes: tuple[int, ...], steps: int, decay: float) -> Case:
    """Return a case on digits, trained on its spike counts."""

    def trained(train: Split) -> SpikingNetwork:
        """Return the network after 600 steps of Adam."""
        torch.manual_seed(0)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(sizes):
            layers += [nn.Linear(before, after), LIF(decay, 1.0, "subtract", fires_at=">")]
        network = SpikingNetwork(*layers, num_steps=steps, readout="spikes")

        def loss(inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            """Return the cross-entropy of the counts, by 4."""
            return nn.functional.cross_entropy(network(inputs) * steps / 4, labels)

        return stepped(network, train, loss, 600, 64, 2e-3)

    name = f"digits {'-'.join(map(str, sizes))}, T={steps}, λ={decay}"
    return Case(name, SHALLOW if len(sizes) == 3 else DEEP, "digits", trained)


def tutorial(train: Split) -> SpikingNetwork:
    """Return snnTorch's tutorial network after one epoch on its membrane's cross-entropies, summed over time."""
    import snntorch

    torch.manual_seed(0)

    class Net(nn.Module):
        """Two Leaky layers, as the tutorials have them."""

        def __init__(self) -> None:
            super().__init__()
            self.fc1, self.lif1 = nn.Linear(784, 1000), snntorch.Leaky(beta=0.95)
            self.fc2, self.lif2 = nn.Linear(1000, 10), snntorch.Leaky(beta=0.95)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            """Return spikes and membranes over 25 steps."""
            one, two = self.lif1.init_leaky(), self.lif2.init_leaky()
            found = []
            for _ in range(25):
                spikes, one = self.lif1(self.fc1(x), one)
                spikes, two = self.lif2(self.fc2(spikes), two)
                found.append((spikes, two))
            return tuple(torch.stack(parts) for parts in zip(*found, strict=True))  # type: ignore[return-value]

    net = Net()
    steps = len(train.inputs) // 128

    def loss(inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the sum of the steps' cross-entropies."""
        membranes = net(inputs)[1]
        return 25 * nn.functional.cross_entropy(membranes.flatten(0, 1), labels.repeat(25))

    stepped(net, train, loss, steps, 128, 5e-4)
    return from_snntorch(net.eval(), train.inputs[:8].flatten(1), readout="spikes")


def stepped(
    network: nn.Module,
    train: Split,
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    steps: int,
    batch: int,
    rate: float,
) -> Any:
    """Return the network after so many steps of Adam."""
    optimizer, generator = torch.optim.Adam(network.parameters(), rate), torch.Generator().manual_seed(0)
    inputs, labels = train.inputs.flatten(1), train.labels
    for _ in range(steps):
        rows = torch.randint(len(inputs), (batch,), generator=generator)
        optimizer.zero_grad()
        loss(inputs[rows], labels[rows]).backward()
        optimizer.step()
    return network.eval()


CASES = (
    digits((64, 64, 10), 25, 0.95),
    digits((64, 64, 64, 10), 25, 0.95),
    digits((64, 64, 10), 8, 0.95),
    digits((64, 64, 64, 10), 8, 0.95),
    digits((64, 64, 10), 25, 0.9),
    digits((64, 64, 10), 25, 0.5),
    digits((64, 64, 10), 25, 1.0),
    digits((64, 64, 64, 10), 25, 1.0),
    Case("tutorial 784-1000-10, T=25, β=.95", TUTORIAL, "mnist", tutorial),
)


def measured(
    case: Case, network: SpikingNetwork, epsilon: float, column: str, test: Split, timeout: float
) -> Cell:
    """Return one cell."""
    threat, inputs = LInf(epsilon / 255), test.inputs.flatten(1)
    if column == ENSEMBLE:
        found, seconds = clocked(lambda: attack(network, inputs, test.labels, threat, "ensemble"), 1)
        flags = (~found.success).tolist()
    else:
        limit = timeout if column == "complete" else None
        verify(network, inputs[:1], test.labels[:1], threat, VERIFIERS["trains"])  # kernels are built
        verdicts, seconds = clocked(
            lambda: verify(network, inputs, test.labels, threat, VERIFIERS[column], timeout=limit), 1
        )
        flags = [verdict.status == "verified" for verdict in verdicts]
    return Cell(case.name, epsilon, column, "".join("01"[flag] for flag in flags), seconds)


def measure(case: Case, store: Store, arguments: argparse.Namespace) -> None:
    """Measure what is missing of one network."""
    asked = [(e, column) for e in case.epsilons for column in arguments.columns]
    missing = [key for key in asked if (case.name, *key) not in store.cells]
    if not missing:
        return
    data = dataset(case.data, arguments.root)
    path = arguments.cache / f"{case.name}.safetensors"
    if not path.exists():
        save(case.trained(data.train), path)
    network = load(path)
    test = data.test.take(torch.arange(arguments.samples))
    for epsilon, column in missing:
        store.add(measured(case, network, epsilon, column, test, arguments.timeout))
        print(f"{case.name}, {epsilon:g}/255: {column} {store.cells[case.name, epsilon, column]}", flush=True)


def report(case: Case, store: Store, columns: tuple[str, ...]) -> None:
    """Print a Markdown table of a network; what the attack breaks must not be verified."""
    print(f"\n{case.name}\n\n| ε·255 | {' | '.join(columns)} |\n|{'---|' * (1 + len(columns))}")
    for epsilon in case.epsilons:
        cells = {column: store.cells[case.name, epsilon, column] for column in columns}
        if ENSEMBLE in cells:
            assert not any(lost(cells[ENSEMBLE], cell) for cell in cells.values()), f"{case.name}: a broken sample"
        print(f"| {epsilon:g} | {' | '.join(map(str, cells.values()))} |")


def main() -> None:
    """Measure what is missing, then print all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    temporary = Path(tempfile.gettempdir()) / "spikecert-subtracting"
    parser.add_argument("--network", default="", help="only networks whose name holds this text")
    parser.add_argument("--samples", type=int, default=40, help="first test samples")
    parser.add_argument("--timeout", type=float, default=30.0, help='seconds a sample of "complete"')
    parser.add_argument("--columns", nargs="*", choices=COLUMNS, default=COLUMNS, help="only these")
    parser.add_argument("--root", type=Path, help="where MNIST's files lie")
    parser.add_argument("--cache", type=Path, default=temporary, help="folder of networks and cells")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.cache.mkdir(parents=True, exist_ok=True)
    store = Store(arguments.cache / "cells.csv")
    cases = [case for case in CASES if arguments.network in case.name]
    for case in cases:
        measure(case, store, arguments)
    for case in cases:
        report(case, store, tuple(arguments.columns))


if __name__ == "__main__":
    main()
