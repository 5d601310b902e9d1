"""From fitted layers to a `SpikingNetwork`: layers in a row, and sums of rows that part and meet again."""

from dataclasses import dataclass, field
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from ..conversion.constants import told
from ..conversion.layers import normalizing, with_bias
from ..conversion.refusal import ConversionRefused
from ..elements.adaptive import AdaptiveLIF
from ..elements.layers import Residual
from ..elements.neurons import DLIF, LIF
from ..elements.recurrent import Recurrent
from ..elements.refractory import RefractoryLIF
from ..elements.synapses import Synapse
from ..elements.varied import VariedLIF
from ..linear_maps.sharing import Share
from ..networks import SpikingNetwork
from ..surrogates import Triangle
from .fitting import Fit, fit
from .grouping import Layers
from .polynomials import (
    ONE,
    UNIT,
    ZERO,
    Coefficient,
    FeatureMap,
    Fractions,
    Given,
    Graded,
    Image,
    Polynomial,
    entries_of,
)
from .readouts import Readout

Part = tuple[Any, ...]
"""What becomes a module or two: its kind, and what it is made of."""


def number(value: Coefficient) -> float | Tensor:
    """Return a coefficient as the nearest float, or an array of them."""
    if not isinstance(value, Fractions):
        return float(value)
    return torch.tensor([float(each) for each in value.entries], dtype=torch.float64).reshape(value.shape)


