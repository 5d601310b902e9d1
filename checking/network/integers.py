"""Neurons of chips, as a model file describes them: whole numbers, decays that are cut to whole ones, a width.

    u[t] = g(u[t−1]) + c[t], or g(u[t−1] + c[t])    the synapse, where there is one; else u[t] = c[t]
    v[t] = f(w[t−1]) + u[t]                         or, of neurons that go `towards` their drive, u + f(w − u)
    s[t] = how many thresholds fit into v[t], at most `most`; w[t] = 0, v − θ·s or v

The run is one in float64 on whole numbers below 2^53, which holds all of them: it rounds nothing (`WHOLE`). What
leaves a width in which a chip would wrap has no number there.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from ..maps.affine import LeakySynapse
from ..maps.images import Convolution
from ..maps.layers import Flatten, Linear
from ..numbers.exact import Arithmetic, Refused

WHOLE = Arithmetic(Fraction(0), Fraction(0), Fraction(2**51))
"""Of whole numbers: nothing rounds below 2^53, and a bound with halves is one in units of ½."""
LARGEST = 2**31
"""Of a weight's modulus."""
MULTIPLYING = ("truncate", "floor", "nearest")
CUTS = (*MULTIPLYING, "shift", "dash")
MOST_BITS, MOST_SHIFT, MOST_SPIKES = 32, 16, 255
FIELDS = {
    "type", "leak", "threshold", "reset", "fires_at", "bits", "overflow", "symmetric", "most", "synapse",
    "decays_last", "current_bits", "saturating_sums", "towards", "rest",
}  # fmt: skip
"""What a description holds, all of it: what this checker does not know, it must not pass over."""


@dataclass(frozen=True)
class WholeLeak:
    """f: "truncate", "floor" or "nearest" of v·m/2^n; v − (v ≫ n) ("shift"), at least 1 less for v > 0 ("dash").

    It is slow and monotone, f(v + 1) − f(v) ∈ {0, 1}, and f(0) = 0 (proofs/Whole.v).
    """

    cut: str
    shift: int
    factor: int

    @staticmethod
    def read(name: str, told: Any) -> "WholeLeak":
        """Return that of a description, (cut, n, m).

        Raises:
            Refused: for a cut that is not known, or numbers outside their range.
        """
        cut, shift, factor = told
        if cut not in CUTS:
            raise Refused(f"unknown: no proof form for a decay cut by {str(cut)[:20]!r}")
        shift, factor = (
            _within(f"{name}: n", shift, 0, MOST_SHIFT),
            _within(f"{name}: m", factor, 0, 1 << MOST_SHIFT),
        )
        if factor > (1 << shift if cut in MULTIPLYING else 0):
            raise Refused(f"{name}: has a factor {factor} of 2^{shift} that does not fit")
        return WholeLeak(cut, shift, factor)

    @property
    def share(self) -> Fraction:
        """Return λ, where f(v) is within 1 of λ·v."""
        return Fraction(self.factor if self.cut in MULTIPLYING else (1 << self.shift) - 1, 1 << self.shift)

    def of(self, v: int) -> int:
        """Return f(v)."""
        if self.cut in MULTIPLYING:
            scaled = v * self.factor
            if self.cut == "nearest":
                return 2 * scaled + (1 << self.shift) >> self.shift + 1
            return -(-scaled >> self.shift) if self.cut == "truncate" and scaled < 0 else scaled >> self.shift
        lost = v >> self.shift
        return v - (1 if self.cut == "dash" and lost == 0 and v > 0 else lost)


