"""Which verifiers benchmarks/traps.py asks about which samples, how often and for how long."""

from collections.abc import Iterator

from torch import Tensor
from trap_draw import Draw

from spikecert.certify.verifiers import Enumeration, Verifier

CHEAP = ("interval", "trains", "linear", "gain", "complete", "enumeration")
SEARCHING = ("linear", "complete", "enumeration")
"""These take most of the time: they are asked every other time."""
VERIFIERS: dict[str, Verifier] = {"enumeration": Enumeration(patience=2**25)}
"""What stands for a name: no more than some thousand members are listed."""
RARE: dict[str, tuple[float, int, float]] = {
    "lirpa": (0.03, 3, 1.0),
    "milp": (0.05, 2, 1.0),
    "auto": (0.1, 3, 0.3),
}
"""How often, on how many samples and with how many seconds each the slow verifiers are asked."""
LISTED = 0.5
"""How often "auto" is asked about sets that are listed in full."""
SECONDS: dict[str, float | None] = {"linear": 0.5, "complete": 0.02, "enumeration": None}
"""What they may take for a sample."""
MOST = 16
"""Of samples that they are asked about."""
OTHERS = 4
"""Of samples without another class nearby that are asked about, too."""


def asked(draw: Draw, near: Tensor) -> Iterator[tuple[str, list[int], float | None]]:
    """Yield verifiers' names, the places of the samples that each is asked about, and its seconds a sample.

    Args:
        draw: of the network.
        near: which samples have an input of another class within the next greater set, (batch,).
    """
    close = near.nonzero().flatten().tolist()
    some = sorted({*close, *range(min(OTHERS, len(near)))})
    for name in CHEAP:
        if name in SEARCHING and draw.random.random() < 0.5:
            continue
        which, seconds = (close[:MOST], SECONDS[name]) if name in SEARCHING else (some, None)
        if which:
            yield name, which, seconds
    for name, (share, count, seconds) in RARE.items():
        share = share if name != "auto" or not draw.listed else LISTED
        if close and draw.random.random() < share:
            yield name, close[:count], seconds
