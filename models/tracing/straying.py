"""How far the run of a traced module strays from the exact equations that are read of it (F22).

The graph is gone through once more, operation by operation, for all inputs of a box. Of each value are known:
the ends of its float numbers; a *form*, a sum of products of spikes and at most one graded symbol, which is
exactly what the operations would give without rounding; and how far the float number may be from the form *of
the float values of its symbols*: |x̂ − form| ≤ u·(rel·|form| + Σ_g ρ_g·|ĝ|) + off.

**One operation.** fl(a∘b) = (a∘b)(1 + δ) + η, |δ| ≤ u, η the least normal number (flushing to zero included),
for products and quotients; sums have no η. Sums of n products err by γ_{n+2}·Σ|terms| in any order (Higham,
2002, 4.2). Moves, choices, products with 0 or 1, + 0, and sums of small multiples of 2⁻¹⁰ round nothing. fl(a −
b) has the sign of a − b: what is compared strays by what its two sides do.

**Names.** A value that is read more than once and was rounded becomes a symbol: its float value is taken as
exact, and what it strays is kept with it. So the error of v + α(i − v) is carried on by 1 − α, not by 1 + α.
Values that the same operations make of the same values are one (`EqualValues`). Spikes are those that the run
itself emits: errors pass no comparison, and a reset forgets them.

**What is claimed.** Let D[t] be what a leaky neuron compares at step t, v − θ but for a shift, over the named
potential z of step t − 1, and the currents. The exact neuron v[t] = λ·u[t−1] + I[t] is disturbed in a run of
the network by up to 8u(λM + X + δ) a step, M = S·(X + δ), S = Σ_{k<T} λ^k, δ = max(θ, d), X ≥ |I|, and compares
within 8u·θ (certify/rounding.py). A run of the source is a run of that neuron whose disturbance at t
is what D[t] strays from its form, ρ_z·|z| + ρ_I·|I| + κ/u in units of u, |z| ≤ M + |shift|. As λ·S + 1 ≥ S, it
is among those that are paid for with F·u in the place of u if

    F ≥ (ρ_z + ρ_I/S)/8,   F ≥ (ρ_z + κ/(u·δ)/S)/8,

for then ρ_z·M + ρ_I·X + κ/u ≤ (S·ρ_z + ρ_I)·X + (S·ρ_z + κ/(u·δ))·δ ≤ 8F·S·(X + δ). Under a constant current
what is paid is γ_{4T+8} = (4T + 10)·u of each first spike's place: there all potentials before it are between 0
and θ, their errors sum to at most u·(T·ρ_z + ρ_I + T·κ/(u·θ))·θ, and F ≥ (T·(ρ_z + κ/(u·θ)) + ρ_I)/(4T + 10)
suffices. The comparison itself strays by u·(ρ·θ + κ/u) where v is near θ, with 8u·θ·F paid. Currents: the sum
of n products that the network's own layer of the same weights takes is paid for there, by γ_{n+2} where the
source takes n + 1 roundings at most; what the source rounds of a layer's inputs before is a factor on top; what
has no layer of its own counts as κ, in full.

Bounds of single points pay what potentials are there, 8u·(λ|û| + |I| + δ) a step. So F ≥ ρ_z/(8λ), ρ_I/8 and
κ/(8u·δ), too, and what is reset must stray by nothing while it is: where a product with 1 − s does not stand
before what rounds, ρ_z·|z| is a part of κ; and behind a subtraction |z| ≤ |û| + d.

All else (neurons of several numbers, rests, adaptive thresholds, sums that are made otherwise) pays the whole
distance e of D[t] from its exact value as `stray`: spikes are then those of some exact v with v ≥ θ − e, or v ≤
θ + e.

Settled comparisons. What the reading decides by exact numbers (a potential that was reset, one that is further
from its threshold than an earlier one by a constant c) must not be decided otherwise by rounding: c must be more
than both sides stray by in that state of the earlier spike, or nothing may be rounded (`strays_where`).

Counts. Multiples of 2⁻¹⁰ of moduli below 2¹² are added without rounding, whatever they are made of.

Endings. softmax subtracts the maximum exactly and exp, the sum and the quotient take a few ulp (exp and log of
torch on CPU within 4 ulp: an assumption), so that classes whose logits are 16u apart stay in order; log_softmax
takes 16u·(1 + ln C).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import reduce
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node

from .operations.arithmetic import SAME
from .operations.expressions import NOTHING, EqualValues
from .operations.expressions import ONE as ALL
from .reading import COMPARISONS, PLAIN
from .tracing import name_of
from .watching import line_of

Number = Fraction | Tensor
"""A coefficient: exact, or in floats of 64 bits, of which each operation costs `SLOP`."""
Size = float | Tensor
"""What is not negative, of all entries or of each."""
Term = tuple[frozenset[int], int | None]
Form = dict[Term, Number]
Gates = dict[int, frozenset[tuple[int, int]]]
"""Of symbols, spikes and states of these."""
Handlers = dict[str, Callable[["Straying", Node, Any, dict[str, Any]], Any]]
"""What operations do to values, by their names."""
ONE: Term = (frozenset(), None)
OUTWARD = 2.0**-46
"""By what share of it ends are widened, for our own rounding."""
SLOP = 2.0**-50
"""What an operation on coefficients of 64 bits loses, as a share of them."""
MOST_SPIKES = 6
"""Of a form whose values are listed."""
SUMMING = ("addmm", "mm", "linear", "matmul", "convolution")
"""What sums products in an order that may go by the size of the batch."""
LONGEST = 4096
"""Terms of a sum over time."""
MOST = 4096
"""Sums of multiples of 1/PLAIN of up to MOST are exact."""


class Beyond(Exception):
    """A value that may leave the range of its type."""


class Unknown(Exception):
    """An operation whose rounding is not known."""


@dataclass(frozen=True, eq=False)
class Whole:
    """A value as a sum over time, signs and all: of several numbers that enter each other moduli would grow.

    Attributes:
        form: of what layers make, inputs and spikes.
        noise: of what each named value strayed when it was made.
    """

    form: Form
    noise: dict[int, Fraction]


@dataclass(frozen=True, eq=False)
class Symbol:
    """A named value.

    Attributes:
        low, high: the ends of its float values.
        error: how far it may be from its exact value, in all.
        excess: the same, without what the network's own run strays there; 0 of what one of its layers makes.
        defined: what it is of others; None of inputs, and of what layers make.
        further: by how many roundings of itself it strays besides.
        grain: what it is a small multiple of always, as a count is of 1; 0 where it may be none.
    """

    low: Tensor
    high: Tensor
    error: Size = 0.0
    excess: Size = 0.0
    defined: "Value | None" = None
    further: float = 0.0
    grain: float = 0.0

    @property
    def size(self) -> Tensor:
        """Return the largest modulus, of each entry."""
        return self.low.abs().maximum(self.high.abs())


@dataclass(frozen=True, eq=False)
class Value:
    """What is known of a node: see the module.

    Attributes:
        low, high: ends of its float values.
        form: what it is of symbols and spikes, exactly.
        rel, rho, off: how far it strays from that.
        gates: of symbols in `rho`, spikes and states in which they do not make it stray.
        parts: of a stack of values along a new axis, these, and the axis.
    """

    low: Tensor
    high: Tensor
    form: Form
    rel: float = 0.0
    rho: dict[int, Size] = field(default_factory=dict)
    off: Size = 0.0
    gates: "Gates" = field(default_factory=dict)
    parts: "tuple[tuple[Value, ...], int] | None" = None

    @property
    def size(self) -> Tensor:
        """Return the largest modulus, of each entry."""
        return self.low.abs().maximum(self.high.abs())

    @property
    def exact(self) -> bool:
        """Return whether nothing was rounded since its symbols were named."""
        return self.rel == 0.0 and not self.rho and is_zero(self.off)

    @property
    def graded(self) -> set[int]:
        """Return its symbols."""
        return {symbol for _, symbol in self.form if symbol is not None}

    @property
    def spikes(self) -> list[int]:
        """Return the spikes in its form."""
        return sorted({spike for spikes, _ in self.form for spike in spikes})


def is_zero(size: Any) -> bool:
    return not bool(size.any()) if isinstance(size, Tensor) else size == 0


def floated(number: Number) -> Size:
    return number if isinstance(number, Tensor) else float(number)


def modulus(number: Number) -> Size:
    return abs(floated(number))


def times(one: Number, other: Number) -> Number:
    """Return a product, exactly where both are."""
    if isinstance(one, Fraction) and isinstance(other, Fraction):
        return one * other
    return torch.as_tensor(floated(one) * floated(other), dtype=torch.float64)


def plus(one: Number, other: Number) -> Number:
    """Return a sum, exactly where both are."""
    if isinstance(one, Fraction) and isinstance(other, Fraction):
        return one + other
    return torch.as_tensor(floated(one) + floated(other), dtype=torch.float64)


def gathered(terms: Iterable[tuple[Term, Number]]) -> Form:
    """Return a sum of terms, some of which are the same."""
    form: Form = {}
    for term, number in terms:
        form[term] = plus(form[term], number) if term in form else number
    return form


def product_of(one: Form, other: Form, merged: Callable[[Term, Term], Term]) -> Form:
    """Return a product of two forms, whose terms become others."""
    pairs = product(one.items(), other.items())
    return gathered((merged(first, second), times(number, factor)) for (first, number), (second, factor) in pairs)


def most_of(size: Size) -> float:
    return float(size.max()) if isinstance(size, Tensor) else float(size)


def greater(one: Size, other: Size) -> Size:
    """Return the greater of two, entry by entry."""
    if isinstance(one, Tensor) or isinstance(other, Tensor):
        return torch.maximum(*(torch.as_tensor(each, dtype=torch.float64) for each in (one, other)))
    return max(one, other)


def widest(one: dict[int, Size], other: dict[int, Size]) -> dict[int, Size]:
    """Return the greater share of each symbol."""
    return {symbol: greater(one.get(symbol, 0.0), other.get(symbol, 0.0)) for symbol in {*one, *other}}


def _parts(form: Form) -> dict[int | None, list[tuple[frozenset[int], Number]]]:
    """Return the terms of each symbol."""
    found: dict[int | None, list[tuple[frozenset[int], Number]]] = {}
    for (spikes, symbol), number in form.items():
        found.setdefault(symbol, []).append((spikes, number))
    return found


def ends_of(terms: list[tuple[frozenset[int], Number]]) -> tuple[Size, Size]:
    """Return the ends of a factor Σ c·Π s, over all spikes."""
    low = high = sum((floated(number) for spikes, number in terms if not spikes), start=0.0)
    for spikes, number in terms:
        if spikes:
            each = floated(number)
            low = low + (each.clamp_max(0.0) if isinstance(each, Tensor) else min(each, 0.0))
            high = high + (each.clamp_min(0.0) if isinstance(each, Tensor) else max(each, 0.0))
    return low, high


def vanishing(terms: list[tuple[frozenset[int], Number]]) -> frozenset[tuple[int, int]]:
    """Return the spikes, and states of these, in which a factor Σ c·Π s of terms that are not 0 is 0."""
    found, numbers = set[tuple[int, int]](), dict(terms)
    for spike in {spike for spikes in numbers for spike in spikes}:
        own = [spikes for spikes in numbers if spike in spikes]
        if len(own) == len(numbers):
            found.add((spike, 0))
        elif 2 * len(own) == len(numbers):  # each takes another one away
            rests = ((numbers[spikes], numbers.get(spikes - {spike})) for spikes in own)
            if all(rest is not None and is_zero(floated(plus(number, rest))) for number, rest in rests):
                found.add((spike, 1))
    return frozenset(found)


def gates_of(form: Form) -> Gates:
    """Return the spikes in which a form is without a symbol, of each."""
    return {symbol: vanishing(terms) for symbol, terms in _parts(form).items() if symbol is not None}


def met(*gates: Gates) -> Gates:
    """Return what several have in common, of each symbol that any of them names."""
    found: Gates = {}
    for each in gates:
        for symbol, own in each.items():
            found[symbol] = found[symbol] & own if symbol in found else own
    return found


def moduli(form: Form) -> dict[int | None, Size]:
    """Return the largest modulus of each symbol's factor."""
    ends = {symbol: ends_of(terms) for symbol, terms in _parts(form).items()}
    return {symbol: greater(abs(low), abs(high)) for symbol, (low, high) in ends.items()}


