"""Search for a proof: branch and bound, depth first; the kernel checks what is found, as it will be written.

Prices that prove a leaf to be empty: the multipliers of a linear program, which the checker does not trust.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor

from ...checking.certificates.elaborating import ShortLeaf
from ...checking.certificates.reach import floats
from ...checking.certificates.trials import LeafTrials
from ...checking.events.recordings import OpenRecording
from ...checking.network.files import parse
from ...checking.network.model import Network, parse_network
from ...checking.numbers.exact import Refused
from ...checking.short import FORMATS
from ...checking.work import limited
from ...files.errors import SpikecertError
from ...models.constants import at_least, settle, whole
from ...models.deadline import LATE, TimeIsUp, check_time, checked_timeout, ending, until
from ...models.files import storage as checkpoints
from ...models.networks import SpikingNetwork
from ...models.validation import check_rivals
from ..bounds.cells.automaton import CELLS, SIDE
from ..bounds.prices.priced_layer import charged
from ..branching.bounding import Bounded, Climb, bound_nodes
from ..branching.nodes.decisions import Nodes, RowRanges
from ..branching.question import MarginQuestion
from ..branching.search import Experience
from ..perturbations import Perturbation, settled_set
from ..perturbations.base import check_perturbation
from ..questions.classes import as_labels, check_property_ties
from ..questions.forms import Property
from ..search import Domain, Limits
from ..ties import STRICT, settled_ties
from .asked import AskedClaim, Proof, asked_of, left_of
from .tree import (
    CheckerSplits,
    EventTree,
    FailingInput,
    StillOpen,
    Tree,
    Tries,
    WholeTree,
    close_all,
    events_are_split,
    narrowing_of,
)

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult

SCALES = (1e2, 1e4, 1e6, 1.0)
MOST_CUTS = 30
"""Tangents of a ball that are tried."""


def empty_prices(trials: LeafTrials, allowed: np.ndarray) -> Iterator[np.ndarray]:
    """Yield prices for each scale, or nothing where the leaf's currents leave an input, (n,) float32.

    The program min t subject to low − t ≤ W·x + b ≤ high + t over the box has t > 0 iff no input has the currents
    of the leaf's rows; its multipliers y then give Σ y·(W·x + b − end) ≥ t on the whole box. A ball is cut by more
    and more of its tangents.
    """
    if not trials.split_by_rows or trials.currents is None or not allowed.any(1).all():
        return
    (weight, bias), (least, most), inputs = trials.currents, trials.ends, trials.nodes.inputs
    low = np.where(allowed, least, np.inf).min(1) - bias
    high = np.where(allowed, most, -np.inf).max(1) - bias
    size = np.abs(weight).sum(1, keepdims=True) + 1e-12
    rows, limits = np.vstack([weight, -weight]) / np.vstack([size, size]), np.concatenate([high, -low])
    limits, ends = limits / np.concatenate([size, size])[:, 0], (inputs.low, inputs.high)
    bounds = [*zip(*(floats(end).ravel() for end in ends), strict=True), (-1.0, None)]
    cuts: list[tuple[np.ndarray, float]] = []
    for _ in range(1 if inputs.ball is None else MOST_CUTS):
        program = _deepest(rows, limits, bounds, cuts)
        if program.status != 0 or program.x[-1] <= 0:
            return
        above, below = np.split(-program.ineqlin.marginals[: len(rows)] / np.concatenate([size, size])[:, 0], 2)
        for scale in SCALES:
            yield ((above - below) * scale).astype(np.float32)
        if inputs.ball is not None:
            center, radius = (floats(part).ravel() for part in inputs.ball)
            step = program.x[:-1] - center
            if (length := np.linalg.norm(step)) <= radius[0]:
                return
            cuts.append((step / length, float(step / length @ center + radius[0])))


def _deepest(
    rows: np.ndarray,
    limits: np.ndarray,
    bounds: list[tuple[float, float | None]],
    cuts: list[tuple[np.ndarray, float]],
) -> "OptimizeResult":
    """Solve min t subject to rows·x ≤ limits + t, within bounds and cuts."""
    from scipy.optimize import linprog  # imported here: scipy takes half a second

    whole = np.hstack([rows, -np.ones((len(rows), 1))])
    below = [np.append(normal, 0.0) for normal, _ in cuts]
    return linprog(
        np.append(np.zeros(rows.shape[1]), 1.0),
        A_ub=np.vstack([whole, *below]),
        b_ub=np.append(limits, [limit for _, limit in cuts]),
        bounds=bounds,
        method="highs",
    )


LOST = 1e-6
"""What the search's floats may lose of a property's row, about."""


class Unproven(SpikecertError, RuntimeError):
    """No proof was found; the message says why in one line."""


class Disproved(Unproven):
    """There is no proof: the network, run on an allowed input, gives another class."""


@dataclass(frozen=True)
class Prover:
    """Proves samples of one network.

    Args:
        network: in evaluation mode, on the CPU.
        exact: the same network as the checker reads it.
        batch: nodes that are bounded at once.
        start, climb: how the prices of roots and of other nodes are found; a search climbs shorter, and
            leaves its last parts to programs.
    """

    network: SpikingNetwork
    exact: Network
    batch: int = 256
    start: Climb = field(default_factory=lambda: Climb(30, 0.1, momenta=(0.7, 0.9)))
    climb: Climb = field(default_factory=lambda: Climb(20, 0.1))

    def __post_init__(self) -> None:
        settle(self, at_least(1), "batch")

    @staticmethod
    def of(network: SpikingNetwork) -> "Prover":
        """Return a prover.

        Raises:
            Unproven: for a network that has no proof form.
        """
        network = copy.deepcopy(network).cpu().eval()
        try:
            return Prover(network, parse_network(checkpoints.to_bytes(network), "network"))
        except Refused as error:
            raise Unproven(str(error).partition(": ")[2]) from error

    @torch.no_grad()
    def prove(
        self,
        sample: Tensor,
        label: int | Property,
        perturbation: Perturbation,
        timeout: float | None = None,
        *,
        ties: str | None = None,
    ) -> Proof:
        """Return a proof that each allowed perturbation of `sample` keeps its class `label`, or has a property.

        Args:
            sample: (...), one input.
            label: the class; or a `Property`. `robust(label)` is a strict proof of the class.
            perturbation: `LInf`, `PixelBox` or `L2`; `SpikeFlip`, `SpikeShift` or `EventChange`.
            timeout: seconds, or None.
            ties: what a tie between logits is, as in `verify`.

        Raises:
            TypeError, ValueError: for a timeout that is no positive number, other ties, or a property of outputs
                or inputs that are not there.
            Unproven: where there is no proof, or none was found in time.
        """
        deadline = until(checked_timeout(timeout))
        check_perturbation(perturbation)
        sample, perturbation = sample.detach().cpu(), settled_set(self.network, perturbation)
        if not sample.is_floating_point():  # event frames are kept as bytes
            sample = sample.to(self.network.dtype)
        claim = self.claimed(label, sample, ties)
        try:
            with ending(deadline), limited(inf, check_time):
                asked = asked_of(perturbation, sample)
                goal = partial(claim.concluded, inputs=sample.numel())
                trials = LeafTrials.of(self.exact, asked.inputs(self.exact), goal, CELLS, SIDE)
                if claim.label is not None:
                    check_rivals(trials.nodes.graph.widths[-1])
                trees, nodes = self._closed(sample, claim, perturbation, trials, deadline)
                proof = asked.proof(self.exact.digest, claim, tuple(trees), nodes)
                trials.checked(parse(proof.packed(), FORMATS, "the proof"))
        except (Refused, OverflowError, TimeIsUp, StillOpen) as error:
            raise Unproven(str(error)) from error
        return proof

    def _closed(
        self,
        sample: Tensor,
        claim: AskedClaim,
        perturbation: Perturbation,
        trials: LeafTrials,
        deadline: float | None,
    ) -> tuple[list[Tree], int]:
        """Return closed trees, and how many nodes were bounded."""
        split = events_are_split(trials)
        if self.exact.whole is None and trials.nodes.graph.summed:
            search = _ProofSearch.of(self, sample, claim, perturbation, trials)
            if not split:
                search.run(deadline)
                return search.trees, search.nodes
            trees, left = search.trees, [tree for part in search.opened for tree, _ in part.places]
        else:
            if claim.fails(self.network, sample[None]):
                raise Disproved("the sample itself is a counterexample")
            trees = [Tree(trials, clause) for clause in trials.goal.clauses]
            left = trees
            if self.exact.whole is None and not split:
                close_all(trees)
                left = []
        shape, fails = tuple(sample.shape), partial(claim.fails, self.network)
        for tree in left:
            grown = WholeTree(tree, shape, fails)
            if split:
                asks = _EventQuestion(self, sample, claim, perturbation, tree)
                grown = EventTree(tree, shape, asks.fails, asks, deadline)
            try:
                grown.close()
            except FailingInput as error:
                raise Disproved("the search found a counterexample") from error
        return trees, sum(len(tree.allowed) for tree in trees)

    def claimed(self, label: int | Property, sample: Tensor, ties: str | None) -> AskedClaim:
        """Return what is to be proven of a sample. Arguments and errors as of `prove`."""
        if not isinstance(label, Property):
            return AskedClaim(whole("label", label), settled_ties(self.network, ties))
        check_property_ties(ties)
        found = as_labels(self.network, sample[None].to(self.network.dtype), label)
        if found is not None:
            return AskedClaim(int(found), STRICT)
        return AskedClaim.of_property(self.network, sample.to(self.network.dtype), label)


@dataclass
class _EventQuestion:
    """What is tried of a clause where a recording may still change so.

    Attributes:
        last: the nodes that were bounded last: others begin at their prices.
    """

    prover: Prover
    sample: Tensor
    claim: AskedClaim
    threat: Perturbation
    tree: Tree
    last: Nodes | None = None

    def __call__(self, recording: OpenRecording) -> Tries:
        """Return leaves at the prices of such a part, where they may close, and members of the set."""
        check_time()
        events, free = self._run(recording), self._free
        alone = not recording.splittable.any()  # then all spikes are known
        if alone or self.prover.exact.whole is not None or not self.tree.trials.nodes.graph.summed:
            return Tries(free, events)
        width = self.tree.trials.nodes.graph.widths[-1]
        part = left_of(self.threat, recording, self.sample)
        question, numbers = self.claim.question(self.prover.network, events[0], part, [self.tree.other], width)
        found = question.starts()
        if found is None:
            return Tries(free, events)
        if self.last is not None and len(self.last) == len(found):
            found = replace(found, prices=self.last.prices)
        bounded = bound_nodes(question, found, self.prover.start if self.last is None else self.prover.climb)
        self.last = bounded.nodes
        search = _ProofSearch(self.prover, self.claim, question, numbers, [self.tree])
        likely = bounded.nodes.bound > (0.0 if self.claim.rows is None else -LOST)
        likely |= self.tree.trials.counted
        rows = [numbers[row] for row in found.row.tolist()]
        leaves = [search._closing(bounded.nodes, i, rows[i]) for i in likely.nonzero().flatten().tolist()]
        return Tries(leaves, torch.cat([bounded.candidates, events]))

    @property
    def _free(self) -> list[ShortLeaf]:
        trials = self.tree.trials
        if self.prover.exact.whole is not None:
            return [trials.unpriced(row) for row in self.tree.rows]
        return [trials.free._replace(row=row) for row in self.tree.rows]

    def _run(self, recording: OpenRecording) -> Tensor:
        """Return the recording, as the network takes it, (1, T, ...)."""
        events = torch.from_numpy(recording.events.T.copy()).to(self.sample.dtype)
        return events.reshape(1, *self.sample.shape)

    def fails(self, members: Tensor) -> bool:
        """Return whether some of these, of the set, run as users run them, are not as claimed."""
        around = self.sample.expand_as(members)
        allowed = members[self.threat.contains(members, around)]
        return len(allowed) > 0 and self.claim.fails(self.prover.network, allowed)


@dataclass
class _Open:
    """Nodes that were bounded and not closed, with their places in the trees: where each is to be split is set."""

    nodes: Nodes
    places: list[tuple[Tree, int]]


@dataclass
class _ProofSearch(Domain[_Open]):
    """The search for one sample: a tree for each clause; open nodes are split, and their children bounded.

    Attributes:
        numbers: of each row of the question, which one of its clause it is.
        opened: the roots that did not close.
    """

    together: ClassVar[bool] = True

    prover: Prover
    claim: AskedClaim
    question: MarginQuestion
    numbers: list[int]
    trees: list[Tree]
    splits: CheckerSplits | None = None  # of a rate code no set is split
    experience: Experience = field(init=False)
    nodes: int = 0
    opened: list[_Open] = field(default_factory=list)
    forced: dict[tuple[int, int], tuple[int, float]] = field(default_factory=dict)

    @staticmethod
    def of(
        prover: Prover, sample: Tensor, claim: AskedClaim, perturbation: Perturbation, trials: LeafTrials
    ) -> "_ProofSearch":
        """Start from the roots of one sample's clauses: those that the checker's cells alone do not close."""
        trees = [Tree(trials, other) for other in trials.goal.clauses]
        left = [tree for tree in trees if not (trials.celled and tree.closes_freely())]
        width, clauses = trials.nodes.graph.widths[-1], [tree.other for tree in left]
        asked = claim.question(prover.network, sample, perturbation, clauses, width)
        state = _ProofSearch(prover, claim, *asked, trees)
        if left:
            state.start(left)
        return state

    @property
    def splitting(self) -> CheckerSplits:
        """Return how sets are split, where they are."""
        assert self.splits is not None
        return self.splits

    def start(self, trees: list[Tree]) -> None:
        """Bound the roots of trees that are open: those of the question."""
        found = self.question.starts()
        if found is None:
            close_all(trees)
            self.nodes += sum(len(tree.allowed) for tree in trees)
            return
        if self.prover.exact.draws is None:
            self.splits = CheckerSplits.of(self.question.staged(found)[0].stages[0], trees[0].trials)
            if self.splits is None:
                what = "inputs over a single step" if self.prover.exact.timed else "neurons with so many trains"
                raise Unproven(f"unknown: no proof form for {what}")
        self.experience = Experience(len(self.numbers), found.decisions.size)
        bounded = bound_nodes(self.question, found, self.prover.start)
        left = self._settled(found, bounded, [(tree, 0) for tree in trees])
        self.opened = [] if left is None else [left]

    def run(self, deadline: float | None) -> "_ProofSearch":
        """Split until no node is open.

        Raises:
            Unproven: where the time is up, or a part can't be proven.
        """
        roots = (part for whole in self.opened for part in self.split(whole))
        if self.search(roots, Limits(deadline), most=self._most)[0]:
            raise Unproven(f"{LATE} after {self.nodes} nodes")
        return self

    @property
    def _most(self) -> int:
        """Return how many nodes are split at once."""
        return max(1, self.prover.batch // 2)

    def size(self, part: _Open) -> int:
        """Return how many nodes there are."""
        return len(part.places)

    def joined(self, parts: list[_Open]) -> _Open:
        """Return all nodes of several."""
        tensors = zip(*(part.nodes.tensors() for part in parts), strict=True)
        nodes = parts[0].nodes.rebuilt([torch.cat(each) for each in tensors])
        return _Open(nodes, [place for part in parts for place in part.places])

    def split(self, part: _Open) -> Iterator[_Open]:
        """Yield as many nodes as are split at once."""
        for index in torch.arange(len(part.places)).split(self._most):
            yield _Open(part.nodes.select(index), [part.places[at] for at in index.tolist()])

    def bound(self, part: _Open) -> _Open | None:
        """Split nodes and bound their children; return those that are open."""
        places = self._divided(part)
        children = part.nodes.children()
        weights = self.experience.weights(children.row)
        bounded = bound_nodes(self.question, children, self.prover.climb, weights)
        left, right = bounded.nodes.bound.chunk(2)
        self.experience.learn(part.nodes.row, part.nodes.splits.neuron, part.nodes.bound, left, right)
        return self._settled(children, bounded, places)

    def _settled(self, nodes: Nodes, bounded: Bounded, places: list[tuple[Tree, int]]) -> _Open | None:
        """Close what the checker closes, and return the rest."""
        self.nodes += len(nodes)
        if self.claim.fails(self.question.network, bounded.candidates):
            raise Disproved("the search found a counterexample")
        found = replace(bounded.nodes, decisions=nodes.decisions)  # rows that were trimmed have no proof yet
        left, positive, rows = [], (found.bound > 0).tolist(), [self.numbers[row] for row in nodes.row.tolist()]
        # the kernel's bound is better over ball and range, and by pairs of counted neurons; exact where rows meet
        eager = self.trials.nodes.inputs.ball is not None or self.trials.counted
        likely = (found.bound > (0.0 if self.claim.rows is None else -LOST)).tolist()
        for index, (tree, place) in enumerate(places):
            if (likely[index] or eager) and tree.closes(place, self._closing(found, index, rows[index])):
                continue
            if self.splits is None:
                raise Unproven("the whole set is open, and no proof form splits the inputs of a rate code")
            if positive[index] or not bool(bounded.splittable[index]):
                if self._closed_as_empty(tree, place, found, index):
                    continue
                self._split_anyhow(tree, place, found, index)
            left.append(index)
        if not left:
            return None
        index = torch.tensor(left)
        part = _Open(found.select(index), [places[index] for index in left])
        return self._trimmed(part, bounded.nodes.select(index), [rows[index] for index in left])

    def _trimmed(self, part: _Open, wanted: Nodes, rows: list[int]) -> _Open:
        """Split off what the search dropped by reduced costs: a node's prices for a row close that side."""
        decisions, trimmed = part.nodes.decisions, wanted.decisions
        if not isinstance(decisions, RowRanges) or not isinstance(trimmed, RowRanges):
            return part
        network, _ = self.question.staged(part.nodes)
        found = network.stages[0].trains.rows
        assert found is not None
        first, last = decisions.first.clone(), decisions.last.clone()
        places = list(part.places)
        for left, kept, dropped in (
            (True, first, trimmed.first > found.first.flatten(1)),
            (False, last, trimmed.last < found.last.flatten(1)),
        ):
            for node, neuron in dropped.nonzero().tolist():
                row = int((trimmed.first if left else trimmed.last)[node, neuron])
                tree, place = places[node]
                current = self.splitting.value(row - 1 if left else row)
                rest = tree.trim(place, neuron, current, left, self._closing(part.nodes, node, rows[node]))
                if rest is not None:
                    kept[node, neuron], places[node] = row, (tree, rest)
        return _Open(replace(part.nodes, decisions=RowRanges(first, last)), places)

    def _closing(self, nodes: Nodes, index: int, row: int) -> ShortLeaf:
        """Return a node's prices for a row, and what narrows its currents, as the checker takes them."""
        narrowing = narrowing_of(self.question, nodes.select(torch.tensor([index])))
        return ShortLeaf(self._prices(nodes, index), narrowing, row)

    @property
    def trials(self) -> LeafTrials:
        """Return what leaves are tried by."""
        return self.trees[0].trials

    def _divided(self, part: _Open) -> list[tuple[Tree, int]]:
        """Split the nodes in their trees; return all left sides, then all right sides."""
        neurons, rows = part.nodes.splits.neuron.tolist(), part.nodes.splits.place.tolist()
        left, right = [], []
        for (tree, place), neuron, row in zip(part.places, neurons, rows, strict=True):
            chosen = self.forced.pop((tree.other, place), (neuron, self.splitting.value(row)))
            one, other = tree.divide(place, *chosen)
            left.append((tree, one))
            right.append((tree, other))
        return left + right

    def _prices(self, nodes: Nodes, index: int) -> list[np.ndarray]:
        """Return a node's prices as the checker takes them: first layer first, over the readout's unit."""
        given = [price[index].double() / float(self.trials.unit) for price in reversed(nodes.prices)]
        places = self.trials.maker.layers
        return [_as_checked(*each, self.trials).astype(np.float32) for each in zip(given, places, strict=False)]

    def _closed_as_empty(self, tree: Tree, place: int, nodes: Nodes, index: int) -> bool:
        """Close a node with one row for each neuron by prices that prove that no input has its trains."""
        if not self.trials.split_by_rows or int(tree.allowed[place].sum(1).max()) > 1:
            return False
        others = [np.zeros_like(price) for price in self._prices(nodes, index)[1:]]
        found = empty_prices(self.trials, tree.allowed[place])
        return any(tree.closes(place, ShortLeaf([price, *others])) for price in found)

    def _split_anyhow(self, tree: Tree, place: int, nodes: Nodes, index: int) -> None:
        """Choose a split that the search would not make."""
        chosen = self.splitting.anyhow(tree, place)
        if chosen is None:
            open_still = "decided only within the rounding error"
            if not self.question.decisive or self.trials.nodes.inputs.changes is not None:
                open_still = "open even where the trains of the first neurons are decided"
            raise Unproven(f"a part of the set is {open_still}")
        neuron, value, row = chosen
        self.forced[tree.other, place] = neuron, value
        nodes.splits.neuron[index] = neuron
        nodes.splits.place[index] = row


def _as_checked(price: Tensor, place: int, trials: LeafTrials) -> np.ndarray:
    """Return a layer's prices, (1 or T, n), as the checker takes them: (n,), or (n, T), over Λ without cells.

    Where a layer has cells, the search prices what they filter; but not for a first layer, which it splits.
    """
    kind = trials.kind(place)
    if kind == "rows":
        return price[0].numpy()
    if kind == "cells" and place != trials.first:
        price = charged(price, float(trials.maker.described(place).decay))
    return np.ascontiguousarray((price.numpy() / trials.maker.powers(place)[:, None]).T)
