"""One sample, class by class: a bound from the closed program, a counterexample from either.

Rows of a property as expressions of a program, and the greatest of several as a variable of its own.

The run's outputs lie within `slack` of the program's, so a row k·y + e·x + o of the run lies within Σ|k|·slack of
its expression, and what float64 loses of its sums beside. With t ≥ v_r for all rows r, the least t over the
program is the least of max_r v_r.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from ...models.circuit import circuit
from ..attacks.base import Attack
from ..perturbations import RangedSet
from ..problem import Problem
from ..questions.rows import RowGoal
from .encoding import Encoding, EncodingError, Layers, encode
from .program import Closing, Expressions, Model, stacked
from .solver import LARGEST, ProgramTree, Watch, minimise

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
        seen: logit_y − logit_k for each k, or the rows of a property, of runs of allowed inputs, (runs, columns).
    """

    problem: Problem
    settings: ProgramSettings
    counterexample: Tensor | None = None
    tried: Tensor | None = None
    seen: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.seen = self._run(self.problem.inputs)[None]
        self._floor = self.problem.goal.floor(self.problem.labels, self.seen.shape[1])[0]
        self._closed = self._encoded(Closing(closed=True))

    def margin(self, others: list[int]) -> float:
        """Return a proven bound of the greatest of some columns, −inf if there is none; or set `counterexample`.

        A column is logit_y − logit_k for a class k, or a row of a property.
        """
        bound, floor = self._bound(others), self._target(others)
        if bound <= floor and self.counterexample is None:
            self._attack()
        if bound <= floor and self.counterexample is None and not self.problem.expired():
            self._search_open(others)
        return bound

    def _target(self, others: list[int]) -> float:
        """Return what is enough for each of some columns."""
        return float(self._floor[others].max())

    def _bound(self, others: list[int]) -> float:
        """Minimise over the closed program, until HiGHS' bound is enough or a point shows that it can't be.

        HiGHS is asked first since its cuts decide fast whether a proof is worth its tree.
        """
        closed, objective, paid = self._objective(self._closed, others)
        enough = paid + self._target(others)

        def accept(solution: np.ndarray) -> bool:
            """End the search at a point that the bound can't pass, and try to replay it."""
            hopeless = bool(objective.at(solution)[0] <= enough)
            if hopeless:
                self._replay(closed, solution)
            return hopeless

        model, watch = closed.model, Watch(enough, accept)
        nodes = self._most_nodes(closed)
        found = minimise(model, objective, watch, self.problem.deadline, nodes=nodes)
        if found.infeasible:  # the sample itself is feasible: presolve errs now and then
            found = minimise(model, objective, watch, self.problem.deadline, presolve=False, nodes=nodes)
        if found.bound <= enough or self._refuted(others, found.bound - paid, paid):
            return -np.inf
        limits = self.problem.deadline, nodes, self.problem.memory, self.problem.told
        proven = ProgramTree(model, objective, enough, *limits).proven() - paid
        return -np.inf if self._refuted(others, proven, paid) else proven

    def _refuted(self, others: list[int], bound: float, paid: float) -> bool:
        """Return whether a run contradicts a bound; inf, which calls the program infeasible, always is."""
        return bound > float(self.seen[:, others].amax(1).min()) + GAP_ERROR * paid

    def _search_open(self, others: list[int]) -> None:
        """Minimise over the open program, whose solutions keep away from every threshold."""
        opened = self._encoded(Closing(closed=False))
        opened, objective, _ = self._objective(opened, others)
        enough = self._target(others)

        def accept(solution: np.ndarray) -> bool:
            """End the search at a solution that replays."""
            return bool(objective.at(solution)[0] <= enough) and self._replay(opened, solution)

        nodes = self._most_nodes(opened)
        minimise(opened.model, objective, Watch(enough, accept), self.problem.deadline, nodes=nodes)

    def _most_nodes(self, encoding: Encoding) -> int | None:
        """Return how many nodes of a program's tree may be solved: patience is for searches without a deadline."""
        patience = self.settings.patience
        if patience is None or self.problem.deadline is not None:
            return None
        return patience // max(1, encoding.model.rows.nnz)  # where all spikes are decided there may be no rows

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

    def _objective(self, encoding: Encoding, others: list[int]) -> tuple[Encoding, Expressions, float]:
        """Return what to minimise, in which program, and what its bound must pass: rounding and the tolerance.

        That is logit_y − logit_k, a row of a property, or a new variable that is at least each of several rows.
        """
        rows, rounding = self._columns(encoding, others)
        size = np.abs(rows.matrix.data).max(initial=0.0) + np.abs(rows.constant).max()
        paid = float(rounding + self.settings.tolerance * max(1.0, size))
        return (encoding, rows, paid) if len(others) == 1 else (*greatest(encoding, rows), paid)

    def _columns(self, encoding: Encoding, others: list[int]) -> tuple[Expressions, float]:
        """Return some columns as expressions, and how far the run's may be from them."""
        rows, index = self.problem.rows, int(self.problem.labels[0])
        if rows is not None:
            return row_expressions(rows, index, others, encoding)
        (other,) = others
        pair = encoding.logits.taken(np.array([index])) - encoding.logits.taken(np.array([other]))
        return pair, float(encoding.slack[index] + encoding.slack[other])

    @torch.no_grad()
    def _run(self, inputs: Tensor) -> Tensor:
        """Return the columns of one input run alone, (columns,)."""
        return self.problem.goal.gaps(self.problem.network(inputs), self.problem.labels, inputs)[0].double()

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
        self.seen = torch.cat([self.seen, self._run(candidate)[None]])
        if self.problem.goal.replays(self.problem.network, candidate[0], int(self.problem.labels[0])):
            self.counterexample = candidate[0]
        return self.counterexample is not None

    def _attack(self) -> None:
        """Search around the last solution, for real-valued sets."""
        problem = self.problem
        if self.tried is None or not isinstance(problem.perturbation, RangedSet) or problem.expired():
            return
        network, labels, ties = problem.goal.posed(problem.network, problem.labels)
        asked = network, problem.inputs, labels, problem.perturbation, problem.generator()
        around = self.settings.attack(*asked, self.tried, ties=ties)  # pyright: ignore[reportArgumentType]
        self._keep(around.inputs)


