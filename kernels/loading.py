"""C sources compiled by the C compiler that is there, or the reason why they are not.

A source is built once a process and floating-point type, in about two seconds, into a folder that is gone when
it has been loaded. It counts only after it agreed, on a probe, with the operations of torch that it stands for:
what is computed does not depend on whether there is a kernel.
"""

import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")
SOURCES = Path(__file__).parent
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
"""The numbers that stand for resets in all sources."""


def load(
    source: str,
    dtype: torch.dtype,
    bound: Callable[[ctypes.CDLL], T],
    agrees: Callable[[T, torch.dtype], bool],
) -> T | str:
    """Return the kernel of a source if it agrees with torch, or in one line why there is none.

    FUSED, one rounding for λ·u + I, is tried first; threads only where the compiler knows them.

    Args:
        source: the name of a file in this folder.
        dtype: what REAL stands for in it.
        bound: makes the kernel from the functions that were loaded.
        agrees: whether a kernel does what torch's operations do, on a probe.
    """
    if dtype not in REALS:
        return f"no compiled kernel for {dtype}"
    compiler = os.environ.get("CC") or next(filter(shutil.which, COMPILERS), None)
    if compiler is None or shutil.which(compiler) is None:
        return f"no C compiler found (looked for {', '.join(COMPILERS)}, or what CC names)"
    for fused in (1, 0):
        functions = compiled_source(compiler, source, dtype, fused, True)
        if isinstance(functions, str):
            functions = compiled_source(compiler, source, dtype, fused, False)
        if isinstance(functions, str):
            return functions
        kernel = bound(functions)
        if agrees(kernel, dtype):
            return kernel
    return "the compiled kernel rounds otherwise than torch does here"


def compiled_source(
    compiler: str, source: str, dtype: torch.dtype, fused: int, parallel: bool
) -> ctypes.CDLL | str:
    """Return the functions of a C source that is written for REAL and FUSED, or in one line why there are none."""
    defines = (f"-DREAL={REALS[dtype]}", f"-DFUSED={fused}", *(("-fopenmp",) if parallel else ()))
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "kernel.so"
        command = [compiler, *OPTIONS, *defines, "-o", str(target), str(SOURCES / source)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
            if done.returncode:
                said = done.stderr.strip().splitlines() or ["it said nothing"]
                return f"{compiler} failed: {said[-1]}"
            return ctypes.CDLL(str(target))
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{compiler} gave no library that loads: {error}"


def address(tensor: Tensor | None) -> int | None:
    """Return where the numbers of a contiguous tensor lie; None, a null pointer, for None."""
    return None if tensor is None else tensor.data_ptr()
