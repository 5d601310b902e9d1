"""C sources compiled where the package is built: for which processors, by which compiler, and what a build is
known by.

setup.py runs this file by its path, so it needs Python alone; `python kernels/building.py FOLDER [LEVEL …]` builds
elsewhere. A checkout gets one level, "native": all that its own processor has. A wheel gets the portable ones of
its machine, and the best that a processor has is chosen where it is loaded (loading.py). A build is the folder of
a level: a library for each source, type and variant, and built.json.
"""

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

SOURCES = Path(__file__).parent / "sources"
COMPILERS = (("cc",), ("gcc",), ("clang",), (sys.executable, "-m", "ziglang", "cc"))
"""What compiles, the first that makes a library: the system's own, else PyPI's `ziglang`; or what CC names."""
OPTIONS = ("-O3", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC", "-fopenmp-simd", "-pthread")
ZIG = ("-fno-sanitize=undefined",)
"""zig's own default otherwise."""
REALS = {
    **dict.fromkeys(("bits", "cells", "changes", "long", "members", "paths", "prove", "walks"), ("double",)),
    **dict.fromkeys(("climb", "graph", "membrane", "sparse", "spikes"), ("float", "double")),
    "ranges": ("float",),
}
"""The sources, and what REAL stands for in each."""
VARIANTS = {"membrane": ("fused", "apart"), "spikes": ("fused", "apart")}
"""Whether λ·u + I is one rounding, or two, as torch has it: sources that must round as torch have both."""
CONTRACTED = frozenset({"bits", "climb", "graph", "long", "prove", "ranges"})
"""Sources that need not round as torch does: there a product and a sum may be one operation, which loses less."""
PORTABLE = {"x86_64": ("x86-64-v2", "x86-64-v3", "x86-64-v4"), "aarch64": ("armv8-a",)}
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
NATIVE = "native"
RECORD = "built.json"
TIME_LIMIT = 600.0
"""What a compiler may take for a source, in seconds."""


class NotBuilt(ImportError):
    """No library was made, or there is none that this machine may load: in one line."""


@dataclass(frozen=True)
class Compiler:
    """A C compiler: how it is called, and how it calls itself."""

    command: tuple[str, ...]
    version: str

    @property
    def is_zig(self) -> bool:
        """Return whether it is zig's, which names processors otherwise."""
        return "ziglang" in self.command

    def flags(self, level: str) -> tuple[str, ...]:
        """Return what makes it compile for a level."""
        native = level == NATIVE
        if self.is_zig:
            return (
                f"-mcpu={'native' if native else level.replace('armv8-a', 'baseline').replace('-', '_')}",
                *ZIG,
            )
        return ("-mcpu=native",) if native and machine() == "aarch64" else (f"-march={level}",)


@dataclass(frozen=True)
class Unit:
    """One library: a source, what REAL stands for, and its variant ("" where it has none)."""

    source: str
    real: str
    variant: str

    @property
    def file(self) -> str:
        """Return its name in the folder of a level."""
        return "-".join(filter(None, (self.source, self.real, self.variant))) + ".so"

    @property
    def flags(self) -> tuple[str, ...]:
        """Return what it is compiled with."""
        contract = "fast" if self.source in CONTRACTED else "off"
        return (
            *OPTIONS,
            f"-DREAL={self.real}",
            f"-DFUSED={int(self.variant != 'apart')}",
            f"-ffp-contract={contract}",
        )


UNITS = tuple(
    Unit(source, real, variant)
    for source, reals in REALS.items()
    for real in reals
    for variant in VARIANTS.get(source, ("",))
)


def machine() -> str:
    """Return the kind of processor, as Linux calls it."""
    return MACHINES.get(platform.machine().lower(), platform.machine().lower())


def has() -> list[str] | None:
    """Return the processor's features, where Linux tells them; None elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    found = (line.partition(":")[2].split() for line in lines if line.lower().startswith(("flags", "features")))
    return sorted(next(found, [])) or None


def digest(sources: Path = SOURCES) -> str:
    """Return what sources, and how they are compiled, are known by."""
    found = hashlib.sha256(repr([(unit.file, unit.flags) for unit in UNITS]).encode())
    for path in sorted(sources.rglob("*.[ch]")):
        found.update(path.relative_to(sources).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()


def checksum(library: Path) -> str:
    """Return what a library is known by."""
    return hashlib.sha256(library.read_bytes()).hexdigest()


def compiler() -> Compiler:
    """Return the first compiler that makes a library of vectors.

    Raises:
        NotBuilt: where none does.
    """
    named = os.environ.get("CC")
    said = []
    for command in (tuple(named.split()),) if named else COMPILERS:
        if shutil.which(command[0]) is None:
            said.append(f"{command[0]}: not found")
        elif (failure := _trial(command)) is not None:
            said.append(f"{' '.join(command)} {failure}")
        else:
            version = subprocess.run([*command, "--version"], capture_output=True, check=False).stdout.decode()
            return Compiler(command, version.split("\n")[0].strip())
    raise NotBuilt(f"kernels: no C compiler ({'; '.join(said)}), expected one: install gcc or ziglang, or set CC")


TRIAL = "typedef double Vector __attribute__((vector_size(32)));\nvoid add(Vector *a, Vector *b) { *a += *b; }\n"


def _trial(command: Sequence[str]) -> str | None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        (source := Path(folder) / "trial.c").write_text(TRIAL, encoding="ascii")
        return _failure([*command, "-shared", "-fPIC", "-w", "-o", f"{folder}/trial.so", str(source)])


def _failure(command: Sequence[str]) -> str | None:
    """Run a compiler; return in one line how it failed, None if it did not."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIME_LIMIT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"failed: {error}"
    if done.returncode == 0:
        return None
    lines = [line.strip() for line in done.stderr.decode("utf-8", "backslashreplace").split("\n") if line.strip()]
    told = next((line for line in lines if "error" in line), lines[-1] if lines else "it said nothing")
    return f"failed: {told}"


def levels() -> tuple[str, ...]:
    """Return what a wheel is built for: the levels of this kind of processor."""
    return PORTABLE.get(machine(), (NATIVE,))


def build(target: Path, wanted: Sequence[str], cache: Path | None = None, sources: Path = SOURCES) -> None:
    """Compile all units of some levels into folders below `target`.

    Args:
        target: where the folder of each level is put.
        wanted: levels.
        cache: a folder that keeps libraries by all that made them; None: all are made anew.
        sources: the C files.

    Raises:
        NotBuilt: where a compiler fails.
    """
    made_by, known = compiler(), digest(sources)
    pairs = [(level, unit) for level in wanted for unit in UNITS]
    for level in wanted:
        (target / level).mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(partial(_compile, made_by, target, cache, sources), *zip(*pairs, strict=True)))
    for level in wanted:
        record = {
            "digest": known,
            "compiler": made_by.version,
            "needs": has() if level == NATIVE else None,
            "libraries": {unit.file: checksum(target / level / unit.file) for unit in UNITS},
        }
        (target / level / RECORD).write_text(json.dumps(record), encoding="utf-8")


