"""Checks of attacks' settings: one line that names the setting, what came and what was expected."""

import math

from ...models.surrogates import Surrogate
from ...models.validation import check_choice
from .losses import LOSSES


def check_count(name: str, value: int, least: int = 1) -> None:
    """Raise TypeError or ValueError unless `value` is an integer of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}: got {type(value).__name__}, expected an integer")
    if value < least:
        raise ValueError(f"{name}: got {value}, expected at least {least}")


def check_share(name: str, value: float | None) -> None:
    """Raise ValueError unless `value` is None or a positive finite number."""
    if value is not None and not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name}: got {value!r}, expected a positive number or None")


def check_walk(steps: int, restarts: int, loss: str, surrogate: Surrogate | None) -> None:
    """Raise TypeError or ValueError unless these settings of a gradient attack fit."""
    check_count("steps", steps)
    check_count("restarts", restarts)
    check_choice("loss", loss, LOSSES)
    if surrogate is not None and not isinstance(surrogate, Surrogate):
        raise TypeError(f"surrogate: got {type(surrogate).__name__}, expected a Surrogate or None")
