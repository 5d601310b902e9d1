"""A limit of work: operations are counted before they are done, so that no file takes time out of proportion.

One operation is about one of two whole numbers of up to `WORD` bits. Longer ones count for k + k²/16, k being
their length in words, as multiplications and greatest common divisors take. What counts is what the files ask
for, never how long it took: the same files meet the same limit on every machine.
"""

from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from math import inf
from typing import TypeVar

from .refusal import Refused

Name = TypeVar("Name")
Found = TypeVar("Found")
WORD = 256
"""Bits of a number that counts once."""
LEAST = 2**26
"""Operations that the smallest files may take: some seconds."""
EACH = 1024
"""Operations more for each byte of the files."""
MOST_NUMBERS = 2**22
"""How many numbers of one kind are held at once, whatever the size of the files."""
CALL = 32
"""Operations that an array of one number takes: the rest is numpy's own."""


class _Meter:
    """What may be spent, and what was.

    Attributes:
        most: the limit.
        spent: operations so far.
        bits: how far above 1 the largest float reaches that was read: such numbers are long without any fraction.
        told: called whenever something is spent.
    """

    def __init__(self, most: float, told: Callable[[], object]) -> None:
        self.most, self.spent, self.bits, self.told = most, 0, 0, told

    def pay(self, operations: int) -> None:
        """Count operations of usual length."""
        self.told()
        self.spent += operations
        if self.spent > self.most:
            raise Refused(
                f"work: takes at least {self.spent} operations, more than the {self.most} for such files"
            )


_METER: ContextVar[_Meter | None] = ContextVar("work", default=None)


def allowance(size: int, factor: float = 1.0) -> int:
    """Return how many operations files of `size` bytes may take, times `factor`.

    Raises:
        ValueError: for a factor that is no number above 0.
    """
    if not 0 < factor < inf:
        raise ValueError(f"work: got {factor}, expected a number above 0")
    return int((LEAST + EACH * size) * factor)


@contextmanager
def limited(most: float, told: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Refuse more than `most` operations within this block; elsewhere there is no limit.

    A prover, whose limit is one of time, is `told` of each spending: what it raises then ends the work.
    """
    token = _METER.set(_Meter(most, told))
    try:
        yield
    finally:
        _METER.reset(token)


def spend(operations: int, bits: int = 0) -> None:
    """Count operations on numbers with `bits` behind the point.

    Raises:
        Refused: where they are more than what is left.
    """
    meter = _METER.get()
    if meter is None:
        return
    words = 1 + (bits + 2 * meter.bits) // WORD
    meter.pay(operations * (words + words * words // 16))


def hold(what: str, numbers: int) -> None:
    """Refuse to hold more than `MOST_NUMBERS` numbers of one kind: each takes up to some hundred bytes."""
    if numbers > MOST_NUMBERS:
        raise Refused(f"work: takes at least {numbers} {what}, more than the {MOST_NUMBERS} that are held")


def grant(operations: int) -> None:
    """Allow more: a file that is read as a stream pays for its parts as they come."""
    meter = _METER.get()
    if meter is not None:
        meter.most += operations


def widen(bits: int) -> None:
    """Count numbers as long as floats of up to 2^bits make them, from now on."""
    meter = _METER.get()
    if meter is not None:
        meter.bits = max(meter.bits, bits)


def once(known: MutableMapping[Name, tuple[Found, int]], name: Name, find: Callable[[], Found]) -> Found:
    """Return what is known by a name, found but once; it costs the same each time."""
    before, meter = spent(), _METER.get()
    if name not in known:
        known[name] = find(), spent() - before
    elif meter is not None:
        meter.pay(known[name][1])
    return known[name][0]


def spent() -> int:
    """Return the operations so far in this block, 0 where there is no limit."""
    meter = _METER.get()
    return 0 if meter is None else meter.spent
