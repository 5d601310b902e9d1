"""From fitted layers to a `SpikingNetwork`: layers in a row, and sums of rows that part and meet again."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import reduce
from itertools import takewhile, zip_longest
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from ..conversion.populations import every
from ..conversion.refusal import ConversionRefused
from ..dynamics import Triangle
from ..elements.layers import BATCH_NORMS, MAX_POOLS, WEIGHTED, PerStep, Residual
from ..elements.neuron import AdaptiveLIF, CoupledLIF, RefractoryLIF
from ..elements.neurons import DLIF, LIF
from ..elements.recurrent import Recurrent
from ..elements.synapses import Synapse
from ..elements.varied import VariedLIF
from ..linear_maps.averaging import Share
from ..networks import SpikingNetwork
from .fitting import fit
from .grouping import LayerFirings
from .guesses import Fit
from .operations.products import SpikeProduct, channelwise, gates_of, share_map
from .polynomials import (
    ONE,
    UNIT,
    ZERO,
    Coefficient,
    FeatureMap,
    Fractions,
    Graded,
    Image,
    ModuleInput,
    Polynomial,
    entries_of,
    nowhere_zero,
    number_tensor,
    told,
)
from .readouts import Readout

Part = tuple[Any, ...]
"""What becomes a module or two: its kind, and what it is made of."""


def number(value: Coefficient) -> float | Tensor:
    """Return a coefficient as the nearest float, or an array of them."""
    return number_tensor(value) if isinstance(value, Fractions) else float(value)


@dataclass(frozen=True)
class RowWriter:
    """Writes what layers hear as modules.

    Attributes:
        layers: the firings by layer and step.
        coding: the encoding, and its draws.
        dtype: of the run.
        fits: the neurons of layers, as they are met.
        rows: the parts that make signals, as they are met.
        features: sizes of the module's input.
        order: the spikes of each neuron layer at the last step, in the order of the modules.
        notes: of what was folded, a line each.
        above: those that hear what is written now.
    """

    layers: LayerFirings
    coding: dict[str, Any]
    dtype: torch.dtype
    features: tuple[int, ...]
    fits: dict[int, Fit] = field(default_factory=dict)
    rows: dict[Polynomial, list[Part]] = field(default_factory=dict)
    order: list[Polynomial] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    above: list[int] = field(default_factory=list)

    def network(self, readout: Readout) -> SpikingNetwork:
        """Return the network.

        Raises:
            ConversionRefused: for what has no element in it.
        """
        for layer in self._in_order(readout.signal):
            self.neuron(layer)
        modules = self.modules(self.row(readout.signal))
        try:
            modules += _integrator(readout)
            made = SpikingNetwork(*modules, num_steps=self.layers.num_steps, readout=readout.name, **self.coding)
        except (TypeError, ValueError) as error:
            raise ConversionRefused(f"module: {error}") from error
        return made.to(self.dtype).eval()

    def _in_order(self, signal: Polynomial) -> list[int]:
        """Return the layers that a signal hears, those first that others hear: rows of many are no deep recursion.

        In a network without loops over several layers what one hears fires before it.
        """
        ahead, found = self.layers.heard(signal), set[int]()
        while ahead:
            layer = ahead.pop()
            found.add(layer)
            ahead |= self.layers.heard(self.layers.firings[self.layers.steps[layer][-1]].excess) - found
        return sorted(found, key=lambda layer: self.layers.steps[layer][-1])

    def row(self, signal: Polynomial) -> list[Part]:
        """Return the parts that make a signal of the last step, in a row."""
        if signal not in self.rows:
            self.rows[signal] = self._row(signal)
        return self.rows[signal]

    def _row(self, signal: Polynomial) -> list[Part]:
        rest, constant = signal.rest, signal.constant
        if not rest.terms:
            self._refuse("a signal is constant, and hears no input; expected one of what the module is given")
        shaped = _in_another_shape(rest)
        if shaped is not None:
            row = [*self.row(shaped[0]), ("map", shaped[1])]
        else:
            row, beside = self._sum(rest)
            constant = constant + beside
        if constant == ZERO:
            return row
        if row and row[-1][0] == "affine" and row[-1][2] == ZERO:
            return [*row[:-1], (*row[-1][:2], constant, *row[-1][3:])]
        return [*row, ("constant", constant, self._features(signal))]

    def _sum(self, signal: Polynomial) -> tuple[list[Part], Coefficient]:
        """Return the parts that make a sum without a constant, and the constant that they leave to it."""
        gates, plain = gates_of(signal)
        gated = [[*self._gated(gate), *self._times(factor, signal)] for gate, factor in gates]
        try:
            return _all_met([*gated, *self._terms(plain)]), ZERO
        except ConversionRefused:
            sums, plain = self._sums_in(plain)
            rows = [*gated, *self._terms(plain.rest), *([*self.row(each), *self._times(*by)] for each, by in sums)]
            return _all_met(rows), plain.constant

    def _terms(self, signal: Polynomial) -> list[list[Part]]:
        """Return the row of each term of a sum."""
        return [
            [*self._term(*term), *self._times(factor, Polynomial({term: UNIT}))]
            for term, factor in signal.terms.items()
        ]

    def _sums_in(
        self, signal: Polynomial
    ) -> tuple[list[tuple[Polynomial, tuple[Coefficient, Polynomial]]], Polynomial]:
        """Return sums that layers before hear, with their factors in a signal, and what is left of it."""
        found, left = [], signal
        for part in sorted(self._heard_before(signal), key=lambda each: len(each.terms), reverse=True):
            own = part.rest.terms
            term = next(iter(own), ONE)
            if len(own) > 1 and all(each in left.terms for each in own) and nowhere_zero(own[term]):
                factor = left.terms[term] / own[term]
                rest = left - part * factor
                if not any(each in rest.terms for each in own):
                    found.append((part, (factor, part)))
                    left = rest
        return found, left

    def _heard_before(self, signal: Polynomial) -> set[Polynomial]:
        """Return what layers hear that a signal is made of, and those before them."""
        found: set[Polynomial] = set()
        ahead, done = self.layers.heard(signal), set(self.above)
        while ahead:
            layer = ahead.pop()
            if layer not in done:
                done.add(layer)
                inputs = self._inputs(layer)[0]
                held = [inputs, *(each.signal for each in inputs.signals if isinstance(each, Image))]
                found.update(held)
                ahead |= set().union(*map(self.layers.heard, held))
        return found

    def _times(self, factor: Coefficient, signal: Polynomial) -> list[Part]:
        """Return the part that multiplies by a factor."""
        if isinstance(factor, Fractions):
            return [("affine", factor, ZERO, self._features(signal))]
        return [] if factor == UNIT else [("share", factor)]

    def _features(self, signal: Polynomial) -> tuple[int, ...]:
        """Return the sizes of a signal's features."""
        spikes, graded = next(iter(signal.rest.terms))
        if spikes:
            return self.layers.firings[next(iter(spikes))].laid.features
        if not isinstance(graded, Image):
            return self.features
        return tuple(graded.map.of(torch.zeros(1, *graded.map.key[1], dtype=self.dtype)).shape[1:])

    def _gated(self, gate: SpikeProduct) -> list[Part]:
        """Return neurons without memory that fire where some spikes are there, and another one is not."""
        rows = [self._term(*term) for term in gate.terms]
        rows += [[*self._term(*term), ("share", -UNIT)] for term in gate.without]
        row = _all_met(rows)
        threshold = Fraction(2 * len(gate.terms) - 1, 2)
        return [*row, ("gate", threshold, gate.signal)]

    def _term(self, spikes: frozenset[int], graded: Graded | None) -> list[Part]:
        last = self.layers.num_steps - 1
        if len(spikes) + (graded is not None) != 1:
            self._refuse(
                "signals multiply each other; expected sums of what layers make of spikes, or their products"
            )
        if graded is None:
            layer, step = self.layers.place[next(iter(spikes))]
            row, late = self.neuron(layer), 0 if self.layers.constant(layer) else last - step
        elif isinstance(graded, Image):
            row, late = [*self.row(graded.signal), ("map", graded.map)], 0
        else:
            if not isinstance(graded, ModuleInput):
                self._refuse("a layer hears the potential of a neuron that fires; expected its spikes")
            row, late = [], 0 if graded.step is None else last - graded.step
        if late < 0:
            self._refuse("hears a step of the input that is still to come")
        return [*row, ("delay", late)] if late else row

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
        if self.fitted(layer).own:
            return self._behind_own(layer)
        inputs, gain, own = self._inputs(layer)
        echo = self.fitted(layer).echo
        feedback = self._feedback(layer, own[0][0], own[0][1] / gain) if own else None
        if echo != ZERO:
            feedback = share_map(echo / gain, self._first(layer).place)
        if len(own) + (echo != ZERO) > 1:
            self._refuse("hears its own spikes by several maps; expected one", layer)
        return [*self.row(inputs), ("neuron", layer, gain, feedback)]

    def _behind_own(self, layer: int) -> list[Part]:
        """Return a layer behind what is not the same at all steps."""
        known = self.fitted(layer)
        if known.echo != ZERO or any(layer in self.layers.heard(each) for each in known.own):
            self._refuse_own(layer, "it hears its own spikes")
        gains = {value for each in known.own for value in each.rest.terms.values()}
        gain = (
            gains.pop()
            if len(gains) == 1 and all(each > 0 for value in gains for each in entries_of(value))
            else UNIT
        )
        try:
            row = _apart([self.row(each * (UNIT / gain)) for each in known.own])
        except ConversionRefused:
            self._refuse_own(layer, "not by affine layers alone")
        return [*row, ("neuron", layer, gain, None)]

    def _refuse_own(self, layer: int, why: str) -> NoReturn:
        """Refuse a layer that takes in another current at some step, naming the first such one."""
        own = self.fitted(layer).own
        step = next(step for step, each in enumerate(own, 1) if each != own[-1] or step == len(own))
        told = f"step {step} takes in another current than step {len(own)}"
        self._refuse(f"is no neuron that is known here, {told}, and {why}", layer)

    def _inputs(self, layer: int) -> tuple[Polynomial, Coefficient, list[tuple[Image, Coefficient]]]:
        """Return what a layer hears of others in units of a gain, the gain, and maps of its own spikes."""
        own, current = [], self.fitted(layer).current
        terms = dict(current.terms)
        for spikes, graded in current.terms:
            if isinstance(graded, Image) and layer in self.layers.heard(graded.signal):
                own.append((graded, terms.pop((spikes, graded))))
        gains = {value for term, value in [*terms.items(), *own] if term != ONE}
        gain = own[0][1] if own else gains.pop() if len(gains) == 1 else UNIT
        if not all(each > 0 for each in entries_of(gain)):
            gain = UNIT
        return Polynomial(terms) * (UNIT / gain), gain, own

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
                case ("steps", each):
                    found += self._per_step(each)
                case ("gate", threshold, spikes):
                    self.order.append(spikes)
                    found.append(LIF(0.0, float(threshold), reset="none", fires_at=">="))
                case ("affine", factor, constant, features):
                    found.append(channelwise(number(factor), number(constant), features, self.dtype))
                case ("constant", value, features):
                    if not _shifted(found, number(value)):
                        found.append(channelwise(1.0, number(value), features, self.dtype))
                case ("neuron", layer, gain, feedback):
                    found += self._neuron(layer, gain, feedback)
        return found

    def _per_step(self, rows: tuple[tuple[Part, ...], ...]) -> list[nn.Module]:
        """Return layers of their own at each step, of rows of affine parts; the shorter ones end in a factor 1."""
        made = [self.modules(list(row)) for row in rows]
        columns = zip_longest(*made)
        try:
            return [PerStep([Share(1.0) if layer is None else layer for layer in column]) for column in columns]
        except TypeError as error:
            raise ConversionRefused(f"module: {error}") from error

    def _mapped(self, by: FeatureMap) -> list[nn.Module]:
        if by.made is None:
            raise ConversionRefused(f"{by.place}: {by.key[0]}: no layer of SpikingNetwork does what it does")
        try:
            return by.made()
        except (TypeError, ValueError) as error:
            raise ConversionRefused(f"{by.place}: {by.key[0]}: {error}") from error

    def _neuron(self, layer: int, gain: Coefficient, feedback: FeatureMap | None) -> list[nn.Module]:
        self.order.append(self.layers.spike(self.layers.steps[layer][-1]))
        fires = ">" if self._first(layer).strict else ">="
        heard = [] if feedback is None else self._mapped(feedback)
        place = self._first(layer).place
        self.notes.extend(f"{place}: {each}" for each in _folded(self.fitted(layer), gain, heard))
        try:
            return _neuron_layers(self.fitted(layer), gain, fires, heard)
        except (TypeError, ValueError) as error:
            self._refuse(f"is no neuron of this library: {error}", layer)

    def _first(self, layer: int) -> Any:
        return self.layers.firings[self.layers.steps[layer][0]]

    def _refuse(self, reason: str, layer: int | None = None) -> NoReturn:
        place = "module" if layer is None else self._first(layer).place
        raise ConversionRefused(f"{place}: {reason}")


