"""Hold what the checker of proofs derives, by itself, against runs: exit status 1 if a margin is false.

    python benchmarks/checker_prices.py --folder DIR [--samples 10000] [--minutes M] [--seed S] [--only INDEX]

No search for proofs takes part. A tiny network of the elements that proofs cover (price_networks.py), a set around
a sample, a class and another one; a tree of random valid splits, at each leaf the best of a few random prices (and
multipliers), which no checker may trust. What the checker makes of them must be at most the margin of any run: of
all members of a set of events, or of corners, random and climbed inputs of a ball. Where all leaves close, the
proof is written, checked as a file, and must have the same margin. `--samples` is of margins where the order of
both classes changes within about twice the set ("non-trivial"). The state is written every 30 seconds: a killed
run goes on from there. What is false is written to DIR/false.jsonl, an unexpected exception to DIR/errors.jsonl.
"""

import argparse
import json
import math
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from price_networks import Draw, Family, Threat, drawn, family, sample_of
from price_trees import Guesses, Listed
from torch import Tensor
from trap_counts import State

from spikecert import SpikingNetwork
from spikecert.certify.proofs.asked import AskedSet, asked_of
from spikecert.checking import Refused, check
from spikecert.checking.bound import Question
from spikecert.checking.network.model import Network, parse_network
from spikecert.checking.short import FORMAT
from spikecert.checking.ties import suffices
from spikecert.models.files import checkpoints
from spikecert.models.files.storage import write_tensors

SAMPLES = 8
MOST_LISTED = 4000
"""The most members of a set of events: all are run."""
SAVED = 30.0
TRIVIAL = 0.05
"""How often a set is asked about where nothing changes the order within twice the set."""


