"""The membrane recursion compiled by the C compiler that is there, or the reason why it is not.

membrane.c is built once a process and floating-point type, in about two seconds, into a folder that is gone when
it has been loaded. It counts only after its potentials and spikes came out bitwise as those of `membrane.py` on a
probe with all resets and with ties: which network runs does not depend on the kernel.
"""

import ctypes
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from .surrogates import Arctan, Surrogate, Triangle

if TYPE_CHECKING:
    from .dynamics import Dynamics

T = TypeVar("T")
SOURCE = Path(__file__).with_name("membrane.c")
COMPILERS = ("cc", "gcc", "clang")
OPTIONS = (
    "-O3",
    "-march=native",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-shared",
    "-fPIC",
)
REALS = {torch.float32: "float", torch.float64: "double"}
RESETS = {"zero": 0, "subtract": 1, "none": 2}
SLOPES: dict[type[Surrogate], int] = {Triangle: 0, Arctan: 1}
FIRES = {">=": 0, ">": 1}


class Layer(ctypes.Structure):
    """The struct of that name in membrane.c."""

    _fields_ = (
        *((name, ctypes.c_double) for name in ("decay", "threshold", "drop", "width")),
        *((name, ctypes.c_int) for name in ("reset", "fires", "surrogate", "threads")),
        *((name, ctypes.c_long) for name in ("steps", "size", "current_stride")),
    )


class _Gradients(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("potentials", "spikes", "final")),
        *((name, ctypes.c_long) for name in ("potential_stride", "spike_stride")),
        *((name, ctypes.c_void_p) for name in ("current", "initial")),
    )


@dataclass(frozen=True)
class Library:
    """membrane.c, loaded for one floating-point type."""

    functions: ctypes.CDLL

    def forward(
        self,
        current: Tensor,
        input_scale: Tensor | None,
        initial: Tensor | None,
        dynamics: "Dynamics",
        potentials: Tensor | None,
        spikes: Tensor,
        final: Tensor | None,
    ) -> None:
        """Fill `potentials`, `spikes` and `final`; all tensors are contiguous."""
        layer = layer_of(current, dynamics, len(spikes))
        pointers = map(address, (current, input_scale, initial, potentials, spikes, final))
        self.functions.forward(ctypes.byref(layer), *pointers)

    def backward(
        self,
        current: Tensor,
        input_scale: Tensor | None,
        initial: Tensor | None,
        dynamics: "Dynamics",
        steps: int,
        incoming: tuple[Tensor | None, Tensor | None, Tensor | None],
        outgoing: tuple[Tensor, Tensor | None, Tensor | None],
    ) -> None:
        """Fill the gradients of current and initial residue, and add to that of the input scale.

        Args:
            current, input_scale, initial, dynamics: as in the forward pass.
            steps: T.
            incoming: the gradients of potentials, spikes and final residue.
            outgoing: those of current, initial residue and input scale.
        """
        potentials, spikes, final = incoming
        potentials, spikes = (None if g is None else _by_steps(g) for g in (potentials, spikes))
        final = None if final is None else final.contiguous()
        layer = layer_of(current, dynamics, steps)
        gradients = _Gradients(
            *map(address, (potentials, spikes, final)),
            *(0 if g is None else g.stride(0) for g in (potentials, spikes)),
            *map(address, outgoing[:2]),
        )
        pointers = map(address, (current, input_scale, initial))
        failed = self.functions.backward(
            ctypes.byref(layer), *pointers, ctypes.byref(gradients), address(outgoing[2])
        )
        if failed:
            raise MemoryError("membrane: the backward pass got no memory for its potentials")


def kernel_for(wanted: str, current: Tensor, input_scale: Tensor | None) -> Library | None:
    """Return the compiled kernel if it is `wanted`, there, and for tensors like these."""
    if wanted != "compiled" or current.device.type != "cpu" or current.numel() == 0:
        return None
    if input_scale is not None and (input_scale.dtype != current.dtype or not input_scale.is_contiguous()):
        return None
    found = library(current.dtype)
    return found if isinstance(found, Library) else None


def covers(dynamics: "Dynamics") -> bool:
    """Return whether the compiled backward pass knows the surrogate."""
    return type(dynamics.surrogate) in SLOPES


@lru_cache
def library(dtype: torch.dtype) -> Library | str:
    """Return the loaded kernel for `dtype`, or in one line why there is none."""
    return first_that_agrees(dtype, _build, _agrees)


