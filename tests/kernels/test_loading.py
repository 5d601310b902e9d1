"""Whatever a compiler does, or the place it writes to: a line says why there is no kernel, and torch runs it."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from spikecert import LInf, SpikingNetwork, mlp, verify
from spikecert.certify.bounds.intervals.compiled_spikes import spikes_kernel
from spikecert.kernels import loading
from spikecert.models.kernels import use_kernel
from spikecert.models.running.compiled import library

BAD = {
    "says what is no UTF-8": (r"printf 'erreur: \351\340 impossible\n' >&2; exit 1", r"impossible"),
    "says several lines": (r"printf 'one\ntwo\n' >&2; exit 1", "failed: two"),
    "crashes": ("kill -SEGV $$", "said nothing"),
    "writes no library": ("echo rubbish > $target", "no library that loads"),
    "writes one without the functions": ("exec cc -shared -x c -o $target /dev/null", "no library that fits"),
    "writes nothing": ("exit 0", "no library that loads"),
    "is of no known format": (None, "no library that loads"),
}


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Let libraries be looked for anew, none of them open, and forget afterwards what was found."""
    opened, caches = loading._open_libraries(), (library, spikes_kernel)
    kept = dict(opened)
    opened.clear()
    for cache in caches:
        cache.cache_clear()
    yield
    opened.clear()
    opened.update(kept)
    for cache in caches:
        cache.cache_clear()


def falls_back(said: str) -> None:
    """Assert that torch runs a network, with the verdicts it has without a kernel, and that one line says why."""
    torch.manual_seed(0)
    network, inputs = mlp((6, 8, 3), 4), torch.rand(5, 6)
    before = answers(network, inputs)
    kernel = use_kernel(network, "compiled")
    assert kernel.name == "eager"
    assert said in kernel.reason
    assert "\n" not in kernel.reason
    assert answers(network, inputs) == before
    for found in (library(torch.float64), spikes_kernel(torch.float32)):  # other sources fall back by themselves
        assert isinstance(found, str)


def answers(network: SpikingNetwork, inputs: torch.Tensor) -> list[tuple[str, float | None]]:
    """Return verdicts and margins."""
    with torch.no_grad():
        labels = network(inputs).argmax(1)
    return [(v.status, v.margin) for v in verify(network, inputs, labels, LInf(0.02), "trains")]


@pytest.mark.parametrize("name", BAD)
def test_a_compiler_that_does_not_do_its_work(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    does, said = BAD[name]
    compiler = tmp_path / "fake-cc"
    find = 'while [ "$1" != -o ]; do shift; done; target=$2'
    compiler.write_text("rubbish\n" if does is None else f"#!/bin/sh\n{find}\n{does}\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    falls_back(said)


@pytest.mark.parametrize("more", ["-ffast-math", "-freciprocal-math", "-funsafe-math-optimizations"])
@pytest.mark.parametrize("flushed", [False, True])
def test_one_that_takes_freedom_changes_nothing_and_is_named(
    more: str, flushed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library of -ffast-math sets flush-to-zero as it loads: later questions were refused, or it was used."""
    compiler = tmp_path / "free-cc"
    compiler.write_text(f'#!/bin/sh\nexec cc "$@" {more}\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    torch.set_flush_denormal(flushed)
    try:
        told = spikes_kernel(torch.float32)
        assert loading.flushes(torch.float32) is flushed
    finally:
        torch.set_flush_denormal(False)
    assert isinstance(told, str)
    assert f"{compiler} gave no library that loads: it is built with -ffast-math" in told


def test_one_that_hangs_is_waited_for_once_and_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tmp_path / "slow-cc"
    compiler.write_text(f"#!/bin/sh\nsleep 30 &\necho $! >> {tmp_path}/started\nwait\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    monkeypatch.setattr(loading, "TIME_LIMIT", 1.0)
    begun = time.monotonic()
    falls_back("took more than 1 s")
    assert time.monotonic() - begun < 20
    child, *others = (tmp_path / "started").read_text().split()
    assert not others
    while status(child) != "Z":
        assert time.monotonic() - begun < 20


def status(process: str) -> str:
    """Return the state of a process; Z where it ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"


def test_no_folder_for_what_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    falls_back("gone")


def test_no_folder_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/proc/nowhere"])
    falls_back("No usable temporary directory")


def test_a_folder_that_nothing_is_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/proc/self")
    falls_back("/proc/self")


def test_what_no_process_of_ours_told_is_built_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    for told in ("1", "[2]", "rubbish", '{"a": "b"}'):
        monkeypatch.setenv(loading.INHERITED, told)
        assert loading._open_libraries.__wrapped__() == {}
