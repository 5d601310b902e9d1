"""Neurons as chips run them: whole numbers, decays that are cut to whole numbers, and a width.

    u[t] = g(u[t−1]) + c[t], or g(u[t−1] + c[t])    the synapse, where there is one; else u[t] = c[t]
    v[t] = f(w[t−1]) + u[t]                         or, of neurons that go `towards` their drive, u + f(w − u)
    s[t] = how many thresholds fit into v[t], at most `most`; w[t] = 0, v − θ·s or v

f and g are `WholeDecay`s. All are **slow and monotone**, f(v + 1) − f(v) ∈ {0, 1}, so the image of whole numbers
L..U under f(·) + c, c in l..h, is f(L) + l..f(U) + h, every one of them: the automaton below is exact. *Proof:* f
is monotone, so the ends are the images of the ends; it moves by at most 1 from one whole number to the next, and
so does the sum in c, so none between the ends is left out. Of ends that are not whole this says nothing
(v − (v ≫ n) falls behind each multiple of 2^n), so real bounds of currents are cut to whole numbers first. Of
u + f(v − u): it grows with v by 0 or 1, and with u by 1 − (f(x) − f(x − 1)) ∈ {0, 1}. To cut at a width's ends
keeps both. ∎

All of it runs in float64, which holds every whole number below 2^53, so each operation is exact: a product with a
decay's factor stays below 2^32·2^16, and a division by a power of two only moves the binary point.

**Widths.** A potential is cut at the ends of its width ("saturate"), or must never reach them ("refuse"), and so
must a synapse: where a chip would wrap, or would saturate in the middle of a sum, whose order nobody knows, the
run has no number (NaN) and bounds raise OverflowError. At rest a neuron holds 0 whatever comes in, so what wraps
then is read by nobody and hidden; a synapse keeps it, as NaN, until the neuron is awake. So where a run has
numbers they are those of a chip that wraps.
"""

from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, TypeGuard

import torch
from torch import Tensor

from ..constants import at_least, settle
from ..dynamics import FIRES_AT, RESETS, Dynamics
from ..rules import WHOLE, DeclaredRule, Label, Move, Number, Range, Recursion, Rule, kinds, reset_label
from ..validation import check_choice
from .neurons import Run, SteppedLIF
from .registry import Count, Element, Wait, or_none, register

CUTS = ("truncate", "floor", "nearest", "shift", "dash")
OVERFLOWS = ("saturate", "refuse")
MOST_BITS, MOST_SHIFT, MOST_SPIKES = 32, 16, 255


@dataclass(frozen=True)
class WholeDecay:
    """From a whole number to one that is nearer to 0.

    Attributes:
        cut: "truncate": v·m/2^n, towards 0; "floor": the same, downwards; "nearest": to the nearest, halves
            upwards; "shift": v − (v ≫ n); "dash": v − (v ≫ n), or v − 1 where that shift is 0 and v > 0.
        shift: n.
        factor: m, of the first three, at most 2^n.

    >>> WholeDecay("truncate", 12, 3686)(torch.tensor([100.0, -100.0]))
    tensor([ 89., -89.])
    """

    cut: str
    shift: int
    factor: int = 0

    def __post_init__(self) -> None:
        check_choice("cut", self.cut, CUTS)
        settle(self, at_least(0), "shift", "factor")
        most = 2**self.shift if self.multiplies else 0
        if self.shift > MOST_SHIFT or self.factor > most:
            told = f"{self.factor} of 2^{self.shift}"
            raise ValueError(f"decay: got {told}, expected at most {MOST_SHIFT} and a factor up to {most}")

    @property
    def multiplies(self) -> bool:
        """Return whether it has a factor."""
        return self.cut in CUTS[:3]

    @property
    def share(self) -> float:
        """Return λ, the real number that it stands for."""
        return self.factor / 2**self.shift if self.multiplies else 1.0 - 2.0**-self.shift

    @property
    def keeps(self) -> bool:
        """Return whether nothing decays."""
        return self.multiplies and self.factor == 2**self.shift

    def __call__(self, v: Tensor) -> Tensor:
        """Return what is left of whole numbers."""
        if self.multiplies:
            scaled = v * self.factor / 2**self.shift
            return {"truncate": scaled.trunc, "floor": scaled.floor, "nearest": (scaled + 0.5).floor}[self.cut]()
        leak = (v / 2**self.shift).floor()
        return v - (torch.where((leak == 0) & (v > 0), 1.0, leak) if self.cut == "dash" else leak)

    def image(self, v: Range) -> Range:
        """Return where that lies."""
        return Range(self(v.low), self(v.high))


NOTHING_LOST = WholeDecay("truncate", 0, 1)
"""f(v) = v."""