def _integrator(readout: Readout) -> list[nn.Module]:
    """Return what integrates the signal of a readout, if anything does."""
    if readout.weights is not None:
        return [_scaled(LIF(1.0, reset="none"), readout.weights)]
    if readout.decay is None:
        return []
    before: list[nn.Module] = []
    if readout.synapse is not None:
        before.append(Synapse(number(readout.synapse)))  # pyright: ignore[reportArgumentType]
    return [*before, LIF(number(readout.decay), reset="none")]  # pyright: ignore[reportArgumentType]


def _folded(fit: Fit, gain: Coefficient, heard: list[nn.Module]) -> Iterator[str]:
    """Yield what was folded into a neuron, in words."""
    if gain != UNIT:
        yield f"potentials in units of {told(gain)} (threshold {told(fit.threshold / gain)})"
    if fit.start != ZERO:
        yield f"starts from {told(fit.start)}, and resets to 0"
    if fit.kind == "subtract" and fit.drop != fit.threshold:
        yield f"a spike takes {told(fit.drop)}, at a threshold of {told(fit.threshold)}"
    if heard:
        yield f"hears its own last spikes through {type(heard[0]).__name__}"
    if fit.synapse is not None:
        yield f"its synapse became {'a part of its loop' if heard else 'a layer before it'}"
    if fit.late:
        yield f"what enters it comes {fit.late} steps late"
    if fit.own:
        yield "takes in a current of its own at each step"
    if fit.scale is not None:
        yield "what enters it over time became an input scale"
    if fit.kind == "rest":
        yield f"rests for {fit.rest} step(s) behind each spike"
    if not fit.uniform:
        yield "its constants differ within the layer"


