"""How large a set of networks may be: sizes that are proven, and sizes at which a member fails."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from ...models.deadline import Expired, Figures, Progress, passed, share, until
from ...models.networks import SpikingNetwork
from ..attacks.standard import quick_ensemble
from ..verdicts import Verdict
from .deciding import Asked, decide

Answer = Callable[[Asked], list[Verdict]]


@dataclass
class SizeEnds:
    """What is known of one sample: proven up to `lower`, fails at `upper`, on a grid of whole numbers.

    Attributes:
        lower, upper: places on the grid.
        counterexample, member: what fails at `upper`; None where nothing was found.
        verifier: what proved `lower`; None for nothing.
    """

    lower: int
    upper: int
    counterexample: Tensor | None = None
    member: SpikingNetwork | None = None
    verifier: str | None = None


@dataclass(frozen=True)
class SizeGrid:
    """The sizes that are asked about: `count` steps of `step`."""

    step: float
    count: int

    @staticmethod
    def of(asked: Asked, tolerance: float) -> "SizeGrid":
        """Return a grid of steps no longer than `tolerance`, of whole numbers where sizes are."""
        reach, whole = asked.networks.reach(asked.network, asked.inputs), asked.networks.grid
        if whole:
            return SizeGrid(whole, int(reach / whole))
        count = 2 ** max(1, math.ceil(math.log2(reach / tolerance)))
        return SizeGrid(reach / count, count)


def bracketed(
    asked: Asked, verifier: str, grid: SizeGrid, timeout: float | None, progress: Progress, figures: Figures
) -> list[SizeEnds]:
    """Return each sample's ends: sets that grow hold the lesser ones, so both are found by bisection.

    Args:
        asked: the samples; the set's own size plays no part.
        verifier: what proves, as `decide` takes it.
        grid: of sizes.
        timeout: seconds for a sample, on average; what is not asked by then stays open.
        progress: told after each query.
        figures: told before each query, its size as "epsilon" and how many samples it asks about as "asked".
    """
    deadline = until(timeout, len(asked.labels))
    clean = decide(replace(asked, networks=asked.networks.sized(0.0)), "interval")
    ends = [
        SizeEnds(0, 0, verdict.counterexample, verdict.member)
        if verdict.status == "falsified"
        else SizeEnds(0, grid.count)
        for verdict in clean
    ]
    proof = "trains" if verifier == "auto" and not asked.networks.grid else verifier

    def proven(part: Asked) -> list[Verdict]:
        return decide(part, proof, share(deadline, len(part.labels)))

    _bisect(asked, ends, grid, proven, True, deadline, progress, figures)
    if verifier == "auto":
        searched = partial(_searched, expired=partial(passed, deadline))
        _bisect(asked, ends, grid, searched, False, deadline, progress, figures)
    return ends


def _searched(part: Asked, expired: Expired) -> list[Verdict]:
    result = part.attacked(quick_ensemble(), expired)
    found = zip(result.success.tolist(), result.inputs, result.networks, strict=True)
    reason = "searched"
    return [
        Verdict("falsified", None, candidate, "attack", 0.0, reason, part.ties, member)
        if fails
        else Verdict("unknown", None, None, "attack", 0.0, reason, part.ties)
        for fails, candidate, member in found
    ]


def _bisect(
    asked: Asked,
    ends: list[SizeEnds],
    grid: SizeGrid,
    answer: Answer,
    unknown_is_high: bool,
    deadline: float | None,
    progress: Progress,
    figures: Figures,
) -> None:
    """Narrow ends until no size is between them, or unknown ones alone."""
    brackets = [[end.lower, end.upper] for end in ends]
    for place, samples in _asked_at(brackets):
        if passed(deadline):
            return
        index = torch.tensor(samples, device=asked.labels.device)
        size = place * grid.step
        figures("radius (networks)", {"epsilon": size, "asked": float(len(samples))})
        part = replace(asked.part(index), networks=asked.networks.sized(size))
        for sample, verdict in zip(samples, answer(part), strict=True):
            if verdict.status == "verified":
                ends[sample].lower = brackets[sample][0] = place
                ends[sample].verifier = verdict.verifier
            elif verdict.status == "falsified":
                brackets[sample][1] = place
                found = {"counterexample": verdict.counterexample, "member": verdict.member}
                ends[sample] = replace(ends[sample], upper=place, **found)
            else:
                brackets[sample][1 if unknown_is_high else 0] = place
        progress("radius (networks)", sum(high - low <= 1 for low, high in brackets), len(ends))


def _asked_at(brackets: list[list[int]]) -> Iterator[tuple[int, list[int]]]:
    """Yield a place strictly between the ends of some samples, and which, until there is none."""
    while True:
        places: dict[int, list[int]] = defaultdict(list)
        for sample, (low, high) in enumerate(brackets):
            if high - low > 1:
                places[(low + high) // 2].append(sample)
        if not places:
            return
        yield max(places.items(), key=lambda item: len(item[1]))
