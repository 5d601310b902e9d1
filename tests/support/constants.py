"""Numbers of every type, what is none, and the rows of a table of everything that takes one."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import torch

from spikecert import LIF

Value = Any
HUGE = 10**400
REFUSED: dict[str, Value] = {
    "truth": True,
    "numpy truth": np.True_,
    "torch truth": torch.tensor(True),
    "text": "1",
    "bytes": b"1",
    "complex": 1j,
    "numpy complex": np.complex64(1),
    "torch complex": torch.tensor(1j),
    "None": None,
    "array": np.array([1.0]),
    "array of no axes": np.array(1.0),
    "vector": torch.tensor([1.0]),
    "list": [1.0],
    "nan": math.nan,
    "numpy nan": np.float16(math.nan),
    "torch nan": torch.tensor(math.nan),
    "Decimal nan": Decimal("nan"),
    "signalling nan": Decimal("snan"),
    "inf": math.inf,
    "-inf": -math.inf,
    "Decimal inf": Decimal("inf"),
    "torch inf": torch.tensor(math.inf),
    "huge": HUGE,
    "huge share": Fraction(HUGE),
    "huge Decimal": Decimal("1e400"),
    "huge longdouble": np.longdouble("1e400"),
    "object": object(),
    "meta tensor": torch.tensor(1.0, device="meta"),
}
INFINITE = frozenset(name for name in REFUSED if "inf" in name)
NONE, ENDS = frozenset({"None"}), INFINITE
FRACTIONAL: dict[str, Value] = {
    "float": 1.0,
    "numpy float": np.float32(1),
    "torch float": torch.tensor(1.0),
    "Fraction": Fraction(1),
    "Decimal": Decimal(1),
}
REAL: tuple[Callable[[Any], Value], ...] = (
    *(float, np.float16, np.float32, np.float64, np.longdouble, Fraction, Decimal),
    *(
        partial(torch.tensor, dtype=dtype)
        for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    ),
)
WHOLE: tuple[Callable[[Any], Value], ...] = (
    *(int, np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64),
    *(
        partial(torch.tensor, dtype=dtype)
        for dtype in (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
    ),
)


@dataclass(frozen=True)
class Row:
    """One number that something takes: how it is given, a good one, where it is kept, and what else is let in."""

    owner: str
    name: str
    give: Callable[[Value], Any]
    good: float | int
    keep: Callable[[Any], Value] | None = None
    allowed: frozenset[str] = field(default_factory=frozenset)

    def __str__(self) -> str:
        return f"{self.owner}: {self.name}"

    @property
    def whole(self) -> bool:
        return type(self.good) is int

    def refused(self) -> Iterator[tuple[str, Value]]:
        """Yield what must be refused."""
        yield from ((what, value) for what, value in REFUSED.items() if what not in self.allowed)
        if self.whole:
            yield from FRACTIONAL.items()

    def accepted(self) -> Iterator[Value]:
        """Yield the good number in every type that holds it exactly."""
        types = WHOLE if self.whole else (*REAL, *(WHOLE if float(self.good).is_integer() else ()))
        yield from (kind(int(self.good) if kind in WHOLE else self.good) for kind in types)


KEEP = {
    "decay": lambda neuron: neuron.dynamics.decay,
    "threshold": lambda neuron: neuron.dynamics.threshold,
    "reset_amount": lambda neuron: neuron.dynamics.reset_amount,
}


def rows(
    make: Callable[..., Any],
    good: dict[str, float | int],
    base: dict[str, Any] | None = None,
    allowed: dict[str, frozenset[str]] | None = None,
    kept: bool = True,
) -> list[Row]:
    """Return a row for each number of a class, which keeps it under its name, or of a function (not `kept`)."""

    def give(name: str, value: Value) -> Any:
        return make(**{**(base or {}), name: value})

    found = [(name, number, (allowed or {}).get(name, frozenset())) for name, number in good.items()]
    keep = lambda name: (lambda made: getattr(made, name)) if kept else None  # noqa: E731
    return [
        Row(make.__name__, name, partial(give, name), number, keep(name), more) for name, number, more in found
    ]


def neuron_rows(make: Callable[..., LIF], **base: Any) -> list[Row]:
    """Return the rows of a neuron, whose constants are those of its dynamics."""
    good = {"decay": 0.5, "threshold": 1.0, "reset_amount": 2.0}
    found = rows(make, good, {"reset": "subtract", **base}, {"reset_amount": NONE})
    return [Row(row.owner, row.name, row.give, row.good, KEEP[row.name], row.allowed) for row in found]


def several(make: Callable[..., Any], name: str, good: float | int, put: Callable[[Value], Any]) -> Row:
    """Return the row of a number that is one of several under one name."""
    return Row(make.__name__, name, lambda value: put(value), good)