def _compile(made_by: Compiler, target: Path, cache: Path | None, sources: Path, level: str, unit: Unit) -> None:
    """Compile a unit, or copy it from where it was kept."""
    flags = (*unit.flags, *made_by.flags(level))
    read = [path.read_bytes() for path in _read(sources / f"{unit.source}.c")]
    ours = repr([made_by, unit, flags, read, has() if level == NATIVE else None])
    path = target / level / unit.file
    kept = cache / f"{hashlib.sha256(ours.encode()).hexdigest()}.so" if cache else path
    if not kept.exists() or kept == path:
        kept.parent.mkdir(parents=True, exist_ok=True)
        new = kept.with_name(f"{kept.name}.{os.getpid()}")
        source = f"{unit.source}.c"
        said = _failure([*made_by.command, *flags, "-o", str(new), str(sources / source)])
        if said is not None:
            raise NotBuilt(f"kernels: {' '.join(made_by.command)} on {source} {said}")
        new.replace(kept)
    if kept != path:
        shutil.copy(kept, path)


def _read(path: Path) -> list[Path]:
    """Return a source and what it includes."""
    names = re.findall(r'^#include "([^"]+)"', path.read_text(encoding="utf-8"), re.MULTILINE)
    return [path, *(inner for name in names for inner in _read(path.parent / name))]


def outputs(wanted: Sequence[str]) -> Iterator[str]:
    """Return the files of a build, below its folder."""
    for level in wanted:
        yield from (f"{level}/{name}" for name in (RECORD, *(unit.file for unit in UNITS)))


if __name__ == "__main__":
    build(Path(sys.argv[1]), sys.argv[2:] or (NATIVE,))
