"""What each verifier certifies, and how fast, beside the attack ensemble; checks the claims made about them.

    python benchmarks/bounds.py [--data digits] [--samples 100] [--cache DIR] [--csv FILE] [--root DIR]

Networks are trained here (bound_networks.py) and kept in --cache. Each cell, one column of one network at one ε,
is written to --csv as it comes and not measured again, so a run that was stopped goes on. auto_LiRPA is slow: it
sees the first samples only, and is compared on those. Times are CPU milliseconds a sample on one thread, the
least of three repetitions (of one, where a repetition takes over a second).
"""

import argparse
import csv
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from bound_networks import CASES, Case

from spikecert import LInf, SpikingNetwork, attack, verify
from spikecert.certify.verifiers import Lirpa, Verifier
from spikecert.training import Split
from spikecert.training.evaluation import accuracy

ENSEMBLE = "ensemble leaves"
LIRPA: dict[str, str | Verifier] = {"lirpa": Lirpa("best"), "alpha-crown": Lirpa("alpha-crown")}
VERIFIERS: dict[str, str | Verifier] = {"interval": "interval", "trains": "trains", "linear": "linear", **LIRPA}
COLUMNS = (ENSEMBLE, *VERIFIERS)
REPETITIONS, LONG = 3, 1.0
RATIO, SPEED = 1.8, 10.0

Key = tuple[str, float, str]


@dataclass(frozen=True)
class Cell:
    """One column of one network at one ε: a flag a sample, "1" where it is verified or the attack leaves it."""

    network: str
    epsilon: float
    column: str
    flags: str
    seconds: float

    @property
    def milliseconds(self) -> float:
        """Return milliseconds a sample."""
        return 1000 * self.seconds / len(self.flags)

    def __str__(self) -> str:
        of = f" of {len(self.flags)}" if self.column in LIRPA else ""
        return f"{self.flags.count('1')}{of} ({self.milliseconds:.2f} ms)"


