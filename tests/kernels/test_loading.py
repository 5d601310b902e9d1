"""Kernels that are missing, stale, of another processor or of another arithmetic are refused in one line each."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from spikecert.certify.bounds.events.moved_events import rises
from spikecert.kernels import building, loading
from spikecert.kernels.building import NATIVE, RECORD, SOURCES, UNITS, NotBuilt, build, compiler, digest, has

BUILT = loading.BUILT / NATIVE
CELLS = "cells-double.so"


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Let libraries be looked for anew, and forget afterwards what was found."""
    for cache in (caches := (loading._chosen, loading.library)):
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the native level, which is loaded in its place."""
    shutil.copytree(BUILT, tmp_path / NATIVE)
    monkeypatch.setenv(loading.ELSEWHERE, str(tmp_path))
    return tmp_path / NATIVE


def record(folder: Path, **changes: object) -> None:
    kept = json.loads((folder / RECORD).read_text())
    (folder / RECORD).write_text(json.dumps({**kept, **changes}))


def refused(*said: str) -> None:
    with pytest.raises(NotBuilt) as caught:
        loading.library(CELLS)
    told = str(caught.value)
    assert told.startswith("kernels: ")
    assert "\n" not in told
    assert all(part in told for part in (*said, "make setup"))


def test_what_was_built_is_what_is_here() -> None:
    kept = json.loads((BUILT / RECORD).read_text())
    assert kept["digest"] == digest()
    assert set(kept["libraries"]) == {unit.file for unit in UNITS}
    assert {path.stem for path in SOURCES.glob("*.c")} == set(building.REALS)
    assert loading.level() == (NATIVE, kept["compiler"])


NO_LIBRARIES = '{"digest": "", "needs": null, "compiler": "", "libraries": 1}'


def test_tensors_that_c_can_not_read_are_refused() -> None:
    with pytest.raises(TypeError, match="kernels: got a tensor on meta, expected the CPU"):
        loading.address(torch.empty(2, device="meta"))
    change, gain = torch.ones(3, 1, 2, 4).double(), torch.ones(5, 3, 1).double()
    with pytest.raises(ValueError, match="pairs: got several shapes"):
        rises([(change, gain), (change[:2], gain[:, :2])], 1)


def test_none_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(loading.ELSEWHERE, str(tmp_path))
    refused(f"none in {tmp_path}, expected compiled ones")


def test_of_other_sources(copied: Path) -> None:
    record(copied, digest="0" * 64)
    refused("native is of other sources")


@pytest.mark.skipif(has() is None, reason="features of processors are known on Linux alone")
def test_of_another_processor(copied: Path) -> None:
    record(copied, needs=["avx1024"])
    refused("native is for another processor")


@pytest.mark.parametrize("text", ["", "[", "[1]", "{}", '{"digest": 1}', NO_LIBRARIES])
def test_a_record_that_is_none(copied: Path, text: str) -> None:
    (copied / RECORD).write_text(text)
    refused(f"{copied / RECORD} is not read")


def test_another_library_than_was_built(copied: Path) -> None:
    shutil.copy(copied / "members-double.so", copied / CELLS)
    refused(f"{copied / CELLS} is another library than was built")


def test_one_that_is_missing_or_does_not_load(copied: Path) -> None:
    (copied / CELLS).unlink()
    refused(f"{copied / CELLS} does not load")
    (copied / CELLS).write_bytes(b"rubbish")
    record(copied, libraries={CELLS: building.checksum(copied / CELLS)})
    loading._chosen.cache_clear()
    refused(f"{copied / CELLS} does not load")


@pytest.mark.parametrize("flushed", [False, True])
def test_one_that_sets_flush_to_zero(copied: Path, flushed: bool) -> None:
    """A library of -ffast-math does as it loads: later questions were refused, or it was used."""
    source = copied / "empty.c"
    source.write_text("int nothing;\n")
    command = ["gcc", "-ffast-math", "-shared", "-fPIC", "-o", str(copied / CELLS), str(source)]
    subprocess.run(command, check=True)
    record(copied, libraries={CELLS: building.checksum(copied / CELLS)})
    torch.set_flush_denormal(flushed)
    try:
        refused("sets flush-to-zero")
        assert loading.flushes(torch.float32) is flushed
    finally:
        torch.set_flush_denormal(False)


@pytest.mark.parametrize(
    ("capability", "chosen"), [("AVX512", "x86-64-v4"), ("AVX2", "x86-64-v3"), ("DEFAULT", "x86-64-v2")]
)
def test_the_best_level_is_taken_that_the_processor_has(
    copied: Path, capability: str, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert loading.level()[0] == NATIVE
    for level in building.PORTABLE["x86_64"]:
        shutil.copytree(copied, copied.parent / level)
    shutil.rmtree(copied)
    loading._chosen.cache_clear()
    assert loading.level()[0] == chosen


COMPILERS = {
    "says what is no UTF-8": (r"printf 'error: \351 impossible\n' >&2; exit 1", "error: .* impossible"),
    "says several lines": (r"printf 'one\nan error\nthree\n' >&2; exit 1", "failed: an error"),
    "is nowhere": (None, "/cc: not found"),
}


@pytest.mark.parametrize("name", COMPILERS)
def test_a_compiler_that_does_not_do_its_work(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    does, said = COMPILERS[name]
    own = tmp_path / "cc"
    if does is not None:
        own.write_text(f"#!/bin/sh\n{does}\n")
        own.chmod(0o755)
    monkeypatch.setenv("CC", str(own))
    with pytest.raises(NotBuilt, match=f"no C compiler .*{said}.*install gcc or ziglang, or set CC"):
        compiler()


@pytest.mark.parametrize("more", ["-ffast-math", "-freciprocal-math", "-funsafe-math-optimizations"])
def test_one_that_takes_freedom_builds_nothing(more: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", f"gcc {more}")
    with pytest.raises(NotBuilt, match="IEEE arithmetic"):
        build(tmp_path, (NATIVE,))


def test_a_source_that_changes_is_built_anew_and_the_others_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a compiler that notes what it is asked for; what a source includes is part of it."""
    (own := tmp_path / "cc").write_text(
        f'#!/bin/sh\nfor each; do last=$each; done\necho ${{last##*/}} >> {tmp_path}/said\nexec gcc -w "$@" -O0\n'
    )
    own.chmod(0o755)
    monkeypatch.setenv("CC", str(own))
    sources, cache = tmp_path / "sources", tmp_path / "cache"
    shutil.copytree(SOURCES, sources)

    def compiled() -> set[str]:
        (tmp_path / "said").write_text("")
        build(tmp_path / "built", (NATIVE,), cache, sources)
        return set((tmp_path / "said").read_text().split()) - {"trial.c", "--version"}

    assert compiled() == {f"{unit.source}.c" for unit in UNITS}
    assert compiled() == set()
    with (sources / "membrane" / "windows.c").open("a") as file:
        file.write("/* more */\n")
    assert compiled() == {"membrane.c"}
    with (sources / "paths.c").open("a") as file:
        file.write("/* more */\n")
    assert compiled() == {"paths.c", "climb.c", "prove.c"}


def test_a_process_starts_with_no_compiler_in_sight() -> None:
    """Nothing is compiled where kernels are there: a first question takes no compiler's time."""
    code = """
import torch
from spikecert import LInf, mlp, verify
verify(mlp((4, 3, 2), 2), torch.rand(1, 4), torch.zeros(1).long(), LInf(0.01))
"""
    environment = {**os.environ, "CC": "nowhere-cc", "PATH": ""}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


FORKED = """
import os, torch
from spikecert.models import Dynamics
from spikecert.models.running.membrane import simulate
torch.set_num_threads(2)
current = torch.linspace(-1, 3, 1 << 21).view(8, 4, -1)
run = lambda: simulate(current, None, Dynamics(0.9), 8)[1].numpy()
expected, child = run(), os.fork()
child or os._exit(int((run() != expected).any()))
raise SystemExit(os.waitpid(child, 0)[1])
"""


def test_a_forked_child_of_a_parent_with_threads_lives() -> None:
    """It hung where threads were a pool's, which a child has not (nor has it torch's own)."""
    subprocess.run([sys.executable, "-c", FORKED], check=True, timeout=120)
