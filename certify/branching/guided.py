"""An attack that goes where a proof fails: branch and bound, for the inputs at which its parts are least."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from ...models.constants import at_least, settle
from ..attacks.base import Attack, Search, Target
from ..perturbations import Perturbation, RangedSet
from ..replay import replays
from .question import MarginQuestion
from .search import Search as TreeSearch


@dataclass(frozen=True)
class Guided(Attack):
    """The search of the verifier "complete", for what it breaks: each part's least inputs, and steps from there.

    Of networks that this search does not reach, it tries nothing.

    Args:
        nodes: after how many parts of its set, about, a sample is given up.

    Raises:
        TypeError, ValueError: for less than one.
    """

    nodes: int = 256
    name: str = "guided"
    accepts: ClassVar[tuple[type[Perturbation], ...]] = (RangedSet,)
    foreign: ClassVar[bool] = False

    def __post_init__(self) -> None:
        settle(self, at_least(1), "nodes")

    def propose(self, target: Target, generator: torch.Generator) -> Search:
        """Yield the counterexamples that the search finds."""
        with torch.no_grad():
            found = self._counterexamples(target)
        points = target.inputs.clone()
        for index, point in found.items():
            points[index] = point
        yield points

    def _counterexamples(self, target: Target) -> dict[int, Tensor]:
        logits = target.network(target.inputs)
        left = torch.ones_like(logits, dtype=torch.bool).scatter(1, target.labels[:, None], False)
        asked = target.network, target.inputs, target.labels, target.perturbation, left
        try:
            question = MarginQuestion.of_margins(*asked, target.ties)
            if question.roots() is None:
                return {}
            search = TreeSearch(patience=self.nodes * question.bytes_each)
            answer = search.run(question, partial(_breaks, target), None, target.expired)
        except OverflowError:  # bounds say nothing of such runs, so nothing leads there
            return {}
        return {} if answer is None else answer.counterexamples


def _breaks(target: Target, candidate: Tensor, index: int) -> bool:
    one = slice(index, index + 1)
    allowed = bool(target.perturbation.contains(candidate[None], target.inputs[one]).all())
    return allowed and replays(target.network, candidate, int(target.labels[index]), target.ties)
