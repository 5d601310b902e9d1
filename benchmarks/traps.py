"""Hunt for false verdicts on random networks with constants of every numeric type; exit status 1 if there is one.

    python benchmarks/traps.py --count 20000 --folder DIR [--seed S] [--only INDEX] [--constant KIND] [--alike]
                               [--minutes M]

Each network (trap_networks.py) is asked about a few radii near where its class changes, by several verifiers. What
is proved is then attacked: no allowed input may have another class or a margin below the proven one, each
counterexample must be allowed and fail alone, no logit may leave its bounds. Sets of changed events
(trap_events.py) are so small that all of their members are run. `--count` is of *non-trivial* questions: one
sample at one radius, verified by at least one verifier, where an input of another class was found and run within
twice the radius (flips: 2k + 1; sets that are listed: the next whole size). The state is written every 30 seconds:
a killed run goes on from there. A false verdict is written to DIR/false.jsonl, an unexpected exception to
DIR/errors.jsonl; --only runs that network again.
"""

import argparse
import json
import math
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from trap_alike import Alike
from trap_asking import VERIFIERS, asked
from trap_counts import State, Tags, one_line, report
from trap_draw import KINDS, WHOLE, Draw
from trap_events import Listed
from trap_networks import Drawn, drawn
from trap_samples import LEAST, family_of, labelled, varied
from trap_search import Family, Problem, candidates, climbed, nearest, turned

from spikecert import Verdict, bounds, verify
from spikecert.certify.perturbations import Perturbation
from spikecert.certify.ties import TIES

SAVED = 30.0
BOUNDED = ("interval", "trains")
RADII = (0.1, 0.35, 0.6, 0.85)
"""Which samples' distances, in order of size, radii are made of."""