@dataclass(frozen=True)
class Writer:
    """Writes what layers hear as modules.

    Attributes:
        layers: the firings by layer and step.
        timed: whether inputs have an axis of time.
        dtype: of the run.
        fits: the neurons of layers, as they are met.
        order: the layers in the order of their modules.
        above: those that hear what is written now.
    """

    layers: Layers
    timed: bool
    dtype: torch.dtype
    fits: dict[int, Fit] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)
    above: list[int] = field(default_factory=list)

    def network(self, readout: Readout) -> SpikingNetwork:
        """Return the network.

        Raises:
            ConversionRefused: for what has no element in it.
        """
        parts, last = self.row(readout.signal), None
        modules = self.modules(parts)
        if readout.decay is not None:
            modules.append(LIF(_share("module", number(readout.decay)), reset="none"))
            last = "potential"
        elif not isinstance(modules[-1], LIF):
            last = "mean"
        encoding = "none" if self.timed else "direct"
        try:
            made = SpikingNetwork(*modules, num_steps=self.layers.num_steps, encoding=encoding, readout=last)
        except (TypeError, ValueError) as error:
            raise ConversionRefused(f"module: {error}") from error
        return made.to(self.dtype).eval()

    def row(self, signal: Polynomial) -> list[Part]:
        """Return the parts that make a signal of the last step, in a row."""
        rest, constant = signal.rest, signal.constant
        if not rest.terms:
            self._refuse("a signal is constant, and hears no input")
        rows = [self._term(spikes, graded, factor) for (spikes, graded), factor in rest.terms.items()]
        row = rows[0]
        for other in rows[1:]:
            row = _met(row, other)
        return row if constant == ZERO else [*row, ("constant", constant)]

    def _term(self, spikes: frozenset[int], graded: Graded | None, factor: Coefficient) -> list[Part]:
        last = self.layers.num_steps - 1
        if len(spikes) + (graded is not None) != 1:
            self._refuse("signals multiply each other; expected sums of what layers make of spikes")
        if graded is None:
            layer, step = self.layers.place[next(iter(spikes))]
            row, late = self.neuron(layer), 0 if self.layers.constant(layer) else last - step
        elif isinstance(graded, Image):
            row, late = [*self.row(graded.signal), ("map", graded.map)], 0
        else:
            if not isinstance(graded, Given):
                self._refuse("a layer hears the potential of a neuron that fires; expected its spikes")
            row, late = [], 0 if graded.step is None else last - graded.step
        row = [*row, ("delay", late)] if late else row
        if isinstance(factor, Fractions):
            self._refuse("a signal is multiplied by factors that differ; expected them in a layer, or in a neuron")
        return row if factor == UNIT else [*row, ("share", factor)]

    def fitted(self, layer: int) -> Fit:
        """Return the neuron of a layer."""
        if layer not in self.fits:
            self.fits[layer] = fit(self.layers, layer)
        return self.fits[layer]

    def neuron(self, layer: int) -> list[Part]:
        """Return a layer and all that is in front of it."""
        if layer in self.above:
            self._refuse("layers hear each other; expected each to hear those before it, and itself", layer)
        self.above.append(layer)
        try:
            return self._behind_inputs(layer)
        finally:
            self.above.pop()

    def _behind_inputs(self, layer: int) -> list[Part]:
        own, current = [], self.fitted(layer).current
        terms = dict(current.terms)
        for spikes, graded in current.terms:
            if isinstance(graded, Image) and layer in self.layers.heard(graded.signal):
                own.append((graded, terms.pop((spikes, graded))))
        gains = {value for term, value in [*terms.items(), *own] if term != ONE}
        gain = own[0][1] if own else gains.pop() if len(gains) == 1 else UNIT
        if not all(each > 0 for each in entries_of(gain)):
            gain = UNIT
        inputs = Polynomial(terms) * (UNIT / gain)
        feedback = self._feedback(layer, own[0][0], own[0][1] / gain) if own else None
        if len(own) > 1:
            self._refuse("hears its own spikes by several maps; expected one", layer)
        return [*self.row(inputs), ("neuron", layer, gain, feedback)]

    def _feedback(self, layer: int, heard: Image, share: Coefficient) -> FeatureMap:
        last = self.layers.steps[layer][-2]
        if heard.signal != Polynomial.spike(last) or share != UNIT:
            self._refuse("hears more of itself than its spikes of one step before", layer)
        return heard.map

    def modules(self, parts: list[Part]) -> list[nn.Module]:
        """Return new modules of parts."""
        found: list[nn.Module] = []
        for part in parts:
            match part:
                case ("map", FeatureMap() as by):
                    found += self._mapped(by)
                case ("share", share):
                    found.append(Share(float(share)))
                case ("delay", late):
                    found.append(Synapse(0.0, late))
                case ("sum", one, other):
                    found.append(Residual(self.modules(list(one)), self.modules(list(other))))
                case ("constant", value):
                    self._shift(found, value)
                case ("neuron", layer, gain, feedback):
                    found += self._neuron(layer, gain, feedback)
        return found

    def _mapped(self, by: FeatureMap) -> list[nn.Module]:
        if by.made is None:
            raise ConversionRefused(f"{by.place}: {by.key[0]} has no layer here")
        try:
            return by.made()
        except (TypeError, ValueError) as error:
            raise ConversionRefused(f"{by.place}: {by.key[0]}: {error}") from error

    def _shift(self, found: list[nn.Module], value: Coefficient) -> None:
        """Add a constant current, in the bias of the layer before where that has one."""
        constant = number(value)
        if not found or with_bias(found[-1], constant) is None:  # pyright: ignore[reportArgumentType]
            shifts = tuple(torch.as_tensor(constant).flatten().tolist())
            if isinstance(constant, Tensor) and constant.dim() not in (1, 3):
                self._refuse("a constant current differs over more than channels")
            found.append(
                _Shift(shifts, images=isinstance(constant, Tensor) and constant.dim() == 3).made(self.dtype)
            )

    def _neuron(self, layer: int, gain: Coefficient, feedback: FeatureMap | None) -> list[nn.Module]:
        fit = self.fitted(layer)
        self.order.append(layer)
        fires, place = ">" if self._first(layer).strict else ">=", self._first(layer).place
        decay, threshold = _share(place, number(fit.decay)), number(fit.threshold / gain)
        drop, start = number(fit.drop / gain), number(fit.start / gain)
        if not bool((torch.as_tensor(threshold) > 0).all()):
            self._refuse(f"threshold {told(threshold)} is not above what a reset leaves", layer)
        if fit.kind == "subtract" and not bool((torch.as_tensor(drop) > 0).all()):
            self._refuse(f"a spike adds {told(-torch.as_tensor(drop))} to the potential", layer)
        surrogate = Triangle(float(torch.as_tensor(threshold).max()))
        differ = any(isinstance(each, Tensor) for each in (decay, threshold, drop, start))
        plain = fit.kind in ("zero", "subtract", "none") and fit.adaptation == ZERO
        if differ and not (plain and fit.scale is None and feedback is None and start == 0.0):
            self._refuse("constants differ within the layer, and it is no plain neuron; expected one each", layer)
        if not plain or start != 0.0:
            if fit.scale is not None or feedback is not None:
                self._refuse("rests, starts elsewhere or adapts, and hears itself or has an input scale", layer)
            return self._special(fit, gain, (decay, threshold), fires, surrogate)
        amount = drop if fit.kind == "subtract" and not _equal(drop, threshold) else None
        before = [] if fit.synapse is None else [Synapse(_share(place, number(fit.synapse)))]
        if differ:
            constants = (torch.as_tensor(each, dtype=torch.float64) for each in (decay, threshold))
            amount = None if amount is None else torch.as_tensor(amount, dtype=torch.float64)
            return [*before, VariedLIF(*constants, fit.kind, fires, surrogate, amount)]
        made: LIF = LIF(decay, threshold, fit.kind, fires, surrogate, amount)  # pyright: ignore[reportArgumentType]
        if fit.scale is not None:
            made = DLIF(len(fit.scale), decay, threshold, fit.kind, fires, surrogate, amount)  # pyright: ignore[reportArgumentType]
            made.input_scale.data = torch.tensor([float(each) for each in fit.scale], dtype=torch.float64)  # pyright: ignore[reportArgumentType, reportAttributeAccessIssue]
        if feedback is None:
            return [*before, made]
        try:
            (by,) = self._mapped(feedback)
            return [Recurrent(made, by, before[0] if before else None)]
        except (TypeError, ValueError) as error:
            self._refuse(f"hears its own spikes: {error}", layer)

    def _special(
        self, fit: Fit, gain: Coefficient, constants: tuple[Any, Any], fires: str, surrogate: Triangle
    ) -> list[nn.Module]:
        """Return a neuron that rests, starts elsewhere, or adapts."""
        before: list[nn.Module] = [] if fit.synapse is None else [Synapse(number(fit.synapse))]  # pyright: ignore[reportArgumentType]
        if fit.adaptation == ZERO:
            start: Any = number(fit.start / gain)
            return [*before, RefractoryLIF(*constants, int(fit.kind == "rest"), fires, surrogate, start)]
        adapting: Any = number(fit.adaptation / gain), number(fit.fading)
        drop: Any = number(fit.drop / gain)
        amount = drop if fit.kind == "subtract" and drop != constants[1] else None
        return [*before, AdaptiveLIF(*constants, *adapting, fit.kind, fires, surrogate, amount)]

    def _first(self, layer: int) -> Any:
        return self.layers.firings[self.layers.steps[layer][0]]

    def _refuse(self, reason: str, layer: int | None = None) -> NoReturn:
        place = "module" if layer is None else self._first(layer).place
        raise ConversionRefused(f"{place}: {reason}")


