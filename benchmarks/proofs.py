"""Proofs of each kind of network: how many samples get one, what finding and checking take, and their size.

    python benchmarks/proofs.py [--cache FOLDER] [--mnist FOLDER] [--samples N] [NAME ...]

Digits networks of λ = .9 trained with single-step noise of .05 from seed 0; with `--mnist` one of the zoo, too.
The first test samples, each by itself, one thread, a time limit a sample. Prints Markdown: CPU seconds of the
process, and of the native kernel; "checked in" is for all proofs, certificates made meanwhile; then what making
all certificates takes without rules of several neurons at once, and checking those, by the kernel in Python and
by the native one (—: not built, or it has no rule for this network, or a proof needs these rules).
"""

import argparse
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import torch
from torch import nn

from spikecert import L2, LIF, MSMPPD, LInf, Residual, SingleStep, SpikingNetwork, dataset, fit, load, save
from spikecert.certified_networks import load_zoo
from spikecert.certify.proofs import Disproved, Prover, Unproven
from spikecert.checking import Network, Refused, check, read_network
from spikecert.checking.certificates import elaborate
from spikecert.checking.kernel import check_certificate
from spikecert.checking.short import check_native
from spikecert.training import Dataset

LIMIT = 20.0
"""Seconds for a proof."""


def _lif(reset: str = "zero") -> LIF:
    return LIF(decay=0.9, reset=reset)


def _dense(*sizes: int, reset: str = "zero") -> list[nn.Module]:
    """Return Linear layers with neurons between them."""
    layers: list[nn.Module] = [nn.Flatten()]
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), _lif(reset)]
    return layers[:-1]


def _images() -> list[nn.Module]:
    first = [nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), _lif()]
    second = [nn.Conv2d(8, 12, 3, padding=1), nn.BatchNorm2d(12), _lif()]
    return [*first, *second, nn.AvgPool2d(2), nn.Flatten(), nn.Linear(48, 10)]


def _greatest() -> list[nn.Module]:
    first = [nn.Conv2d(1, 8, 3, padding=1), _lif(), nn.MaxPool2d(2)]
    return [*first, nn.Flatten(), nn.Linear(128, 32), _lif(), nn.Linear(32, 10)]


def _residual() -> list[nn.Module]:
    sums = [Residual([nn.Linear(32, 32), _lif()]), Residual([nn.Linear(32, 32), _lif()])]
    return [nn.Flatten(), nn.Linear(64, 32), _lif(), *sums, nn.Linear(32, 10)]


@dataclass(frozen=True)
class Row:
    """A network's layers, T and readout, or its name in the zoo; the ball; how many samples."""

    layers: Callable[[], list[nn.Module]]
    steps: int
    ball: LInf | L2
    samples: int = 20
    readout: str = "mean"
    zoo: str | None = None


ROWS = {
    "64-64-10": Row(lambda: _dense(64, 64, 10), 8, LInf(0.03)),
    "64-64-10, wider": Row(lambda: _dense(64, 64, 10), 8, LInf(0.05)),
    "64-64-10, l2": Row(lambda: _dense(64, 64, 10), 8, L2(0.2)),
    "64-64-32-10": Row(lambda: _dense(64, 64, 32, 10), 4, LInf(0.02)),
    "64-64-32-10, soft reset": Row(lambda: _dense(64, 64, 32, 10, reset="subtract"), 4, LInf(0.01)),
    "64-64-32-10, no reset": Row(lambda: _dense(64, 64, 32, 10, reset="none"), 4, LInf(0.01)),
    "64-128-64-10": Row(lambda: _dense(64, 128, 64, 10), 8, LInf(0.01)),
    "two convolutions, batch norms, a pool": Row(_images, 4, LInf(0.01)),
    "a convolution, a max pool": Row(_greatest, 4, LInf(0.01)),
    "two residual sums of 32": Row(_residual, 4, LInf(0.01)),
    "64-64-10, spikes": Row(lambda: [*_dense(64, 64, 10), _lif()], 8, LInf(0.02), readout="spikes"),
    "64-64-10, last potential": Row(
        lambda: [*_dense(64, 64, 10), _lif("none")], 8, LInf(0.03), readout="potential"
    ),
}
ZOO = {"zoo: mnist-linf-0.1": Row(list, 4, LInf(0.1), 5, zoo="mnist-linf-0.1")}


