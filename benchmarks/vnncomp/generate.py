"""Write a benchmark set in the competition's folder form: networks, properties and instances.csv.

    python benchmarks/vnncomp/generate.py SEED [--out FOLDER] [--samples 10] [--sets digits] [--vnnlib 2.0]

Networks of growing size are trained on the spot (single-step adversarial noise of .05, Adam), and the seed
chooses their initial weights and the test samples. A property says 'some other class reaches the label's logit
within ε, and within [0, 1]', so "holds" means robust. Each line of instances.csv is ONNX, property, seconds; our
own form of a network lies beside its ONNX.
"""

import argparse
import csv
import gzip
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from spikecert import LIF, MSMPPD, LInf, SingleStep, SpikingNetwork, dataset, fit, save
from spikecert.formats import robustness, write_onnx, write_vnnlib
from spikecert.runs.building import fresh_network


@dataclass(frozen=True)
class Entry:
    """One network: its hidden widths, steps, radii, and seconds for each instance."""

    data: str
    hidden: tuple[int, ...]
    num_steps: int
    epsilons: tuple[float, ...]
    timeout: float

    @property
    def name(self) -> str:
        """Return the network's file name, without its ending."""
        return f"{self.data}_{'-'.join(map(str, self.hidden))}_T{self.num_steps}"


ENTRIES = (
    Entry("digits", (32,), 4, (0.03, 0.0625), 60.0),
    Entry("digits", (64,), 8, (0.03, 0.05), 60.0),
    Entry("digits", (32, 32), 8, (0.01, 0.02), 60.0),
    Entry("digits", (64, 32), 4, (0.01, 0.02), 60.0),
    Entry("digits", (128, 64), 8, (0.01, 0.02), 120.0),
    Entry("fashion-mnist", (64,), 4, (0.01, 0.03), 120.0),
    Entry("fashion-mnist", (128,), 8, (0.01, 0.03), 120.0),
    Entry("fashion-mnist", (128, 64), 8, (0.005, 0.01), 120.0),
)


def trained(entry: Entry, seed: int, epochs: int) -> SpikingNetwork:
    """Train one network."""
    data = dataset(entry.data)
    hidden = "-".join(map(str, entry.hidden))
    network = fresh_network(f"mlp:{hidden}", data, entry.num_steps, LIF(decay=0.9), seed)
    objective = MSMPPD(rho=0.0, perturbation=SingleStep(epsilon=0.05))
    run = fit(network, data, objective, epochs=epochs, optimizer="adam", learning_rate=2e-3, seed=seed)
    return run.network.eval()


def properties(
    entry: Entry, network: SpikingNetwork, seed: int, count: int, version: str
) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each property: of test samples that the network gets right."""
    test = dataset(entry.data).test
    with torch.no_grad():
        right = (network(test.inputs).argmax(1) == test.labels).nonzero().flatten()
    order = torch.randperm(len(right), generator=torch.Generator().manual_seed(seed))
    for index in right[order[:count]].tolist():
        sample, label = test.inputs[index : index + 1], int(test.labels[index])
        for epsilon in entry.epsilons:
            low, high = LInf(epsilon).limits(sample)
            classes = int(test.labels.max()) + 1
            prop = replace(robustness(low, high, label, classes), output_shape=(1, classes))
            yield f"{entry.name}_{index}_{epsilon:g}", write_vnnlib(prop, version)


def write(
    folder: Path, entries: tuple[Entry, ...], seed: int, samples: int, epochs: int, version: str = "2.0"
) -> int:
    """Write the set; return how many instances it has."""
    for part in ("onnx", "vnnlib"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    rows = []
    for entry in entries:
        network = trained(entry, seed, epochs)
        model = Path("onnx") / f"{entry.name}.onnx"
        save(network, folder / model.with_suffix(".safetensors"))
        features = tuple(dataset(entry.data).test.inputs.shape[1:])
        (folder / model).write_bytes(write_onnx(network, features))
        for name, text in properties(entry, network, seed, samples, version):
            path = Path("vnnlib") / f"{name}.vnnlib.gz"
            (folder / path).write_bytes(gzip.compress(text.encode("utf-8"), mtime=0))
            rows.append((model.as_posix(), path.as_posix(), f"{entry.timeout:g}"))
        print(f"{entry.name}: {len(rows)} instances so far", flush=True)
    with (folder / "instances.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    return len(rows)


def main() -> None:
    """Read the arguments and write the set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seed", type=int)
    parser.add_argument("--out", type=Path, default=Path("runs/vnncomp"))
    parser.add_argument("--samples", type=int, default=10, help="Test samples for each network.")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--sets", default="digits,fashion-mnist")
    parser.add_argument("--vnnlib", choices=("1.0", "2.0"), default="2.0", help="The properties' version.")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    chosen = tuple(entry for entry in ENTRIES if entry.data in arguments.sets.split(","))
    write(arguments.out, chosen, arguments.seed, arguments.samples, arguments.epochs, arguments.vnnlib)


if __name__ == "__main__":
    main()
