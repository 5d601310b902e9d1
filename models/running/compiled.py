"""The compiled membrane recursion (`kernels/sources/membrane.c`) where it is asked for and agrees with `eager.py`.

It counts only after its potentials and spikes came out bitwise as those of `run_eager` on a probe with all resets
and with ties: which network runs does not depend on the kernel.
"""

import itertools
from functools import lru_cache

import torch
from torch import Tensor

from ...kernels.loading import RESETS, load
from ...kernels.membrane import ARCTAN, FIRES, TRIANGLE, CompiledMembrane, MembraneLayer, membrane_layer
from ..dynamics import FIRES_AT, Dynamics
from ..surrogates import Arctan, Surrogate, Triangle
from .eager import run_eager

SLOPES: dict[type[Surrogate], int] = {Triangle: TRIANGLE, Arctan: ARCTAN}


def kernel_for(wanted: str, current: Tensor, input_scale: Tensor | None) -> CompiledMembrane | None:
    """Return the compiled kernel if it is `wanted`, there, and for tensors like these."""
    if wanted != "compiled" or current.device.type != "cpu" or current.numel() == 0:
        return None
    if input_scale is not None and (input_scale.dtype != current.dtype or not input_scale.is_contiguous()):
        return None
    found = library(current.dtype)
    return found if isinstance(found, CompiledMembrane) else None


def covers(dynamics: Dynamics) -> bool:
    """Return whether the compiled backward pass knows the surrogate."""
    return type(dynamics.surrogate) in SLOPES


@lru_cache
def library(dtype: torch.dtype) -> CompiledMembrane | str:
    """Return the loaded kernel for `dtype`, or in one line why there is none."""
    return load("membrane.c", dtype, CompiledMembrane.of, _agrees)


def layer_of(current: Tensor, dynamics: Dynamics, steps: int) -> MembraneLayer:
    """Return the constants of a layer whose current is (T or 1, batch, ...), as the kernel reads them."""
    surrogate = dynamics.surrogate
    constants = (dynamics.decay, dynamics.threshold, dynamics.drop, surrogate.width)
    kinds = (RESETS[dynamics.reset], FIRES[dynamics.fires_at], SLOPES.get(type(surrogate), 0))
    return membrane_layer(current, constants, kinds, steps)


def _agrees(built: CompiledMembrane, dtype: torch.dtype) -> bool:
    """Return whether potentials, spikes and residues come out bitwise as without the kernel."""
    steps, generator = 6, torch.Generator().manual_seed(0)
    current = torch.randn(steps, 1, 1003, generator=generator, dtype=torch.float64) * 2.0
    current[:, :, ::5] = (current[:, :, ::5] * 8.0).round() / 16.0  # sums of these lie on thresholds
    current, scale = current.to(dtype), torch.rand(steps, generator=generator).to(dtype) + 0.5
    for reset, fires_at, decay, a in itertools.product(RESETS, FIRES_AT, (0.5, 0.99, 1.0), (None, scale)):
        dynamics = Dynamics(decay, 0.75, reset, fires_at)
        expected, found = (_outputs(current, steps) for _ in range(2))
        run_eager(current, a, None, dynamics, *expected)
        built.forward(layer_of(current, dynamics, steps), current, a, None, *found)
        if not all(torch.equal(*pair) for pair in zip(expected, found, strict=True)):
            return False
    return True


def _outputs(current: Tensor, steps: int) -> tuple[Tensor, Tensor, Tensor]:
    return (torch.empty_like(current), torch.empty_like(current), torch.empty_like(current[0]))
