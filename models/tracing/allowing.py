"""By how much more than its network a source rounds: what `straying.py` claims, for each layer and the output."""

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from ..conversion.refusal import ConversionRefused
from ..networks import SpikingNetwork
from ..source import SourceArithmetic, SourceBox, weights_of
from .building import RowWriter
from .guesses import Fit
from .polynomials import ZERO, Coefficient, entries_of, number_tensor
from .reading import GraphReading, needed
from .readouts import Readout
from .rounded_calls import HANDLERS
from .straying import (
    ONE,
    SLOP,
    Beyond,
    Form,
    Gates,
    Number,
    OwnLayers,
    Straying,
    Term,
    Unknown,
    Value,
    ends_of,
    gates_of,
    gathered,
    met,
    moduli,
    modulus,
    most_of,
    plus,
    times,
)
from .tracing import name_of
from .watching import line_of

ULPS = 16.0
"""By how many u logits must differ to stay in order through a softmax."""
NEARER, FURTHEST = (8.0, 20.0), 40.0
"""Powers of 2 of the samples' size that are tried for a limit."""
LARGEST_STRAY = 0.125
"""In thresholds: what strays by more lets rounding decide its spikes."""
VANISHED = 8
"""So many least normal numbers are paid wherever products may vanish."""
_BEFORE = -1
"""Where what currents strayed by a step before is kept, beside their gains."""
MOST_FACTOR = 64.0
"""Above it a stray is paid, where that is small."""


@dataclass(frozen=True)
class Expanded:
    """A value over inputs, what layers make, and at most one potential.

    Attributes:
        form: what it is of these, exactly.
        rho: what it strays from that, in units of u and of each symbol's modulus.
        off: what it strays besides.
        gates: of symbols in `rho`, spikes and states in which they do not make it stray.
    """

    form: Form
    rho: dict[int, float]
    off: float
    gates: Gates

    def factor(self, symbol: int) -> tuple[float, float]:
        """Return the least and the largest modulus of a symbol's factor."""
        low, high = ends_of([(term[0], number) for term, number in self.form.items() if term[1] == symbol])
        low, high = torch.as_tensor(low), torch.as_tensor(high)
        least = torch.where((low <= 0) & (high >= 0), 0.0, torch.minimum(low.abs(), high.abs()))
        return float(least.min()), most_of(torch.maximum(low.abs(), high.abs()))


