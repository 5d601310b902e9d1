"""Rule N (F8): what rows that are left to some neurons say of the currents of others, by multipliers (Farkas).

The rows of neuron k confine its exact current W_k·x + b_k to a slab [p_k, q_k]. For s = ±1 and any ν, every input
x of a run here has s·(W_m·x + b_m) ≥ least over the inputs of (s·W_m − Σ ν_k·W_k)·x + constants + Σ least(ν_k,
slab_k); where the same bound of 0 is positive, no run is here.
"""

from ..refusal import Refused
from .contexts import Context
from .leaves import PulledCosts
from .numbers import GRID, HUGE, Box


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
