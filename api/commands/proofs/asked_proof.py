"""What `spikecert check-proof` asks of proofs at least: a ball and a range, or rules of events; without torch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from spikecert.asking.events import AXES, EventBlock, FlipThreat, OfEvents, ShiftThreat
from spikecert.asking.question import ChangedEvents
from spikecert.asking.threats import Threat
from spikecert.asking.values import Mistake, Numeral, Saying, choice, real

if TYPE_CHECKING:
    import numpy as np

    from spikecert.checking import Statement
    from spikecert.checking.events.recordings import Rules

EVENT_NORMS = {"flips": "l0", "shift": "shift", "flips+shift": "l0+shift"}
"""How people name sets of events, and how proofs do."""


@dataclass(frozen=True, kw_only=True)
class LeastAsked:
    """What proofs must be about at least.

    Attributes:
        epsilon: refuse proofs about a smaller ε, such as 8/255.
        norm: in which norm --epsilon is asked for: linf, l2, flips, shift or flips+shift.
        changes: which events change, and how.
        lower: refuse proofs about a range of inputs that begins above it.
        upper: refuse proofs about a range of inputs that ends below it.
        ties: with strict, refuse proofs by which a tie may fall to the label (argmax).
    """

    epsilon: Annotated[Numeral, real("a number above 0, such as 8/255", above=0.0)] | None = None
    norm: Annotated[str, choice("linf", "l2", *EVENT_NORMS)] = "linf"
    changes: ChangedEvents = ChangedEvents()
    lower: Numeral = Numeral(float("inf"), "any")
    upper: Numeral = Numeral(-float("inf"), "any")
    ties: Literal["argmax", "strict"] = "argmax"

    def __post_init__(self) -> None:
        if self.epsilon is None:
            if given := [*self.changes.given]:
                raise Mistake((given[0],), Saying("one without epsilon"), "both")
        else:
            self.threat  # noqa: B018 (checks what was given)

    @property
    def threat(self) -> Threat:
        """Return the sets that are asked for."""
        return Threat.of(self.norm, self.epsilon, **self.changes.given)

    def missing(self, statement: "Statement") -> str:
        """Return what a proof lacks, or nothing; an ℓ∞ ball holds the ℓ2 ball of its radius, not the other way."""
        lacks = self._missing_events(statement) if statement.rules is not None else self._missing_ball(statement)
        if not lacks and self.ties == "strict" and statement.ties != "strict":
            return "lets a tie fall to the label (argmax), which is not the strict order asked for"
        return lacks

    def _missing_ball(self, statement: "Statement") -> str:
        if self.epsilon is not None and statement.norm != self.norm and statement.norm != "linf":
            return f"proves a ball in {statement.norm}, not in the {self.norm} asked for"
        if self.epsilon is not None and self.norm in EVENT_NORMS:
            return f"proves a ball in {statement.norm}, not the {self.norm} asked for"
        if self.epsilon is not None and statement.epsilon < self.epsilon:
            return f"proves ε = {statement.epsilon:g}, less than the {self.epsilon:g} asked for"
        if statement.lower > self.lower:
            return f"is about inputs from {statement.lower:g} on, not from the {self.lower:g} asked for"
        if statement.upper < self.upper:
            return f"is about inputs up to {statement.upper:g}, not up to the {self.upper:g} asked for"
        return ""

    def _missing_events(self, statement: "Statement") -> str:
        assert statement.rules is not None
        if self.lower != float("inf") or self.upper != -float("inf"):
            return "is about events, not about a range of inputs"
        if self.epsilon is None:
            return ""
        if self.norm not in EVENT_NORMS:
            return f"proves {statement.rules}, not a ball in the {self.norm} asked for"
        rules = self._rules(statement.sample)
        return "" if statement.rules.holds(rules) else f"proves {statement.rules}, less than the {rules} asked for"

    def _rules(self, sample: "np.ndarray | None") -> "Rules":
        """Return the rules that are asked for, of recordings like `sample`; None: just see whether they are any.

        Raises:
            ValueError: where they are none, in one line.
        """
        from spikecert.checking import Refused
        from spikecert.checking.events.recordings import Rules

        threat, epsilon = self.threat, int(self.epsilon or 0)
        assert isinstance(threat, OfEvents)
        flips = {"count": epsilon, "kind": getattr(threat, "kind", "flip")}
        moves = {name: getattr(threat, name, None) for name in ("jitter", "count", "total")}
        merge = getattr(threat, "merge", "or")
        moves |= {"merge": "or" if merge == "refuse" else merge}  # "or" holds what "refuse" does
        moves |= {"border": getattr(threat, "border", "stay")}
        moves |= {threat.budget: epsilon} if isinstance(threat, ShiftThreat) else {}
        given = {} if isinstance(threat, ShiftThreat) else {"flips": flips}
        given |= {} if isinstance(threat, FlipThreat) else {"shifts": moves}
        mask = None if threat.where is None else _mask(threat.where, sample)
        try:
            return Rules.read(EVENT_NORMS[self.norm], given, lambda name: mask)
        except Refused as error:
            raise ValueError(str(error)) from error


def _mask(found: EventBlock, sample: "np.ndarray | None") -> "np.ndarray | None":
    """Return the entries of a block of recordings like `sample`, (T, ...) or (T, polarities, rows, columns)."""
    import numpy as np

    if sample is None:
        return None
    mask = np.ones(sample.shape, dtype=bool)
    for name, (first, last) in found.items():
        axis = {"steps": 0, "polarities": -3, "rows": -2, "columns": -1}[name]
        if axis and sample.ndim <= -axis:
            raise ValueError(f"{name}: got recordings of shape {sample.shape}, expected {', '.join(AXES)}")
        if not first < last <= sample.shape[axis]:
            size = sample.shape[axis]
            raise ValueError(f"{name}: got {(first, last)}, expected first < last, at most the recording's {size}")
        inside = np.zeros(sample.shape[axis], dtype=bool)
        inside[first:last] = True
        mask &= inside.reshape(-1, *([1] * (sample.ndim - 1 if axis == 0 else -axis - 1)))
    return mask