@dataclass(frozen=True)
class _Shift:
    """A constant that is added, as a layer."""

    shifts: tuple[float, ...]
    images: bool

    def made(self, dtype: torch.dtype) -> nn.Module:
        """Return the layer."""
        return normalizing("add", self.shifts, self.images, dtype)


def _met(one: list[Part], other: list[Part]) -> list[Part]:
    """Return the sum of two rows that part behind what they have in common."""
    count = 0
    while count < min(len(one), len(other)) and one[count] == other[count]:
        count += 1
    rests = tuple(one[count:]), tuple(other[count:])
    if _neurons(rests[0]) & _neurons(rests[1]):
        raise ConversionRefused("module: paths cross, so that they are no sums within sums")
    return [*one[:count], ("sum", *rests)]


def _neurons(parts: tuple[Part, ...]) -> set[int]:
    found: set[int] = set()
    for part in parts:
        found |= {part[1]} if part[0] == "neuron" else set()
        found |= _neurons(part[1]) | _neurons(part[2]) if part[0] == "sum" else set()
    return found


def _share(place: str, value: Any) -> Any:
    if not bool(((torch.as_tensor(value) >= 0) & (torch.as_tensor(value) <= 1)).all()):
        raise ConversionRefused(
            f"{place}: keeps {told(value)} of its potential in a step, expected a share in [0, 1]"
        )
    return value


def _equal(one: Any, other: Any) -> bool:
    return bool((torch.as_tensor(one) == torch.as_tensor(other)).all())