class Allowing:
    """Makes the claims for one box of inputs."""

    def __init__(self, straying: Straying, writer: RowWriter) -> None:
        self.own, self.layers, self.writer = straying, writer.layers, writer
        self.done: dict[tuple[int, int | None], Expanded] = {}

    def expanded(self, value: Value, stop: int | None) -> Expanded:
        """Return a value over symbols that are no sums, and one potential."""
        known = {symbol: self._symbol(symbol, stop) for symbol in {*value.graded, *value.rho}}
        form = gathered(
            ((spikes | more, inner), times(number, by))
            for (spikes, symbol), number in value.form.items()
            for (more, inner), by in ({ONE: Fraction(1)} if symbol is None else known[symbol].form).items()
        )
        factors = {symbol: most_of(size) for symbol, size in moduli(value.form).items()}
        rho, off = dict[int, float](), most_of(value.off) + value.rel * self.own.unit * factors.get(None, 0.0)
        gates, silent = list[Gates](), gates_of(value.form)
        for symbol, each in known.items():
            own_gates = (
                value.gates.get(symbol, frozenset()) if symbol in value.rho else silent.get(symbol, frozenset())
            )
            own_gates = own_gates & silent.get(symbol, frozenset()) if value.rel else own_gates
            if symbol in value.rho or value.rel:
                gates.append({inner: own | own_gates for inner, own in gates_of(each.form).items()})
            gates.append({inner: own | silent.get(symbol, frozenset()) for inner, own in each.gates.items()})
            factor = factors.get(symbol, 0.0)
            share = most_of(value.rho.get(symbol, 0.0)) + value.rel * factor
            off += factor * each.off
            for inner, size in moduli(each.form).items():
                if inner is None:
                    off += share * self.own.unit * most_of(size)
                else:
                    rho[inner] = rho.get(inner, 0.0) + share * most_of(size)
            for inner, own in each.rho.items():
                rho[inner] = rho.get(inner, 0.0) + factor * own
        return Expanded(form, rho, off, met(*gates))

    def _symbol(self, symbol: int, stop: int | None) -> Expanded:
        held = self.own.symbols[symbol]
        if symbol == stop:
            return Expanded({(frozenset(), symbol): Fraction(1)}, {}, 0.0, {})
        if held.defined is None:
            rho = {symbol: held.further} if held.further else {}
            return Expanded(
                {(frozenset(), symbol): Fraction(1)}, rho, most_of(held.excess), dict.fromkeys(rho, frozenset())
            )
        if (symbol, stop) not in self.done:
            self.done[symbol, stop] = self.expanded(held.defined, stop)
        return self.done[symbol, stop]

    def layer(self, number: int) -> tuple[float, float]:
        """Return the factor and the stray, in thresholds, of a layer.

        Raises:
            Beyond: where its own rounding decides its spikes.
        """
        fit, firings = (
            self.writer.fitted(number),
            [self.layers.firings[each] for each in self.layers.steps[number]],
        )
        compared = [self.own.fired.get(firing.node) for firing in firings]
        errors = [most_of(self.own.error(each)) for each in compared if each is not None and each.form]
        stray = max(errors, default=0.0) / least_of(fit.threshold)
        factor = self._factor(fit, firings) if is_leaky(fit) else math.inf
        if factor > MOST_FACTOR and stray <= LARGEST_STRAY:
            return 1.0, stray
        if factor * self.own.unit * 8 <= LARGEST_STRAY:
            return factor, 0.0
        raise Beyond(f"{firings[0].place}: rounding decides its spikes, by {stray:.2g} of the threshold")

    def _factor(self, fit: Fit, firings: list[Any]) -> float:
        """Return F of a leaky neuron; infinite where its sums are made otherwise."""
        found, last, before, gains = 1.0, 0.0, None, dict[int, float]()
        for firing in firings:
            value = self.own.fired.get(firing.node)
            if value is None or not value.form:
                before = None
                continue
            own = self._at_step(fit, value, before, firing.turned, gains)
            rounded = 0.0 if before is None or before[0].exact else last  # in a comparison, and not carried on
            found, last = max(found, own + rounded), own
            before = value, self.own.spike_at.get(firing.node)
        return found

    def _at_step(
        self,
        fit: Fit,
        value: Value,
        before: tuple[Value, int | None] | None,
        turned: bool,
        gains: dict[int, float],
    ) -> float:
        """Return F of what is compared at one step, by what was compared at the step before."""
        kept = None
        if before is not None and fit.decay != ZERO:
            kept = KeptPotential.of(fit, *before, turned)
            if kept is None:
                return math.inf
        whole = self.expanded(value, None if kept is None else kept.symbol)
        rest = [(term, number) for term, number in whole.form.items() if term[1] is None]
        rest, own = [*rest, (ONE, _number(fit.threshold))], 0.0
        if kept is not None:
            found = self._stray_of(kept, fit, whole)
            if found is None:
                return math.inf
            whole, own = found
            rest += [((spikes, None), -times(number, kept.moved)) for (spikes, _), number in kept.share.items()]
            if fit.kind == "subtract" and kept.spike is not None:  # what a spike took is in the exact potential
                lost = times(_number(fit.decay), _number(fit.drop))
                rest.append(((frozenset((kept.spike,)), None), -lost if turned else lost))
                rest += [(ONE, lost)] * turned
        constant = most_of(moduli(gathered(rest)).get(None, 0.0))
        return self._claimed(fit, whole, own, constant, gains)

    def _stray_of(self, kept: "KeptPotential", fit: Fit, whole: Expanded) -> tuple[Expanded, float] | None:
        """Return a value without what is kept of a potential, and ρ of that; None where more or less is kept."""
        held, shares = self.own.symbols[kept.symbol], kept.share.items()
        kept_of = [((spikes, kept.symbol), -times(number, kept.scale)) for (spikes, _), number in shares]
        left = gathered([*whole.form.items(), *kept_of])
        rho, off, least = dict(whole.rho), whole.off, float(torch.as_tensor(modulus(kept.scale)).min())
        missing = most_of(moduli(left).get(kept.symbol, 0.0))
        if least == 0.0 or (missing / least > 1e-9 and held.defined is not None):
            return None
        own = 0.0
        if missing / least <= 1e-9:  # else it is a current, too, the same at each step
            own = (rho.pop(kept.symbol, 0.0) + missing / self.own.unit) / least
            silent = kept.fires is not None and kept.fires in whole.gates.get(kept.symbol, frozenset())
            if fit.kind == "zero" and not silent:  # what is reset makes it stray all the same
                off, own = off + own * least * self.own.unit * most_of(held.size), 0.0
        shift = most_of(modulus(kept.moved)) + (span_of(fit) if fit.kind == "subtract" else 0.0)
        return replace(whole, form=left, rho=rho, off=off + own * self.own.unit * shift), own

    def _claimed(self, fit: Fit, whole: Expanded, own: float, constant: float, gains: dict[int, float]) -> float:
        """Return F, by ρ of the potential and of currents, κ, and what is in a current besides."""
        shares, off = list[float](), whole.off
        for symbol, share in whole.rho.items():
            gain = whole.factor(symbol)[0]
            gain = gain if fit.synapse is None else gains.setdefault(symbol, gain)
            if gain > 0.0:
                shares.append(share / gain)
                off += share / gain * self.own.unit * constant
            else:
                off += share * self.own.unit * most_of(self.own.symbols[symbol].size)
        theta = least_of(fit.threshold)
        current, steps, units = sum(shares), self.layers.num_steps, off / (self.own.unit * theta)
        decay = least_of(fit.decay)
        power = sum(decay**k for k in range(steps))
        found = max(units / 8, (own + units / power) / 8, own / (8 * decay) if own else 0.0)
        if fit.kind == "zero":
            found = max(found, (steps * (own + units) + current) / (4 * steps + 10))
        if fit.synapse is not None:  # of what its errors come to, what one step adds
            kept, gains[_BEFORE] = gains.get(_BEFORE, 0.0), current
            current = max(current - float(min(entries_of(fit.synapse))) * kept, 0.0)
        elif len(shares) > 1 or len({term[1] for term in whole.form} - {None}) > 2:
            return max(found, max(shares, default=0.0) / 4)
        return max(found, current / 8, (own + current / power) / 8)

    def output(self, value: Value, readout: Readout, room: float) -> tuple[float, float]:
        """Return the factor, and what margins must exceed, of an output."""
        steps, factor, off = self.layers.num_steps, 1.0, 0.0
        summed = readout.decay is not None or readout.weights is not None
        allowed = 4 * steps + 8 if summed else steps + 4
        for part in parts_of(value):
            if _counts(part, self.own, room):
                continue
            whole = self.expanded(part, None)
            strays = whole.off
            for symbol, share in whole.rho.items():
                gain = whole.factor(symbol)[0]
                if gain > 0.0:
                    factor = max(factor, share / gain / allowed)
                else:
                    strays += share * self.own.unit * most_of(self.own.symbols[symbol].size)
            off = max(off, strays)
        return factor, 2 * off if off > VANISHED * self.own.least else 0.0