@dataclass
class Trial:
    """One network of a campaign."""

    state: State
    folder: Path
    index: int
    draw: Draw
    network: SpikingNetwork
    exact: Network
    sets: Family
    shape: tuple[int, ...]
    numbers: np.random.Generator

    @property
    def tags(self) -> dict[str, tuple[str, ...]]:
        """Return what margins are counted under."""
        names = {type(module).__name__ for module in self.network.modules()} - {"SpikingNetwork", "ModuleList"}
        resets = {getattr(neuron, "neuron", neuron).reset for neuron in self.network.neurons}
        return {
            "module": tuple(sorted(names)),
            "reset": tuple(sorted(resets)),
            "encoding": (self.network.encoding,),
            "readout": (self.network.readout,),
            "dtype": (str(self.network.dtype).removeprefix("torch."),),
            "set": (type(self.sets.at(0)).__name__,),
            "T": (str(self.draw.steps),),
        }

    def run(self) -> None:
        """Ask about some samples."""
        for _ in range(SAMPLES):
            sample = sample_of(self.draw, self.shape, self.sets.events).to(self.network.dtype)
            inputs = list(self._inputs(sample))
            if len(inputs) > 1:
                logits = self._logits(torch.cat(inputs)).split([len(part) for part in inputs])
                self._ask(sample, list(zip(inputs, logits, strict=True)))

    def _ask(self, sample: Tensor, runs: list[tuple[Tensor, Tensor]]) -> None:
        """Ask about all other classes than the sample's, each about a set within which its order just changes."""
        label = int(runs[0][1][0].argmax())
        changes = [(logits[:, label, None] <= logits).any(0) for _, logits in runs]
        wide = torch.stack([*changes[1:], changes[-1]])
        wide[:, label] = False
        levels = wide.any(1).nonzero().flatten().tolist()
        if levels:
            level = self.draw.random.choice(levels[:2])
        elif self.draw.often(TRIVIAL):
            level = self.draw.random.randrange(len(runs))
        else:
            return
        self._margins(sample, label, self.sets.at(level), runs[level], wide[level].tolist())

    def _margins(
        self, sample: Tensor, label: int, threat: Threat, run: tuple[Tensor, Tensor], varies: list[bool]
    ) -> None:
        asked = asked_of(threat, sample)
        cells, side = self.draw.random.choice(((0, 0), (2, 2), (4, 0), (4, 4), (12, 8)))
        question = Question(self.exact, asked.inputs(self.exact), cells, side)
        listed, margins, closed, ties = {}, [], True, self.draw.random.choice(("argmax", "strict"))
        for other in range(question.classes):
            if other == label:
                continue
            listed[other] = Listed()
            guessed = Guesses(self.draw, self.numbers, question, label, other, listed[other])
            bounds = list(guessed.bounds(question.first.everything))
            known = [bound for bound in bounds if bound is not None]
            self.state.add(self.tags, "margins")
            if varies[other]:
                self.state.add(self.tags, "non-trivial")
                self.state.questions += 1
            if not known:
                self._false(threat, sample, label, other, "no leaf holds a run", sample)
                continue
            margin = min(known) * question.graph.unit
            self._hold(threat, sample, label, other, margin, run)
            margins.append(margin)
            closed &= suffices(question.graph, label, other, min(known), ties)
            self.state.add(self.tags, "above 0", int(margin > 0 and varies[other]))
        if closed and margins:
            self._check(asked, label, listed, (cells, side), ties, min(margins))
            if bool((run[1].argmax(1) != label).any()):
                self._false(
                    threat, sample, label, -1, "accepted, and another class is the first of the greatest", sample
                )

    def _hold(
        self, threat: Threat, sample: Tensor, label: int, other: int, margin: Fraction, run: tuple[Tensor, Tensor]
    ) -> None:
        """Hold a margin against runs, in batches and alone; of a ball climb from the worst."""
        inputs, logits = run
        apart = logits[:, label].double() - logits[:, other].double()
        for _ in range(0 if self.sets.events else 2):
            best = inputs[apart.argsort()[:4]].repeat(12, *[1] * sample.dim())
            moved = torch.rand(best.shape, generator=self.draw.generator) < 0.5
            far = torch.where(moved, self._thrown(threat, sample, len(best)), best)
            near = far + 0.05 * torch.randn(best.shape, generator=self.draw.generator).to(far)
            tried = torch.cat([self._allowed(threat, far, sample), self._allowed(threat, near, sample)])
            more = self._logits(tried)
            inputs = torch.cat([inputs, tried])
            apart = torch.cat([apart, more[:, label].double() - more[:, other].double()])
        worst = inputs[int(apart.argmin())]
        alone = self._logits(worst[None])[0]
        for one in (logits[int((logits[:, label].double() - logits[:, other].double()).argmin())], alone):
            if Fraction(float(one[label])) - Fraction(float(one[other])) < margin:
                self._false(threat, sample, label, other, f"margin {float(margin)!r}", worst)
                return

    def _check(
        self,
        asked: AskedSet,
        label: int,
        listed: dict[int, Listed],
        cells: tuple[int, int],
        ties: str,
        margin: Fraction,
    ) -> None:
        """Write the proof; the checker must accept it, with the same margin."""
        text: dict[str, Any] = {"label": label, "network": self.exact.digest, "norm": asked.norm, "ties": ties}
        text |= {"cells": cells[0], "side": cells[1]}
        tensors: dict[str, Any] = {"sample": asked.sample}
        if asked.rules is None:
            text |= {"lower": asked.lower, "upper": asked.upper}
            tensors |= {"radius": asked.radius}
        else:
            text |= {"events": asked.rules.described}
            tensors |= asked.rules.masks
        tensors = {name: torch.from_numpy(part) for name, part in tensors.items()}
        for other, tree in listed.items():
            tensors |= tree.tensors(other)
        path = self.folder / "accepted.proof"
        write_tensors(path, FORMAT, json.dumps(text), tensors)
        found = check(path, self.exact).margin
        if not max(margin, Fraction(0)) >= Fraction(found) >= max(margin, Fraction(0)) * (1 - Fraction(1, 2**50)):
            raise AssertionError(f"the file has margin {found!r}, the leaves {float(margin)!r}")
        self.state.add(self.tags, "accepted")

    def _inputs(self, sample: Tensor) -> Iterator[Tensor]:
        """Yield inputs of each set, the sample first: of events all, as long as they can be listed."""
        for threat in map(self.sets.at, range(self.sets.levels)):
            if not self.sets.events:
                yield torch.cat([sample[None], self._spread(threat, sample)])
                continue
            members = threat.members(sample)  # pyright: ignore[reportAttributeAccessIssue]
            if members is None or members.count > MOST_LISTED:
                return
            yield torch.cat([sample[None], *(part.to(sample) for part in members.batches(1024))])

    def _spread(self, threat: Threat, sample: Tensor) -> Tensor:
        batch = sample.expand(60, *sample.shape)
        inside = threat.sample(batch, self.draw.generator)
        return torch.cat([self._allowed(threat, self._thrown(threat, sample, 100), sample), inside])

    def _thrown(self, threat: Threat, sample: Tensor, count: int) -> Tensor:
        """Return points of the border."""
        shape = (count, *sample.shape)
        way = torch.randn(shape, generator=self.draw.generator).to(sample) * 1e3
        return threat.project(sample + way, sample.expand(shape))

    def _allowed(self, threat: Threat, inputs: Tensor, sample: Tensor) -> Tensor:
        batch = sample.expand(len(inputs), *sample.shape)
        made = threat.project(inputs, batch)
        return made[threat.contains(made, batch)]

    @torch.no_grad()
    def _logits(self, inputs: Tensor) -> Tensor:
        return self.network(inputs)

    def _false(self, threat: Threat, sample: Tensor, label: int, other: int, claim: str, where: Tensor) -> None:
        self.state.add(self.tags, "false")
        told = {"seed": self.state.seed, "index": self.index, "claim": claim, "label": label, "other": other}
        told |= {"threat": repr(threat), "network": repr(self.network), "tags": self.tags}
        told |= {"sample": sample.tolist(), "input": where.tolist()}
        append(self.folder / "false.jsonl", told)