def _shifted(found: list[nn.Module], constant: float | Tensor) -> bool:
    """Add a constant current to the bias of the layer before; return whether that can hold it."""
    passing = (nn.Flatten, *MAX_POOLS)  # max(x + b) is max(x) + b
    before = next((layer for layer in reversed(found) if not isinstance(layer, passing)), None)
    if before is None or (isinstance(constant, Tensor) and before is not found[-1]):
        return False
    return with_bias(before, constant)


def with_bias(layer: nn.Module, bias: float | Tensor) -> bool:
    """Add a constant to each output of a layer in place; return whether it could.

    Of an array, (n,) for the outputs of a dense layer, or (c, 1, 1) for the channels of images.
    """
    if not isinstance(layer, (*WEIGHTED, *BATCH_NORMS)):
        return False
    if isinstance(bias, Tensor):
        channels = (1, 1) if type(layer).__name__.endswith("2d") else ()
        if bias.shape[1:] != channels or isinstance(layer, nn.Conv1d):
            return False
        bias = bias.flatten()
    with torch.no_grad():
        if layer.bias is None:
            if isinstance(layer, BATCH_NORMS):
                return False
            layer.bias = nn.Parameter(layer.weight.new_zeros(len(layer.weight)))
        layer.bias.add_(bias)
    return True


