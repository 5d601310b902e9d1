"""What a proof concludes: rows v = Σ c·y + Σ d·x + b of a run's outputs y and its input x, bounded from below.

A proof has a tree for each clause, which holds where one of the clause's rows does: each leaf names the row that
it bounds. Leaves hold all runs, so every run has a row of every clause.

A class is one clause for each other class, of one row, logit_label − logit_other; or several, where logits are no
sums over time (`_largest`, `_first`). A property is what its file
says: inequalities c·y + d·x + e·y⁰ + a ≤ 0 (< 0 where strict), each the row −c·y − d·x − (e·y⁰ + a) ≥ 0 (> 0).
y⁰ are numbers of the file, which its writer says are the network's outputs at the sample: nothing is proven of
them, so whoever reads the proof compares them. Coefficients are the floats of the file, exactly.

What a tie between logits means to a proof, and what a leaf's bound must exceed for that.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from math import isfinite
from typing import Any

from .network.graph import Graph, Mean, Spikes, Sum, Through
from .numbers.exact import Refused
from .work import spend

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


MOST_ROWS = 4096
LEAST, MOST = 1e-100, 1e100
"""Between these lie the moduli of coefficients and constants, but for 0."""
PARTS = "outputs", "inputs", "own"
NAMES = {"outputs": "output", "inputs": "inputs", "own": "sample"}

Terms = tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Conclusion:
    """Σ c·y + Σ d·x + constant, c and d over 2^shift, of flattened inputs; it holds where it exceeds `least`.

    Attributes:
        outputs: (place, c, which of the readout's sums over time); y is all of a logit where there is one alone.
        least: over the readout's unit; not strict: where it is that, it holds, too.
    """

    outputs: tuple[tuple[int, int, int], ...]
    inputs: tuple[tuple[int, int], ...] = ()
    shift: int = 0
    constant: Fraction = Fraction(0)
    least: int = 0
    strict: bool = True

    def follows(self, bound: Fraction) -> bool:
        """Return whether it holds wherever it is at least `bound`, which is over the readout's unit."""
        return bound > self.least or (bound == self.least and not self.strict)


@dataclass(frozen=True)
class Conclusions:
    """The clauses of a proof by number, each with rows of which one is to hold.

    Attributes:
        clauses: their numbers; rows: of a clause.
        label: the class that they are about, where they are.
        stride: how many clauses there are for each other class.
        most: what a margin is at most where nothing but these rows is known; None: as much as rows exceed.
    """

    clauses: Sequence[int]
    rows: Callable[[int], Sequence[Conclusion]]
    label: int | None = None
    stride: int = 1
    most: int | None = None

    @staticmethod
    def of_class(graph: Graph, label: int, ties: str) -> "Conclusions":
        """Return those of a class: logit_label exceeds each other one, or equals it where that is enough."""
        others = [other for other in range(graph.widths[-1]) if other != label]
        steps = len(graph.readings)
        if graph.readout == "largest":
            clauses = [other * steps + t for other in others for t in range(steps)]
            return Conclusions(clauses, partial(_largest, steps, label, ties), label, steps)
        if graph.readout == "first":
            clauses = [
                other * (steps + 1) + t
                for other in others
                for t in range(steps + (ties == STRICT or other < label))
            ]
            rows, most = partial(_first, steps, label, ties), 1 if ties == STRICT else 0
            return Conclusions(clauses, rows, label, steps + 1, most)

        def of_sums(other: int) -> list[Conclusion]:
            pair = (label, 1, 0), (other, -1, 0)
            return [Conclusion(pair, (), 0, Fraction(0), *enough(graph, label, other, ties))]

        return Conclusions(others, of_sums, label)

    def name(self, clause: int) -> str:
        """Return what a clause is called."""
        if self.label is None:
            return f"clause {clause}"
        told = f"class {clause // self.stride}"
        return told if self.stride == 1 else f"{told}, step {clause % self.stride + 1}"


def _largest(steps: int, label: int, ties: str, clause: int) -> list[Conclusion]:
    """Return the rows of a step t of class k where logits are greatest over time: z_label[τ] − z_k[t] > 0, any τ.

    If each t has such a τ, max_τ z_label[τ] > z_k[t] for all t, that of z_k's maximum included. A maximum never
    rounds. With ≥ in place of >, ties are left, which fall to a lower label.
    """
    other, t = divmod(clause, steps)
    strict = ties == STRICT or other < label
    return [Conclusion(((label, 1, tau), (other, -1, t)), (), 0, Fraction(0), 0, strict) for tau in range(steps)]


def _first(steps: int, label: int, ties: str, clause: int) -> list[Conclusion]:
    """Return the row that class k does not fire first at step t (from 0) while the label is silent before.

    Σ_{i<t} s_label[i] + Σ_{i<t} s_k[i] + 1 − s_k[t] is a whole number, none of its parts is negative, and it is 0
    iff k fires first at t and the label has not by then. If it is not, for every t, and Σ_i s_label[i] + s_k[i] is
    not 0 (t = T), then the label fires before k does, or at all where k never does. Where a tie falls to it, the
    label may also fire at t, and t = T says nothing.
    """
    other, t = divmod(clause, steps + 1)
    until = t if ties == STRICT or other < label else t + 1
    terms = [(label, 1, i) for i in range(until)] + [(other, 1, i) for i in range(t)]
    if t == steps:
        return [Conclusion(tuple(terms))]
    return [Conclusion((*terms, (other, -1, t)), (), 0, Fraction(1))]


@dataclass(frozen=True)
class StatedRow:
    """Σ c·y + Σ d·x + Σ e·y⁰ + constant ≤ 0, or < 0, as it is written."""

    outputs: Terms
    inputs: Terms
    own: Terms
    constant: float
    strict: bool

    @staticmethod
    def read(text: Mapping[str, Any]) -> "StatedRow":
        """Return what a file says.

        Raises:
            Refused: for what is no such row.
        """
        if text.keys() != {*PARTS, "constant", "strict"} or type(text["strict"]) is not bool:
            raise Refused("property: got a row with other fields than outputs, inputs, own, constant, strict")
        outputs, inputs, own = (tuple((place, _number(factor)) for place, factor in text[part]) for part in PARTS)
        for part in (outputs, inputs, own):
            places = [place for place, _ in part]
            if not all(type(place) is int and place >= 0 for place in places) or len(set(places)) < len(places):
                raise Refused("property: got a row whose places are no different whole numbers")
        return StatedRow(outputs, inputs, own, _number(text["constant"]), text["strict"])

    @property
    def described(self) -> dict[str, Any]:
        """Return what a file says of it."""
        terms: dict[str, Any] = {part: [list(term) for term in getattr(self, part)] for part in PARTS}
        return terms | {"constant": self.constant, "strict": self.strict}

    def __str__(self) -> str:
        terms = [f"{factor!r}*{NAMES[part]}[{j}]" for part in PARTS for j, factor in getattr(self, part)]
        rest = [repr(self.constant)] if self.constant or not terms else []
        return f"{' + '.join(terms + rest)} {'<' if self.strict else '<='} 0"

    def conclusion(self, own: Sequence[float]) -> Conclusion:
        """Return the row, where the sample's outputs are `own`."""
        numbers = [[-Fraction(factor) for _, factor in part] for part in (self.outputs, self.inputs)]
        shift = max((x.denominator.bit_length() - 1 for part in numbers for x in part), default=0)
        spend(sum(map(len, numbers)), shift)
        outputs, inputs = (
            tuple((place, int(x * (1 << shift))) for (place, _), x in zip(part, exact, strict=True))
            for part, exact in zip((self.outputs, self.inputs), numbers, strict=True)
        )
        known = sum((Fraction(factor) * Fraction(own[place]) for place, factor in self.own), Fraction(0))
        outputs = tuple((place, factor, 0) for place, factor in outputs)
        return Conclusion(outputs, inputs, shift, -known - Fraction(self.constant), 0, self.strict)


@dataclass(frozen=True)
class StatedProperty:
    """Clauses of rows, each to have one that holds; and the outputs y⁰ of the sample."""

    clauses: tuple[tuple[StatedRow, ...], ...]
    own: tuple[float, ...]

    @staticmethod
    def read(text: Mapping[str, Any]) -> "StatedProperty | None":
        """Return what a file claims; None: it claims a class.

        Raises:
            Refused: for what is no property, and where it claims a class, too.
        """
        if "property" not in text:
            return None
        if text.keys() & {"label", "ties"}:
            raise Refused("property: got one beside a label or ties, expected one claim")
        clauses = tuple(tuple(map(StatedRow.read, clause)) for clause in text["property"])
        if not clauses or not all(clauses) or sum(map(len, clauses)) > MOST_ROWS:
            raise Refused(f"property: got no clause, one without rows, or more than {MOST_ROWS} rows")
        return StatedProperty(clauses, tuple(_number(value, bounded=False) for value in text["own"]))

    @property
    def described(self) -> dict[str, Any]:
        """Return what a file says of it."""
        return {"property": [[row.described for row in clause] for clause in self.clauses], "own": list(self.own)}

    @property
    def ties(self) -> str:
        """Return "strict" where every row is, else "argmax", as verdicts do."""
        return STRICT if all(row.strict for clause in self.clauses for row in clause) else ARGMAX

    @property
    def relative(self) -> bool:
        """Return whether it is about the sample's own outputs."""
        return any(row.own for clause in self.clauses for row in clause)

    def __str__(self) -> str:
        alternatives = [" | ".join(f"({row})" for row in clause) for clause in self.clauses]
        told = " & ".join(
            f"({text})" if len(clause) > 1 and len(self.clauses) > 1 else text
            for text, clause in zip(alternatives, self.clauses, strict=True)
        )
        return f"{told}, sample = {list(self.own)}" if self.relative else told

    def concluded(self, graph: Graph, inputs: int) -> Conclusions:
        """Return its clauses about a network with so many inputs; 0: rows may hold none.

        Raises:
            Refused: for an output or an input that is not there, or outputs that are no sums over time.
        """
        outputs = graph.widths[-1]
        if not graph.summed:
            raise Refused(f"unknown: no proof form for a property of readout {graph.readout!r}")
        if len(self.own) != outputs:
            raise Refused(f"property: got {len(self.own)} outputs of the sample, expected {outputs}")
        for part, width in (("outputs", outputs), ("own", outputs), ("inputs", inputs)):
            places = (place for clause in self.clauses for row in clause for place, _ in getattr(row, part))
            if (greatest := max(places, default=-1)) >= width:
                raise Refused(f"property: got {NAMES[part]}[{greatest}], expected one of {width}")
        rows = [[row.conclusion(self.own) for row in clause] for clause in self.clauses]
        return Conclusions(range(len(rows)), rows.__getitem__)


def _number(value: object, bounded: bool = True) -> float:
    """Return a number of a file.

    Raises:
        Refused: for NaN, inf, anything else, or a modulus beyond `LEAST` and `MOST`.
    """
    if type(value) not in (int, float) or not isfinite(value):  # pyright: ignore[reportArgumentType]
        raise Refused(f"property: got {str(value)[:20]!r}, expected a finite number")
    found = float(value)  # pyright: ignore[reportArgumentType]
    if bounded and found != 0 and not LEAST <= abs(found) <= MOST:
        raise Refused(f"property: got {found!r}, expected 0 or a modulus from {LEAST:g} to {MOST:g}")
    return found
