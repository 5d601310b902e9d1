"""What it costs to turn one feature's events into others by moves and flips."""

from functools import lru_cache

from .retiming import MOST_STATES, Cost, Train, dearer, front, places


@lru_cache(maxsize=2**16)
def mixed(
    fixed: Train, movable: Train, after: Train, inserts: Train, deletes: Train, reach: int, leaves: bool
) -> frozenset[tuple[int, int, int]]:
    """Return (flips, moves, steps) of each way to make `after`; none: there is no way, or there are too many.

    Args:
        fixed, movable: events at each step, 0 or 1.
        after: events afterwards.
        inserts, deletes: where what events became may gain and lose one.
        reach: how far an event may move.
        leaves: whether events may move out of the steps.
    """
    found: set[tuple[int, int, int]] = set()
    for train, costs in _reached(fixed, movable, reach, leaves).items():
        changes = list(zip(train, after, inserts, deletes, strict=True))
        if all(one == other or (gains if other else loses) for one, other, gains, loses in changes):
            flips = sum(one != other for one, other, _, _ in changes)
            found |= {(flips, moved, steps) for moved, steps in costs}
    return frozenset(found)


@lru_cache(maxsize=2**16)
def _reached(fixed: Train, movable: Train, reach: int, leaves: bool) -> dict[Train, tuple[Cost, ...]]:
    """Return each train that moves make, with its least costs; nothing where there are too many."""
    states: dict[Train, tuple[Cost, ...]] = {fixed: ((0, 0),)}
    for step in (step for step, event in enumerate(movable) if event):
        found: dict[Train, set[Cost]] = {}
        for state, costs in states.items():
            for place, distance in places(step, len(fixed), reach, leaves):
                reached = state if place < 0 else (*state[:place], 1, *state[place + 1 :])
                found.setdefault(reached, set()).update(dearer(costs, distance))
        if len(found) > MOST_STATES:
            return {}
        states = {state: front(costs) for state, costs in found.items()}
    return states
