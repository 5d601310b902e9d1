"""The level at which answers are made: what compilers and torch may use of a processor, in an environment.

Sums are added up in the order that vectors have, so margins differ between levels in their last digits, and now
and then a status with them. Answers are kept at one level; at others a weaker rule holds (through.py).
"""

import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spikecert.kernels.building import build
from spikecert.kernels.loading import ELSEWHERE

CACHE = Path(__file__).parents[2] / "build" / "kernels"
"""Libraries that were built before."""
INSIDE = "SPIKECERT_ANSWERS_LEVEL"
"""The variable that names the level in the processes that ask."""
NEEDED = frozenset({"avx2", "fma", "bmi1", "bmi2", "f16c", "movbe"})
"""What x86-64-v3 takes of a processor, as /proc/cpuinfo calls it."""
ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Level:
    """A level.

    Attributes:
        name: of it.
        machine: the level of the kernels.
        environment: what the libraries are told.
    """

    name: str
    machine: str
    environment: dict[str, str]


LEVELS = {
    level.name: level
    for level in (
        Level(
            "x86-64-v3",
            "x86-64-v3",
            {
                "ATEN_CPU_CAPABILITY": "avx2",
                "MKL_CBWR": "COMPATIBLE",
                "ONEDNN_MAX_CPU_ISA": "AVX2",
                "OPENBLAS_CORETYPE": "Haswell",
            },
        ),
        Level("native", "native", {}),
        Level("default", "x86-64-v2", {"ATEN_CPU_CAPABILITY": "default"}),
    )
}
KEPT = "x86-64-v3"
"""The level of the answers that are kept."""


def reached(name: str) -> bool:
    """Return whether this machine has what a level takes."""
    if name != KEPT:
        return True
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])
    return set(flags) >= NEEDED


def again(name: str, arguments: Sequence[str]) -> int:
    """Run this command again, in a process of a level; return its exit status."""
    level = LEVELS[name]
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder), (level.machine,), CACHE)
        told = {INSIDE: name, ELSEWHERE: folder, **dict.fromkeys(ONE_THREAD, "1")}
        command = [sys.executable, str(Path(__file__).parent), *arguments]
        return subprocess.run(command, env={**_outside(), **told, **level.environment}, check=False).returncode


def _outside() -> dict[str, str]:
    """Return the environment without what a level would say."""
    said = {name for level in LEVELS.values() for name in level.environment}
    return {name: value for name, value in os.environ.items() if name not in said}
