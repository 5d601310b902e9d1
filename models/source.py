"""What a converted network carries of its source: by how much more that rounds, and for which inputs.

A conversion proves equality over exact fractions. The source's float run strays from them, as the network's own
run does, and verdicts are about both: bounds take u·`factor` for the unit roundoff and add `stray` where a
potential meets its threshold, so that the runs which they hold contain the source's; a class must lead by more
than `least`, below which the source's own ending (a softmax) or last sums may tie. `models/tracing/straying.py`
finds these numbers and proves them, for all inputs within a limit; beyond the last one the source may overflow
or stray without a bound, and questions are refused.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import pairwise
from operator import gt
from typing import Any

import torch
from torch import Tensor, nn

MOST_BOXES = 64
"""Of a network, and of a file."""
UNCONFIRMED = "not confirmed by its source"
"""What is said of a network whose source was never run: a NIR graph is all that is known of it."""


@dataclass(frozen=True)
class SourceBox:
    """What the source's run may stray by, for inputs of moduli up to a limit.

    Attributes:
        limit: the largest modulus of an input.
        factor: how many times the own allowance covers its rounding, at least 1.
        stray: by how much more a potential may be on the other side of its threshold, in the network's units.
        least: what margins must exceed.
        counts: whether its outputs are counts times one number, so that equal counts are equal in it.
    """

    limit: float
    factor: float = 1.0
    stray: float = 0.0
    least: float = 0.0
    counts: bool = False

    @property
    def paid(self) -> tuple[float, float, float, float]:
        """Return the numbers."""
        return self.limit, self.factor, self.stray, self.least


@dataclass(frozen=True)
class SourceArithmetic:
    """What holds for a source, by the size of inputs.

    Attributes:
        boxes: the larger the limit, the larger all else.
        weights: tells the tensors of the network that it holds for.
    """

    boxes: tuple[SourceBox, ...]
    weights: str

    def __post_init__(self) -> None:
        """Raise ValueError for numbers that are no allowances, or that fall as inputs grow."""
        if not 1 <= len(self.boxes) <= MOST_BOXES:
            raise ValueError(f"source: got {len(self.boxes)} boxes, expected 1 to {MOST_BOXES}")
        for box in self.boxes:
            least = (box.limit > 0, box.factor >= 1, box.stray >= 0, box.least >= 0)
            if not all(least) or not all(map(math.isfinite, box.paid)):
                raise ValueError(
                    f"source: got {box}, expected finite numbers, a factor of at least 1, and no others below 0"
                )
        for one, two in pairwise(self.boxes):
            if not one.limit < two.limit or any(map(gt, one.paid, two.paid)):
                raise ValueError("source: got boxes out of order, expected larger numbers for larger inputs")

    def within(self, reach: float) -> SourceBox:
        """Return what holds for inputs up to a modulus.

        Raises:
            ValueError: where that is more than the source is known for.
        """
        found = next((each for each in self.boxes if reach <= each.limit), None)
        if found is None:
            told = f"inputs: reach {reach:.4g}, expected at most {self.boxes[-1].limit:.4g}"
            raise ValueError(f"{told}, beyond which the source's own numbers may overflow")
        return found


def carry(network: Any, made: Any, limit: Callable[[float], float] = float, outputs: float = 1.0) -> None:
    """Let a network that is another one with layers in front, or sums of outputs behind it, carry its source.

    Args:
        network: the other one.
        made: what carries it from now on.
        limit: the modulus of its inputs up to which those of the other are within a limit.
        outputs: of how many outputs each of its own is the sum.
    """
    made.unconfirmed = network.unconfirmed
    if network.source is not None:
        found = (
            replace(box, limit=limit(box.limit), least=box.least * outputs, counts=box.counts and outputs == 1.0)
            for box in network.source.boxes
        )
        made.source = SourceArithmetic(tuple(box for box in found if box.limit > 0), weights_of(made))


def weights_of(network: nn.Module) -> str:
    """Return what tells the tensors of a network."""
    digest = sha256()
    for name, value in network.state_dict().items():
        held: Tensor = value.detach().cpu().contiguous()
        digest.update(f"{name} {held.dtype} {tuple(held.shape)}".encode())
        digest.update(held.reshape(-1).view(torch.uint8).numpy().tobytes() if held.numel() else b"")
    return digest.hexdigest()


OWN = SourceBox(math.inf, counts=True)
"""What holds for a network that is its own source."""