FLOAT_ERROR = 2.0**-40
"""What float64 may lose of an expression's own sums, relative to its moduli: n·u for 8,192 terms."""


def row_expressions(goal: RowGoal, label: int, rows: list[int], encoding: Encoding) -> tuple[Expressions, float]:
    """Return some rows of one question, and how far the run's may be from them."""
    weight = goal.outputs[label, rows].numpy(force=True)
    found = encoding.logits.image(sparse.csr_array(weight), goal.offset[label, rows].numpy(force=True))
    paid = np.abs(weight) @ encoding.slack
    size = np.abs(weight) @ _reach(encoding.logits, encoding.model)
    if goal.inputs is not None:
        on_inputs = goal.inputs[label, rows].flatten(1).numpy(force=True)
        entries = stacked(list(encoding.inputs))
        found = found + entries.image(sparse.csr_array(on_inputs), 0.0)
        size = size + np.abs(on_inputs) @ _reach(entries, encoding.model)
    moduli = size + np.abs(goal.offset[label, rows].numpy(force=True))
    return found, float((paid + FLOAT_ERROR * moduli).max())


def _reach(expressions: Expressions, model: Model) -> np.ndarray:
    """Return the sum of moduli that each expression is at most made of."""
    most = np.maximum(np.abs(model.lower), np.abs(model.upper))[: expressions.columns]
    return abs(expressions.matrix) @ most + np.abs(expressions.constant)


def greatest(encoding: Encoding, rows: Expressions) -> tuple[Encoding, Expressions]:
    """Return the program with a variable t that is at least each of some rows, and t."""
    model, count = encoding.model, len(encoding.model.lower)
    matrix = sparse.csr_array(
        (rows.matrix.data, rows.matrix.indices, rows.matrix.indptr), (len(rows.constant), count)
    )
    most = 2.0 * float(_reach(rows, model).max()) + 1.0
    above = sparse.hstack([-matrix, np.ones((len(rows.constant), 1))])
    zero = sparse.csr_array((len(model.row_lower), 1))
    wider = Model(
        np.append(model.lower, -most),
        np.append(model.upper, most),
        np.append(model.integer, False),
        sparse.csr_array(sparse.vstack([sparse.hstack([model.rows, zero]), above])),
        np.concatenate([model.row_lower, rows.constant]),
        np.concatenate([model.row_upper, np.full(len(rows.constant), np.inf)]),
    )
    unit = sparse.csr_array(([1.0], ([0], [count])), shape=(1, count + 1))
    return replace(encoding, model=wider), Expressions(unit, np.zeros(1))
