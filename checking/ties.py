"""What a tie between logits means to a proof, and what a leaf's bound must exceed for that."""

from collections.abc import Mapping

from .network.graph import Graph, Mean, Spikes, Sum, Through
from .numbers.exact import Refused

ARGMAX, STRICT = "argmax", "strict"
TIES = (ARGMAX, STRICT)


def read_ties(text: Mapping[str, object]) -> str:
    """Return what a proof says of ties; one that says nothing means "strict".

    Raises:
        Refused: for another word.
    """
    ties = text.get("ties", STRICT)
    if not isinstance(ties, str) or ties not in TIES:
        raise Refused(f"ties: got {str(ties)[:20]!r}, expected {ARGMAX} or {STRICT}")
    return ties


def enough(graph: Graph, label: int, other: int, ties: str) -> tuple[int, bool]:
    """Return what a bound of (logit_label − logit_other)/unit must exceed for the order that is stated.

    And whether it must: it may also be that number where this is False.

    "strict": logit_label > logit_other. "argmax", where the lowest index wins: the same for other < label; for
    other > label logit_label ≥ logit_other is enough, so a bound of 0 is. Where the readout counts spikes and
    nothing follows it, the exact difference over the unit 1/T is that of two counts, an integer: above −1 it is at
    least 0. The run sums T ones and zeros without rounding, T being at most 2⁸, and divides both sums alike, which
    is monotone: a count that is not less has a logit that is not less.
    """
    if ties == STRICT or other < label:
        return 0, True
    return (-1, True) if _counts(graph) else (0, False)


def _counts(graph: Graph) -> bool:
    """Return whether each logit is the mean of one neuron's spikes."""
    last = graph.nodes[-1]
    return isinstance(last, Mean) and _fires(graph, last.source)


def _fires(graph: Graph, place: int) -> bool:
    """Return whether a node is spikes, or spikes of several kinds of neurons at their places."""
    pending = [place]
    while pending:
        node = graph.nodes[pending.pop()]
        if isinstance(node, Sum) and node.apart:
            pending += [node.first, node.second]
        elif isinstance(node, Through) and node.affine.exact:
            pending.append(node.source)
        elif not isinstance(node, Spikes):
            return False
    return True
