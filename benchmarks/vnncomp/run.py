"""Decide all instances of a folder; results.csv grows line by line, and what it holds is not done again.

    python benchmarks/vnncomp/run.py FOLDER [--verifier auto] [--results results.csv] [--timeout SECONDS]

A line is network, property, result (holds, violated, timeout, unknown or error), seconds. Counterexamples go to
FOLDER/counterexamples/ in the competition's form; each one is read back and run again before it counts.
"""

import argparse
import csv
import time
from collections import Counter
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import torch

from spikecert import SpikingNetwork
from spikecert.formats import (
    VnnlibProperty,
    competition_result,
    read_counterexample,
    read_onnx,
    read_vnnlib,
    verify_property,
)
from spikecert.formats.deciding import input_shape

Instance = tuple[str, str, float]


def instances(folder: Path) -> list[Instance]:
    """Return the lines of instances.csv."""
    with (folder / "instances.csv").open(newline="", encoding="utf-8") as file:
        return [(model, question, float(seconds)) for model, question, seconds in csv.reader(file)]


def done(results: Path) -> set[tuple[str, str]]:
    """Return the instances that results.csv holds; a last line that was cut off is removed."""
    if not results.is_file():
        return set()
    lines = results.read_text(encoding="utf-8").splitlines(keepends=True)
    whole = [line for line in lines if line.endswith("\n")]
    results.write_text("".join(whole), encoding="utf-8")
    return {(row[0], row[1]) for row in csv.reader(whole)}


@lru_cache(maxsize=1)
def loaded(path: Path) -> SpikingNetwork:
    """Return a network; the next instance mostly asks about the same one."""
    return read_onnx(path)


def decide(folder: Path, instance: Instance, verifier: str, limit: float | None) -> str:
    """Return an instance's result, and write its counterexample."""
    model, question, seconds = instance
    try:
        network, prop = loaded(folder / model), read_vnnlib(folder / question)
        found = verify_property(network, prop, verifier, limit or seconds)
    except (ValueError, TypeError, OSError, OverflowError) as error:
        print(f"error: {question}: {error}", flush=True)
        return "error"
    if found.status == "violated":
        path = folder / "counterexamples" / f"{Path(question).name.removesuffix('.gz')}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(competition_result(found, prop=prop), encoding="utf-8")
        check(network, prop, path)
    return found.status


def check(network: SpikingNetwork, prop: VnnlibProperty, path: Path) -> None:
    """Raise RuntimeError unless a written counterexample violates the property when it is run again."""
    written = read_counterexample(path.read_text(encoding="utf-8"))
    if written is None:
        raise RuntimeError(f"{path}: names no counterexample")
    inputs = (
        torch.tensor(written[0], dtype=torch.float64).reshape(1, *input_shape(network, prop)).to(network.dtype)
    )
    with torch.no_grad():
        outputs = network(inputs)[0].tolist()
    if not prop.violated(tuple(map(Fraction, written[0])), tuple(map(Fraction, outputs))):
        raise RuntimeError(f"{path}: the counterexample does not replay")


def main() -> None:
    """Run what is left and print a summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--verifier", default="auto")
    parser.add_argument("--results", type=Path, help="Default: FOLDER/results.csv.")
    parser.add_argument("--timeout", type=float, help="Seconds for each instance, in place of its own.")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results = arguments.results or arguments.folder / "results.csv"
    finished = done(results)
    for instance in instances(arguments.folder):
        if instance[:2] in finished:
            continue
        started = time.perf_counter()
        status = decide(arguments.folder, instance, arguments.verifier, arguments.timeout)
        with results.open("a", newline="", encoding="utf-8") as file:
            line = (*instance[:2], status, f"{time.perf_counter() - started:.3f}")
            csv.writer(file, lineterminator="\n").writerow(line)
    with results.open(newline="", encoding="utf-8") as file:
        counts = Counter(row[2] for row in csv.reader(file))
    print(", ".join(f"{count} {status}" for status, count in sorted(counts.items())))


if __name__ == "__main__":
    main()