@dataclass
class Trial:
    """One network of a campaign."""

    state: State
    folder: Path
    index: int
    draw: Draw
    made: Drawn
    problem: Problem
    family: Family

    @property
    def tags(self) -> Tags:
        """Return what its events are counted under."""
        return {**self.made.tags, "set": (self.family.name,), "ties": (self.problem.ties,)}

    def run(self) -> None:
        """Ask about some radii, and then again after what must not matter has changed."""
        others, distance = self._nearest()
        self.state.networks += 1
        sizes = list(dict.fromkeys(self._sizes(distance)))
        for size in sizes:
            self._ask(size, others, distance)
        if sizes and self._changed_in_place():
            self._ask(sizes[0], *self._nearest())

    def _nearest(self) -> tuple[Tensor, Tensor]:
        """Return the nearest inputs of another class that were found, and at which sizes sets hold them."""
        if isinstance(self.family, Listed):
            return self.family.nearest(self.problem)
        return nearest(self.problem, self.family, self.draw.generator)

    def _changed_in_place(self) -> bool:
        """Double the torch scalars that constants were made of: a verdict must be about the network as it runs."""
        tensors = [scalar for scalar in self.draw.scalars if isinstance(scalar, Tensor)]
        if not tensors or self.draw.random.random() < 0.5:
            return False
        for tensor in tensors:
            tensor.mul_(2 if not tensor.is_floating_point() else 0.5)
        with torch.no_grad():
            logits = self.problem.network(self.problem.inputs)
        self.problem = labelled(self.problem.network, self.problem.inputs, logits, self.problem.ties)
        return len(self.problem.labels) > 1

    def _sizes(self, distance: Tensor) -> Iterator[float]:
        """Yield radii at which some samples are just robust."""
        known = distance[distance.isfinite()].sort().values.tolist()
        if not known:
            if self.draw.random.random() < 0.1:  # nothing changes the class: ask all the same, now and then
                yield 1.0
            return
        if isinstance(self.family, Listed):
            yield from (k - 0.5 for k in (1.0, 2.0) if k >= known[0])
            yield from (k for k in (1.0, 2.0) if k + 1 in known)
            return
        least = self.draw.random.choice((0.55, 0.85))
        for share in RADII:
            size = known[int(share * len(known))]
            yield (
                max(1.0, int(size) // 2)
                if self.family.name == "l0"
                else size * self.draw.random.uniform(0.51, least)
            )

    def _ask(self, size: float, others: Tensor, distance: Tensor) -> None:
        """Ask all verifiers about one radius, and attack what they say."""
        listed = isinstance(self.family, Listed)
        threat = self.family.at(size) if listed else turned(self.family, size, self._turn())
        size = float(getattr(threat, "epsilon", size))
        answers = dict(self._verdicts(threat, distance <= self.family.doubled(size)))
        wide = self.family.at(self.family.doubled(size))
        varies = self.family.holds(wide, others, self.problem.inputs) & self.problem.other(others[None])[0]
        proven = torch.zeros(len(varies), dtype=torch.bool)
        for name, (which, verdicts) in answers.items():
            tags = {**self.tags, "verifier": (name,)}
            for position, verdict in zip(which, verdicts, strict=True):
                self.state.add(tags, "asked")
                self.state.add(tags, verdict.status)
                if verdict.status == "verified" and bool(varies[position]):
                    self.state.add(tags, "non-trivial")
                    proven[position] = True
        self.state.questions += int(proven.sum())
        self._attack(threat, answers, others)

    def _turn(self) -> Callable[[float], Any]:
        """Return what turns the radius into a number of this network's type, or a plain one."""
        plain = "int" if self.family.name == "l0" else "float"
        turned = self.draw.kind in (WHOLE if self.family.name == "l0" else KINDS) and not self.draw.plain
        return KINDS[self.draw.kind if turned and self.draw.random.random() < 0.3 else plain]

    def _verdicts(
        self, threat: Perturbation, near: Tensor
    ) -> Iterator[tuple[str, tuple[list[int], list[Verdict]]]]:
        """Yield each verifier's name, the places of its samples and its verdicts."""
        for name, which, seconds in asked(self.draw, near):
            if (found := self._verify(threat, name, which, seconds)) is not None:
                yield name, (which, found)

    def _verify(
        self, threat: Perturbation, name: str, which: list[int], seconds: float | None
    ) -> list[Verdict] | None:
        part, verifier = torch.tensor(which), VERIFIERS.get(name, name)
        asked = self.problem.network, self.problem.inputs[part], self.problem.labels[part], threat, verifier
        try:
            return verify(*asked, timeout=seconds, ties=self.problem.ties)
        except (TypeError, ValueError) as error:
            if not one_line(str(error)):
                raise
            self.state.add({**self.tags, "verifier": (name,)}, "refused")
            return None

    def _attack(
        self, threat: Perturbation, answers: dict[str, tuple[list[int], list[Verdict]]], others: Tensor
    ) -> None:
        claims = [
            (name, position, verdict)
            for name, (which, verdicts) in answers.items()
            for position, verdict in zip(which, verdicts, strict=True)
        ]
        for name, position, verdict in claims:
            self._check_counterexample(threat, name, position, verdict)
        proven = {position for _, position, verdict in claims if verdict.status == "verified"}
        worst, where = self._worst(threat, others, proven)
        for name, position, verdict in claims:
            margin = float(worst[position])
            if verdict.status == "verified" and margin <= 0:
                self._false(threat, name, position, f"verified, but a margin is {margin!r}", where[position])
            elif verdict.margin is not None and margin < verdict.margin:
                claim = f"proved margin {verdict.margin!r}, but one is {margin!r}"
                self._false(threat, name, position, claim, where[position])

    def _worst(self, threat: Perturbation, others: Tensor, proven: set[int]) -> tuple[Tensor, Tensor]:
        """Return each sample's least margin found, (batch,), and where, (batch, ...); check bounds of logits.

        Those that are `proven` are run alone, too: a batch may add in another order than a sample alone.
        """
        ends = {name: self._bounds(threat, name) for name in BOUNDED}
        worst, where = torch.full((len(others),), math.inf, dtype=torch.float64), self.problem.inputs.clone()
        for tried in self._pool(threat, others):
            worst, where = self._kept(worst, where, tried)
            self._check_logits(threat, ends, tried)
        if not isinstance(self.family, Listed):
            for tried in climbed(self.problem, threat, where, self.draw.generator):
                worst, where = self._kept(worst, where, tried)
        for index in proven:
            worst[index] = min(float(worst[index]), self.problem.alone(where[index], index))
        return worst, where

    def _pool(self, threat: Perturbation, others: Tensor) -> Iterator[Tensor]:
        """Return all inputs of a set that is listed, and some of any other."""
        if isinstance(self.family, Listed):
            return self.family.lists(threat, self.problem.inputs)
        thorough = self.draw.random.random() < 0.3
        return candidates(self.problem, threat, others, self.draw.generator, thorough)

    def _kept(self, worst: Tensor, where: Tensor, tried: Tensor) -> tuple[Tensor, Tensor]:
        least, which = self.problem.margins(tried).min(0)
        best = tried[which, torch.arange(len(which))]
        lower = (least < worst).view(-1, *([1] * (best.dim() - 1)))
        return worst.minimum(least), torch.where(lower, best, where)

    def _bounds(self, threat: Perturbation, name: str) -> Any:
        try:
            return bounds(self.problem.network, self.problem.inputs, threat, name)
        except OverflowError:
            return None
        except (TypeError, ValueError) as error:
            if not one_line(str(error)):
                raise
            return None

    @torch.no_grad()
    def _check_logits(self, threat: Perturbation, ends: dict[str, Any], tried: Tensor) -> None:
        logits = self.problem.network(tried.flatten(0, 1)).double().view(*tried.shape[:2], -1)
        for name, proven in ends.items():
            if proven is None:
                continue
            escaped = ((logits < proven.lower) | (logits > proven.upper)).any(2)
            for attempt, index in escaped.nonzero().tolist()[:1]:
                self._false(threat, name, index, "a logit leaves its bounds", tried[attempt, index])

    def _check_counterexample(self, threat: Perturbation, name: str, position: int, verdict: Verdict) -> None:
        found = verdict.counterexample
        if found is None:
            return
        inputs = self.problem.inputs[position : position + 1]
        if not bool(self.family.holds(threat, found[None], inputs)):
            self._false(threat, name, position, "a counterexample is not allowed", found)
        elif self.problem.alone(found, position) > 0:
            self._false(threat, name, position, "a counterexample is classified right", found)

    def _false(self, threat: Perturbation, name: str, position: int, claim: str, where: Tensor) -> None:
        self.state.add({**self.tags, "verifier": (name,)}, "false")
        told = {"seed": self.state.seed, "index": self.index, "verifier": name, "claim": claim}
        told |= {"threat": repr(threat), "network": repr(self.problem.network), "tags": self.tags}
        told |= {"scalars": [f"{type(scalar).__name__} {scalar!r}" for scalar in self.draw.scalars]}
        sample = self.problem.inputs[position]
        told |= {"sample": _hex(sample), "label": int(self.problem.labels[position]), "input": _hex(where)}
        append(self.folder / "false.jsonl", told)


def _hex(tensor: Tensor) -> list[str]:
    return [value.hex() for value in tensor.double().flatten().tolist()]


def append(path: Path, told: dict[str, Any]) -> None:
    """Write one line of JSON at the end of a file."""
    with path.open("a") as file:
        print(json.dumps(told), file=file, flush=True)


def trial(state: State, folder: Path, index: int, kind: str | None, draws: type[Draw]) -> None:
    """Try the network `index`, and some of them again with plain floats in place of its other constants.

    What an odd constant leaves in a cache must not be read for the plain number that equals it.
    """
    draw = draws.of(state.seed, index, kind)
    attempt(state, folder, index, draw)
    if draw.scalars and draw.random.random() < 0.3:
        attempt(state, folder, index, replace(draws.of(state.seed, index, kind), plain=True))


def attempt(state: State, folder: Path, index: int, draw: Draw) -> None:
    """Try one network; count a refusal, or keep an unexpected exception."""
    try:
        made = drawn(draw)
        family, inputs = family_of(draw, made)
        problem = labelled(made.network, inputs, varied(draw, made, inputs), draw.random.choice(TIES))
        if len(problem.labels) > LEAST:
            Trial(state, folder, index, draw, made, problem, family).run()
    except Exception as error:
        if isinstance(error, TypeError | ValueError) and one_line(str(error)):
            state.add({"constant": (draw.name,)}, "refused")
            return
        state.errors += 1
        told = {"seed": state.seed, "index": index, "constant": draw.name, "error": traceback.format_exc()}
        append(folder / "errors.jsonl", told)


def campaign(arguments: argparse.Namespace) -> State:
    """Go on until enough is counted or the time is up."""
    arguments.folder.mkdir(parents=True, exist_ok=True)
    path = arguments.folder / "state.json"
    state = State.read(path, arguments.seed)
    started = saved = time.perf_counter()
    before = state.seconds
    while state.questions < arguments.count and state.seconds - before < 60 * arguments.minutes:
        trial(state, arguments.folder, state.index, arguments.constant, arguments.draws)
        state.index += 1
        now = time.perf_counter()
        state.seconds = before + now - started
        if now - saved > SAVED:
            state.write(path)
            saved = now
        if sys.stderr.isatty():
            told = f"{state.questions} of {arguments.count}, false: {state.counts['all|all|false']}"
            print(f"\r{told}", end="", file=sys.stderr)
    state.write(path)
    return state


def main() -> int:
    """Run, print the table, and return 1 if a verdict was false or an exception unexpected."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000, help="non-trivial questions")
    parser.add_argument("--folder", type=Path, required=True, help="of the state and what is found")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="run one network again and stop")
    parser.add_argument("--constant", choices=("subnormal", *KINDS), help="only constants of one type")
    parser.add_argument(
        "--alike",
        dest="draws",
        action="store_const",
        const=Alike,
        default=Draw,
        help="networks that subtract, most of their layers of one λ and θ",
    )
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop after so long")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.only is None:
        try:
            state = campaign(arguments)
        except ValueError as error:
            parser.error(str(error))
    else:
        state = State(arguments.seed, index=arguments.only)
        arguments.folder.mkdir(parents=True, exist_ok=True)
        trial(state, arguments.folder, arguments.only, arguments.constant, arguments.draws)
    print(report(state))
    return int(state.counts["all|all|false"] > 0 or state.errors > 0)


if __name__ == "__main__":
    sys.exit(main())
