"""The standard attack against proofs: what it leaves, what "auto" proves, and which samples remain.

    python benchmarks/gaps.py --out FOLDER [--root MNIST] [--only mnist-linf-0.3] [--samples 100] [--timeout 10]

The networks of the zoo at their ε (MNIST), and one of moved digits (128-64-10, T = 6, λ = .9, 15 epochs of
cross-entropy) under flips, moves, and moves without overlaps. On the first test samples: right as they are, left
by "ensemble-fast", "ensemble" and "standard" (its members in order, each on what those before it left), proved by
"auto"; the gap in points; of the samples in it those that "auto" broke (the attack missed them) and those that
nobody decided. One thread. A sample that is proved and broken ends the run. What is finished lies in FOLDER, and a
run that was stopped goes on from there, member by member.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from spikecert import (
    LIF,
    CrossEntropy,
    LInf,
    Settings,
    SpikeFlip,
    SpikeShift,
    SpikingNetwork,
    dataset,
    fit,
    mlp,
    verify,
)
from spikecert.certified_networks import load_zoo
from spikecert.certify.attacks import ATTACKS, Ensemble
from spikecert.certify.perturbations import Perturbation
from spikecert.certify.replay import evaluating, fails
from spikecert.certify.ties import settled_ties
from spikecert.files import write_atomically
from spikecert.training import Split

LEVELS = ("ensemble-fast", "ensemble", "standard")
HEADS = ("network", "set", "clean", *LEVELS, "proved", "gap", "missed", "undecided", "attack s", "proof s")


@dataclass(frozen=True)
class Question:
    """A network and a set, by a name."""

    name: str
    threat: Perturbation
    network: Callable[[], SpikingNetwork]
    samples: Callable[[Path | None], Split]


def mnist(root: Path | None) -> Split:
    """Return MNIST's test samples."""
    return dataset("mnist", root).test


def moved_digits(_: Path | None = None) -> Split:
    """Return recordings of moved digits."""
    return dataset("digit-events", num_steps=6).test


def of_events() -> SpikingNetwork:
    """Return a network trained on moved digits."""
    torch.manual_seed(0)
    data = dataset("digit-events", num_steps=6)
    layers = nn.Flatten(), *mlp((128, 64, 10), num_steps=6, neuron=LIF(decay=0.9)).layers
    network = SpikingNetwork(*layers, num_steps=6, encoding="none")
    return fit(network, data, CrossEntropy(), Settings(epochs=15, optimizer="adam", batch_size=64)).network


def zoo(name: str, epsilon: float) -> Question:
    """Return a network of the zoo at an ε."""
    return Question(name, LInf(epsilon), lambda: load_zoo(name), mnist)


QUESTIONS = (
    zoo("mnist-linf-0.3", 0.3),
    zoo("mnist-linf-0.1", 0.1),
    zoo("mnist-rate-linf-0.08", 0.08),
    *(
        Question(f"digit-events-{name}", threat, of_events, moved_digits)
        for name, threat in (
            ("flips-2", SpikeFlip(2)),
            ("flips-5", SpikeFlip(5)),
            ("shift-5", SpikeShift(1, 5)),
            ("refuse-5", SpikeShift(1, 5, merge="refuse")),
        )
    ),
)


