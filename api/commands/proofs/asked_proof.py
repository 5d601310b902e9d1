"""What `spikecert check-proof` asks of proofs at least: a ball and a range, or rules of events; without torch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..options.certify_options import AXES, EventOptions, blocks

if TYPE_CHECKING:
    import numpy as np

    from spikecert.checking import Statement
    from spikecert.checking.events.recordings import Rules

EVENT_NORMS = {"flips": "l0", "shift": "shift", "flips+shift": "l0+shift"}
"""How people name sets of events, and how proofs do."""
OPTIONS = {
    "flips": {"kind", "where"},
    "shift": {"budget", "jitter", "count", "total", "merge", "border", "where"},
    "flips+shift": {"kind", "jitter", "count", "border", "where"},
}
NORMS = ("linf", "l2", *EVENT_NORMS)


@dataclass(frozen=True)
class LeastAsked:
    """What proofs must be about at least: ε and its norm, a range that theirs must hold, ties, rules of events."""

    epsilon: float | None
    norm: str
    lower: float
    upper: float
    ties: str
    events: EventOptions

    def __post_init__(self) -> None:
        if self.norm not in NORMS:
            raise ValueError(f"norm: got {self.norm!r}, expected {', '.join(NORMS[:-1])} or {NORMS[-1]}")
        for name in self.events.given:
            if self.norm not in EVENT_NORMS or name not in OPTIONS[self.norm]:
                fits = " or ".join(norm for norm, names in OPTIONS.items() if name in names)
                raise ValueError(f"{name}: got one with --norm {self.norm}, expected --norm {fits}")
        if self.norm in EVENT_NORMS and self.epsilon is None and self.events.given:
            raise ValueError(f"{next(iter(self.events.given))}: got one without --epsilon, expected both")
        if self.norm in EVENT_NORMS and self.epsilon is not None:
            if not self.epsilon.is_integer():
                raise ValueError(f"epsilon: got {self.epsilon:g}, expected a whole number with --norm {self.norm}")
            self._rules(None)

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

        options, epsilon = self.events, int(self.epsilon or 0)
        flips = {"count": epsilon, "kind": options.kind or "flip"}
        moves = {name: getattr(options, name) for name in ("jitter", "count", "total")}
        merge = "or" if options.merge in (None, "refuse") else options.merge  # "or" holds what "refuse" does
        moves |= {"merge": merge, "border": options.border or "stay"}
        if self.norm == "shift":
            moves |= self._budget(moves, epsilon)
        given = {"flips": {"flips": flips}, "shift": {"shifts": moves}}.get(
            self.norm, {"flips": flips, "shifts": moves}
        )
        mask = None if options.where is None else _mask(options.where, sample)
        try:
            return Rules.read(EVENT_NORMS[self.norm], given, lambda name: mask)
        except Refused as error:
            raise ValueError(str(error)) from error

    def _budget(self, moves: dict[str, Any], epsilon: int) -> dict[str, int]:
        """Return what ε is of shifts."""
        budget = self.events.budget or "total"
        if budget not in ("total", "count", "jitter"):
            raise ValueError(f"budget: got {budget!r}, expected total, count or jitter")
        if moves[budget] is not None:
            raise ValueError(f"{budget}: got {moves[budget]}, expected none: it is what ε is")
        return {budget: epsilon}


def _mask(text: str, sample: "np.ndarray | None") -> "np.ndarray | None":
    """Return the entries of a block of recordings like `sample`, (T, ...) or (T, polarities, rows, columns)."""
    import numpy as np

    found = blocks(text)
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