def _neuron_layers(fit: Fit, gain: Coefficient, fires: str, heard: list[nn.Module]) -> list[nn.Module]:
    """Return a neuron in units of its gain, and the synapse in front of it.

    Raises:
        TypeError, ValueError: for constants that no layer of this library takes.
    """
    decay, threshold, drop, start, scale = _numbers(fit, gain)
    firing = fires, Triangle(float(torch.as_tensor(threshold).max()))
    amount = (drop,) if fit.kind == "subtract" and not every(torch.as_tensor(drop == threshold)) else ()
    kept: Any = number(fit.synapse or ZERO)
    before: list[Any] = [] if fit.synapse is None and not fit.late else [Synapse(kept, fit.late)]
    if heard and fit.late:
        raise ValueError(f"hears its own spikes, and what comes in is late by {fit.late} steps")
    made: LIF
    if fit.coupled:
        made = _coupled(fit, gain, (decay, threshold, drop), firing)
    elif fit.adaptation != ZERO:
        rise: Any = number(fit.adaptation / gain)
        made = AdaptiveLIF(decay, threshold, rise, number(fit.fading), fit.kind, *firing, *amount)  # pyright: ignore[reportArgumentType]
    elif (fit.kind == "rest" or fit.start != ZERO) and not fit.uniform:
        what = "rests behind a spike" if fit.kind == "rest" else "resets to another potential than it starts from"
        raise ValueError(f"{what}, and has constants that differ within the layer, expected one each")
    elif fit.kind == "rest" or fit.start != ZERO:
        made = RefractoryLIF(decay, threshold, fit.rest * (fit.kind == "rest"), *firing, start)
    elif any(isinstance(each, Tensor) for each in (decay, threshold, *amount)):
        decay, threshold, *amount = (
            torch.as_tensor(each, dtype=torch.float64) for each in (decay, threshold, *amount)
        )
        made = VariedLIF(decay, threshold, fit.kind, *firing, *amount)
    elif scale is None:
        made = LIF(decay, threshold, fit.kind, *firing, *amount)
    else:
        made = _scaled(LIF(decay, threshold, fit.kind, *firing, *amount), scale)
    if scale is not None and type(made) is not DLIF:
        raise ValueError("has an input scale, and constants or a reset that go with none")
    return [Recurrent(made, heard[0], *before)] if heard else [*before, made]