def parts_of(value: Value) -> tuple[Value, ...]:
    """Return what a stack is of, or the one value."""
    return (value,) if value.parts is None else value.parts[0]


def _counts(value: Value, own: Straying, room: float) -> bool:
    """Return whether a value is a count times one number: equal counts are equal, others more than `room` apart.

    Whatever an ending makes of equal numbers is equal; of others it may make ties, and so may what vanishes.
    """
    if value.rho or most_of(value.off) > VANISHED * own.least:  # no count that is not 0 comes near vanishing
        return False
    factors = [number for term, number in value.form.items() if term != ONE]
    if not all(isinstance(each, Fraction) for each in factors) or len({abs(each) for each in factors}) > 1:
        return False
    grain = min([1.0, *(own.symbols[symbol].grain for symbol in value.graded)])
    gap = grain * (abs(float(factors[0])) if factors else 1.0)  # pyright: ignore[reportArgumentType]
    blur = most_of(value.size) * (value.rel + ULPS) * own.unit + most_of(value.off)
    return 4 * max(blur, room) < gap


def is_leaky(fit: Fit) -> bool:
    """Return whether a neuron is one potential that a spike resets, or takes from."""
    return fit.kind != "rest" and not fit.coupled and fit.adaptation == ZERO


def least_of(value: Coefficient) -> float:
    """Return the least modulus of a coefficient's numbers."""
    return float(min(map(abs, entries_of(value))))


