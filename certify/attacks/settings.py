"""Checks of attacks' settings: one line that names the setting, what came and what was expected."""

from ...models.constants import real
from ...models.surrogates import Surrogate
from ...models.validation import check_choice
from .backward.base import Backward
from .losses import LOSSES


def some_share(name: str, value: object) -> float:
    """Return a number in (0, 1] as a Python float."""
    found = real(name, value, finite=False)
    if not 0.0 < found <= 1.0:
        raise ValueError(f"{name}: got {found!r}, expected a number in (0, 1]")
    return found


def check_climb(loss: str, surrogate: Surrogate | Backward | None) -> None:
    """Raise TypeError or ValueError unless a gradient attack can climb this loss by this surrogate."""
    check_choice("loss", loss, LOSSES)
    if surrogate is not None and not isinstance(surrogate, Surrogate | Backward):
        raise TypeError(f"surrogate: got {type(surrogate).__name__}, expected a Surrogate, a Backward or None")