class Store:
    """The cells measured so far, in a CSV file that is replaced as a whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cells: dict[Key, Cell] = {}
        if path.exists():
            with path.open(newline="") as file:
                for row in csv.DictReader(file):
                    numbers: dict[str, Any] = {name: float(row[name]) for name in ("epsilon", "seconds")}
                    self._put(Cell(**{**row, **numbers}))

    def _put(self, cell: Cell) -> None:
        self.cells[cell.network, cell.epsilon, cell.column] = cell

    def add(self, cell: Cell) -> None:
        """Add a cell and write the file."""
        self._put(cell)
        part = self.path.with_suffix(".part")
        with part.open("w", newline="") as file:
            writer = csv.DictWriter(file, [field.name for field in fields(Cell)])
            writer.writeheader()
            writer.writerows(asdict(cell) for cell in self.cells.values())
        os.replace(part, self.path)


def measured(case: Case, network: SpikingNetwork, epsilon: float, column: str, samples: Split) -> Cell:
    """Return one cell."""
    threat = LInf(epsilon)
    if column == ENSEMBLE:
        found, seconds = clocked(lambda: attack(network, samples.inputs, samples.labels, threat, "ensemble"), 1)
        flags = (~found.success).tolist()
    else:
        verdicts, seconds = clocked(
            lambda: verify(network, samples.inputs, samples.labels, threat, VERIFIERS[column]), REPETITIONS
        )
        flags = [verdict.status == "verified" for verdict in verdicts]
    return Cell(case.name, epsilon, column, "".join("01"[flag] for flag in flags), seconds)


def clocked(call: Callable[[], Any], repetitions: int) -> tuple[Any, float]:
    """Return what a call returns, and the least time of its repetitions."""
    started = time.process_time()
    result = call()
    least = time.process_time() - started
    if repetitions > 1 and least < LONG:
        least = min(least, clocked(call, repetitions - 1)[1])
    return result, least


def measure(case: Case, store: Store, arguments: argparse.Namespace) -> None:
    """Measure what is missing of one network."""
    missing = [(e, c) for e in case.epsilons for c in arguments.columns if (case.name, e, c) not in store.cells]
    if not missing:
        return
    data = case.samples(arguments.root)
    network = case.trained(data, arguments.cache)
    for epsilon, column in missing:
        count = arguments.lirpa_samples if column in LIRPA else arguments.samples
        store.add(measured(case, network, epsilon, column, data.test.take(torch.arange(count))))
        print(f"{case.name}, ε {epsilon}: {column} {store.cells[case.name, epsilon, column]}", flush=True)


def clean(case: Case, arguments: argparse.Namespace) -> float:
    """Return the accuracy on the whole test split."""
    data = case.samples(arguments.root)
    return accuracy(case.trained(data, arguments.cache), data.test)


def row(case: Case, epsilon: float, store: Store) -> dict[str, Cell]:
    """Return a network's cells at one ε.

    Raises:
        AssertionError: if a verified sample was attacked, or a bound lost a sample of the one it refines.
    """
    cells = {column: store.cells[case.name, epsilon, column] for column in COLUMNS}
    for tight, loose in ((ENSEMBLE, name) for name in VERIFIERS):
        assert not lost(cells[tight], cells[loose]), f"{case.name}, ε {epsilon}: {loose} verified what was broken"
    for tight, loose in (("trains", "interval"), ("linear", "trains")):
        assert not lost(cells[tight], cells[loose]), f"{case.name}, ε {epsilon}: {tight} lost what {loose} had"
    return cells


def lost(tight: Cell, loose: Cell) -> bool:
    """Return whether a sample is flagged in `loose` but not in `tight`."""
    return any(a < b for a, b in zip(tight.flags, loose.flags, strict=False))


def broken_claims(cells: dict[str, Cell]) -> list[str]:
    """Return the claims that a row breaks."""
    count = {column: cell.flags.count("1") for column, cell in cells.items()}
    told = []
    if 2 * count["interval"] < count[ENSEMBLE] and count["trains"] < RATIO * count["interval"]:
        told.append(f"trains {count['trains']} < {RATIO} × interval {count['interval']}")
    either = sum("1" in pair for pair in zip(*(cells[name].flags for name in LIRPA), strict=True))
    linear = cells["linear"].flags[: len(cells["lirpa"].flags)].count("1")
    if linear < either:
        told.append(f"linear {linear} < auto_LiRPA's best {either} on the same samples")
    faster = cells["alpha-crown"].milliseconds / cells["linear"].milliseconds
    if faster < SPEED:
        told.append(f"linear is {faster:.1f} × as fast as α-CROWN, expected {SPEED:g} ×")
    return told


def report(cases: list[Case], store: Store) -> None:
    """Print a Markdown table a network, and the rows that break a claim."""
    broken = []
    for case in cases:
        print(f"\n{case.name}, ℓ∞\n\n| ε | {' | '.join(COLUMNS)} |\n|{'---|' * (1 + len(COLUMNS))}")
        for epsilon in case.epsilons:
            cells = row(case, epsilon, store)
            print(f"| {epsilon} | {cells[ENSEMBLE].flags.count('1')} | ", end="")
            print(" | ".join(str(cells[column]) for column in VERIFIERS), "|")
            broken += [f"{case.name}, ε {epsilon}: {claim}" for claim in broken_claims(cells)]
    rows = sum(len(case.epsilons) for case in cases)
    print(f"\n{rows} rows. Claims broken: {len(broken)}.")
    for claim in broken:
        print(f"* {claim}")


def main() -> None:
    """Measure what is missing, then print all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    temporary = Path(tempfile.gettempdir()) / "spikecert-bounds"
    parser.add_argument("--data", choices=sorted({case.data for case in CASES}), help="one data set; default: all")
    parser.add_argument("--network", default="", help="only networks whose name holds this text")
    parser.add_argument("--samples", type=int, default=100, help="first test samples")
    parser.add_argument("--lirpa-samples", type=int, default=20, help="how many of them auto_LiRPA sees")
    parser.add_argument("--columns", nargs="*", choices=COLUMNS, default=COLUMNS, help="only these, no report")
    parser.add_argument("--root", type=Path, help="where the data set's files lie")
    parser.add_argument("--cache", type=Path, default=temporary, help="folder of the trained networks")
    parser.add_argument("--csv", type=Path, help="file of the cells; default: bounds.csv in the cache")
    parser.add_argument("--train-only", action="store_true", help="train the networks and stop")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.cache.mkdir(parents=True, exist_ok=True)
    cases = [c for c in CASES if c.data == (arguments.data or c.data) and arguments.network in c.name]
    if arguments.train_only:
        for case in cases:
            print(f"{case.name}: {100 * clean(case, arguments):.1f} % clean", flush=True)
        return
    store = Store(arguments.csv or arguments.cache / "bounds.csv")
    for case in cases:
        measure(case, store, arguments)
    if set(arguments.columns) == set(COLUMNS):
        report(cases, store)


if __name__ == "__main__":
    main()