def constant(value: Any, dtype: torch.dtype) -> Value:
    """Return a constant as an operation in `dtype` sees it."""
    held = value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)
    held = (held if held.dim() and held.dtype.is_floating_point else held.to(dtype)).detach().double()
    if held.numel() and bool((held == held.flatten()[0]).all()) and bool(held.flatten()[0].isfinite()):
        number: Number = Fraction(float(held.flatten()[0]))
    else:
        number = held
    return Value(held, held, {ONE: number} if not is_zero(floated(number)) else {})


@dataclass(frozen=True)
class OwnLayers:
    """What the network's own layers are, by which the rounding of the source's is paid for.

    Attributes:
        weights: of each, what tells them.
        averages: whether one averages.
    """

    weights: frozenset[tuple[Any, ...]]
    averages: bool

    @staticmethod
    def of(network: nn.Module) -> "OwnLayers":
        """Return those of a network."""
        found = set()
        for module in network.modules():
            held = [getattr(module, name, None) for name in ("weight", "bias", "running_mean", "running_var")]
            if any(isinstance(each, Tensor) for each in held):
                found.add(told(*held))
        averages = any("Av" in type(module).__name__ for module in network.modules())
        return OwnLayers(frozenset(found), averages)


def told(*tensors: Tensor | None) -> tuple[Any, ...]:
    """Return what tells weights apart, in whatever order they lie; a bias of zeros is none."""
    kept = [None if each is None or not bool(each.any()) else each for each in tensors]
    return tuple(None if each is None else _sorted(each) for each in kept)


