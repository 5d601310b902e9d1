"""What narrows all nodes of a batch: `ranges.c` in one call over sets that are boxes, slabs.py over others.

Any multipliers give valid ranges. What the kernel proves is what slabs.py proves at its multipliers, up to the
order of sums, which the error paid there allows.
"""

from torch import Tensor

from ....kernels.ranges import Adam, ranges_kernel
from ...bounds.signals.box import Box
from .first_layer import FirstLayer
from .slabs import narrowed


def narrowed_by(
    layer: FirstLayer, samples: Tensor, rows: Box, split: Tensor, chosen: Tensor, adam: Adam
) -> tuple[Box, Tensor]:
    """Return what `slabs.narrowed` does, by the compiled kernel where it reaches the set."""
    if layer.packed is None:
        return narrowed(layer, samples, rows, split, chosen, adam)
    low, high, empty = ranges_kernel().narrow(layer.packed, (samples, rows.lower, rows.upper, split, chosen), adam)
    return Box(low, high), empty
