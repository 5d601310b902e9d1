"""One sample, class by class: a bound from the closed program, a counterexample from either."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ...models.circuit import circuit
from ..attacks.base import Attack
from ..perturbations import RangedSet
from ..problem import Problem
from ..replay import replays
from .closing import Closing
from .encoding import Encoding, EncodingError, Layers, encode
from .program import Expressions
from .solving.solver import LARGEST, Watch, minimise
from .solving.tree import ProgramTree

GAP_ERROR = 1e-12
"""Relative error of float64 in a run's own margins, where they are held against a bound."""


@dataclass(frozen=True)
class ProgramSettings:
    """How to search: see `certify.verifiers.milp.Milp`."""

    layers: Layers
    tolerance: float
    attack: Attack
    patience: int | None = None


@dataclass
class ProgramSearch:
    """The programs of one sample.

    Args:
        problem: of one sample.
        settings: how to search.

    Attributes:
        counterexample: an allowed input that fails when run alone, once there is one.
        tried: the last solution that did not replay, as an allowed input.
        gaps: the least logit_y − logit_k that a run of an allowed input had, (classes,).
    """

    problem: Problem
    settings: ProgramSettings
    counterexample: Tensor | None = None
    tried: Tensor | None = None
    gaps: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.gaps = self._run(self.problem.inputs)
        self._floor = self.problem.goal.floor(self.problem.labels, len(self.gaps))[0]
        self._closed = self._encoded(Closing(closed=True))

    def margin(self, other: int) -> float:
        """Return a proven lower bound of logit_y − logit_other, −inf if there is none; or set `counterexample`."""
        bound, floor = self._bound(other), float(self._floor[other])
        if bound <= floor and self.counterexample is None:
            self._attack()
        if bound <= floor and self.counterexample is None and not self.problem.expired():
            self._search_open(other)
        return bound

    def _bound(self, other: int) -> float:
        """Minimise over the closed program, until HiGHS' bound is enough or a point shows that it can't be.

        HiGHS is asked first since its cuts decide fast whether a proof is worth its tree.
        """
        objective, paid = self._objective(self._closed, other)
        enough = paid + float(self._floor[other])

        def accept(solution: np.ndarray) -> bool:
            """End the search at a point that the bound can't pass, and try to replay it."""
            hopeless = bool(objective.at(solution)[0] <= enough)
            if hopeless:
                self._replay(self._closed, solution)
            return hopeless

        model, watch = self._closed.model, Watch(enough, accept)
        nodes = self._most_nodes(self._closed)
        found = minimise(model, objective, watch, self.problem.deadline, nodes=nodes)
        if found.infeasible:  # the sample itself is feasible: presolve errs now and then
            found = minimise(model, objective, watch, self.problem.deadline, presolve=False, nodes=nodes)
        if found.bound <= enough or self._refuted(other, found.bound - paid, paid):
            return -np.inf
        limits = self.problem.deadline, nodes, self.problem.memory, self.problem.told
        proven = ProgramTree(model, objective, enough, *limits).proven() - paid
        return -np.inf if self._refuted(other, proven, paid) else proven

    def _refuted(self, other: int, bound: float, paid: float) -> bool:
        """Return whether a run contradicts a bound; inf, which calls the program infeasible, always is."""
        return bound > float(self.gaps[other]) + GAP_ERROR * paid

    def _search_open(self, other: int) -> None:
        """Minimise over the open program, whose solutions keep away from every threshold."""
        opened = self._encoded(Closing(closed=False))
        objective, _ = self._objective(opened, other)
        enough = float(self._floor[other])

        def accept(solution: np.ndarray) -> bool:
            """End the search at a solution that replays."""
            return bool(objective.at(solution)[0] <= enough) and self._replay(opened, solution)

        nodes = self._most_nodes(opened)
        minimise(opened.model, objective, Watch(enough, accept), self.problem.deadline, nodes=nodes)

    def _most_nodes(self, encoding: Encoding) -> int | None:
        """Return how many nodes of a program's tree may be solved: patience is for searches without a deadline."""
        patience = self.settings.patience
        return (
            None if patience is None or self.problem.deadline is not None else patience // encoding.model.rows.nnz
        )

    def _encoded(self, closing: Closing) -> Encoding:
        problem = self.problem
        box = problem.perturbation.enclosure(problem.inputs)
        encoding = encode(circuit(problem.network), box, closing, self.settings.layers)
        if encoding.model.largest > LARGEST:
            raise OverflowError(f"program: got a number of {encoding.model.largest:.3g}, above {LARGEST:g}")
        if self._most_nodes(encoding) == 0:
            got = f"{encoding.model.rows.nnz} entries, above the {self.settings.patience}"
            raise EncodingError(f"program: got {got} that are solved without a time limit")
        return encoding

    def _objective(self, encoding: Encoding, other: int) -> tuple[Expressions, float]:
        """Return logit_y − logit_other, and what its bound must pass: the logits' rounding and the tolerance."""
        label = int(self.problem.labels[0])
        pair = encoding.logits.taken(np.array([label])) - encoding.logits.taken(np.array([other]))
        size = np.abs(pair.matrix.data).max(initial=0.0) + np.abs(pair.constant).max()
        rounding = encoding.slack[label] + encoding.slack[other]
        return pair, float(rounding + self.settings.tolerance * max(1.0, size))

    @torch.no_grad()
    def _run(self, inputs: Tensor) -> Tensor:
        """Return logit_y − logit_k of one input run alone, (classes,)."""
        logits = self.problem.network(inputs)[0].double()
        return logits[int(self.problem.labels[0])] - logits

    def _replay(self, encoding: Encoding, solution: np.ndarray) -> bool:
        """Run the input of a solution, moved into the set; keep it if it fails."""
        inputs = self.problem.inputs
        return self._keep(self.problem.perturbation.project(encoding.point(solution, inputs[0])[None], inputs))

    def _keep(self, candidate: Tensor) -> bool:
        """Keep an allowed input, (1, ...), if it fails when run alone."""
        allowed = bool(self.problem.perturbation.contains(candidate, self.problem.inputs))
        if not allowed:
            return False
        self.tried = candidate
        self.gaps = self.gaps.minimum(self._run(candidate))
        if replays(self.problem.network, candidate[0], int(self.problem.labels[0]), self.problem.ties):
            self.counterexample = candidate[0]
        return self.counterexample is not None

    def _attack(self) -> None:
        """Search around the last solution, for real-valued sets."""
        problem = self.problem
        if self.tried is None or not isinstance(problem.perturbation, RangedSet) or problem.expired():
            return
        asked = problem.network, problem.inputs, problem.labels, problem.perturbation, problem.generator()
        around = self.settings.attack(*asked, self.tried, ties=problem.ties)
        self._keep(around.inputs)