def _sorted(tensor: Tensor) -> tuple[int, bytes]:
    held = tensor.detach().double().flatten().sort()[0]
    return held.numel(), held.numpy().tobytes()


class Straying:
    """Goes through a graph for a box of inputs."""

    def __init__(
        self, graph: GraphModule, live: set[Node], own: OwnLayers, dtype: torch.dtype, handlers: "Handlers"
    ) -> None:
        kind = torch.finfo(dtype)
        self.graph, self.layers, self.dtype, self.handlers = graph, own, dtype, handlers
        self.unit, self.least, self.largest = kind.eps / 2, kind.tiny, kind.max
        self.same = EqualValues(graph)
        self.nodes = [node for node in graph.graph.nodes if node in live]
        for node in graph.graph.nodes:
            self.same.note(node)
        self.uses: dict[str, int] = {}
        for node in self.nodes:
            if name_of(node) not in SAME:
                for used in {self.same.name_of(each) for each in node.all_input_nodes}:
                    self.uses[used] = self.uses.get(used, 0) + 1

    def over(self, low: Tensor, high: Tensor, output: Node) -> Value:
        """Return what is known of a node for inputs between two ends; `fired` and `factor` say more.

        Raises:
            Beyond: where a value may leave its range.
            Unknown: for an operation whose rounding is not known.
        """
        self.symbols: list[Symbol] = []
        self.batch = len(low)
        self.noises: dict[int, Size] = {}
        self.wholes: list[Whole | None] = []
        self.keys: dict[Any, int] = {}
        self.fired: dict[Node, Value] = {}
        self.spike_at: dict[Node, int] = {}
        self.factor = 1.0
        self.values: dict[Node, Any] = {}
        known: dict[str, Any] = {}
        for node in self.nodes:
            name = self.same.name_of(node)
            if node.op != "output":
                again = isinstance(known.get(name), Value) and name_of(node) not in COMPARISONS
                again = again and node.op == "call_function" and name not in (NOTHING, ALL)
                self.values[node] = known[name] if again else self._value(node, low, high)
                known[name] = self.values[node]
        found = self.values[output]
        return found if isinstance(found, Value) else constant(found, self.dtype)

    # -- values

    def named(self, low: Tensor, high: Tensor, **known: Any) -> Value:
        """Return a new symbol."""
        self.symbols.append(Symbol(low, high, **known))
        return Value(low, high, {(frozenset(), len(self.symbols) - 1): Fraction(1)})

    def spike(self, low: Tensor, high: Tensor, key: Any = None) -> Value:
        """Return a number that is 0 or 1, the same for one key."""
        number = self.keys.setdefault(object() if key is None else key, len(self.keys))
        return Value(low, high, {(frozenset((number,)), None): Fraction(1)})

    def error(self, value: Value) -> Size:
        """Return how far a value may be from its exact one, in all."""
        found: Size = value.off + value.rel * self.unit * value.size if value.rel else value.off
        for symbol, share in value.rho.items():
            found = found + share * self.unit * self.symbols[symbol].size
        for symbol, factor in moduli(value.form).items():
            if symbol is not None:
                found = found + factor * self.symbols[symbol].error
        whole = self._mixed(value)
        return found if whole is None else -greater(-found, -(self._strayed(whole) + self.error_here(value)))

    def strays_where(self, node: Node, fired: Node | None, holds: bool) -> Size:
        """Return how far what a node compares, or is, may stray, while an earlier comparison holds or does not."""
        value: Value = self.fired[node] if node in self.fired else self.values[node]
        spike = None if fired is None else self.spike_at.get(fired)
        if spike is None:
            return self.error(value)
        own = [(term, number) for term, number in value.form.items() if holds or spike not in term[0]]
        whole = gathered(((spikes - {spike}, symbol), number) for (spikes, symbol), number in own)
        form = {term: number for term, number in whole.items() if not is_zero(floated(number))}
        rho = {
            symbol: share
            for symbol, share in value.rho.items()
            if (spike, int(holds)) not in value.gates.get(symbol, ())
        }
        return self.error(replace(value, form=form, rho=rho))

    def _mixed(self, value: Value) -> Whole | None:
        """Return a value of several sums as a sum over time; what strays in one alone adds up the same without."""
        sums = sum(self.symbols[symbol].defined is not None for symbol in value.graded)
        return self.whole(value) if sums > 1 else None

    def _strayed(self, whole: Whole) -> Size:
        """Return how far a sum over time may be from its exact value."""
        found: Size = 0.0
        for symbol, factor in moduli(whole.form).items():
            if symbol is not None:
                found = found + factor * self.symbols[symbol].error
        for symbol, factor in whole.noise.items():
            found = found + abs(float(factor)) * (1.0 + SLOP) * self.noises[symbol]
        return found

    def whole(self, value: Value) -> Whole | None:
        """Return a value as a sum over time; None where spikes or arrays multiply potentials, or of too many."""
        form: Form = {}
        noise: dict[int, Fraction] = {}
        for (spikes, symbol), number in value.form.items():
            if not isinstance(number, Fraction):
                return None
            if symbol is None or self.symbols[symbol].defined is None:
                form[spikes, symbol] = plus(form.get((spikes, symbol), Fraction(0)), number)
                continue
            known = self._known_whole(symbol)
            if known is None or spikes:
                return None
            for term, factor in known.form.items():
                form[term] = plus(form.get(term, Fraction(0)), times(number, factor))
            for each, factor in known.noise.items():
                noise[each] = noise.get(each, Fraction(0)) + number * factor
        return Whole(form, noise) if len(form) + len(noise) <= LONGEST else None

    def _known_whole(self, symbol: int) -> Whole | None:
        """Return what a named value is as a sum over time, with what it strayed when it was made."""
        while len(self.wholes) <= symbol:  # in order: a chain of them may be longer than Python's stack
            each = len(self.wholes)
            defined = self.symbols[each].defined
            found = None if defined is None else self.whole(defined)
            if defined is not None and found is not None:
                self.noises[each] = self.error_here(defined)
                found = replace(found, noise={**found.noise, each: Fraction(1)})
            self.wholes.append(found)
        return self.wholes[symbol]

    def excess(self, value: Value) -> Size:
        """Return the same without what the network's own layers pay for, and without `rel`."""
        found: Size = value.off
        for symbol, share in value.rho.items():
            found = found + share * self.unit * self.symbols[symbol].size
        for symbol, factor in moduli(value.form).items():
            if symbol is not None:
                found = found + factor * self.symbols[symbol].excess
        return found

    def made(self, low: Tensor, high: Tensor, node: Node, value: Value, slop: bool = False) -> Value:
        """Return a value with the narrower of two pairs of ends, in range."""
        form = {term: number for term, number in value.form.items() if not is_zero(floated(number))}
        rho = dict(value.rho)
        inner_low, inner_high = self._range(form)
        stray: Size = value.off
        for symbol, share in rho.items():
            stray = stray + share * self.unit * self.symbols[symbol].size
        size = greater(abs(inner_low), abs(inner_high))
        stray = stray + (value.rel * self.unit + OUTWARD) * size
        low, high = torch.maximum(low, inner_low - stray), torch.minimum(high, inner_high + stray)
        found = low.abs().maximum(high.abs())
        most = float(found.max()) if found.numel() else 0.0
        if not most <= self.largest:
            raise Beyond(f"{line_of(node)}: {name_of(node)}: may reach {most:.3g}")
        if slop:
            for symbol, modulus in moduli(form).items():
                if symbol is not None:
                    rho[symbol] = rho.get(symbol, 0.0) + modulus * (SLOP / self.unit)
            value = replace(
                value, gates=met(value.gates, gates_of(form)), off=value.off + SLOP * moduli(form).get(None, 0.0)
            )
        return replace(value, low=low, high=high, form=form, rho=rho)

    def _range(self, form: Form) -> tuple[Any, Any]:
        low: Any = torch.zeros((), dtype=torch.float64)
        high = low
        for symbol, terms in _parts(form).items():
            ends = ends_of(terms)
            if symbol is None:
                low, high = low + ends[0], high + ends[1]
                continue
            held = self.symbols[symbol]
            pairs = [end * other for end in ends for other in (held.low, held.high)]
            low, high = low + reduce(torch.minimum, pairs), high + reduce(torch.maximum, pairs)
        return low, high

    def own(self, node: Node, value: Value) -> Value:
        """Return a value under a name of its own where several read it, and it is more than a multiple of one."""
        several = self.uses.get(self.same.name_of(node), 0) > 1
        if not several or value.parts is not None or not value.graded:
            return value
        if value.exact and len(value.form) == 1:
            return value
        shape = shape_of(node)
        error, excess, whole = self.error(value), self.excess(value), self._mixed(value)
        low, high = value.low.expand(shape), value.high.expand(shape)
        if whole is not None:
            ends, here = self._range(whole.form), self._strayed(whole) + self.error_here(value)
            room = here + OUTWARD * greater(abs(ends[0]), abs(ends[1]))
            low, high = torch.maximum(low, ends[0] - room), torch.minimum(high, ends[1] + room)
        return self.named(low, high, error=error, excess=excess, defined=value, grain=self.grain(value))

    # -- operations

    def _value(self, node: Node, low: Tensor, high: Tensor) -> Any:
        if node.op == "placeholder":
            return self.named(low.double(), high.double())
        if node.op == "get_attr":
            return getattr(self.graph, str(node.target))

        def looked(given: Any) -> Any:
            """Return an argument with values in the place of nodes."""
            if isinstance(given, Node):
                return self.values[given]
            return type(given)(map(looked, given)) if isinstance(given, list | tuple) else given

        args, kwargs = looked(tuple(node.args)), {name: looked(each) for name, each in node.kwargs.items()}
        if self._sums_constants(node, args):  # whose order goes by the size of the batch
            place = int(name_of(node).startswith("add"))
            args = (*args[:place], constant(args[place], self.dtype), *args[place + 1 :])
        leaves = [
            leaf
            for each in (*args, *kwargs.values())
            for leaf in (each if isinstance(each, list | tuple) else [each])
        ]
        if not any(isinstance(leaf, Value) for leaf in leaves):
            with torch.no_grad():
                return node.target(*args, **kwargs)  # pyright: ignore[reportCallIssue]
        found = self._computed(node, name_of(node), args, kwargs)
        if isinstance(found, Value) and (shape := shape_of(node)) != found.low.shape and shape:
            found = replace(found, low=found.low.expand(shape), high=found.high.expand(shape))
        return self.own(node, found) if isinstance(found, Value) else found

    def _sums_constants(self, node: Node, args: Any) -> bool:
        """Return whether a layer is given constants, one row a sample."""
        place, name = int(name_of(node).startswith("add")), name_of(node)
        held = args[place] if name in SUMMING and len(args) > place else None
        return isinstance(held, Tensor) and held.dim() > 1 and len(held) == self.batch and held.is_floating_point()

    def _computed(self, node: Node, name: str, args: Any, kwargs: Any) -> Any:
        first = args[0]
        if name == "":
            return first[args[1]] if isinstance(first, list | tuple) else node.target(*args)  # pyright: ignore
        if name in SAME:
            return first
        handler = self.handlers.get(name)
        if handler is None:
            raise Unknown(f"{line_of(node)}: {name}: what it rounds is not known")
        return handler(self, node, args, kwargs)

    def lifted(self, value: Any) -> Value:
        """Return a value, of a constant as well."""
        return value if isinstance(value, Value) else constant(value, self.dtype)

    def sum(self, one: Any, other: Any, node: Node, sign: int = 1) -> Value:
        """Return a sum, or a difference; beside an endless number that."""
        one, other = self.lifted(one), self.lifted(other)
        for value, by in ((one, 1), (other, sign)):
            if not value.graded and value.low.numel() and bool(value.low.isinf().all()):
                return Value(by * value.low, by * value.high, {})
        return self._summed(one, other, node, sign, True)

    def _summed(self, one: Value, other: Value, node: Node, sign: int, rounds: bool) -> Value:
        ends = (other.low, other.high) if sign > 0 else (-other.high, -other.low)
        low, high = one.low + ends[0], one.high + ends[1]
        form = gathered([*one.form.items(), *((term, sign * number) for term, number in other.form.items())])
        rho, off = self._joined_errors(one, other)
        spread = (gates_of(each.form) for each in (one, other) if each.rel)
        gates = met(one.gates, other.gates, *spread)
        slop = any(isinstance(number, Tensor) for number in form.values())
        value = Value(low, high, form, rho=rho, off=off, gates=gates)
        if _is_nothing(one) or _is_nothing(other):
            kept = other if _is_nothing(one) else one
            value = replace(value, rel=kept.rel, rho=dict(kept.rho), off=kept.off, gates=kept.gates)
            return self.made(low, high, node, value)
        if not rounds or self._sums_exactly(one, other, form):
            return self.made(low, high, node, value, slop)
        for symbol, modulus in moduli(form).items():
            if symbol is None:
                value = replace(value, off=value.off + self.unit * modulus)
            else:
                rho[symbol] = rho.get(symbol, 0.0) + modulus
        for symbol, share in [*rho.items()]:
            rho[symbol] = share * (1.0 + 2 * self.unit)
        value = replace(value, off=value.off * (1.0 + 2 * self.unit), gates=met(gates, gates_of(form)))
        widest = (1.0 + self.unit) * 2 * self.unit * low.abs().maximum(high.abs())
        return self.made(low - widest, high + widest, node, value, slop)

    def _joined_errors(self, *values: Value) -> tuple[dict[int, Size], Size]:
        """Return the errors of a sum before it is rounded: what is relative is spread over the forms."""
        rho: dict[int, Size] = {}
        off: Size = 0.0
        for value in values:
            off = off + value.off
            for symbol, share in value.rho.items():
                rho[symbol] = rho.get(symbol, 0.0) + share
            for symbol, modulus in moduli(value.form).items() if value.rel else ():
                if symbol is None:
                    off = off + value.rel * self.unit * modulus
                else:
                    rho[symbol] = rho.get(symbol, 0.0) + value.rel * modulus
        return rho, off

    def is_count(self, value: Value) -> bool:
        """Return whether a value is a multiple of 1/PLAIN, of counts and spikes, without rounding."""
        return self.grain(value) > 0.0

    def grain(self, value: Value) -> float:
        """Return what a count is a multiple of, a power of 2 from 1/PLAIN to 1; 0 of a value that is none."""
        spikes = {term: number for term, number in value.form.items() if term[1] is None}
        if not value.exact or not is_plain(spikes):
            return 0.0
        grains = [1.0 if symbol is None else self.symbols[symbol].grain for _, symbol in value.form]
        units = [_unit(number, symbol is None) for (_, symbol), number in value.form.items()]
        grain = min([1.0, *(one * other for one, other in zip(grains, units, strict=True))])
        return grain if grain * PLAIN >= 1.0 else 0.0

    def votes(self, given: Value, sums: Callable[[Tensor], Tensor], terms: int) -> Value | None:
        """Return sums of so many counts each, which are counts; None where they may be none."""
        grain = self.grain(given)
        if not grain or not most_of(given.size) * terms < MOST:
            return None
        low, high = (
            ((sums(filled(end, given.low.shape)) / grain).round() * grain) for end in (given.low, given.high)
        )
        return self.named(low, high, grain=grain)

    def _shares(self, value: Value) -> tuple[Value, Fraction] | None:
        """Return the count of which a value is a share, and that share; None where it is none, or a count."""
        share = next(iter(value.form.values()))
        same = all(isinstance(each, Fraction) and each == share for each in value.form.values())
        if not (same and isinstance(share, Fraction) and share > 0) or value.rho or self.is_count(value):
            return None
        form: Form = {term: Fraction(1) for term in value.form}
        count = Value(value.low / float(share), value.high / float(share), form)
        grain = self.grain(count)
        if not grain or isinstance(value.off, Tensor):
            return None
        return replace(
            count, low=(count.low / grain).round() * grain, high=(count.high / grain).round() * grain
        ), share

    def shared(self, given: Value, parts: int, node: Node) -> Value:
        """Return a value over a whole number: one rounding, or none."""
        held = torch.tensor(1.0 / parts, dtype=torch.float64)
        return self.multiplied(given, Value(held, held, {ONE: Fraction(1, parts)}), node)

    def _sums_exactly(self, one: Value, other: Value, form: Form) -> bool:
        """Return whether a sum rounds nothing: of small multiples of 2⁻¹⁰, or of one number times −1, 0 or 1."""
        if not (one.exact and other.exact):
            return False
        if self.is_count(one) and self.is_count(other):
            return most_of(one.size) + most_of(other.size) < MOST
        if not one.graded and not other.graded:
            return all(is_plain(each) for each in (one.form, other.form, form))
        if len(one.graded | other.graded) > 1 or any(
            symbol is None for each in (one, other) for _, symbol in each.form
        ):
            return False
        return all(_is_unit(each) for each in (one, other))

    def multiplied(self, one: Any, other: Any, node: Node) -> Value:
        """Return a product, of which at most one factor is graded."""
        one, other = self.lifted(one), self.lifted(other)
        pairs = [end * with_ for end in (one.low, one.high) for with_ in (other.low, other.high)]
        low, high = reduce(torch.minimum, pairs), reduce(torch.maximum, pairs)
        if one.graded and other.graded:
            raise Unknown(f"{line_of(node)}: multiplies two signals")
        form = product_of(one.form, other.form, lambda x, y: (x[0] | y[0], y[1] if x[1] is None else x[1]))
        slop = any(isinstance(number, Tensor) for number in form.values())
        for value, factor in ((one, other), (other, one)):
            if factor.exact and not factor.graded:
                return self._scaled(value, factor, node, Value(low, high, form), slop)
        rho, off = dict[int, Size](), one.size * self.error_here(other) + other.size * self.error_here(one)
        off = off + self.error_here(one) * self.error_here(other)
        size = self.unit * low.abs().maximum(high.abs()) * 2 + self.least
        return self.made(low - size, high + size, node, Value(low, high, form, 0.0, rho, off + size), slop)

    def error_here(self, value: Value) -> Size:
        """Return how far a value may be from its form of its symbols' float values."""
        found: Size = value.off + value.rel * self.unit * value.size if value.rel else value.off
        for symbol, share in value.rho.items():
            found = found + share * self.unit * self.symbols[symbol].size
        return found

    def _scaled(self, value: Value, factor: Value, node: Node, found: Value, slop: bool) -> Value:
        """Return a product by an exact number of constants and spikes."""
        by = moduli(factor.form).get(None, 0.0)
        rho = {symbol: share * by for symbol, share in value.rho.items()}
        silent = vanishing([(spikes, number) for (spikes, _), number in factor.form.items()])
        gates = {symbol: own | silent for symbol, own in value.gates.items()}
        found = replace(found, rho=rho, off=value.off * by, gates=gates)
        if is_boolean(factor) or (value.exact and not value.graded and is_boolean(value)):
            return self.made(found.low, found.high, node, replace(found, rel=value.rel), slop)
        power = len(factor.form) == 1 and ONE in factor.form and _is_power(factor.form[ONE])
        small = isinstance(by, float) and by * PLAIN >= 1.0  # far from what vanishes
        if power and small and self.is_count(value):
            return self.made(found.low, found.high, node, found, slop)
        share = value.rel + (0.0 if power else 1.0 + 2 * self.unit * (value.rel + 1.0))
        if value.rho or not is_zero(value.off):  # what is rounded is what strayed already
            found = replace(
                found,
                rho={symbol: each * (1.0 + 2 * self.unit) for symbol, each in rho.items()},
                off=found.off * (1.0 + 2 * self.unit),
            )
        size = 2 * self.unit * found.size + self.least
        found = replace(found, rel=share, off=found.off + self.least)
        return self.made(found.low - size, found.high + size, node, found, slop)

    def chosen(self, mask: Any, one: Any, other: Any, node: Node) -> Value:
        """Return one value where a mask holds, elsewhere another."""
        mask, one, other = map(self.lifted, (mask, one, other))
        low, high = torch.minimum(one.low, other.low), torch.maximum(one.high, other.high)
        opposite = gathered([(ONE, Fraction(1)), *((term, -number) for term, number in mask.form.items())])
        pairs = ((one.form, mask.form), (other.form, opposite))
        parts = (product_of(*pair, lambda x, y: (x[0] | y[0], x[1])) for pair in pairs)
        form = gathered(term for part in parts for term in part.items())
        rho = widest(one.rho, other.rho)
        gates = met(one.gates, other.gates)
        found = Value(low, high, form, max(one.rel, other.rel), rho, greater(one.off, other.off), gates)
        return self.made(low, high, node, found, any(isinstance(number, Tensor) for number in form.values()))

    def compared(self, node: Node, one: Any, other: Any, strict: bool) -> Value:
        """Return the spikes of one > other, or ≥: it strays by what both sides do."""
        one, other = self.lifted(one), self.lifted(other)
        endless = [value for value in (one, other) if value.low.numel() and bool(value.low.isinf().all())]
        if endless:
            return constant((one.low > other.high).double().expand(shape_of(node)), self.dtype)
        sides = [self.values[each] if isinstance(each, Node) else each for each in self.same.compared(node)]
        names = [self.same.name_of(each) for each in self.same.compared(node)]
        if len(sides) == 2:
            turned = name_of(node)[0] == "l"
            first, second = (self.lifted(each) for each in (sides[::-1] if turned else sides))
            names = names[::-1] if turned else names
        else:
            first, second = one, other
        found = self._summed(first, second, node, -1, False)
        self.fired[node] = found
        low, high = one.low - other.high, one.high - other.low
        shape = torch.broadcast_shapes(low.shape, shape_of(node))
        always, never = (low > 0).expand(shape), (high < 0).expand(shape)
        if bool(never.all()):
            return constant(torch.zeros(shape, dtype=torch.float64), self.dtype)
        zero = torch.zeros(shape, dtype=torch.float64)
        spikes = self.spike(zero.where(~always, zero + 1), (zero + 1).where(~never, zero), (*names, strict))
        self.spike_at[node] = spikes.spikes[0]
        return spikes

    def affine(
        self, given: Value, node: Node, linear: Callable[[Tensor], Tensor], sized: Callable[[Tensor], Tensor],
        terms: int, bias: Tensor | None, paid: bool,
    ) -> Value:  # fmt: skip
        """Return a new symbol of what a layer makes.

        Args:
            given: the input.
            node: of the layer.
            linear, sized: W·x and |W|·x.
            terms: the products of an output.
            bias: b; None for none.
            paid: whether the network has this layer.
        """
        full = given.low.shape
        middle, radius = (given.low + given.high) / 2, (given.high - given.low) / 2
        center, reach, size = linear(middle), sized(radius), sized(given.size)
        held = torch.zeros((), dtype=torch.float64) if bias is None else bias.double()
        moduli = size + held.abs()
        own = (terms + 2) * self.unit
        if not own < 0.5:
            raise Unknown(f"{line_of(node)}: a sum of {terms} terms has no error bound")
        lost = 0.0 if is_boolean(given) else (terms + 1) * self.least
        local = own / (1 - own) * moduli + lost + OUTWARD * moduli
        excess = sized(filled(self.excess(given), full))
        error = sized(filled(self.error(given), full)) + local
        spare = 2.0 if is_boolean(replace(given, rel=0.0)) else 1.0
        further = max(0.0, max([given.rel, *self._further(given)]) - spare)
        if paid:
            self.factor = max(self.factor, 1.0 + further / 3.0)
        else:
            excess = excess + local + further * self.unit * moduli
        if not bool(error.isfinite().all()):
            raise Beyond(f"{line_of(node)}: {name_of(node)}: has no finite error")
        low, high = center - reach + held - local, center + reach + held + local
        most = float(moduli.max())
        if not most <= self.largest / 2:
            raise Beyond(f"{line_of(node)}: {name_of(node)}: may reach {most:.3g}")
        return self.named(low, high, error=error, excess=excess)

    def _further(self, value: Value) -> Iterable[float]:
        return (self.symbols[symbol].further for symbol in value.graded)

    def moved(self, value: Value, move: Callable[[Tensor], Tensor]) -> Value:
        """Return entries that are picked, moved, or 0: their symbol is another one."""
        shape = value.low.shape
        low, high = (move(filled(end, shape)) for end in (value.low, value.high))
        if not value.form:
            return Value(low, high, {})
        if not value.graded and bool((value.low == value.high).all()) and value.exact:
            return constant(low, self.dtype)
        if is_boolean(replace(value, rel=0.0)) and value.rel <= 2.0:
            return replace(self.spike(low, high), rel=value.rel)
        shared = self._shares(value)
        if shared is not None:
            count, share = shared
            found = self.moved(count, move)
            form = {term: times(number, share) for term, number in found.form.items()}
            return replace(value, low=low, high=high, form=form, parts=None)
        further = max([0.0, *self._further(value)]) + value.rel
        error, excess = (move(filled(each, shape)) for each in (self.error(value), self.excess(value)))
        return self.named(low, high, error=error, excess=excess, further=further, grain=self.grain(value))

    def joined(self, values: list[Value], join: Callable[[list[Tensor]], Tensor]) -> Value:
        """Return several values as one."""
        low, high = join([each.low for each in values]), join([each.high for each in values])
        if all(is_boolean(replace(each, rel=0.0)) for each in values):
            return replace(self.spike(low, high), rel=max(each.rel for each in values))
        further = max(each.rel + max([0.0, *self._further(each)]) for each in values)
        error, excess = (
            join([filled(size(each), each.low.shape) for each in values]) for size in (self.error, self.excess)
        )
        grain = min(map(self.grain, values))
        return self.named(low, high, error=error, excess=excess, further=further, grain=grain)