def _coupled(fit: Fit, gain: Coefficient, first: tuple[Any, ...], firing: tuple[str, Triangle]) -> CoupledLIF:
    """Return neurons of several numbers, for λ, θ and d in units of the gain."""
    numbers, others = dict(zip(("decay", "threshold", "reset_amount"), first, strict=True)), 1
    if fit.states is None:
        held: dict[str, Any] = {
            "fading": fit.fading,
            "jump": fit.jump / gain,
            "drive": fit.drive,
            "carry": fit.carry,
        }
        held |= {"drain": fit.drain, "rise": fit.adaptation, "reset_rise": fit.reset_rise}
    else:
        top, *rows = fit.states.matrix
        held = {"drain": [-each for each in top[1:]], "fading": [list(row[1:]) for row in rows]}
        held |= {"carry": [row[0] for row in rows], "hearing": [*fit.states.hears[1:]]}
        held |= {"jump": [-each / gain for each in fit.states.loses[1:]]}
        others = len(rows)
    arrays = {name: torch.as_tensor(each).double() for name, each in numbers.items()}
    arrays |= {name: _array(each, others) for name, each in held.items()}
    return CoupledLIF(**arrays, fires_at=firing[0], surrogate=firing[1], others=others)  # pyright: ignore[reportArgumentType]


def _array(held: Any, others: int) -> Tensor:
    """Return coefficients, or lists of them, as an array: of a single w as what that has."""
    if not isinstance(held, list):
        return torch.as_tensor(number(held)).double()
    parts = torch.broadcast_tensors(*(_array(each, others) for each in held))
    return parts[0] if others == 1 else torch.stack(parts)


def _numbers(fit: Fit, gain: Coefficient) -> tuple[Any, ...]:
    """Return λ, and θ, d and u[0] in units of a gain, and a."""
    constants = (fit.decay, fit.threshold / gain, fit.drop / gain, fit.start / gain)
    return *map(number, constants), fit.scale


