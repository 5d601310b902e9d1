"""Which networks a threat model is about, beside ε: what else strays, which neurons may be stuck."""

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, model_validator

from ...certify.network_sets.base import NetworkSet
from ...certify.network_sets.stuck import StuckNeurons
from ...certify.network_sets.tolerance import SHARES, Tolerance
from ...certify.perturbations import Perturbation
from ...certify.scales import BALLS
from .epsilons import epsilon_text
from .part import Part, Written, checked_written

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
