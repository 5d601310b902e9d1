"""Check a proof file: the input set, a tree of splits for each other class, and a positive bound at every leaf.

The tree is listed in pre-order. An inner node names a first-layer neuron and a current: its left side keeps the
neuron's trains whose rows have their middle at or below that current, its right side the others. Where each step
has an input of its own, it names a neuron and a step: its left side keeps silence there, its right side a spike.
Whatever the numbers are, the two sides hold all that their node held, so the leaves of a complete tree hold every
train that the run may have: a tree can be wrong only by a leaf that does not close.
"""

import hashlib
import json
from dataclasses import dataclass
from fractions import Fraction
from math import inf, prod
from pathlib import Path

import numpy as np

from ..files.text import printable
from .bound import Question
from .events.inputs import Inputs
from .events.recordings import NORMS as EVENT_NORMS
from .events.recordings import Rules
from .narrowing import Narrowing, read_narrowings
from .network.files import Content, read
from .network.model import Network, read_network
from .numbers.exact import Dyadic, Refused, whole
from .ties import STRICT, read_ties, suffices
from .work import CALL, allowance, limited, spend

FORMAT = "spikecert.proof/1"
SUFFIX = ".proof"
LEAF = -1
FIELDS = {"network", "label", "norm", "events", "ties", "cells", "side", "note"}
"""What the text of a proof about events may say."""
MOST_CELLS = 64
"""The most cells of a neuron, and the longest side of a pair's square, that a proof may ask for."""


@dataclass(frozen=True)
class Statement:
    """What an accepted proof proves of a network: class `label` for every input within `radius` of `sample`.

    Of events: class `label` for every recording that `rules` make of `sample`.

    Attributes:
        network: the SHA-256 of its description and weights.
        label: the class.
        sample: of the inputs' shape; radius: (1,) or of that shape; the inputs also lie in [lower, upper].
        norm: in which they are within that radius, "linf" or "l2"; of events "l0", "shift" or "l0+shift".
        margin: logit_label exceeds every other by at least this; 0 where a tie falls to the label.
        leaves: how many leaves were checked.
        ties: "strict" (logit_label is the only greatest one) or "argmax" (of the greatest ones it has the lowest
            index, so that argmax is the label).
        note: what the writer says of it, such as the sample's index, in a line that is safe to show; not checked.
        rules: of events: what may flip and move; `radius` is empty then, and the range is all numbers.
    """

    network: str
    label: int
    sample: np.ndarray
    radius: np.ndarray
    norm: str
    lower: float
    upper: float
    margin: float
    leaves: int
    ties: str
    note: str
    rules: Rules | None = None

    @property
    def epsilon(self) -> float:
        """Return the least radius, NaN where there is none."""
        return float(self.radius.min()) if self.radius.size else float("nan")

    @property
    def point(self) -> str:
        """Return the SHA-256 of the sample's shape and numbers, whichever floats hold them: one for one sample."""
        return _hash(str(self.sample.shape), self.sample)

    @property
    def claim(self) -> str:
        """Return a SHA-256 of what is proven: copies of one proof, or two proofs of one ball, have the same."""
        if self.rules is not None:
            told = json.dumps([self.rules.described, [*self.rules.masks]], sort_keys=True)
            return self._claimed(told, *self.rules.masks.values())
        radius = self.radius if self.norm == "l2" else np.broadcast_to(self.radius, self.sample.shape)
        return self._claimed("", radius, np.array([self.lower, self.upper]))

    def _claimed(self, text: str, *numbers: np.ndarray) -> str:
        ties = "" if self.ties == STRICT else f" {self.ties}"
        told = f"{self.network} {self.point} {self.label} {self.norm}{ties}{text}"
        return _hash(told, np.concatenate([np.zeros(0), *(part.ravel() for part in numbers)]))


