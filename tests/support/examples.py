"""How many examples a test draws: a third of them by day, all of them at night, and then new ones each time."""

import os

from hypothesis import settings

THOROUGH = bool(os.environ.get("THOROUGH"))
"""Whether `make nightly` asked for all examples."""


def examples(count: int) -> settings:
    """Return the settings of a test that draws `count` examples at night, and a third of them otherwise."""
    return settings(max_examples=count if THOROUGH else max(1, count // 3), deadline=None)