@dataclass(frozen=True)
class IntegerNeuron:
    """The layer's constants.

    Attributes:
        leak: f; synapse: g, or None; decays_last: whether that is of u + c.
        threshold: θ; first: the least v that fires.
        reset: "zero", "subtract" or "none"; most: spikes a step; rest: steps behind one in which v stays 0.
        top, bottom: v is cut there, or, where it `wraps`, must not pass them.
        current_top: of |u| and of a sum of currents' modulus.
        ordered: whether a sum's parts may not pass that either: a chip cuts behind each.
        towards: whether v goes towards its drive.
        steps: T.
    """

    leak: WholeLeak
    synapse: WholeLeak | None
    decays_last: bool
    threshold: int
    first: int
    reset: str
    most: int
    rest: int
    top: int
    bottom: int
    wraps: bool
    current_top: int
    ordered: bool
    towards: bool
    steps: int

    @staticmethod
    def read(name: str, layer: dict[str, Any], steps: int) -> "IntegerNeuron":
        """Return the neuron of a description.

        Raises:
            Refused: for constants outside their range, or other fields than are known.
        """
        if layer.keys() != FIELDS:
            raise Refused("unknown: no proof form for integer neurons that are described otherwise")
        for field in ("symmetric", "decays_last", "saturating_sums", "towards"):
            if type(layer[field]) is not bool:
                raise Refused(f"{name}.{field}: got {str(layer[field])[:20]!r}, expected true or false")
        words = {
            "reset": ("zero", "subtract", "none"),
            "fires_at": (">=", ">"),
            "overflow": ("saturate", "refuse"),
        }
        for field, known in words.items():
            if layer[field] not in known:
                raise Refused(f"unknown: no proof form for {field} {str(layer[field])[:20]!r}")
        bits, wide = (_within(f"{name}.{field}", layer[field], 2, MOST_BITS) for field in ("bits", "current_bits"))
        top, reset = (1 << bits - 1) - 1, layer["reset"]
        threshold = _within(f"{name}.threshold", layer["threshold"], 1, top)
        most = _within(f"{name}.most", layer["most"], 1, MOST_SPIKES if reset == "subtract" else 1)
        rest = _within(f"{name}.rest", layer["rest"], 0, 1 << 53 if reset == "zero" else 0)
        return IntegerNeuron(
            WholeLeak.read(f"{name}.leak", layer["leak"]),
            None if layer["synapse"] is None else WholeLeak.read(f"{name}.synapse", layer["synapse"]),
            layer["decays_last"],
            threshold,
            threshold + (layer["fires_at"] == ">"),
            reset,
            most,
            min(rest, steps),
            top,
            -top - (not layer["symmetric"]),
            layer["overflow"] == "refuse",
            (1 << wide - 1) - 1,
            layer["saturating_sums"],
            layer["towards"],
            steps,
        )

    def largest(self, reach: Fraction, arithmetic: Arithmetic) -> None:
        """Refuse currents whose moduli add up to `reach` at a step where a chip may cut a sum's parts.

        Raises:
            Refused: where it may; the order of a sum would count.
        """
        if not self.ordered:
            return
        size = widest = -int(-reach // 1)
        for _ in range(1, self.steps if self.synapse is not None else 1):
            assert self.synapse is not None
            widest = max(self.synapse.of(widest), -self.synapse.of(-widest)) + size
        if widest > self.current_top:
            raise Refused(f"a part of a sum of currents may pass {self.current_top}, where its order would count")

    @property
    def reads(self) -> bool:
        """Return whether its potentials are sums of its currents, as a readout's are."""
        return self.reset == "none" and self.leak.share == 1 and self.synapse is None and not self.towards


@dataclass(frozen=True)
class WholeEnds:
    """What a network takes: whole numbers from `least` to `most`."""

    least: int
    most: int

    @property
    def ends(self) -> tuple[int, int]:
        """Return both."""
        return self.least, self.most

    @staticmethod
    def read(layer: dict[str, Any]) -> "WholeEnds":
        """Return the ends of a description of the first layer.

        Raises:
            Refused: for one that is described otherwise, or no ends.
        """
        if layer.keys() != {"type", "least", "most"}:
            raise Refused("unknown: no proof form for a WholeInput that is described otherwise")
        least = _within("WholeInput.least", layer["least"], -(1 << 53), 1 << 53)
        return WholeEnds(least, _within("WholeInput.most", layer["most"], least, 1 << 53))


def check_tensors(tensors: dict[str, np.ndarray]) -> None:
    """Refuse weights and biases that are not whole float64 numbers, or beyond `LARGEST`.

    Raises:
        Refused: saying which.
    """
    for name, tensor in tensors.items():
        if tensor.dtype != np.dtype("<f8"):
            raise Refused(f"{name[:40]}: holds {tensor.dtype}, expected float64 of a network of whole numbers")
        if not ((tensor == np.round(tensor)) & (np.abs(tensor) <= LARGEST)).all():
            raise Refused(f"{name[:40]}: holds numbers that are not whole, or above 2^31 in modulus")


def keeps_whole(layer: object) -> bool:
    """Return whether a layer without neurons makes whole numbers of whole ones, by whole weights alone."""
    return isinstance(layer, Linear | Convolution | Flatten) or (
        isinstance(layer, LeakySynapse) and layer.decay == 0
    )


def _within(name: str, value: Any, least: int, most: int) -> int:
    """Return an integer of a description.

    Raises:
        Refused: for anything else, or one outside its range.
    """
    if type(value) is not int or not least <= value <= most:
        raise Refused(f"{name}: got {str(value)[:20]!r}, expected a whole number from {least} to {most}")
    return value
