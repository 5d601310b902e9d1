"""Add to an entry of the zoo what is left of its network without its time: what `spikecert ablate` says.

python -m benchmarks.zoo_ablation mnist-linf-0.1 --root mnist
python -m benchmarks.zoo_ablation order-shift-1 --retrain 30
"""

import argparse
import contextlib
import io
import json
import shlex
from pathlib import Path

from spikecert.certified_networks import Ablated, Entry, load_zoo, pack, zoo
from spikecert.cli import main as spikecert


def main() -> None:
    """Run the command, and write the file again with its figures."""
    asked = _arguments()
    entry = next(one for one in zoo() if one.name == asked.name)
    command = ["ablate", f"zoo:{entry.name}", "--data", entry.data]
    if asked.retrain is not None:
        command += ["--retrain", str(asked.retrain)]
    told = shlex.join(["spikecert", *command, *(["--root", "DATA"] if asked.root else [])])
    rows = _rows(command + (["--root", str(asked.root)] if asked.root else []), entry)
    content = {**dict(entry), "ablation": rows, "ablated": told}
    print(pack(load_zoo(entry.name), Entry(**content)), told, *rows, sep="\n")


def _rows(command: list[str], entry: Entry) -> tuple[Ablated, ...]:
    written = io.StringIO()
    with contextlib.redirect_stdout(written):
        status = spikecert([*command, "--json"])
    if status != 0:
        raise SystemExit(status)
    found = json.loads(written.getvalue())
    if found["samples"] != entry.samples:
        raise ValueError(f"samples: got {found['samples']}, expected the entry's {entry.samples}")
    return tuple(Ablated(name=row["name"], right=round(row["accuracy"] * entry.samples)) for row in found["rows"])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("--root", type=Path)
    parser.add_argument("--retrain", type=int)
    return parser.parse_args()


if __name__ == "__main__":
    main()
