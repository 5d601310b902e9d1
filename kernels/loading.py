"""Kernels that were compiled when the package was built (building.py), and how tensors are told to them.

Of the levels that are there the best that this processor has is taken. A library counts where its sources are
those of this package, and where loading it leaves the arithmetic as it is. There is nothing in a kernel's place:
what does not load is a `NotBuilt`, one line with its cure.

Whether the C library gives memory that is freed back to the system, or keeps it.
"""

import ctypes
import dataclasses
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from .building import NATIVE, PORTABLE, RECORD, NotBuilt, Unit, checksum, digest, has

T = TypeVar("T")
BUILT = Path(__file__).parent / "built"
ELSEWHERE = "SPIKECERT_KERNELS"
"""The variable that names a folder of levels in place of the package's own."""
CURE = "build them: `make setup` in a checkout, or install the wheel anew"
CAPABLE = {"AVX512": 3, "AVX2": 2, "DEFAULT": 1}
"""How many of the levels of x86-64, least first, a processor has, by what torch says of it."""
REAL, WHOLE, INT, POINTER = ctypes.c_double, ctypes.c_int64, ctypes.c_int, ctypes.c_void_p
"""The kinds of numbers that structs have in C."""
REALS = {torch.float32: "float", torch.float64: "double"}
RESETS = {"zero": 0, "subtract": 1, "none": 2}
"""The numbers that stand for resets in all sources."""


def load(source: str, dtype: torch.dtype, bound: Callable[[ctypes.CDLL], T], variant: str = "") -> T:
    """Return the kernel of a source.

    Args:
        source: the name of a C file, without its ending.
        dtype: what REAL stands for in it.
        bound: makes the kernel from the functions that were loaded.
        variant: of `VARIANTS`, for a source that has some.

    Raises:
        NotBuilt: where there is none that this machine may load.
    """
    return bound(functions(source, dtype, variant))


def functions(source: str, dtype: torch.dtype, variant: str = "") -> ctypes.CDLL:
    """Return the functions of a source, as `load` takes them."""
    return library(Unit(source, REALS[dtype], variant).file)


def level() -> tuple[str, str]:
    """Return the level of the libraries that are loaded, and what compiled them.

    Raises:
        NotBuilt: where there is none that this machine may load.
    """
    folder, record = _chosen()
    return folder.name, str(record["compiler"])


@lru_cache
def _chosen() -> tuple[Path, dict[str, Any]]:
    """Return the folder of the best level, and its record."""
    root, refused = Path(os.environ.get(ELSEWHERE) or BUILT), []
    capable = CAPABLE.get(torch.backends.cpu.get_cpu_capability(), 1)
    reached = {name for names in PORTABLE.values() for name in names[:capable]}
    for name in (NATIVE, *(name for names in PORTABLE.values() for name in reversed(names))):
        try:
            record = json.loads((root / name / RECORD).read_text(encoding="utf-8"))
            needs, known, _ = (record[key] for key in ("needs", "digest", "compiler"))
            record["libraries"] = dict(record["libraries"])
        except FileNotFoundError:
            continue
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise NotBuilt(f"kernels: {root / name / RECORD} is not read: {error!r}; {CURE}") from error
        here = has()
        if known != digest():
            refused.append(f"{name} is of other sources")
        elif (name not in reached) if name != NATIVE else (needs and here and not set(needs) <= set(here)):
            refused.append(f"{name} is for another processor")
        else:
            return root / name, record
    raise NotBuilt(f"kernels: {'; '.join(refused) or 'none'} in {root}, expected compiled ones; {CURE}")


@lru_cache
def library(file: str) -> ctypes.CDLL:
    """Return a library; what its start has set, flush-to-zero, is undone, and the library not used."""
    (folder, record), flushed = _chosen(), flushes(torch.float64)
    path = folder / file
    torch.set_flush_denormal(False)
    try:
        if checksum(path) != record["libraries"].get(file):
            raise NotBuilt(f"kernels: {path} is another library than was built, expected the same; {CURE}")
        functions = ctypes.CDLL(str(path))
        if flushes(torch.float64):
            raise NotBuilt(f"kernels: {path} sets flush-to-zero, expected IEEE arithmetic: see CC; {CURE}")
        return functions
    except OSError as error:
        raise NotBuilt(f"kernels: {path} does not load ({error}); {CURE}") from error
    finally:
        torch.set_flush_denormal(flushed)


def flushes(dtype: torch.dtype) -> bool:
    """Return whether this thread takes subnormal numbers for 0."""
    return not bool(torch.tensor(torch.finfo(dtype).tiny, dtype=dtype) / 4 > 0)


def fields(*kinds: Any) -> Any:
    """Return the fields of a struct: a kind, its names in one text, and so on."""
    return [(name, kind) for kind, names in zip(kinds[::2], kinds[1::2], strict=True) for name in names.split()]


def address(tensor: Tensor | None) -> ctypes.c_void_p:
    """Return where the numbers of a contiguous tensor lie; a null pointer for None.

    Raises:
        TypeError: for one that is not on the CPU, whose numbers C can't read.
    """
    if tensor is not None and tensor.device.type != "cpu":
        raise TypeError(f"kernels: got a tensor on {tensor.device}, expected the CPU")
    return ctypes.c_void_p(None if tensor is None else tensor.data_ptr())


def parts(held: Any) -> list[Tensor]:
    """Return the tensors that a dataclass has, contiguous."""
    return [getattr(held, field.name).contiguous() for field in dataclasses.fields(held)]


def pointers(tensors: Sequence[Tensor | None]) -> Any:
    """Return where contiguous tensors lie, as C has a struct of pointers."""
    return (ctypes.c_void_p * len(tensors))(*map(address, tensors))


TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4
"""How mallopt calls the free memory that is given back, the size of blocks that are apart, and how many may be."""
KEPT = {MMAP_MAX: 0, TRIM_THRESHOLD: 2**31 - 1}
USUAL = {MMAP_MAX: 1 << 16, TRIM_THRESHOLD: 62 << 20, MMAP_THRESHOLD: 31 << 20}
"""What glibc comes to by itself once a block of 31 MiB was freed, as `models.running.membrane` does."""


@contextmanager
def kept_memory() -> Iterator[None]:
    """Let glibc keep what is freed within the block, and give it back behind it.

    Each step of training frees what the next one asks for. Where that goes to the system and back, every page is a
    fault: 14,000 a step of three convolutions, a tenth of its time. Without glibc nothing changes.
    """
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    if not (hasattr(library, "mallopt") and hasattr(library, "malloc_trim")):
        yield
        return
    _set(library, KEPT)
    try:
        yield
    finally:
        _set(library, USUAL)
        library.malloc_trim(ctypes.c_size_t(0))


def _set(library: ctypes.CDLL, options: dict[int, int]) -> None:
    for name, value in options.items():
        library.mallopt(name, value)
