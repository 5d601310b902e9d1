"""The one search: whatever the order, batches and limits, what is closed and what waits cover the set once."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikecert.certify.search import FULL, Domain, Limits
from spikecert.models.deadline import LATE
from support.examples import examples

Part = list[tuple[int, int]]
"""Intervals of whole numbers, without their upper ends."""


@dataclass
class Intervals(Domain[Part]):
    """Closes intervals of at most `closed` numbers and splits others into thirds, `batch` at once."""

    closed: int
    batch: int
    together: bool = True  # pyright: ignore[reportIncompatibleVariableOverride]
    most: int = 10**9
    seen: list[int] = field(default_factory=list[int])
    sizes: list[int] = field(default_factory=list[int])

    def bound(self, part: Part) -> Part | None:
        self.sizes.append(len(part))
        left = [(a, b) for a, b in part if b - a > self.closed]
        self.seen += [n for a, b in part if b - a <= self.closed for n in range(a, b)]
        return left or None

    def split(self, part: Part) -> Iterator[Part]:
        cuts = [(a, a + (b - a + 2) // 3, a + 2 * ((b - a + 2) // 3), b) for a, b in part]
        smaller = [(x, min(y, d)) for a, b, c, d in cuts for x, y in ((a, b), (b, c), (c, d)) if x < min(y, d)]
        for start in range(0, len(smaller), self.batch):
            yield smaller[start : start + self.batch]

    def size(self, part: Part) -> int:
        return len(part)

    def joined(self, parts: list[Part]) -> Part:
        return [one for part in parts for one in part] if self.together else super().joined(parts)

    def over(self) -> str:
        return "enough" if self.parts >= self.most else ""


@examples(1200)
@given(
    numbers=st.integers(0, 200),
    closed=st.integers(1, 5),
    batch=st.integers(1, 7),
    most=st.integers(1, 12),
    together=st.booleans(),
    newest=st.booleans(),
    limit=st.none() | st.integers(0, 40),
)
def test_closed_and_waiting_parts_cover_the_set_once(numbers, closed, batch, most, together, newest, limit):
    domain = Intervals(closed, batch, together, 10**9 if limit is None else limit)
    told = list[dict[str, float]]()
    limits = Limits(told=lambda figures: told.append(dict(figures)))
    why, waiting = domain.search([[(0, numbers)]], limits, newest=newest, most=most, each=8)
    left = [n for part in waiting for a, b in part for n in range(a, b)]
    assert sorted(domain.seen + left) == list(range(numbers))
    assert why == "" or limit is not None
    assert bool(left) <= bool(why)
    assert max(domain.sizes, default=0) <= max(most, batch)
    assert together or max(domain.sizes, default=0) <= batch
    assert domain.parts == sum(domain.sizes)
    assert [figures["nodes"] for figures in told] == sorted(figures["nodes"] for figures in told)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (Limits(deadline=time.perf_counter() - 1.0), LATE),
        (Limits(stopped=lambda: True), LATE),
        (Limits(memory=15), FULL),
        (Limits(memory=10**6), ""),
    ],
)
def test_a_limit_ends_it_and_nothing_is_lost(limits: Limits, expected: str):
    domain = Intervals(1, 2)
    why, waiting = domain.search([[(0, 90)]], limits, each=8)
    left = [n for part in waiting for a, b in part for n in range(a, b)]
    assert why == expected
    assert why != LATE or not domain.sizes
    assert sorted(domain.seen + left) == list(range(90))


def test_the_newest_is_gone_on_with_depth_first_and_the_oldest_level_by_level():
    orders = []
    for newest in (True, False):
        domain = Intervals(1, 1, together=False)
        domain.search([[(0, 27)]], Limits(), newest=newest)
        orders.append(domain.seen)
    assert orders == [list(range(27)), list(range(27))]
    deep, level = Intervals(1, 1, False, most=4), Intervals(1, 1, False, most=4)
    waits = [len(list(one.search([[(0, 27)]], Limits(), newest=one is deep)[1])) for one in (deep, level)]
    assert waits == [6, 9]
    assert (deep.seen, level.seen) == ([0], [])


def test_nothing_more_is_taken_once_a_member_fails():
    class Failing(Intervals):
        def bound(self, part: Part) -> Part | None:
            self.done = any(a <= 7 < b and b - a <= 3 for a, b in part)
            return super().bound(part)

    domain = Failing(1, 1, together=False)
    assert domain.search([[(0, 27)]], Limits())[0] == ""
    assert domain.done
    assert 26 not in domain.seen
