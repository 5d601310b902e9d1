"""What the tables of verifiers and attacks hold under a name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Made = TypeVar("Made", covariant=True)


@dataclass(frozen=True)
class Named(Generic[Made]):
    """How something is made that has a name, and what it does, as reports say it."""

    make: Callable[[], Made]
    does: str

    def __call__(self) -> Made:
        """Return a new one."""
        return self.make()
