"""What this machine has for certifying, and what is refused on it: each with a cure."""

import importlib.metadata
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from spikecert.certify.arithmetic import DTYPES, reduced_precision
from spikecert.files.plugged import installed
from spikecert.kernels.building import UNITS, NotBuilt
from spikecert.kernels.loading import REALS, flushes, level, library
from spikecert.processes.memory import free_memory

LIBRARIES = {
    "torch": "",
    "numpy": "",
    "scipy": "",
    "sympy": "symbolic gains",
    "cvxpy": 'stability gains by semidefinite programs, and the verifier "milp"',
    "auto_LiRPA": 'the verifier "lirpa"; requirements/lirpa.txt says how to install it',
    "snntorch": "running snnTorch networks to convert them",
    "spikingjelly": "running SpikingJelly networks to convert them",
    "norse": "running Norse networks to convert them",
    "nir": "NIR files",
    "ray": "certifying on several machines",
}
"""Packages, and what the optional ones are for."""


@dataclass(frozen=True)
class Symptom:
    """One thing that was looked at.

    Attributes:
        topic: "versions", "machine", "arithmetic", "kernels", "proofs", "plug-ins" or "data".
        name: what it is.
        told: what was found.
        good: whether all that it is for works here.
        cure: what to do where it does not.
    """

    topic: str
    name: str
    told: str
    good: bool = True
    cure: str = ""


def checkup(root: Path | None = None) -> tuple[Symptom, ...]:
    """Return all that was looked at; `root` is the folder of data sets, as commands take it."""
    parts = (_versions(), _machine(), _arithmetic(), _kernels(), _proofs(), _plug_ins(), _data(root))
    return tuple(symptom for part in parts for symptom in part)


def _versions() -> Iterator[Symptom]:
    yield Symptom("versions", "spikecert", importlib.metadata.version("spikecert"))
    yield Symptom("versions", "python", f"{platform.python_version()} ({sys.executable})")
    for name, use in LIBRARIES.items():
        try:
            yield Symptom("versions", name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Symptom("versions", name, "not installed", False, f"needed for {use}" if use else "install it")


def _machine() -> Iterator[Symptom]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = torch.get_num_threads()
    cure = f"set OMP_NUM_THREADS={cores}: threads that wait for a core cost more than they do"
    yield Symptom("machine", "system", f"{platform.system()} {platform.machine()}")
    yield Symptom("machine", "cores", f"{cores}, {threads} threads of torch", threads <= cores, cure)
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        total, free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), free_memory() or 0
        yield Symptom("machine", "memory", f"{total / 2**30:.1f} GiB, {free / 2**30:.1f} GiB of it free")
    found = torch.cuda.get_device_name() if torch.cuda.is_available() else "none: all runs on the CPU"
    yield Symptom("machine", "GPU", found)


def _arithmetic() -> Iterator[Symptom]:
    flushed = [str(dtype) for dtype in DTYPES if flushes(dtype)]
    told = f"flushed to zero for {' and '.join(flushed)}" if flushed else "kept"
    cure = "call torch.set_flush_denormal(False): certifying is refused as it is"
    yield Symptom("arithmetic", "subnormal numbers", told, not flushed, cure)
    reduced = reduced_precision()
    cure = 'set it to "highest" or "ieee": certifying is refused as it is'
    yield Symptom("arithmetic", "float32 products", reduced or "IEEE", not reduced, cure)


def _kernels() -> Iterator[Symptom]:
    from spikecert.models.running.membrane import variant

    cure = "build them: `make setup` in a checkout, or install the wheel anew; nothing is run or certified without"
    try:
        found, compiler = level()
        yield Symptom("kernels", "level", f"{found}, by {compiler}")
        for unit in UNITS:
            library(unit.file)
        yield Symptom("kernels", "libraries", f"{len(UNITS)} load")
        rounds = [f"{variant(dtype)} for {name}" for dtype, name in REALS.items()]
        yield Symptom("kernels", "rounding", f"torch's: {', '.join(rounds)}")
    except NotBuilt as error:
        yield Symptom("kernels", "libraries", str(error), False, cure)


def _proofs() -> Iterator[Symptom]:
    from spikecert.checking import Refused
    from spikecert.checking.short import find_native

    try:
        told, good = str(find_native()), True
    except Refused:
        told, good = "not built", False
    cure = "`make native` in a checkout builds it; until then check-proof takes the kernel in Python"
    yield Symptom("proofs", "native kernel", told, good, cure)


def _plug_ins() -> Iterator[Symptom]:
    for group, name, version in installed():
        yield Symptom("plug-ins", name, f"{version}, of {group}; not looked into until it is used")


def _data(root: Path | None) -> Iterator[Symptom]:
    from spikecert.training.data import EVENTS, IMAGES, dataset

    for name in (*IMAGES, *EVENTS):
        try:
            data = dataset(name, root)
        except (OSError, ValueError, ImportError) as error:
            yield Symptom("data", name, "not found", False, " ".join(str(error).split()))
        else:
            counts = " / ".join(str(len(part)) for part in (data.train, data.validation, data.test))
            yield Symptom("data", name, f"{counts} samples to train / validate / test")
