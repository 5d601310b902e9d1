"""The networks of docs/tables.md between the standard attack and proof: train them as there, then rank them.

    python benchmarks/leaderboard.py --out FOLDER [--root DATA] [--samples 50] [--timeout 5] [PROTOCOL …]

Each protocol's networks are those of its seed 0 (`spikecert run PROTOCOL --seeds 0`, measured on two samples
alone); `spikecert certify` then asks the standard attack and "auto" about the first test samples, at the ε of the
protocol. One thread. What is finished lies in FOLDER, and a run that was stopped goes on from there.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

QUESTIONS = {
    "results-digits": ("digits", "0.05"),
    "digits": ("digits", "8/255"),
    "cifar10-vgg5-small": ("cifar10", "8/255"),
    "depth-objectives": ("mnist", "0.1"),
    "results-fashion-mnist": ("fashion-mnist", "0.02"),
}
SEED = re.compile(r"(?P<row>.+)-seed-0-[0-9a-f]+")


def spikecert(*arguments: object) -> None:
    """Run the command line, in one thread."""
    command = [sys.executable, "-m", "spikecert", *map(str, arguments)]
    subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})


def networks(runs: Path, folder: Path) -> list[Path]:
    """Copy the trained networks of a protocol's runs to files named by their rows."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for path in sorted(runs.glob("*/network.safetensors")):
        if (named := SEED.fullmatch(path.parent.name)) is not None:
            found.append(Path(shutil.copy(path, folder / f"{named['row']}.safetensors")))
    return found


def main() -> None:
    """Train, attack, prove; the leaderboards lie in FOLDER/PROTOCOL."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("protocols", nargs="*", default=list(QUESTIONS), metavar="PROTOCOL")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--root", type=Path, help="the folder of the data sets' files")
    parser.add_argument("--samples", type=int, default=50)
    parser.add_argument("--timeout", type=float, default=5.0, help="of auto, seconds a sample")
    parser.add_argument("--only", help="rows whose names contain this")
    asked = parser.parse_args()
    root = () if asked.root is None else ("--root", asked.root)
    for name in asked.protocols:
        only = () if asked.only is None else ("--only", asked.only)
        runs = asked.out / "runs" / name
        spikecert("run", name, "--seeds", 0, "--samples", 2, "--out", runs, *root, *only)
        models = networks(runs / "runs", asked.out / "networks" / name)
        data, epsilon = QUESTIONS[name]
        question = ("--data", data, "--epsilon", epsilon, "--samples", asked.samples, "--timeout", asked.timeout)
        spikecert("certify", *models, *question, *root, "--out", asked.out / name)


if __name__ == "__main__":
    main()