def _number(value: Coefficient) -> Any:
    return value if isinstance(value, Fraction) else number_tensor(value)


@dataclass(frozen=True)
class KeptPotential:
    """What is kept of the potential that was compared a step before: v = scale·z + moved, and its share.

    Attributes:
        symbol, scale, moved: z, and v by it.
        spike: of that comparison.
        fires: it, and its state where the neuron fires.
        share: what is kept of v, by spikes.
    """

    symbol: int
    scale: Number
    moved: Number
    spike: int | None
    fires: tuple[int, int] | None
    share: Form

    @staticmethod
    def of(fit: Fit, earlier: Value, spike: int | None, turned: bool) -> "KeptPotential | None":
        """Return it; None where what was compared is no multiple of one potential, but for a constant."""
        graded = [term for term in earlier.form if term[1] is not None]
        if len(graded) != 1 or graded[0][0] or graded[0][1] is None:
            return None
        decay, share = _number(fit.decay), dict[Term, Number]()
        if fit.kind != "zero" or spike is None:
            share[ONE] = decay
        elif turned:  # spikes of the comparison are 1 − s
            share[frozenset((spike,)), None] = decay
        else:
            share |= {ONE: decay, (frozenset((spike,)), None): -decay}
        moved = plus(earlier.form.get(ONE, Fraction(0)), _number(fit.threshold))
        fires = None if spike is None else (spike, 0 if turned else 1)
        return KeptPotential(graded[0][1], earlier.form[graded[0]], moved, spike, fires, share)


def span_of(fit: Fit) -> float:
    """Return max(θ, d)."""
    return max(least_of(fit.threshold), most_of(modulus(_number(fit.drop))))


def ending_of(graph: GraphModule, place: int, node: Node) -> list[str]:
    """Return the operations between an output and what is read of it."""
    outputs: Any = next(each for each in graph.graph.nodes if each.op == "output").args[0]
    found, each = [], outputs[place]
    while each is not node and isinstance(each, Node) and each.all_input_nodes:
        found.append(name_of(each))
        each = each.args[0] if isinstance(each.args[0], Node) else each.all_input_nodes[0]
    return found