def append(path: Path, told: dict[str, Any]) -> None:
    """Write one line of JSON at the end of a file."""
    with path.open("a") as file:
        print(json.dumps(told), file=file, flush=True)


def trial(state: State, folder: Path, index: int) -> None:
    """Try the network `index`; count what has no proof form, keep an unexpected exception."""
    draw = Draw.of(state.seed, index)
    numbers = np.random.default_rng(draw.random.getrandbits(60))
    try:
        network, shape = drawn(draw)
        exact = parse_network(checkpoints.to_bytes(network), "network")
        Trial(state, folder, index, draw, network, exact, family(draw, network, shape), shape, numbers).run()
        state.networks += 1
    except Refused as error:
        state.add({"refused": (str(error)[:60],)}, "refused")
    except Exception:
        state.errors += 1
        append(folder / "errors.jsonl", {"seed": state.seed, "index": index, "error": traceback.format_exc()})


def campaign(arguments: argparse.Namespace) -> State:
    """Go on until enough is counted or the time is up."""
    path = arguments.folder / "state.json"
    state = State.read(path, arguments.seed)
    started = saved = time.perf_counter()
    before = state.seconds
    while state.questions < arguments.samples and state.seconds - before < 60 * arguments.minutes:
        trial(state, arguments.folder, state.index)
        state.index += 1
        now = time.perf_counter()
        state.seconds = before + now - started
        if now - saved > SAVED:
            state.write(path)
            saved = now
        if sys.stderr.isatty():
            told = f"{state.questions} of {arguments.samples}, false: {state.counts['all|all|false']}"
            print(f"\r{told}", end="", file=sys.stderr)
    state.write(path)
    return state


EVENTS = ("margins", "non-trivial", "above 0", "accepted", "refused", "false")


def report(state: State) -> str:
    """Return the counts as a Markdown table."""
    lines = [
        f"{state.questions} non-trivial margins on {state.networks} networks, seed {state.seed}, "
        f"{state.seconds:.0f} s, {state.counts['all|all|false']} false, {state.errors} unexpected exceptions",
        "",
        f"| | | {' | '.join(EVENTS)} |",
        "|---" * (2 + len(EVENTS)) + "|",
    ]
    for group, name in sorted({tuple(key.split("|")[:2]) for key in state.counts}):
        cells = [str(state.counts[f"{group}|{name}|{event}"]) for event in EVENTS]
        lines.append(f"| {group} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Run, print the table, and return 1 if a margin was false or an exception unexpected."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=10_000, help="non-trivial margins")
    parser.add_argument("--folder", type=Path, required=True, help="of the state and what is found")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="run one network again and stop")
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop after so long")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    if arguments.only is None:
        try:
            state = campaign(arguments)
        except ValueError as error:
            parser.error(str(error))
    else:
        state = State(arguments.seed, index=arguments.only)
        trial(state, arguments.folder, arguments.only)
    print(report(state))
    return int(state.counts["all|all|false"] > 0 or state.errors > 0)


if __name__ == "__main__":
    sys.exit(main())
