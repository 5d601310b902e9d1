"""C sources compiled by the C compiler that is there, or the reason why they are not.

A source is built once a process and floating-point type, in about two seconds, into a folder that is gone when
it has been loaded. On Linux the file itself is kept open for processes that this one starts (`inheritance`). It
counts only after it agreed, on a probe, with the operations of torch that it stands for: what is computed does not
depend on whether there is a kernel.
"""

import ctypes
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")
SOURCES = Path(__file__).parent / "sources"
COMPILERS = ("cc", "gcc", "clang")
OPTIONS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC")
LOOSE = "#if __FAST_MATH__|__FINITE_MATH_ONLY__|__ASSOCIATIVE_MATH__|__RECIPROCAL_MATH__\nint loose;\n#endif\n"
"""Read before a source: a library has this name where its compiler took more freedom than it was given."""
CONTRACTED = frozenset({"bits.c", "climb.c", "graph.c", "long.c", "prove.c", "ranges.c"})
"""Sources that need not round as torch does: there a product and a sum may be one operation, which loses less."""
TIME_LIMIT = 120.0
"""What a compiler may take for a source, in seconds; one that takes more is asked no more."""
INHERITED = "SPIKECERT_KERNELS"
"""The variable in which a process is told which files of its own are libraries."""
REALS = {torch.float32: "float", torch.float64: "double"}
RESETS = {"zero": 0, "subtract": 1, "none": 2}
"""The numbers that stand for resets in all sources."""


def load(
    source: str, dtype: torch.dtype, bound: Callable[[ctypes.CDLL], T], agrees: Callable[[T, torch.dtype], bool]
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
        try:
            kernel = bound(functions)
        except AttributeError as error:
            return f"{compiler} made no library that fits: {error}"
        if agrees(kernel, dtype):
            return kernel
    return "the compiled kernel rounds otherwise than torch does here"


@lru_cache
def _open_libraries() -> dict[str, int]:
    """Return the libraries that are open, by the digest of what made them: at first those that were inherited."""
    try:
        told = json.loads(os.environ.get(INHERITED, "{}"))
        return {str(name): int(file) for name, file in told.items()}
    except (ValueError, TypeError, AttributeError):  # nothing that `inheritance` said
        return {}


@lru_cache
def _hanging() -> set[str]:
    """Return the compilers that took more than the limit in this process."""
    return set()


def inheritance() -> tuple[tuple[int, ...], dict[str, str]]:
    """Return the files that a process must be passed, and what its environment must say, to find them built."""
    kept = _open_libraries()
    return tuple(kept.values()), {INHERITED: json.dumps(kept)}


def compiled_source(
    compiler: str, source: str, dtype: torch.dtype, fused: int, parallel: bool
) -> ctypes.CDLL | str:
    """Return the functions of a C source that is written for REAL and FUSED, or in one line why there are none."""
    contract = "fast" if source in CONTRACTED else "off"
    defines = (f"-DREAL={REALS[dtype]}", f"-DFUSED={fused}", f"-ffp-contract={contract}")
    defines += ("-fopenmp",) if parallel else ()
    text = (SOURCES / source).read_bytes()
    name = hashlib.sha256(json.dumps([compiler, *OPTIONS, *defines]).encode() + text).hexdigest()
    if (inherited := _opened(name)) is not None:
        return inherited
    try:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            target = Path(folder) / "kernel.so"
            (before := Path(folder) / "loose.h").write_text(LOOSE, encoding="ascii")
            files = ("-include", before, "-o", target, SOURCES / source)
            command = [compiler, *OPTIONS, *defines, *map(str, files)]
            if (failure := _failure(command, Path(folder) / "said")) is not None:
                return f"{compiler} {failure}"
            functions = _loaded(str(target))
            if sys.platform == "linux":
                _open_libraries()[name] = os.open(target, os.O_RDONLY)
            return functions
    except OSError as error:
        return f"{compiler} gave no library that loads: {error}"


def _failure(command: list[str], said: Path) -> str | None:
    """Run a compiler that writes what it says to a file; return in one line how it failed, None if it did not."""
    if command[0] in _hanging():
        return f"took more than {TIME_LIMIT:g} s"
    with said.open("wb") as file:
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": file}
        process = subprocess.Popen(command, **streams, start_new_session=True)
    try:
        status = process.wait(TIME_LIMIT)
    except subprocess.TimeoutExpired:
        _hanging().add(command[0])
        return f"took more than {TIME_LIMIT:g} s"
    finally:
        _end(process)
    if status == 0:
        return None
    lines = said.read_text(encoding="utf-8", errors="backslashreplace").split("\n")
    return f"failed: {next((line.strip() for line in reversed(lines) if line.strip()), 'it said nothing')}"


def _end(process: subprocess.Popen[Any]) -> None:
    """End a compiler that still runs, and what it started."""
    if process.poll() is not None:
        return
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


def _opened(name: str) -> ctypes.CDLL | None:
    """Return a library that is open already; None where it is not, or does not load."""
    file = _open_libraries().get(name)
    try:
        return None if file is None else _loaded(f"/proc/self/fd/{file}")
    except OSError:
        return None


def _loaded(path: str) -> ctypes.CDLL:
    """Return a library; raise OSError where it was built by -ffast-math, and undo what its start has set."""
    flushed = flushes(torch.float64)
    torch.set_flush_denormal(False)
    try:
        functions = ctypes.CDLL(path)
        if flushes(torch.float64) or hasattr(functions, "loose"):
            raise OSError("it is built with -ffast-math or the like, expected IEEE arithmetic: see CC")
        return functions
    finally:
        torch.set_flush_denormal(flushed)


def flushes(dtype: torch.dtype) -> bool:
    """Return whether this thread takes subnormal numbers for 0."""
    return not bool(torch.tensor(torch.finfo(dtype).tiny, dtype=dtype) / 4 > 0)


def address(tensor: Tensor | None) -> int | None:
    """Return where the numbers of a contiguous tensor lie; None, a null pointer, for None."""
    return None if tensor is None else tensor.data_ptr()


def parts(held: Any) -> list[Tensor]:
    """Return the tensors that a dataclass has, contiguous."""
    return [getattr(held, field.name).contiguous() for field in fields(held)]


def pointers(tensors: Sequence[Tensor]) -> Any:
    """Return where contiguous tensors lie, as C has a struct of pointers."""
    return (ctypes.c_void_p * len(tensors))(*map(address, tensors))
