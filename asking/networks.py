"""Threat models of the network itself: what hardware makes of its numbers, and neurons that are stuck."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from .threats import ONE, THREATS, L2Threat, LInfThreat, Sizes, Threat, short, with_value
from .values import Mistake, Numeral, Saying, many, real, whole

if TYPE_CHECKING:
    from ..certify.network_sets.base import NetworkSet
    from ..certify.perturbations import Perturbation
    from ..certify.problem import Scale

Share = Annotated[Numeral, real("a share below 1, such as 2%", 0.0, below=1.0)]
PLURALS = {"weights": "weight and bias", "threshold": "threshold", "decay": "decay"}


def _percent(share: float) -> str:
    return f"{100 * share:.6g} %"


@dataclass(frozen=True, kw_only=True)
class OfNetworks(Threat):
    """The networks that one network may be, each on inputs around the sample.

    Attributes:
        with_epsilon: how far inputs move besides the networks, such as 8/255; default: not.
        with_norm: linf or l2, of with_epsilon.
    """

    of_networks: ClassVar[bool] = True

    with_epsilon: Annotated[Numeral, real("a number above 0, such as 8/255", above=0.0)] | None = None
    with_norm: Literal["linf", "l2"] = "linf"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.asked is not None:
            raise Mistake(("property",), Saying(f"one with norm {self.norm}"), "none: labels alone")
        if self.with_epsilon is None and self.with_norm != "linf":
            raise Mistake(("with_norm",), Saying(f"{self.with_norm!r} alone"), "it beside with-epsilon")

    @property
    def still(self) -> bool:  # type: ignore[override]
        """Return whether inputs stay as they are."""
        return self.with_epsilon is None

    @property
    def ball(self) -> "Perturbation | None":
        """Return the inputs around each sample; None for the sample alone."""
        from ..certify.problem import BALLS

        if self.with_epsilon is None:
            return None
        return BALLS[self.with_norm](float(self.with_epsilon), self.lower, self.upper)

    @property
    def scale(self) -> "Scale":
        """Raise ValueError: these are no sets of inputs."""
        raise ValueError(f"norm: got {self.norm}, a set of networks, expected a set of inputs, such as linf")

    def around(self, epsilon: float) -> "NetworkSet":
        """Return the set of one size."""
        raise NotImplementedError

    @property
    def sets(self) -> "NetworkSet":
        """Return one set, whose sizes are."""
        return self.around(self.epsilons[0])

    @property
    def change(self) -> str:
        """Return which networks there are, as a clause."""
        return self.members("ε")

    def members(self, size: str) -> str:
        """Return which networks a set of one size holds, and which inputs, as a clause."""
        if self.with_epsilon is None:
            return f"{self._members(size)}; inputs stay as they are"
        told = with_value(short(self.with_epsilon), self.with_epsilon)
        inputs = {"linf": LInfThreat, "l2": L2Threat}[self.with_norm]().change
        return f"{self._members(size)}; and {inputs.replace('ε', told)}"

    def _members(self, size: str) -> str:
        raise NotImplementedError

    def hardware(self, size: str) -> str:
        """Return which hardware a set of one size stands for, in words."""
        raise NotImplementedError

    @property
    def _ball(self) -> tuple[str, ...]:
        if self.with_epsilon is None:
            return ()
        told = with_value(short(self.with_epsilon), self.with_epsilon)
        return (f"with {THREATS[self.with_norm].sign} {told}",)


@dataclass(frozen=True, kw_only=True)
class ToleranceThreat(OfNetworks):
    """All networks whose numbers lie within a share of this one's.

    Attributes:
        varied: what ε is a share of: weights (and biases), threshold or decay.
        weight_tolerance: of weights, where ε is of something else, such as 5%.
        threshold_tolerance: of thresholds, beside ε of weights, such as 2%.
        decay_tolerance: of decays λ, beside ε of weights, such as 1%.
    """

    norm: ClassVar[str] = "tolerance"
    sign: ClassVar[str] = "tolerance"

    epsilons: Sizes = (Numeral(0.05, "5%"),)
    varied: Literal["weights", "threshold", "decay"] = "weights"
    weight_tolerance: Share | None = None
    threshold_tolerance: Share | None = None
    decay_tolerance: Share | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.epsilons[-1] >= 1:
            raise Mistake(("epsilon",), Saying(self.epsilons[-1].text), "a share below 1, such as 5%")
        name = {"weights": "weight"}.get(self.varied, self.varied) + "_tolerance"
        if (share := self._shares[self.varied]) is not None:
            raise Mistake((name,), Saying(share.text), "none: it is what ε is")

    @property
    def _shares(self) -> dict[str, Numeral | None]:
        told = self.weight_tolerance, self.threshold_tolerance, self.decay_tolerance
        return dict(zip(PLURALS, told, strict=True))

    def around(self, epsilon: float) -> "NetworkSet":
        """Return the networks within a share ε."""
        from ..certify.network_sets.tolerance import Tolerance

        shares = {name: float(share or 0.0) for name, share in self._shares.items()}
        shares[self.varied] = float(epsilon)
        return Tolerance(**shares, around=self.ball, grows=self.varied)

    @property
    def beside(self) -> tuple[str, ...]:
        """Return in a few words each what ε is of, and what else strays."""
        told = (f"{name} {_percent(share)}" for name, share in self._shares.items() if share is not None)
        return (self.varied, *told, *self._ball)

    def _members(self, size: str) -> str:
        shares = {name: _percent(share) if share else "" for name, share in self._shares.items()}
        shares[self.varied] = size
        told = (f"every {PLURALS[name]} within {share} of itself" for name, share in shares.items() if share)
        return f"{', '.join(told)}, each number by itself"

    def hardware(self, size: str) -> str:
        """Return which hardware a set of one size stands for, in words."""
        of = {"weights": "weights", "threshold": "thresholds", "decay": "decays"}[self.varied]
        others = any(share is not None for share in self._shares.values())
        rest = ", and its other numbers as far as stated" if others else ""
        return f"any chip whose {of} are within {size} of this network's{rest}"


@dataclass(frozen=True, kw_only=True)
class StuckThreat(OfNetworks):
    """Networks of which up to ε neurons are stuck, each at silence or at firing.

    Attributes:
        stuck_layers: which spiking layers have stuck neurons, such as 0,1; default: all.
    """

    norm: ClassVar[str] = "stuck"
    sign: ClassVar[str] = "stuck neurons"
    counts: ClassVar[str] = "neurons"

    epsilons: Sizes = (ONE,)
    stuck_layers: Annotated[tuple[int, ...], many(whole(0, 10_000), expected="numbers such as 0,1")] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stuck_layers is not None and len(set(self.stuck_layers)) < len(self.stuck_layers):
            raise Mistake(("stuck_layers",), list(self.stuck_layers), "different numbers")

    def around(self, epsilon: float) -> "NetworkSet":
        """Return the networks of which up to ε neurons are stuck."""
        from ..certify.network_sets.stuck import StuckNeurons

        return StuckNeurons(int(epsilon), self.stuck_layers, self.ball)

    @property
    def beside(self) -> tuple[str, ...]:
        """Return in a few words each which layers, and what else moves."""
        layers = () if self.stuck_layers is None else (f"layers {' '.join(map(str, self.stuck_layers))}",)
        return (*layers, *self._ball) or ("any layer",)

    def _members(self, size: str) -> str:
        layers = ", ".join(map(str, self.stuck_layers or ()))
        where = f" of spiking layers {layers}" if layers else ""
        return f"up to {size} of all neurons that fire{where} may be stuck, each at silence or at firing"

    def hardware(self, size: str) -> str:
        """Return which hardware a set of one size stands for, in words."""
        return f"any chip on which no more than {size} of these neurons are broken"


THREATS |= {form.norm: form for form in (ToleranceThreat, StuckThreat)}