def check(proof: str | Path, network: Network | str | Path, work: float = 1.0) -> Statement:
    """Return what a proof file proves of `network`, a model file or what was read from one.

    Args:
        proof, network: the files.
        work: how many times the usual limit of work (work.py) the check may take.

    Raises:
        Refused: for anything but a complete proof, saying why.
    """
    known = network if isinstance(network, Network) else read_network(Path(network), work)
    path = Path(proof)
    content = read(path, FORMAT)
    most = allowance(content.size + known.size, work)
    try:
        with limited(most):
            return _checked(content, known)
    except Refused as error:
        raise Refused(f"{path.name}: {error}") from error
    except (KeyError, TypeError, ValueError, IndexError, OverflowError, RecursionError) as error:
        raise Refused(f"{path.name}: lacks a part of the proof, or has one of another size: {error}") from error


def find_proofs(path: Path) -> list[Path]:
    """Return a proof file, or those of a folder in order."""
    return sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]


def _checked(content: Content, network: Network) -> Statement:
    text, tensors = content.text, content.tensors
    if text["network"] != network.digest:
        raise Refused("is about another network: its hash is not that of the model")
    norm = text.get("norm", "linf")
    rules = _rules(text, tensors) if isinstance(norm, str) and norm in EVENT_NORMS else None
    inputs = _ball(content, network) if rules is None else rules.around(tensors["sample"], network.recorded)
    question, label, ties = Question(network, inputs, *_cells(text)), text["label"], read_ties(text)
    classes = question.classes
    if classes < 2:
        raise Refused("is about a network with one output: no other class could win, and nothing is proven")
    if not isinstance(label, int) or isinstance(label, bool) or not 0 <= label < classes:
        raise Refused(f"label: got {label!r}, expected a class below {classes}")
    margins, leaves = [], 0
    for other in range(classes):
        if other != label:
            found = _tree(question, label, other, tensors, ties)
            margins.append(found[0])
            leaves += found[1]
    return Statement(
        network=network.digest,
        label=label,
        sample=tensors["sample"],
        radius=tensors["radius"] if rules is None else np.zeros(0),
        norm=norm,
        lower=float(text["lower"]) if rules is None else -inf,
        upper=float(text["upper"]) if rules is None else inf,
        margin=_below(max(min(margins), Fraction(0)) * question.graph.unit),
        leaves=leaves,
        ties=ties,
        note=printable(" ".join(str(text.get("note", "")).split())[:200]),
        rules=rules,
    )


def _ball(content: Content, network: Network) -> Inputs:
    """Return the inputs within a radius, and in a range."""
    text, tensors = content.text, content.tensors
    if "events" in text:
        raise Refused("events: has some, and a norm of no events")
    if any(tensors[part].dtype.kind != "f" for part in ("sample", "radius")):
        raise Refused("sample, radius: hold other numbers than floats")
    ends = text["lower"], text["upper"]
    return network.inputs(tensors["sample"], tensors["radius"], *ends, text.get("norm", "linf"))


def _rules(text: dict[str, object], tensors: dict[str, np.ndarray]) -> Rules:
    """Return what may change of a recording.

    Raises:
        Refused: for what is not known, or belongs to balls.
    """
    other = text.keys() - FIELDS | tensors.keys() & {"radius"}
    if other:
        raise Refused(f"{min(other)[:40]}: belongs to no proof about events")
    if tensors["sample"].dtype.kind != "f":
        raise Refused("sample: holds other numbers than floats")
    rules = Rules.read(str(text["norm"]), text["events"], lambda name: _mask(tensors.get(name), name))
    parts = {name for name in tensors if name.startswith(("flips.", "shifts."))}
    if parts != rules.masks.keys():
        raise Refused(f"{min(parts ^ rules.masks.keys())[:40]}: belongs to no rule of events")
    return rules


def _mask(values: np.ndarray | None, name: str) -> np.ndarray | None:
    """Return a mask, which a file holds as int32 of 0 and 1."""
    if values is not None and (values.dtype != np.dtype("<i4") or not ((values == 0) | (values == 1)).all()):
        raise Refused(f"{name}: holds other numbers than int32 of 0 and 1")
    return None if values is None else values == 1