def filled(size: Size, shape: torch.Size) -> Tensor:
    return torch.as_tensor(size, dtype=torch.float64).expand(shape).contiguous()


def shape_of(node: Node) -> torch.Size:
    return torch.Size(getattr(node.meta.get("val"), "shape", ()))


def _is_nothing(value: Value) -> bool:
    return not bool(value.low.any()) and not bool(value.high.any())


def is_plain(form: Form) -> bool:
    """Return whether sums of a form's numbers are exact."""
    numbers = [torch.as_tensor(floated(number), dtype=torch.float64) for number in form.values()]
    plain = all(bool((each * PLAIN == (each * PLAIN).round()).all()) for each in numbers)
    return plain and sum(float(each.abs().max()) for each in numbers) < MOST


def _unit(number: Number, plain: bool) -> float:
    """Return the power of 2, at most 1, that a number is a multiple of; 0 where it is of none that is known."""
    if isinstance(number, Fraction) and not number.denominator & (number.denominator - 1):
        return 1.0 / number.denominator
    return 1.0 / PLAIN if plain else 0.0


def _listed(value: Value) -> list[Tensor] | None:
    """Return a form's factor of its one symbol, or of none, for all spikes; None for too many."""
    spikes = value.spikes
    if len(spikes) > MOST_SPIKES:
        return None
    found = []
    for states in product((0, 1), repeat=len(spikes)):
        on = {spike for spike, state in zip(spikes, states, strict=True) if state}
        parts = (
            floated(number)
            for each, number in ((term[0], number) for term, number in value.form.items())
            if each <= on
        )
        found.append(torch.as_tensor(sum(parts, start=0.0), dtype=torch.float64))
    return found


def _is_unit(value: Value) -> bool:
    """Return whether a form is its symbol times −1, 0 or 1."""
    found = _listed(value)
    return found is not None and all(bool(((each.abs() == 1) | (each == 0)).all()) for each in found)


def is_boolean(value: Value) -> bool:
    """Return whether a value is 0 or 1."""
    if not value.exact or value.graded:
        return False
    found = _listed(value)
    return found is not None and all(bool(((each == 1) | (each == 0)).all()) for each in found)


def _is_power(number: Number) -> bool:
    return bool((torch.frexp(torch.as_tensor(floated(number), dtype=torch.float64))[0].abs() == 0.5).all())