def main() -> None:
    """Print one Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--root", type=Path, help="the folder of MNIST's files")
    parser.add_argument("--only", nargs="+", help="names of questions")
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--timeout", type=float, default=10.0, help="of auto, seconds a sample")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print("|" + "|".join(HEADS) + "|\n|" + "---|" * len(HEADS))
    for question in QUESTIONS:
        if asked.only is None or question.name in asked.only:
            print(_row(question, asked), flush=True)


def _row(question: Question, asked: argparse.Namespace) -> str:
    network, split = question.network().eval(), question.samples(asked.root)
    inputs, labels = split.inputs[: asked.samples].to(network.dtype), split.labels[: asked.samples]
    store = Store(asked.out / f"{question.name}-{asked.samples}.json")
    ties = settled_ties(network, None)
    with evaluating(network), torch.no_grad():
        right = (~fails(network(inputs), labels, ties)).nonzero().flatten().tolist()
    left = attacked(network, inputs, labels, question.threat, ties, right, store)
    verdicts = proved(network, inputs, labels, question.threat, ties, right, asked.timeout, store)
    sure = [at for at in right if verdicts[at] == "verified"]
    assert not set(sure) - set(left["standard"]), "proved and broken"
    missed, open_ = ([at for at in left["standard"] if verdicts[at] == kind] for kind in ("falsified", "unknown"))
    print(f"{question.name}: missed {missed}, undecided {open_}", flush=True)
    counts = [len(right), *(len(left[level]) for level in LEVELS), len(sure)]
    gap = 100 * (len(left["standard"]) - len(sure)) / len(labels)
    told = [
        question.name,
        str(question.threat),
        *map(str, counts),
        f"{gap:.1f}",
        str(len(missed)),
        str(len(open_)),
    ]
    return "| " + " | ".join([*told, f"{store.seconds('attack'):.0f}", f"{store.seconds('proof'):.0f}"]) + " |"


def attacked(
    network: SpikingNetwork,
    inputs: Tensor,
    labels: Tensor,
    threat: Perturbation,
    ties: str,
    right: Sequence[int],
    store: "Store",
) -> dict[str, list[int]]:
    """Return which samples each level leaves; the levels' members are those of "standard", from the first on."""
    lists = {level: _members(ATTACKS[level](), threat) for level in LEVELS}
    names = [member.told for member in lists["standard"]]
    left: dict[str, list[int]] = {level: list(right) for level in LEVELS}
    standing = list(right)
    for place, member in enumerate(lists["standard"]):
        known = store.get(f"attack {place} {member.told}")
        if known is None:
            started, index = time.process_time(), torch.tensor(standing, dtype=torch.long)
            generator = torch.Generator().manual_seed(place)
            result = (
                member(network, inputs[index], labels[index], threat, generator, ties=ties) if standing else None
            )
            fell = [] if result is None else index[result.success].tolist()
            known = {"fell": fell, "seconds": time.process_time() - started}
            store.put(f"attack {place} {member.told}", known)
        standing = [at for at in standing if at not in known["fell"]]
        for level in LEVELS:
            if member.told in {one.told for one in lists[level]}:
                left[level] = [at for at in left[level] if at not in known["fell"]]
    assert len(set(names)) == len(names)
    return left | {"standard": standing}


def _members(attack: object, threat: Perturbation) -> tuple:
    assert isinstance(attack, Ensemble)
    if isinstance(threat, SpikeFlip):
        return attack.flips
    return attack.shifts if isinstance(threat, SpikeShift) else attack.members


def proved(
    network: SpikingNetwork,
    inputs: Tensor,
    labels: Tensor,
    threat: Perturbation,
    ties: str,
    right: Sequence[int],
    timeout: float,
    store: "Store",
) -> dict[int, str]:
    """Return the status of each sample that is right, ten at a time."""
    found: dict[int, str] = {}
    for start in range(0, len(right), 10):
        part = list(right[start : start + 10])
        known = store.get(f"proof {start} {timeout:g}")
        if known is None:
            started = time.process_time()
            verdicts = verify(network, inputs[part], labels[part], threat, "auto", timeout=timeout, ties=ties)
            known = {"status": [one.status for one in verdicts], "seconds": time.process_time() - started}
            store.put(f"proof {start} {timeout:g}", known)
        found |= dict(zip(part, known["status"], strict=True))
    return found


class Store:
    """What is finished, in one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.known = json.loads(path.read_text()) if path.is_file() else {}

    def get(self, key: str) -> dict | None:
        """Return what was kept."""
        return self.known.get(key)

    def put(self, key: str, value: dict) -> None:
        """Keep something."""
        self.known[key] = value
        write_atomically(self.path, json.dumps(self.known, indent=1).encode())

    def seconds(self, kind: str) -> float:
        """Return the CPU seconds of all attacks or proofs."""
        return sum(value["seconds"] for key, value in self.known.items() if key.startswith(kind))


if __name__ == "__main__":
    main()