def arithmetic_of(
    graph: GraphModule, reading: GraphReading, writer: RowWriter, readout: Readout, network: SpikingNetwork,
    sample: Tensor, ending: list[str], apart: float = 0.0,
) -> SourceArithmetic:  # fmt: skip
    """Return what a network carries of its source.

    Args:
        graph, reading, writer, readout: of the source.
        network: that is made of it.
        sample: inputs of the graph.
        ending: operations behind the output that is read.
        apart: by how much constants of the output differ in batches of other sizes.

    Raises:
        ConversionRefused: where already the samples may leave the range, or rounding decides spikes.
    """
    live = needed(graph, {reading.node, *(firing.node for firing in reading.firings)})[0]
    straying = Straying(graph, live, OwnLayers.of(network), sample.dtype, HANDLERS)
    start = max(1.0, float(sample.abs().max()))

    def allowance(doublings: float) -> SourceBox:
        """Return what holds for inputs of a size."""
        limit = start * 2.0**doublings
        ends = torch.full_like(sample, limit, dtype=torch.float64)
        output = straying.over(-ends, ends, reading.node)
        _check_settled(straying, reading)
        claims = Allowing(straying, writer)
        pairs = [claims.layer(number) for number in range(len(writer.layers.steps)) if number in writer.fits]
        room = _room(output, ending, straying.unit)
        factor, least = claims.output(output, readout, room)
        factor = max([factor, straying.factor, *(own for own, _ in pairs)])
        stray = max((stray for _, stray in pairs), default=0.0)
        counts = all(_counts(part, straying, room) for part in parts_of(output)) and apart == 0.0
        least = (least + 4 * apart + (0.0 if counts else room)) / (least_of(readout.gain) or 1.0)
        return SourceBox(limit, factor, stray, least, counts and least == 0.0)

    try:
        boxes = _table(allowance)
    except Unknown as error:
        raise ConversionRefused(str(error)) from error
    except Beyond as error:
        raise ConversionRefused(
            f"{error}, for inputs like the samples; expected numbers of ordinary size"
        ) from error
    return SourceArithmetic(boxes, weights_of(network))


def _check_settled(straying: Straying, reading: GraphReading) -> None:
    """Raise Beyond where rounding may turn a comparison that exact numbers decide."""
    for each in reading.settled:
        fired = None if each.firing is None else reading.firings[each.firing]
        if not isinstance(straying.values.get(each.node), Value):  # of what nothing reads, or no signal
            continue
        holds = fired is not None and each.fires != fired.turned
        strays = most_of(straying.strays_where(each.node, None if fired is None else fired.node, holds))
        if each.further and fired is not None:
            strays += most_of(straying.error(straying.fired[fired.node]))
        if strays > 0.0 and not strays * (1.0 + SLOP) < each.least:
            told = f"compares numbers that differ by {float(each.least):g} only"
            raise Beyond(f"{line_of(each.node)}: {name_of(each.node)}: {told}, which rounding decides")


def _room(output: Value, ending: list[str], unit: float) -> float:
    """Return by how much logits must differ so that what stands behind them makes no tie of them."""
    classes = max(2, output.low.shape[-1]) if output.low.dim() else 2
    ends = {name.strip("_") for name in ending}
    if "log_softmax" in ends:
        return ULPS * unit * (1 + math.log(classes))
    return ULPS * unit if "softmax" in ends else 0.0


def _table(allowance: Callable[[float], SourceBox]) -> tuple[SourceBox, ...]:
    """Return what holds for inputs of growing size, up to where nothing does, or to 2⁴⁰ of the samples'.

    Raises:
        Beyond: where already the samples may leave the range, or rounding decides spikes.
    """
    with suppress(Beyond):
        boxes = [allowance(FURTHEST)]
        if boxes[0].paid[1:] == (1.0, 0.0, 0.0):  # of all inputs: no smaller ones pay less
            return (boxes[0],)
        boxes.append(allowance(0.0))
        if replace(boxes[0], limit=boxes[1].limit) == boxes[1]:
            return (boxes[0],)
        return _merged([*boxes, *map(allowance, NEARER)])
    boxes, low, high, middle = [allowance(0.0)], 0.0, FURTHEST, NEARER[0]
    while high - low > (0.25 if high <= 2.0 else max(low, 0.5)):  # the further out, the coarser
        try:
            boxes.append(allowance(middle))
            low = middle
        except Beyond:
            high = middle
        middle = (low + high) / 2
    return _merged(boxes)


def _merged(boxes: list[SourceBox]) -> tuple[SourceBox, ...]:
    """Return claims that grow with their limits, those that are alike once."""
    found: list[SourceBox] = []
    for box in sorted(boxes, key=lambda each: each.limit):
        most = (max(each) for each in zip(*(each.paid[1:] for each in (box, *found[-1:])), strict=True))
        box = SourceBox(box.limit, *most, counts=box.counts)
        same = found and found[-1].paid[1:] == box.paid[1:] and found[-1].counts == box.counts
        found = [*(found[:-1] if same else found), box]
    return tuple(found)
