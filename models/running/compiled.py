"""The compiled membrane recursion (`kernels/sources/membrane.c`) on the CPU, bitwise that of `eager.py`.

Whether λ·u + I is one rounding or two depends on what torch finds in the processor, so there are both variants.
The one counts whose potentials and spikes came out bitwise as those of `run_eager` on a probe with all resets and
with ties: which network runs does not depend on the kernel.
"""

import itertools
from functools import lru_cache

import torch
from torch import Tensor

from ...kernels.building import VARIANTS, NotBuilt
from ...kernels.loading import REALS, RESETS, load
from ...kernels.membrane import ARCTAN, FIRES, TRIANGLE, CompiledMembrane, MembraneLayer, membrane_layer
from ..dynamics import FIRES_AT, Dynamics
from ..surrogates import Arctan, Surrogate, Triangle
from .eager import run_eager

SLOPES: dict[type[Surrogate], int] = {Triangle: TRIANGLE, Arctan: ARCTAN}


def kernel_for(current: Tensor, input_scale: Tensor | None = None) -> CompiledMembrane | None:
    """Return the compiled kernel if it is for tensors like these: plain ones on the CPU.

    Raises:
        NotBuilt: where it is, but there is none.
    """
    if type(current) is not Tensor or current.device.type != "cpu" or current.dtype not in REALS:
        return None
    if input_scale is not None and (input_scale.dtype != current.dtype or not input_scale.is_contiguous()):
        return None
    return library(current.dtype) if current.numel() else None


def covers(dynamics: Dynamics) -> bool:
    """Return whether the compiled backward pass knows the surrogate."""
    return type(dynamics.surrogate) in SLOPES


def library(dtype: torch.dtype) -> CompiledMembrane:
    """Return the loaded kernel for `dtype`."""
    return _library(dtype, variant(dtype))


@lru_cache
def _library(dtype: torch.dtype, rounds: str) -> CompiledMembrane:
    return load("membrane", dtype, CompiledMembrane, rounds)


@lru_cache
def variant(dtype: torch.dtype) -> str:
    """Return the variant of kernels that round as torch does here: that which agrees on the probe.

    Raises:
        NotBuilt: where none does, or there is none.
    """
    for name in VARIANTS["membrane"]:
        if _agrees(_library(dtype, name), dtype):
            return name
    mode = torch.backends.cpu.get_cpu_capability()
    cure = "unset ATEN_CPU_CAPABILITY, or take a torch of this processor"
    raise NotBuilt(
        f"kernels: membrane rounds otherwise than torch does in its mode {mode}, expected the same: {cure}"
    )


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
        expected, found = ([torch.empty_like(each) for each in (current, current, current[0])] for _ in range(2))
        run_eager(current, a, None, dynamics, *expected)
        built.forward(layer_of(current, dynamics, steps), current, a, None, *found)
        if not all(torch.equal(*pair) for pair in zip(expected, found, strict=True)):
            return False
    return True
