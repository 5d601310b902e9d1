"""Which networks a threat model is about, beside ε: what else strays, which neurons may be stuck.

Which events change, and how: what stands beside ε in a threat model over events.

Features with names and units: how far each may move, and between which ends it lies.
"""

from typing import Annotated, Literal

import torch
from pydantic import Field, FiniteFloat, model_validator
from torch import Tensor

from ...certify.network_sets.base import NetworkSet
from ...certify.network_sets.stuck import StuckNeurons
from ...certify.network_sets.tolerance import SHARES, Tolerance
from ...certify.perturbations import EventChange, EventRegion, Perturbation, SpikeFlip, SpikeShift
from ...certify.problem import BALLS, BoxScale, ChangeScale, FlipScale, Scale, ShiftScale
from .rows import Part, Written, checked_written, epsilon_text

Share = Annotated[FiniteFloat, Field(ge=0, lt=1)]
Layer = Annotated[int, Field(ge=0, le=10_000, strict=True)]

OF_NETWORKS = {
    "tolerance": {"varied", *SHARES, "around"},
    "stuck": {"layers", "around"},
}


class BallAround(Part):
    """The inputs around each sample beside the networks; `written` is their ε as people wrote it."""

    norm: Literal["linf", "l2"] = "linf"
    epsilon: Annotated[FiniteFloat, Field(gt=0)]
    written: Written | None = None

    @model_validator(mode="after")
    def _check_written(self) -> "BallAround":
        checked_written((self.written or "",), (self.epsilon,))
        return self

    @property
    def text(self) -> str:
        """Return ε for people."""
        return epsilon_text(self.epsilon, self.written or "")


class NetworkRules(Part):
    """What stands beside ε in a set of networks.

    Attributes:
        varied: of a tolerance, what ε is a share of: weights and biases, thresholds or decays.
        weights, threshold, decay: how far the others may be off, as shares of themselves.
        layers: of stuck neurons, which spiking layers have them; None for all.
        around: how far inputs move besides; None for the samples as they are.
    """

    varied: Literal["weights", "threshold", "decay"] = "weights"
    weights: Share | None = None
    threshold: Share | None = None
    decay: Share | None = None
    layers: Annotated[tuple[Layer, ...], Field(min_length=1, max_length=1000)] | None = None
    around: BallAround | None = None

    @model_validator(mode="after")
    def _check_varied(self) -> "NetworkRules":
        if (share := getattr(self, self.varied)) is not None:
            raise ValueError(f"{self.varied}: got {share}, expected none: it is what ε is")
        if self.layers is not None and len(set(self.layers)) < len(self.layers):
            raise ValueError(f"layers: got {list(self.layers)}, expected different numbers")
        return self

    @property
    def told(self) -> dict[str, object]:
        """Return what differs from the defaults."""
        return {name: value for name, value in self if value != type(self).model_fields[name].default}

    def check(self, norm: str) -> None:
        """Raise ValueError for what a set does not have."""
        if stray := [name for name in self.told if name not in OF_NETWORKS.get(norm, ())]:
            fits = [known for known, names in OF_NETWORKS.items() if stray[0] in names]
            raise ValueError(f"{stray[0]}: got one with norm {norm}, expected {' or '.join(fits)}")

    def networks(self, norm: str, epsilon: float, lower: float, upper: float) -> NetworkSet:
        """Return the set of size ε: a share, or how many neurons."""
        ball: Perturbation | None = None
        if self.around is not None:
            ball = BALLS[self.around.norm](self.around.epsilon, lower, upper)
        if norm == "stuck":
            return StuckNeurons(int(epsilon), self.layers, ball)
        shares = {name: getattr(self, name) or 0.0 for name in SHARES} | {self.varied: epsilon}
        return Tolerance(**shares, around=ball, grows=self.varied)


Whole = Annotated[int, Field(ge=0, le=2**31, strict=True)]
Interval = tuple[Whole, Whole]

OF_NORM = {
    "l0": {"where", "kind"},
    "shift": {"where", "budget", "jitter", "count", "total", "merge", "border"},
    "l0+shift": {"where", "kind", "jitter", "count", "border"},
}


class EventBlock(Part):
    """A block of a recording: along each axis from first to last − 1, or all; as `EventRegion`."""

    steps: Interval | None = None
    polarities: Interval | None = None
    rows: Interval | None = None
    columns: Interval | None = None

    @model_validator(mode="after")
    def _check_ends(self) -> "EventBlock":
        self.region()
        return self

    def region(self) -> EventRegion:
        """Return the block as a region.

        Raises:
            ValueError: for an interval that holds nothing.
        """
        return EventRegion(**dict(self))


