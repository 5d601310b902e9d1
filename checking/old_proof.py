"""Check a proof file: the input set, a tree of splits for each other class, and a positive bound at every leaf.

The tree is listed in pre-order. An inner node names a first-layer neuron and a current: its left side keeps the
neuron's trains whose rows have their middle at or below that current, its right side the others. Where each step
has an input of its own, it names a neuron and a step: its left side keeps silence there, its right side a spike.
Whatever the numbers are, the two sides hold all that their node held, so the leaves of a complete tree hold every
train that the run may have: a tree can be wrong only by a leaf that does not close.
"""

from fractions import Fraction
from math import prod
from pathlib import Path

import numpy as np

from .bound import Question
from .claims import Statement, read_claim
from .kernel import SUFFIXES
from .network.files import Content, read
from .network.model import Network, read_network
from .numbers.exact import Dyadic, Refused, whole
from .short import FORMAT, LEAF, MOST_CELLS, SUFFIX, Narrowing, read_narrowings
from .ties import suffices
from .work import CALL, allowance, limited, spend


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
    """Return a proof file, or those of a folder in order; certificates, too."""
    if not path.is_dir():
        return [path]
    return sorted(found for suffix in (SUFFIX, *SUFFIXES) for found in path.glob(f"*{suffix}"))


def _checked(content: Content, network: Network) -> Statement:
    claim = read_claim(content.text, content.tensors, network)
    question = Question(network, claim.inputs, *_cells(content.text))
    label = claim.labelled(question.classes)
    margins, leaves = [], 0
    for other in range(question.classes):
        if other != label:
            found = _tree(question, label, other, content.tensors, claim.ties)
            margins.append(found[0])
            leaves += found[1]
    return claim.stated(min(margins) * question.graph.unit, leaves)


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
    if bound is not None and not suffices(question.graph, label, other, bound.fraction(), ties):
        reached = float(bound.fraction() * question.graph.unit)
        raise Refused(f"class {other}: a leaf's margin is only proven to be at least {reached:.3g}")
    return None if bound is None else bound.fraction()
