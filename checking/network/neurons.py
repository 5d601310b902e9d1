"""A spiking layer as the model file describes it, and how far one step of its run may stray."""

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from ..numbers.exact import Arithmetic, Refused
from ..work import spend

FIELDS = {"type", "num_steps", "decay", "threshold", "reset", "reset_amount", "fires_at", "surrogate"}
"""What a neuron's description may hold: what this checker does not know, it must not pass over."""
RESTING = {"type", "decay", "threshold", "rest", "start", "fires_at", "surrogate"}
"""What that of one that rests holds."""
ADAPTING = {"adaptation", "threshold_decay"}
"""What that of one whose threshold rises holds, beside the others."""


@dataclass(frozen=True)
class Described:
    """v[t] = λ·u[t−1] + a[t]·I[t], fires at θ; a subtracting reset takes `drop`; `scale` is a, T numbers.

    Behind a spike it rests for `rest` steps: v[t] = 0 and no spike, whatever comes in. θ is θ + β·A[t], where
    A[1] = 0 and A[t+1] = ρ·A[t] + s[t]; β and ρ are `raises` and `fading`.
    """

    decay: Fraction
    threshold: Fraction
    reset: str
    drop: Fraction
    scale: tuple[Fraction, ...]
    rest: int = 0
    raises: Fraction = Fraction(0)
    fading: Fraction = Fraction(0)

    @staticmethod
    def read(
        tensors: dict[str, np.ndarray], name: str, layer: dict[str, Any], steps: int, arithmetic: Arithmetic
    ) -> "Described":
        """Return the neuron of a description.

        Raises:
            Refused: for constants outside their range or subnormal, or fields that are not known.
        """
        if not layer.keys() <= FIELDS:
            raise Refused(f"unknown: no proof form for a neuron with {', '.join(sorted(layer.keys() - FIELDS))}")
        decay, threshold = float(layer["decay"]), float(layer["threshold"])
        drop = float(layer.get("reset_amount", threshold))
        if not (0.0 <= decay <= 1.0 and 0.0 < threshold < 1e30 and layer["reset"] in ("zero", "subtract", "none")):
            raise Refused(f"{name}: has constants outside their range")
        if not 0.0 < drop < 1e30 or ("reset_amount" in layer and layer["reset"] != "subtract"):
            raise Refused(f"{name}: has a reset_amount that does not fit")
        scale = tensors.pop(f"{name}.input_scale") if layer["type"] == "DLIF" else np.ones(steps)
        if scale.shape != (steps,) or not np.isfinite(scale).all():
            raise Refused(f"{name}: has an input scale that does not fit")
        spend(16 * steps)
        known = {factor: Fraction(factor) for factor in scale.tolist()}
        factors = tuple(known[factor] for factor in scale.tolist())
        neuron = Described(Fraction(decay), Fraction(threshold), layer["reset"], Fraction(drop), factors)
        neuron._check_normal(name, arithmetic)
        return neuron

    @staticmethod
    def read_resting(name: str, layer: dict[str, Any], steps: int, arithmetic: Arithmetic) -> "Described":
        """Return one of a hard reset that rests, as `read`; a rest for good lasts all T steps."""
        rest, start = layer["rest"], layer["start"]
        if layer.keys() != RESTING or not (rest is None or (type(rest) is int and rest >= 0)):
            raise Refused("unknown: no proof form for neurons that rest and are described otherwise")
        if type(start) not in (int, float) or start != 0:
            raise Refused("unknown: no proof form for neurons that start from another potential than 0")
        plain = {key: layer[key] for key in RESTING - {"rest", "start"}} | {"type": "LIF", "reset": "zero"}
        neuron = Described.read({}, name, plain, steps, arithmetic)
        return replace(neuron, rest=steps if rest is None else min(rest, steps))

    @staticmethod
    def read_adapting(name: str, layer: dict[str, Any], steps: int, arithmetic: Arithmetic) -> "Described":
        """Return one whose threshold rises, as `read`."""
        raises, fading = (float(layer[field]) for field in ("adaptation", "threshold_decay"))
        if not (0.0 <= raises < 1e30 and 0.0 <= fading <= 1.0 and layer["reset"] in ("zero", "subtract")):
            raise Refused(f"{name}: has constants outside their range")
        plain = {field: value for field, value in layer.items() if field not in ADAPTING} | {"type": "LIF"}
        neuron = Described.read({}, name, plain, steps, arithmetic)
        constants = [Fraction(raises), Fraction(fading)]
        arithmetic.check_normal(f"{name}.adaptation, threshold_decay", constants)
        return replace(neuron, raises=constants[0], fading=constants[1])

    def _check_normal(self, name: str, arithmetic: Arithmetic) -> None:
        """Refuse subnormal constants: every bound of rounding here is relative to them."""
        constants = {"decay": self.decay, "threshold": self.threshold, "reset_amount": self.drop}
        for field, value in constants.items():
            arithmetic.check_normal(f"{name}.{field}", [value])
        arithmetic.check_normal(f"{name}.input_scale", self.scale)

    @property
    def powers(self) -> list[Fraction]:
        """Return Λ[t] = λ^(T−t), T numbers."""
        steps = len(self.scale)
        spend(8 * steps, 53 * steps)
        return [self.decay ** (steps - 1 - t) for t in range(steps)]

    def largest(self, reach: Fraction, arithmetic: Arithmetic) -> Fraction:
        """Return a bound of every |v̂| and |û| for currents up to `reach`: 2·Σ_t λ^t·(A·reach + max(θ, d)).

        The 2 is for rounding, as 8u·T ≤ 1/2.

        Raises:
            Refused: where the run may overflow.
        """
        steps = len(self.scale)
        arithmetic.gamma(8 * steps)
        spend(8 * steps, 53 * steps)
        drive = max(map(abs, self.scale)) * reach + max(self.threshold, self.drop)
        size = 2 * sum(self.decay**t for t in range(steps)) * drive
        if size > arithmetic.largest:
            raise Refused("unknown: a membrane potential may overflow")
        return size

    def slip(self, reach: Fraction, arithmetic: Arithmetic) -> Fraction:
        """Return a bound of |v̂ − λ·û − a·Î|, what one step's rounding may add, for currents up to `reach`.

        λ, λ·û, a·I and their sum are each rounded once: (1 + u)³ − 1 ≤ 4u of λ·|û| and of |a·I|.
        """
        drive = max(map(abs, self.scale)) * reach
        return 4 * arithmetic.unit * (self.decay * self.largest(reach, arithmetic) + drive) + 8 * arithmetic.tiny

    def slip_read(self, reach: Fraction, readout: str, arithmetic: Arithmetic) -> Fraction:
        """Return how far what is read of potentials may be from what exact steps make of the run's own currents.

        A potential adds a step's slip at each step, times Λ; a sum of T of them T times that, and γ_T of
        the sizes of all.

        Raises:
            Refused: where that sum may overflow.
        """
        steps, slip = len(self.scale), self.slip(reach, arithmetic) * sum(self.powers)
        if readout != "summed":
            return slip
        size = steps * self.largest(reach, arithmetic)
        if 2 * size > arithmetic.largest:
            raise Refused("unknown: a sum over time may overflow")
        return steps * slip + arithmetic.gamma(steps) * size

    def tie(self, arithmetic: Arithmetic) -> Fraction:
        """Return how far the run's rounded θ may be from θ."""
        return 2 * arithmetic.unit * self.threshold + arithmetic.tiny