class EventRules(Part):
    """Which events change, and how.

    Attributes:
        where: the block in which they may.
        kind: of flips.
        budget: of shifts alone: what ε is.
        jitter, count, total: the other limits of shifts, as of `SpikeShift`.
        merge, border: of shifts, as of `SpikeShift`.
    """

    where: EventBlock | None = None
    kind: Literal["flip", "insert", "delete"] = "flip"
    budget: Literal["total", "count", "jitter"] = "total"
    jitter: Whole | None = None
    count: Whole | None = None
    total: Whole | None = None
    merge: Literal["or", "add", "refuse"] = "or"
    border: Literal["stay", "leave"] = "stay"

    @model_validator(mode="after")
    def _check_budget(self) -> "EventRules":
        if (limit := getattr(self, self.budget)) is not None:
            raise ValueError(f"{self.budget}: got {limit}, expected none: it is what ε is")
        return self

    @property
    def told(self) -> dict[str, object]:
        """Return what differs from the defaults."""
        return {name: value for name, value in self if value != type(self).model_fields[name].default}

    def check(self, norm: str) -> None:
        """Raise ValueError for what a norm does not have."""
        if stray := [name for name in self.told if name not in OF_NORM.get(norm, ())]:
            fits = [known for known, names in OF_NORM.items() if stray[0] in names]
            raise ValueError(f"{stray[0]}: got one with norm {norm}, expected {' or '.join(fits)}")
        if norm == "l0+shift" and self.jitter is None and self.count is None:
            raise ValueError("jitter, count: got neither with norm l0+shift, expected one, or both")

    def bracketed(self, norm: str) -> bool:
        """Return whether samples have radii: ε is a distance from them."""
        return norm != "l0+shift" and self.budget != "jitter"

    def scale(self, norm: str) -> Scale:
        """Return the sets of "l0", "shift" or "l0+shift", where ε is how many flip."""
        where = None if self.where is None else self.where.region()
        if norm == "l0":
            return FlipScale(SpikeFlip(0, self.kind, where))
        limits = self.jitter, self.count, self.total
        if norm == "l0+shift":
            shifts = SpikeShift(*limits, border=self.border, where=where)
            return ChangeScale(EventChange(SpikeFlip(0, self.kind, where), shifts))
        return ShiftScale(self.budget, SpikeShift(*limits, self.merge, self.border, where))


MOST_FEATURES = 4096
Size = Annotated[FiniteFloat, Field(ge=0)]


class Feature(Part):
    """One feature of a sample, in the unit of the data.

    Attributes:
        name: of it.
        unit: that its numbers are in; "" for none.
        size: how far it may move where ε = 1; 0: not at all.
        lower, upper: between which it stays.
    """

    name: Annotated[str, Field(min_length=1, max_length=200)]
    unit: Annotated[str, Field(max_length=40)] = ""
    size: Size
    lower: FiniteFloat
    upper: FiniteFloat

    @model_validator(mode="after")
    def _check_ends(self) -> "Feature":
        if not self.lower < self.upper:
            raise ValueError(f"range: got [{self.lower}, {self.upper}] of {self.name}, expected lower < upper")
        return self

    @property
    def told(self) -> str:
        """Return how far it moves, such as "temperature by 2 degC"."""
        return f"{self.name} by {self.size:g}{f' {self.unit}' if self.unit else ''}"


Features = Annotated[tuple[Feature, ...], Field(min_length=1, max_length=MOST_FEATURES)]


def spanned(features: tuple[Feature, ...]) -> tuple[float, float]:
    """Return the least and the greatest value that any of them has."""
    return min(feature.lower for feature in features), max(feature.upper for feature in features)


def box_scale(features: tuple[Feature, ...]) -> BoxScale:
    """Return the boxes in which each feature moves by ε times its own size, within its own ends."""
    return BoxScale(*(_column(features, name) for name in ("size", "lower", "upper")))


def in_words(features: tuple[Feature, ...]) -> str:
    """Return which features move by how much, and how many do not."""
    moving = [feature.told for feature in features if feature.size > 0]
    still = len(features) - len(moving)
    return ", ".join([*moving, *([f"{still} not at all"] if still else [])])


def _column(features: tuple[Feature, ...], name: str) -> Tensor:
    return torch.tensor([getattr(feature, name) for feature in features], dtype=torch.float64)
