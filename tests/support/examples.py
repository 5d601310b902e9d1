"""How many examples a test draws: a twelfth of them by day, the same each time; all at night, new each time."""

import os
from typing import Any

import pytest
from hypothesis import settings

THOROUGH = bool(os.environ.get("THOROUGH"))
"""Whether `make nightly` asked for all examples."""

DAILY = 100 if THOROUGH else 8
"""Examples of a test that asks for no number."""


def examples(count: int) -> settings:
    """Return the settings of a test that draws `count` examples at night, and a twelfth of them otherwise."""
    return settings(max_examples=count if THOROUGH else max(1, count // 12), deadline=None)


def by_night(*values: Any) -> list[Any]:
    """Return parameters of a test that run with the slow tests only; a tuple stands for several arguments."""
    return [pytest.param(*(v if isinstance(v, tuple) else (v,)), marks=pytest.mark.slow) for v in values]


def in_turn(*values: Any, of: str) -> tuple[Any, ...]:
    """Return all of the values at night, and one by day: which, goes by the name of the case."""
    return values if THOROUGH else (values[sum(map(ord, of)) % len(values)],)