def _scaled(neuron: LIF, scale: tuple[Coefficient, ...]) -> DLIF:
    """Return a neuron whose input is scaled step by step."""
    d = neuron.dynamics
    made = DLIF(len(scale), d.decay, d.threshold, d.reset, d.fires_at, d.surrogate, d.reset_amount)
    made.input_scale.data = torch.tensor([float(number(each)) for each in scale], dtype=torch.float64)
    return made


def _in_another_shape(signal: Polynomial) -> tuple[Polynomial, FeatureMap] | None:
    """Return a sum of views as the sum of what they view, and the view; None where it is no such sum."""
    views = [graded for spikes, graded in signal.terms if isinstance(graded, Image) and not spikes]
    by = views[0].map if len(views) == len(signal.terms) > 1 else None
    if by is None or by.key[0] != "view" or any(each.map != by for each in views):
        return None
    if any(isinstance(factor, Fractions) for factor in signal.terms.values()):
        return None
    inner = (each.signal * factor for each, factor in zip(views, signal.terms.values(), strict=True))
    return reduce(lambda one, other: one + other, inner), by


def _all_met(rows: list[list[Part]]) -> list[Part]:
    """Return the sum of rows: in their order, or those of few neurons first, as sums within sums grow.

    The same other shape, or the same factor, at the end of all of them is one of the sum.
    """
    ends = [row[-1] if row and _is_shared(row[-1]) else None for row in rows]
    if len(rows) > 1 and ends[0] is not None and all(end == ends[0] for end in ends):
        return [*_all_met([row[:-1] for row in rows]), ends[0]]
    try:
        return reduce(_met, rows)
    except ConversionRefused:
        return reduce(_met, sorted(rows, key=lambda row: len(_neurons(tuple(row)))))


def _apart(rows: list[list[Part]]) -> list[Part]:
    """Return one row of those of each step: what they have in common, and between it layers of each step's own.

    Raises:
        ConversionRefused: where they differ in more than affine layers.
    """
    start = _common(rows)
    end = _common([row[start:][::-1] for row in rows])
    middles = [row[start : len(row) - end] for row in rows]
    behind = rows[0][len(rows[0]) - end :]
    parts = [*zip(*middles, strict=False)]
    if len({len(middle) for middle in middles}) > 1:
        made = [_each_own(middles)]
    else:
        made = [part for column in parts for part in _column(column)]
    return [*rows[0][:start], *made, *behind]


def _column(parts: tuple[Part, ...]) -> list[Part]:
    if all(part == parts[0] for part in parts):
        return [parts[0]]
    if all(part[0] == "sum" for part in parts):
        return [("sum", *(tuple(_apart([list(part[side]) for part in parts])) for side in (1, 2)))]
    return [_each_own([[part] for part in parts])]


def _each_own(rows: list[list[Part]]) -> Part:
    if not all(part[0] in ("map", "share", "affine", "constant") for row in rows for part in row):
        raise ConversionRefused(
            "module: hears other layers at some steps than at others, expected the same at all"
        )
    return ("steps", tuple(map(tuple, rows)))


def _common(rows: list[list[Part]]) -> int:
    """Return how many parts all rows begin with."""
    alike = (all(part == parts[0] for part in parts) for parts in zip(*rows, strict=False))
    return sum(1 for _ in takewhile(bool, alike))


def _is_shared(part: Part) -> bool:
    return part[0] in ("share", "affine") or (part[0] == "map" and part[1].key[0] == "view")


def _met(one: list[Part], other: list[Part]) -> list[Part]:
    """Return the sum of two rows that part behind what they have in common, the longer one first."""
    count = 0
    while count < min(len(one), len(other)) and one[count] == other[count]:
        count += 1
    rests = tuple(one[count:]), tuple(other[count:])
    if _neurons(rests[0]) & _neurons(rests[1]):
        raise ConversionRefused("module: paths cross, so that they are no sums within sums")
    return [*one[:count], ("sum", *sorted(rests, key=lambda rest: (len(_neurons(rest)), len(rest)), reverse=True))]


def _neurons(parts: tuple[Part, ...]) -> set[int]:
    found: set[int] = set()
    for part in parts:
        found |= {part[1]} if part[0] == "neuron" else set()
        found |= _neurons(part[1]) | _neurons(part[2]) if part[0] == "sum" else set()
    return found