def images() -> Dataset:
    """Return digits as images (1, 8, 8)."""
    data = dataset("digits")
    parts = {name: getattr(data, name) for name in ("train", "validation", "test")}
    parts = {name: replace(part, inputs=part.inputs.unflatten(1, (1, 8, 8))) for name, part in parts.items()}
    return replace(data, **parts, shape=(1, 8, 8))


def trained(row: Row, path: Path) -> SpikingNetwork:
    """Return a row's network, from its file or trained."""
    if row.zoo is not None:
        save(load_zoo(row.zoo), path)
    elif not path.exists():
        torch.manual_seed(0)
        network = SpikingNetwork(*row.layers(), num_steps=row.steps, readout=row.readout)
        objective = MSMPPD(rho=0.0, perturbation=SingleStep(epsilon=0.05))
        save(fit(network, images(), objective, epochs=30, optimizer="adam", learning_rate=2e-3).network, path)
    return load(path)


def seconds_of(work: Callable[[], object], who: int = resource.RUSAGE_SELF) -> float:
    """Return the CPU seconds that some work takes, of this process or of those that it starts."""
    before = resource.getrusage(who)
    work()
    after = resource.getrusage(who)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def kernels(paths: list[Path], model: Network, file: Path) -> str:
    """Return what certificates of proofs take: to make, to check in Python, and natively."""
    lines: list[list[str]] = []
    told = []
    made = seconds_of(lambda: lines.extend(list(elaborate(path, model, joint=False)) for path in paths))
    for checks, who in (
        (lambda: [check_certificate(iter(each), model) for each in lines], resource.RUSAGE_SELF),
        (lambda: [check_native(file, each) for each in lines], resource.RUSAGE_CHILDREN),
    ):
        try:
            told.append(f"{seconds_of(checks, who):.2f} s")
        except Refused:
            told.append("—")
    return f"{made:.2f} s | {' | '.join(told)}"


def measured(name: str, row: Row, folder: Path, data: Dataset) -> str:
    """Return a row of the table."""
    network = trained(row, folder / f"{name}.safetensors")
    prover, why = Prover.of(network), Counter[str]()
    proofs, started = [], time.process_time()
    for index in range(row.samples):
        sample, label = data.test.inputs[index], int(data.test.labels[index])
        try:
            proofs.append((prover.prove(sample, label, row.ball, LIMIT), folder / f"{name}.{index}.proof"))
        except Disproved:
            why["falsified"] += 1
        except Unproven:
            why["open"] += 1
    found = time.process_time() - started
    for proof, path in proofs:
        proof.save(path)
    model, seconds = read_network(folder / f"{name}.safetensors"), []
    for _, path in proofs:
        started = time.process_time()
        check(path, model)
        seconds.append(time.process_time() - started)
    size = sum(path.stat().st_size for _, path in proofs) / 1024
    verified = "; ".join([f"{len(proofs)} of {row.samples}", *(f"{count} {what}" for what, count in why.items())])
    most = max(proof.leaves for proof, _ in proofs)
    return (
        f"| {name}, T = {row.steps} | {row.ball.norm} {row.ball.epsilon:g} | {verified} | {found:.1f} s "
        f"| {size:.0f} KiB | {sum(seconds):.2f} s | {most} leaves, {max(seconds):.2f} s "
        f"| {kernels([path for _, path in proofs], model, folder / f'{name}.safetensors')} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"rows; all by default: {', '.join(ROWS)}")
    parser.add_argument("--mnist", type=Path, help="where MNIST is: then the network of the zoo is measured, too")
    parser.add_argument("--samples", type=int, help="how many of each, in place of the row's own number")
    parser.add_argument("--cache", type=Path, help="where networks and proofs stay")
    arguments = parser.parse_args()
    rows = ROWS if arguments.mnist is None else ROWS | ZOO
    unknown = [name for name in arguments.names if name not in rows]
    if unknown:
        parser.error(f"NAME: got {unknown[0]!r}, expected one of {', '.join(rows)}")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.cache or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        print(
            "| network | ball | verified with a proof | found in | size of all | checked in | worst sample "
            "| certificates made in | checked in Python | natively |"
        )
        print("|---|---|---|---|---|---|---|---|---|---|")
        for name in arguments.names or rows:
            data = images() if name in ROWS else dataset("mnist", arguments.mnist)
            row = replace(rows[name], samples=arguments.samples or rows[name].samples)
            print(measured(name, row, folder, data), flush=True)


if __name__ == "__main__":
    main()
