"""`ranges.c` where a network's kernel is "compiled": multipliers for all nodes of a batch in one call.

Any multipliers give valid ranges, which torch computes in float64: a kernel that lies makes them wide.
"""

from functools import lru_cache

import torch
from torch import Tensor

from ....kernels.loading import load
from ....kernels.ranges import CompiledRanges
from .eager_ranges import Adam, multipliers


def multipliers_for(wanted: str, rows: Tensor, ends: tuple[Tensor, Tensor], aims: Tensor, adam: Adam) -> Tensor:
    """Return what `eager_ranges.multipliers` does, by the compiled kernel if it is `wanted` and there."""
    found = ranges_kernel() if wanted == "compiled" and rows.device.type == "cpu" and rows.numel() else None
    if not isinstance(found, CompiledRanges):
        return multipliers(rows, ends, aims, adam)
    return found.multipliers(rows, ends, aims, adam)


@lru_cache
def ranges_kernel() -> CompiledRanges | str:
    """Return the kernel if it comes as far as torch on a probe, or why there is none."""
    return load("ranges.c", torch.float32, CompiledRanges.of, _agrees)


def _agrees(built: CompiledRanges, dtype: torch.dtype) -> bool:
    """Return whether multipliers on a probe are torch's, up to rounding."""
    generator = torch.Generator().manual_seed(0)
    rows, aims = (torch.randn(3, count, 21, generator=generator, dtype=dtype) for count in (5, 9))
    rows, aims = (part / part.abs().sum(2, keepdim=True) for part in (rows, aims))
    middle = torch.rand(3, 5, generator=generator, dtype=dtype) - 0.5
    ends, adam = ((middle - 0.2).clamp_min(-1.0), (middle + 0.1).clamp_max(1.0)), (4, 0.2, (0.5, 0.9))
    expected, found = (find(rows, ends, aims, adam) for find in (multipliers, built.multipliers))
    return torch.allclose(expected, found, rtol=1e-3, atol=1e-4)