@dataclass(frozen=True)
class Stepped(DeclaredRule):
    """What `IntegerLIF` does, in whole numbers.

    Attributes:
        leak: f.
        threshold: θ ≥ 1.
        reset: "zero", "subtract" or "none".
        fires_at: ">=" or ">".
        bits: of a potential, with its sign.
        overflow: "saturate" or "refuse".
        symmetric: whether the least potential is −(2^(bits−1) − 1), and not one less.
        most: spikes a step, more than one only where they subtract.
        synapse: g, or None for none.
        decays_last: whether a synapse decays behind what enters, g(u + c), and not before, g(u) + c.
        current_bits: of u, and of a sum of currents: neither may leave them.
        saturating_sums: whether a chip cuts after each summand: then none of a sum's parts may leave them.
        towards: whether the potential goes towards its drive, u + f(w − u).
        rest: steps behind a spike in which the potential stays 0, of a hard reset.
    """

    features: ClassVar[frozenset[str]] = frozenset({WHOLE})  # pyright: ignore[reportIncompatibleMethodOverride]

    leak: WholeDecay
    threshold: int
    reset: str = "zero"
    fires_at: str = ">="
    bits: int = 24
    overflow: str = "saturate"
    symmetric: bool = False
    most: int = 1  # pyright: ignore[reportIncompatibleMethodOverride]
    synapse: WholeDecay | None = None
    decays_last: bool = False
    current_bits: int = 24
    saturating_sums: bool = False
    towards: bool = False
    rest: int = 0

    def __post_init__(self) -> None:
        for name in ("leak", "synapse"):
            if type(decay := getattr(self, name)) is not WholeDecay and not (name == "synapse" and decay is None):
                raise TypeError(f"{name}: got {type(decay).__name__}, expected a WholeDecay")
        settle(self, at_least(1), "threshold", "most")
        settle(self, at_least(2), "bits", "current_bits")
        settle(self, at_least(0), "rest")
        check_choice("reset", self.reset, RESETS)
        check_choice("fires_at", self.fires_at, FIRES_AT)
        check_choice("overflow", self.overflow, OVERFLOWS)
        for name in ("symmetric", "towards", "saturating_sums", "decays_last"):
            if type(value := getattr(self, name)) is not bool:
                raise TypeError(f"{name}: got {type(value).__name__}, expected True or False")
        self._check_together()

    def _check_together(self) -> None:
        if (widest := max(self.bits, self.current_bits)) > MOST_BITS:
            raise ValueError(f"bits: got {widest}, expected at most {MOST_BITS}")
        if self.threshold > self.top:
            raise ValueError(f"threshold: got {self.threshold}, expected at most {self.top} in {self.bits} bits")
        if self.most > MOST_SPIKES or (self.most > 1 and self.reset != "subtract"):
            told = f'expected 1, or up to {MOST_SPIKES} with reset "subtract"'
            raise ValueError(f"most: got {self.most} with reset {self.reset!r}, {told}")
        if self.rest and self.reset != "zero":
            raise ValueError(f"rest: got {self.rest} with reset {self.reset!r}, expected a reset to zero")

    @property
    def top(self) -> int:
        """Return the greatest potential."""
        return 2 ** (self.bits - 1) - 1

    @property
    def bottom(self) -> int:
        """Return the least one."""
        return -self.top if self.symmetric else -self.top - 1

    @property
    def first_firing(self) -> int:
        """Return the least potential that fires: θ, or θ + 1 where it must be above."""
        return self.threshold + (self.fires_at == ">")

    def check(self, dtype: torch.dtype) -> None:
        """Raise ValueError unless the run is in float64."""
        if dtype != torch.float64:
            raise ValueError(f"dtype: got {dtype}, expected torch.float64, which holds the whole numbers of chips")

    def recursion(self, like: Tensor) -> Recursion:
        """Return what is at most reached; the run rounds nothing."""
        potential = Number(1.0, float(self.threshold * self.most))
        return Recursion(float(self.threshold), (potential, Number(1.0, 0.0))[: 1 + (self.synapse is not None)])

    @property
    def current_top(self) -> int:
        """Return the greatest modulus of u, and of a sum of currents."""
        return 2 ** (self.current_bits - 1) - 1

    def admit(self, size: Tensor, num_steps: int) -> None:
        """Raise OverflowError where a part of a sum of currents may be cut: its order would count.

        Args:
            size: a bound of the moduli that enter at a step, Σ|w||x| + |b|, (batch, ...).
            num_steps: T.
        """
        if not self.saturating_sums:
            return
        widest = size
        for _ in range(1, num_steps if self.synapse is not None else 1):
            assert self.synapse is not None
            widest = (
                torch.maximum(self.synapse(widest), -self.synapse(-widest)) + size
            )  # "floor" keeps more below 0
        check_within(float(widest.max()), self.current_top, "a part of a sum of currents", "saturate")

    def moves(
        self, labels: tuple[Label, ...], state: tuple[Range, ...], current: Range, tie: float | Tensor
    ) -> tuple[Move, ...]:
        """Return what each number of spikes leaves, from none on, as far as any may happen."""
        return self._moved(labels, state, current, tie, None)

    def within(
        self,
        labels: tuple[Label, ...],
        state: tuple[Range, ...],
        current: Range,
        tie: float | Tensor,
        potential: Range,
    ) -> tuple[Move, ...]:
        """Return the same for potentials that lie in these ends, too."""
        return self._moved(labels, state, current, tie, potential)

    def _moved(
        self,
        labels: tuple[Label, ...],
        state: tuple[Range, ...],
        current: Range,
        tie: float | Tensor,
        ends: Range | None,
    ) -> tuple[Move, ...]:
        summed = drive = self._summed(state, current)
        reach = max(-float(summed.low.min()), float(summed.high.max()))
        check_within(reach, self.current_top, "a sum of currents", "wrap")
        if self.synapse is not None and self.decays_last:
            drive = self.synapse.image(summed)
        u = () if self.synapse is None else (drive,)
        potential = self._held(self._driven(state[0], drive))
        if ends is not None:
            potential = potential.above(ends.low).below(ends.high)
        waits = kinds(labels, current.low) > 0
        most = 1 if self.most == 1 else min(self.most, max(1, int(potential.high.max()) // self.threshold))
        return tuple(self._move(n, most, potential, waits, u, tie) for n in range(most + 1))

    def _move(
        self, n: int, most: int, potential: Range, waits: Tensor, u: tuple[Range, ...], tie: float | Tensor
    ) -> Move:
        low = self.first_firing + (n - 1) * self.threshold
        found = potential if n == 0 else potential.above(low - tie)
        if n < most:
            found = found.below(low + self.threshold - 1 + tie)
        if self.reset == "none" or n == 0:
            left = found
        else:
            left = found.times(0.0) if self.reset == "zero" else found + (-n * self.threshold)
        if self.rest:
            rests = left.where(~waits, left.times(0.0)) if n == 0 else left
            return Move(found.some | waits if n == 0 else found.some & ~waits, (rests, *u))
        return Move(found.some, (left, *u))

    def _summed(self, state: tuple[Range, ...], current: Range) -> Range:
        """Return the current and what it is added to."""
        if self.synapse is None:
            return current
        return (state[1] if self.decays_last else self.synapse.image(state[1])) + current

    def _driven(self, v: Range, drive: Range) -> Range:
        if not self.towards:
            return self.leak.image(v) + drive
        return Range(drive.low + self.leak(v.low - drive.low), drive.high + self.leak(v.high - drive.high))

    def _held(self, v: Range) -> Range:
        """Return potentials cut at their width's ends, or raise OverflowError where they must not pass them."""
        if self.overflow == "refuse":
            reach = max(-float(v.low.min()) + self.bottom + self.top, float(v.high.max()))
            check_within(reach, self.top, "a potential", "wrap")
        return Range(v.low.clamp(self.bottom, self.top), v.high.clamp(self.bottom, self.top))

    def label(self, label: Label, spike: int, t: int) -> Label:
        """Return the steps of rest that are left, and the last spike's step, or a count of spikes."""
        if self.rest:
            return (self.rest, t) if spike else (max(0, label[0] - 1), label[1])
        return reset_label(self.reset, label, spike, t)

    def step(self, residue: Tensor, current: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return a step's potentials and spikes, and what is left: v, u and steps of rest, (3, batch, ...)."""
        left, synapse, waits = residue
        before = synapse if self.synapse is None or self.decays_last else self.synapse(synapse)
        drive = _inside(current if self.synapse is None else before + current, -self.current_top, self.current_top)
        if self.synapse is not None and self.decays_last:
            drive = self.synapse(drive)
        potential = drive + self.leak(left - drive) if self.towards else self.leak(left) + drive
        if self.overflow == "refuse":
            potential = _inside(potential, self.bottom, self.top)
        potential = torch.where(waits > 0, 0.0, potential.clamp(self.bottom, self.top))
        above = ((potential - (self.first_firing - self.threshold)) / self.threshold).floor()
        spikes = above.clamp(0, self.most)
        if self.reset == "zero":
            after = torch.where(spikes > 0, 0.0, potential)
        else:
            after = potential - spikes * self.threshold if self.reset == "subtract" else potential
        waits = torch.where(spikes > 0, float(self.rest), (waits - 1.0).clamp_min(0.0))
        return potential, spikes, torch.stack((after, drive, waits))


def stepped(rule: Rule | None) -> TypeGuard[Stepped]:
    """Return whether a rule is of whole numbers."""
    return rule is not None and rule.features == {WHOLE}


def check_within(reach: float, top: int, of: str, how: str) -> None:
    """Raise OverflowError where a modulus may pass the greatest one."""
    if not reach <= top:
        raise OverflowError(f"{of} may reach {reach:.0f}, beyond {top}, where a chip would {how}")


def _inside(x: Tensor, low: float, high: float) -> Tensor:
    """Return numbers where they lie in a width, NaN elsewhere."""
    return torch.where((x >= low) & (x <= high), x, torch.nan)


class IntegerLIF(SteppedLIF):
    """A layer of neurons as chips run them, in whole numbers that float64 holds: see the module's equations.

    It has no gradient. Its currents must be whole; a network of such layers begins with a `WholeInput`.

    Args:
        leak: what is left of a potential after a step.
        threshold: θ.
        constants: reset, fires_at, bits, overflow, symmetric, most, synapse, decays_last, current_bits,
            saturating_sums, towards and rest, as in `Stepped`.

    Raises:
        ValueError, TypeError: for constants outside their range.

    >>> layer = IntegerLIF(WholeDecay("shift", 2), threshold=8, reset="subtract")
    >>> layer(torch.full((1, 1, 1), 5.0, dtype=torch.float64), num_steps=4).flatten()
    tensor([0., 1., 0., 1.], dtype=torch.float64)

    References: davies2018loihi
    """

    holds = ("stepped",)
    stepped: Stepped

    def __init__(self, leak: WholeDecay, threshold: int, **constants: Any) -> None:
        rule = Stepped(leak, threshold, **constants)
        super().__init__(*_simplified(rule))
        self.stepped = rule

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; the constants of the run are `stepped`, and nothing else."""
        if name == "stepped" and type(value) is not Stepped:
            raise TypeError(f"stepped: got {type(value).__name__}, expected a Stepped rule")
        if name == "dynamics" and "stepped" in vars(self):
            raise AttributeError("dynamics: of integer neurons is what `stepped` says, expected that to be set")
        super().__setattr__(name, value)
        if name == "stepped":
            super().__setattr__("dynamics", Dynamics(*_simplified(value)))

    def rule(self, num_steps: int) -> Rule:
        """Return the constants."""
        return self.stepped

    def _go(
        self, current: Tensor, residue: Tensor | None, start: int, steps: int, num_steps: int
    ) -> tuple[Run, Tensor]:
        if current.dtype != torch.float64:
            raise ValueError(f"inputs: got {current.dtype}, expected torch.float64 for integer neurons")
        current = current.detach()
        if not bool(((current == current.round()) | current.isnan()).all()):
            raise ValueError("inputs: got currents of integer neurons that are not whole, expected whole inputs")
        residue = current.new_zeros(3, *current.shape[1:]) if residue is None else residue
        potentials, spikes = [], []
        for t in range(steps):
            potential, spike, residue = self.stepped.step(residue, current[t % len(current)])
            potentials.append(potential)
            spikes.append(spike)
        return Run(current, torch.stack(potentials), torch.stack(spikes)), residue

    def extra_repr(self) -> str:
        """Return the constants."""
        return ", ".join(f"{field.name}={getattr(self.stepped, field.name)}" for field in fields(self.stepped))


def _simplified(rule: Stepped) -> tuple[float, float, str, str]:
    """Return decay, threshold, reset and firing rule of the real-valued neuron that a rule stands for."""
    return rule.leak.share, float(rule.threshold), rule.reset, rule.fires_at


Stepped.layers = (IntegerLIF,)

DECAY = tuple[Literal[*CUTS], Wait, Wait]
"""A decay as a file has it: cut, shift and factor."""
FIELDS: dict[str, Any] = {
    "leak": DECAY,
    "threshold": Count,
    "reset": Literal[*RESETS],
    "fires_at": Literal[*FIRES_AT],
    "bits": Count,
    "overflow": Literal[*OVERFLOWS],
    "symmetric": bool,
    "most": Count,
    "synapse": or_none(DECAY),
    "decays_last": bool,
    "current_bits": Count,
    "saturating_sums": bool,
    "towards": bool,
    "rest": Wait,
}


def _said(layer: IntegerLIF) -> dict[str, Any]:
    """Return the constants as a file says them."""
    told = {field.name: getattr(layer.stepped, field.name) for field in fields(layer.stepped)}
    decays = {name: told[name] for name in ("leak", "synapse") if told[name] is not None}
    return told | {name: (decay.cut, decay.shift, decay.factor) for name, decay in decays.items()}


def _built(said: Any) -> IntegerLIF:
    constants = dict(said)
    for name in ("leak", "synapse"):
        if constants[name] is not None:
            constants[name] = WholeDecay(*constants[name])
    return IntegerLIF(**constants)


register(Element(IntegerLIF, rules=(Stepped,), fields=FIELDS, said=_said, build=_built))