def _cells(text: dict[str, object]) -> tuple[int, int]:
    """Return how many cells neurons, and sides of pairs, may have; 0 and 0 where a proof does not say."""
    found = [text.get(name, 0) for name in ("cells", "side")]
    for name, count in zip(("cells", "side"), found, strict=True):
        if not isinstance(count, int) or isinstance(count, bool) or not (count == 0 or 2 <= count <= MOST_CELLS):
            raise Refused(f"{name}: got {str(count)[:20]!r}, expected 0, or 2 to {MOST_CELLS}")
    cells, side = found
    return cells, side  # pyright: ignore[reportReturnType]


def _tree(
    question: Question, label: int, other: int, tensors: dict[str, np.ndarray], ties: str
) -> tuple[Fraction, int]:
    """Return the least bound over the leaves of one class's tree, and their number."""
    neurons, currents = tensors[f"{other}.neuron"], tensors[f"{other}.current"]
    leaves = int((neurons == LEAF).sum())
    exact = [_prices(tensors, other, place, (leaves, *shape)) for place, shape in enumerate(question.priced)]
    if neurons.ndim != 1 or currents.shape != neurons.shape:
        raise Refused(f"class {other}: has a tree of sizes that do not fit")
    narrowings = read_narrowings(tensors, other, leaves)
    stack, least, leaf = [question.first.everything], None, 0
    for neuron, current in zip(neurons.tolist(), currents.tolist(), strict=True):
        if not stack:
            raise Refused(f"class {other}: the tree goes on behind its end")
        allowed = stack.pop()
        spend(CALL + allowed.size // 8)
        if neuron == LEAF:
            given = [price[leaf] for price in exact]
            bound = leaf_bound(question, label, other, allowed, given, ties, narrowings[leaf])
            least, leaf = bound if least is None or (bound is not None and bound < least) else least, leaf + 1
        elif 0 <= neuron < len(allowed):
            stack += reversed(question.first.sides(allowed, neuron, Dyadic.of(current, "a split")))
        else:
            raise Refused(f"class {other}: splits neuron {neuron}, expected one of {len(allowed)}")
    if stack:
        raise Refused(f"class {other}: the tree is cut short: {len(stack)} of its parts are missing")
    if least is None:
        raise Refused(f"class {other}: no leaf holds an input: the set is empty")
    return least, leaf


def _prices(tensors: dict[str, np.ndarray], other: int, place: int, shape: tuple[int, ...]) -> Dyadic:
    """Return the prices of one class on one layer; 0, held once for all leaves, where the proof gives none."""
    given = tensors.get(f"{other}.prices.{place}")
    if given is None:
        spend(CALL + prod(shape[1:]))
        return Dyadic(np.broadcast_to(whole(np.zeros(shape[1:], dtype=int)).ints, shape), 0)
    if given.shape != shape:
        raise Refused(f"class {other}: has prices of sizes that do not fit")
    return Dyadic.of(given, f"class {other}: a price")


def leaf_bound(
    question: Question,
    label: int,
    other: int,
    allowed: np.ndarray,
    prices: list[Dyadic],
    ties: str,
    narrowing: Narrowing | None = None,
) -> Fraction | None:
    """Return a leaf's bound of the margin over the unit, which suffices, or None where the leaf holds no train.

    Raises:
        Refused: where the bound does not suffice.
    """
    bound = question.margin(label, other, allowed, prices, narrowing)
    if bound is not None and not suffices(question, label, other, bound.fraction(), ties):
        reached = float(bound.fraction() * question.graph.unit)
        raise Refused(f"class {other}: a leaf's margin is only proven to be at least {reached:.3g}")
    return None if bound is None else bound.fraction()


def _hash(text: str, numbers: np.ndarray) -> str:
    """Return the SHA-256 of a text and of numbers as float64, −0 as 0."""
    return hashlib.sha256(text.encode() + (numbers.astype("<f8") + 0.0).tobytes()).hexdigest()


def _below(value: Fraction) -> float:
    """Return a float at or below a fraction that is not negative."""
    found = float(value)
    return found if Fraction(found) <= value else float(np.nextafter(found, 0.0))
