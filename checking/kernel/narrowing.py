"""Rules N and J: what neurons under constant currents know of each other by the inputs that they share.

N (F8). The rows of neuron k confine its exact current W_k·x + b_k to a slab [p_k, q_k]. For s = ±1 and any ν,
every input x of a run here has s·(W_m·x + b_m) ≥ least over the inputs of (s·W_m − Σ ν_k·W_k)·x + constants +
Σ least(ν_k, slab_k); where the same bound of 0 is positive, no run is here.

J (F9a). Let S_i = Σ_k f[k]·s_i[k] be a window of the spikes of neuron i, whose exact current I_i is the same at
each step. For any γ, and whichever of the neurons are chosen,

    Σ w_i·S_i = Σ_rest w_i·S_i + Σ_chosen w_i·(S_i − γ·I_i) + γ·Σ_chosen w_i·I_i.

S_i and S_i − γ·I_i are known row by row, from the rows that are left; the last sum is one map of the inputs, so
its range holds however many neurons it joins. Of a neuron that subtracts d, Σ_k λ^(t−k)·s_i[k] is (g·I_i − u_i)/d,
and γ = g/d leaves what is left of its potential; but any γ is sound, and any choice: the narrower one is taken.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from ..refusal import Refused
from ..work import spend
from .contexts import Context, Window
from .leaves import PulledCosts
from .network import Sum
from .numbers import GRID, HUGE, Box, scaled


def slab(context: Context, place: int, k: int) -> Box:
    """Return where the exact current of neuron k lies for the rows that are left to it."""
    ends, (low, high) = context.tables[place].ends, context.currents[place][k]
    rows, error = context.rows[place][k], context.sizes.errors(place)[k]
    least, most = min(ends[r][0] for r in rows), max(ends[r][1] for r in rows)
    return max(low, least) - error, min(high, most) + error


def bounded(context: Context, place: int, m: int, sign: int, slabs: dict[int, int]) -> int:
    """Return a bound of sign·(W_m·x + b_m), or of 0 for sign 0, on the grid, from multipliers ν of slabs."""
    costs, total = PulledCosts(context), 0
    aims = {k: -multiplier for k, multiplier in slabs.items()}
    if sign:
        aims[m] = aims.get(m, 0) + (sign << GRID)
    for k, aim in aims.items():
        costs.add(context.nodes.spiking(place).source, 0, k, aim)
    for k, multiplier in slabs.items():
        box = slab(context, place, k)
        total += min(multiplier * box[0], multiplier * box[1]) >> GRID
    return total + costs.at_inputs()


def narrow(context: Context, place: int, bounds: list[tuple[int, int, dict[int, int]]]) -> None:
    """State what multipliers prove, all of it from the slabs of before.

    Raises:
        Refused: for what is no layer with a table, whose currents are sums of the input.
    """
    if place not in context.tables:
        raise Refused(f"layer {place}: has no table, so nothing narrows its currents")
    proven = [(m, sign, bounded(context, place, m, sign, slabs)) for m, sign, slabs in bounds]
    for m, sign, bound in proven:
        if sign == 0:
            if bound > 0:
                context.set(context.empty, 0, True, place)
            continue
        error = context.sizes.errors(place)[m]
        low, high = (bound - error, HUGE) if sign > 0 else (-HUGE, error - bound)
        box = context.currents[place][m]
        box = max(low, box[0]), min(high, box[1])
        context.set(context.currents[place], m, box, place)
        context.leave(place, m, context.reached(place, box, context.rows[place][m]))


@dataclass(frozen=True, eq=False)
class LinearForm:
    """Σ w·x + b over numbers of nodes that are no sums: w·2^shift by node and number, and a box around b."""

    weights: dict[int, dict[int, int]]
    shift: int
    bias: Box

    @staticmethod
    def of(context: Context, place: int, numbers: Mapping[int, int]) -> "LinearForm":
        """Return whole multiples of some numbers of a node, traced back through sums."""
        above, below = (_traced(context, place, {j: sign * w for j, w in numbers.items()}) for sign in (1, -1))
        weights = dict[int, dict[int, int]]()
        parts = [(each, own, held) for each in range(place + 1) for own, held in above.taken_at(each)]
        shift = max((own for _, own, _ in parts), default=0)
        for each, own, held in parts:
            found = weights.setdefault(each, {})
            for (_, j), weight in held.items():
                found[j] = found.get(j, 0) + (weight << shift - own)
        return LinearForm(weights, shift, (above.constant, -below.constant))

    def spans(self, context: Context, window: Window, gain: int = 0) -> Box:
        """Return what the form lies between over a window of steps, with γ = `gain`."""
        ends = [scaled(self.bias, end) for end in window.total]
        least, most = min(low for low, _ in ends), max(high for _, high in ends)
        low = high = 0
        for place, weights in self.weights.items():
            spend(4 * len(weights))
            boxes, chosen = _balanced(context, place, window, gain)
            for j, weight in weights.items():
                one, two = boxes[j] if weight > 0 else boxes[j][::-1]
                low, high = low + weight * one, high + weight * two
            one, two = scaled(self._of_inputs(context, place, chosen), gain)
            least, most = least + one, most + two
        return least + (low >> self.shift), most - (-high >> self.shift)

    def _of_inputs(self, context: Context, place: int, chosen: set[int]) -> Box:
        """Return what Σ w·I lies between over the chosen neurons, all inputs being possible."""
        own = tuple(j for j in self.weights[place] if j in chosen)

        def find() -> Box:
            ends, source = [], context.nodes.spiking(place).source
            for sign in (1, -1):
                costs = PulledCosts(context)
                for j in own:
                    costs.add(source, 0, j, sign * self.weights[place][j], self.shift)
                ends.append(costs.at_inputs())
            return ends[0], -ends[1]

        return context.recall(0, (self, place, own), find) if own else (0, 0)


def _traced(context: Context, place: int, numbers: Mapping[int, int]) -> PulledCosts:
    costs = PulledCosts(context)
    for j, weight in numbers.items():
        costs.add(place, 0, j, weight, 0)
    for each in reversed(range(place + 1)):
        if isinstance(context.nodes.nodes[each], Sum):
            costs.pull(each)
    return costs


def _balanced(context: Context, place: int, window: Window, gain: int) -> tuple[list[Box], set[int]]:
    """Return boxes of a node's S, and which of them are of S − γ·I: where these are narrower."""

    def find() -> tuple[list[Box], set[int]]:
        ends, chosen = context.spans(place, window), set[int]()
        boxes = list(zip(ends.low, ends.high, strict=True))
        for j, (low, high) in enumerate(boxes if gain and place in context.tables else ()):
            found = (low, high) if low == high else without_current(context, place, j, window, gain)
            if found[1] - found[0] < high - low:
                boxes[j] = found
                chosen.add(j)
        return boxes, chosen

    return context.recall(place, (window, gain), find)


def without_current(context: Context, place: int, j: int, window: Window, gain: int) -> Box:
    """Return what S − γ·I of a neuron lies between, over the rows that are left."""
    table, sums = context.tables[place], context.sums(place, window)
    error, (first, last) = context.sizes.errors(place)[j], context.currents[place][j]
    spend(4 * len(context.rows[place][j]))
    lows, highs = [], []
    for r in context.rows[place][j]:
        current = max(first, table.ends[r][0]) - error, min(last, table.ends[r][1]) + error
        one, two = scaled(current, gain)
        lows.append(sums[r][0] - two)
        highs.append(sums[r][1] - one)
    return min(lows), max(highs)
