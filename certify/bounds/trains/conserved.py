"""F9 where a layer subtracts what it fires, F1 and F2 elsewhere: the strongest trains that need no prices."""

from ....models.rules import Leaky
from ...rounding import Rounding
from ..cells.automaton import CELLS, cell_trains
from ..long.long_trains import carried_trains
from ..signals.membrane import drive
from ..signals.signals import Signal
from .balanced_table import BalancedTable
from .base import Trains
from .trains import SHORT, aged_spikes, hears_events, table_spikes, window_spikes


def conserved_spikes(current: Signal, rule: Leaky, rounding: Rounding, cells: int = CELLS) -> Trains:
    """Return the reachable spike trains of neurons of `rule` under `current`.

    A constant current has its table (F1); behind it, and where the table would be too long, a subtracting reset
    has its cells (F9), and other resets have windows (F5) and their graph (F2), over many steps by age.
    """
    if rule.reset != "subtract":
        return aged_spikes(current, rule, rounding)
    return _balanced(current, rule, rounding) or cell_trains(current, rule, rounding, cells)


def carried_spikes(current: Signal, rule: Leaky, rounding: Rounding) -> Trains:
    """Return what `conserved_spikes` does; of a hard reset that hears events, L and how long ago it fired."""
    if rule.reset == "zero" and hears_events(current):
        return carried_trains(current, rule, rounding, SHORT)
    return conserved_spikes(current, rule, rounding)


def decidable_spikes(current: Signal, rule: Leaky, rounding: Rounding) -> Trains:
    """Return the strongest trains that a search can decide, by rows or spikes: a graph in place of cells."""
    table = _balanced(current, rule, rounding) if rule.reset == "subtract" else None
    return table or window_spikes(current, rule, rounding)


def _balanced(current: Signal, rule: Leaky, rounding: Rounding) -> BalancedTable | None:
    """Return the table of a subtracting reset, with what it balances; None where there is none."""
    trains = table_spikes(current, rule, rounding)
    if trains is None:
        return None
    slack = drive(current, rule, rounding).slack
    return BalancedTable(trains.table, trains.first, trains.last, rule=rule, current=current, slack=slack)