def first_that_agrees(
    dtype: torch.dtype,
    build: Callable[[str, torch.dtype, int, bool], T | str],
    agrees: Callable[[T, torch.dtype], bool],
) -> T | str:
    """Return what `build` makes of compiler, dtype, FUSED and threads if that agrees with torch, or why not.

    FUSED is tried first; threads only where the compiler knows them.
    """
    if dtype not in REALS:
        return f"no compiled kernel for {dtype}"
    compiler = os.environ.get("CC") or next(filter(shutil.which, COMPILERS), None)
    if compiler is None or shutil.which(compiler) is None:
        return f"no C compiler found (looked for {', '.join(COMPILERS)}, or what CC names)"
    for fused in (1, 0):
        built = build(compiler, dtype, fused, True)
        if isinstance(built, str):
            built = build(compiler, dtype, fused, False)
        if isinstance(built, str) or agrees(built, dtype):
            return built
    return "the compiled kernel rounds otherwise than torch does here"


def _build(compiler: str, dtype: torch.dtype, fused: int, parallel: bool) -> Library | str:
    functions = compiled_source(compiler, SOURCE, dtype, fused, parallel)
    return functions if isinstance(functions, str) else Library(_declared(functions))


def compiled_source(
    compiler: str, source: Path, dtype: torch.dtype, fused: int, parallel: bool
) -> ctypes.CDLL | str:
    """Return the functions of a C source that is written for REAL and FUSED, or in one line why there are none."""
    defines = (f"-DREAL={REALS[dtype]}", f"-DFUSED={fused}", *(("-fopenmp",) if parallel else ()))
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "kernel.so"
        command = [compiler, *OPTIONS, *defines, "-o", str(target), str(source)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
            if done.returncode:
                said = done.stderr.strip().splitlines() or ["it said nothing"]
                return f"{compiler} failed: {said[-1]}"
            return ctypes.CDLL(str(target))
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{compiler} gave no library that loads: {error}"


def _declared(functions: ctypes.CDLL) -> ctypes.CDLL:
    for name, arguments in (("forward", 7), ("ends_forward", 4), ("periodic_ends", 3)):
        getattr(functions, name).argtypes = [ctypes.c_void_p] * arguments
        getattr(functions, name).restype = None
    for name in ("backward", "ends_backward"):  # they return whether memory failed
        getattr(functions, name).argtypes = [ctypes.c_void_p] * 6
    return functions


def layer_of(current: Tensor, dynamics: "Dynamics", steps: int) -> Layer:
    """Return the constants of a layer whose current is (T or 1, batch, ...)."""
    size = current[0].numel()
    return Layer(
        dynamics.decay,
        dynamics.threshold,
        dynamics.drop,
        dynamics.surrogate.width,
        RESETS[dynamics.reset],
        FIRES[dynamics.fires_at],
        SLOPES.get(type(dynamics.surrogate), 0),
        torch.get_num_threads(),
        steps,
        size,
        0 if len(current) == 1 else size,
    )


def _by_steps(gradient: Tensor) -> Tensor:
    """Return a gradient whose steps are contiguous each; one that is the same at all steps stays a view."""
    return gradient if gradient[0].is_contiguous() else gradient.contiguous()


def address(tensor: Tensor | None) -> int | None:
    """Return where the numbers of a contiguous tensor lie; None, a null pointer, for None."""
    return None if tensor is None else tensor.data_ptr()


def _agrees(built: Library, dtype: torch.dtype) -> bool:
    """Return whether potentials, spikes and residues come out bitwise as without the kernel."""
    from .dynamics import FIRES_AT, Dynamics
    from .membrane import run_eager

    steps, generator = 6, torch.Generator().manual_seed(0)
    current = torch.randn(steps, 1, 1003, generator=generator, dtype=torch.float64) * 2.0
    current[:, :, ::5] = (current[:, :, ::5] * 8.0).round() / 16.0  # sums of these lie on thresholds
    current, scale = current.to(dtype), torch.rand(steps, generator=generator).to(dtype) + 0.5
    for reset, fires_at, decay, a in itertools.product(RESETS, FIRES_AT, (0.5, 0.99, 1.0), (None, scale)):
        dynamics = Dynamics(decay, 0.75, reset, fires_at)
        expected, found = (_outputs(current, steps) for _ in range(2))
        run_eager(current, a, None, dynamics, *expected)
        built.forward(current, a, None, dynamics, *found)
        if not all(torch.equal(*pair) for pair in zip(expected, found, strict=True)):
            return False
    return True


def _outputs(current: Tensor, steps: int) -> tuple[Tensor, Tensor, Tensor]:
    return (torch.empty_like(current), torch.empty_like(current), torch.empty_like(current[0]))
