"""F9 where a layer subtracts what it fires, F1 and F2 elsewhere: the strongest trains that need no prices."""

from ....models.rules import Leaky
from ...rounding import Rounding
from ..cells.automaton import CELLS, cell_trains
from ..signals.membrane import drive
from ..signals.signals import Signal
from .balanced_table import BalancedTable
from .train_table import TableTrains
from .trains import train_spikes, window_spikes


def conserved_spikes(current: Signal, rule: Leaky, rounding: Rounding, cells: int = CELLS) -> Signal:
    """Return the reachable spike trains of neurons of `rule` under `current`.

    A constant current has its table (F1); behind it, and where the table would be too long, a subtracting reset
    has its cells (F9), and other resets have their graph with windows (F2, F5).
    """
    if rule.reset != "subtract":
        return window_spikes(current, rule, rounding)
    found = train_spikes(current, rule, rounding) if current.constant else None
    if not isinstance(found, TableTrains):
        return cell_trains(current, rule, rounding, cells)
    slack = drive(current, rule, rounding).slack
    return BalancedTable(found.table, found.first, found.last, rule=rule, current=current, slack=slack)
