"""Move each number of a certificate by the least that it can be moved, to the side that would say more.

What a number is decides which side that is. An *end* of an interval of currents, potentials or spikes' shares says
more the narrower it is, a *constant* of a potential the greater it is: these are claims of the certificate, which
the kernel must check. Prices, slopes and multipliers are *free*: each value of them proves something true, so a
kernel may take any (Farkas; weak duality). Indices and counts are what leads from one claim to another, and are
free too: wherever they lead, what is there is checked.
"""

from collections.abc import Iterator
from typing import NamedTuple

from spikecert.checking.certificates.words import word
from spikecert.checking.kernel.numbers import ONE, number

LEAST = 2.0**-100
"""The least constant of a claim but 0: finer ones are none of the grid."""


class Number(NamedTuple):
    """A number of a record: which of its words, and by how much to move it so that it says more; 0: it is free."""

    index: int  # pyright: ignore[reportIncompatibleMethodOverride]
    step: int


class _Words:
    """A record's words, taken one after the other."""

    def __init__(self, words: list[str], start: int) -> None:
        self.words, self.index = words, start

    def __bool__(self) -> bool:
        return self.index < len(self.words)

    def count(self) -> int:
        """Return the next word as a count."""
        self.index += 1
        return int(self.words[self.index - 1])

    def skip(self, count: int) -> None:
        """Pass words that are no numbers of the grid."""
        self.index += count

    def numbers(self, *steps: int) -> Iterator[Number]:
        """Yield the next words as numbers."""
        for step in steps:
            yield Number(self.index, step)
            self.index += 1


def numbers_of(record: str, steps: int, whole: bool) -> list[Number]:
    """Return the numbers of the grid of a record.

    Args:
        record: of a certificate.
        steps: T.
        whole: whether its layer's neurons are whole: their numbers move by 1.
    """
    name, *_ = words = record.split()
    unit = ONE if whole else 1
    found = {"table": _table, "graph": _states if whole else _graph, "potential": _potential, "pair": _pair}
    if name in found:
        return list(found[name](_Words(words, 2 if name == "table" else 3), steps, unit))
    start = {"through": 2, "heard": 3, "price": 3, "input": 3}.get(name, len(words))
    return [Number(index, 0) for index in range(start, len(words))]


def moved(record: str, given: Number, step: int) -> str:
    """Return the record with one number moved."""
    words = record.split()
    return " ".join([*words[: given.index], word(number(words[given.index]) + step), *words[given.index + 1 :]])


def _table(words: _Words, steps: int, unit: int) -> Iterator[Number]:
    while words:
        words.skip(1)
        yield from words.numbers(unit, -unit)


def _sizes(words: _Words, steps: int) -> int:
    return sum([words.count() for _ in range(steps + 1)])


def _graph(words: _Words, steps: int, unit: int) -> Iterator[Number]:
    for _ in range(_sizes(words, steps)):
        yield from words.numbers(1, -1)
        words.skip(3)
        words.skip(words.count())
        yield from words.numbers(*(1, -1) * words.count())


def _states(words: _Words, steps: int, unit: int) -> Iterator[Number]:
    for _ in range(_sizes(words, steps)):
        yield from words.numbers(unit, -unit, unit, -unit)
        words.skip(1)
        words.skip(words.count())
        words.skip(words.count())


def _pair(words: _Words, steps: int, unit: int) -> Iterator[Number]:
    words.skip(1)
    for _ in range(_sizes(words, steps)):
        yield from words.numbers(*(1, -1) * 4)
        words.skip(4)


def _potential(words: _Words, steps: int, unit: int) -> Iterator[Number]:
    yield from words.numbers(*(0,) * steps)
    while words:
        yield from words.numbers(*(1, 0) * words.count())
        for _ in range(2):
            for _ in range(words.count()):
                words.skip(1)
                yield from words.numbers(0)
