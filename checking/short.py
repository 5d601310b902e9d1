"""Short proofs (proof/1): what a verifier writes, from which a certificate is made; nothing of them is trusted.

Two accepted proofs of one question, about two builds of a network: the builds give one class there.

That needs no rule of its own: the first proof says that its network gives class y at each input of a set, the
second says it of the other network, and set and class are the same in both. Which networks these are is said by
their hashes.

Ask the native kernel: a program extracted from the proofs (proofs/README.md), which reads both files itself.
"""

import os
import shutil
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from threading import Timer

import numpy as np

from ..files.texts import printable
from .claims import Statement
from .refusal import Refused

FORMAT, ROWS_FORMAT = "spikecert.proof/1", "spikecert.proof/1.1"
"""Of a proof of a class, and of one of a property's rows."""
FORMATS = FORMAT, ROWS_FORMAT
SUFFIX = ".proof"
LEAF = -1
"""In the place of a neuron: a leaf. Less: a split of input number LEAF − 1 − it, whole or of events, of step after
step."""
MOST_CELLS = 64
"""The most cells of a neuron, and the longest side of a pair's square, that a proof may ask for."""
STEEPEST = Fraction(1, 2**20)
"""The least λ^(T−1) by which prices are divided that a proof holds where currents vary."""


@dataclass(frozen=True)
class Narrowing:
    """Multipliers of one leaf.

    Attributes:
        neurons: whose currents are narrowed, (M,).
        slabs: whose rows narrow them, (K,).
        multipliers: of the bounds of I, of those of −I, and of 0, (2M + 1, K).
    """

    neurons: np.ndarray
    slabs: np.ndarray
    multipliers: np.ndarray


def read_narrowings(tensors: dict[str, np.ndarray], other: int, leaves: int) -> list[Narrowing | None]:
    """Return each leaf's multipliers for one class; None for all where the proof gives none.

    `narrow.sizes` has each leaf's M and K, (leaves, 2); the rest is one leaf after the other, flat.

    Raises:
        Refused: for sizes that do not fit.
    """
    names = [f"{other}.narrow.{part}" for part in ("sizes", "neurons", "slabs", "multipliers")]
    if names[0] not in tensors:
        return [None] * leaves
    sizes, *parts = (tensors[name] for name in names)
    if sizes.shape != (leaves, 2) or sizes.dtype.kind != "i" or (sizes < 0).any():
        raise Refused(f"class {other}: multipliers have sizes that do not fit")
    counts = [(int(m), int(k), (2 * int(m) + 1) * int(k)) for m, k in sizes]
    if [part.shape for part in parts] != [(sum(each),) for each in zip(*counts, strict=True)]:
        raise Refused(f"class {other}: multipliers have sizes that do not fit")
    starts = np.cumsum([(0, 0, 0), *counts], axis=0)
    found: list[Narrowing | None] = []
    for (first, second, third), (m, k, size) in zip(starts[:-1].tolist(), counts, strict=True):
        neurons, slabs = parts[0][first : first + m], parts[1][second : second + k]
        multipliers = parts[2][third : third + size].reshape(2 * m + 1, k)
        found.append(Narrowing(neurons, slabs, multipliers) if k else None)
    return found


SIDES = ("a", "b")
"""The folders of both builds' proofs: files of one name belong together."""


@dataclass(frozen=True)
class TwinStatement:
    """Two networks give class `a.label` for every input of one set.

    Attributes:
        a, b: what was proven of each.
    """

    a: Statement
    b: Statement

    def __post_init__(self) -> None:
        if self.a.prop is not None or self.b.prop is not None:
            raise Refused("a proof is about a property: that both builds have one says nothing of their classes")
        if self.a.question != self.b.question:
            raise Refused(_unlike(self.a, self.b))


def twin_files(folder: Path, proofs: list[Path]) -> list[tuple[str, Path | None, Path | None]]:
    """Return pairs of files by their names; None where one lacks its twin.

    Args:
        folder: that holds one folder for each build, see `SIDES`.
        proofs: all of both.
    """
    found: dict[str, dict[str, Path]] = {}
    for proof in proofs:
        found.setdefault(proof.name, {})[proof.parent.name] = proof
    return [(name, *(found[name].get(side) for side in SIDES)) for name in sorted(found)]  # type: ignore[misc]


def _unlike(a: Statement, b: Statement) -> str:
    """Return in which of their parts two questions differ."""
    if a.point != b.point:
        return "the proofs are about different samples"
    if a.label != b.label:
        return f"the proofs are about classes {a.label} and {b.label}, not about one"
    if a.whole != b.whole:
        return "one proof is about the whole inputs of a chip, the other one about real ones"
    if a.norm != b.norm:
        return f"the proofs are about sets in {printable(a.norm)} and {printable(b.norm)}, not about one"
    return "the proofs are about different sets of inputs around one sample"


NAME = "spikecert-kernel"
BUILT = Path(__file__).resolve().parents[1] / "build" / "native" / NAME
"""Where `make native` puts it in a checkout."""
LONGEST = 3600.0
"""Seconds for a certificate, its making included."""


def find_native() -> Path:
    """Return the native kernel: what SPIKECERT_KERNEL names, else that of the PATH, else what `make native` built.

    Raises:
        Refused: where there is none.
    """
    named = os.environ.get("SPIKECERT_KERNEL")
    for found in [named] if named else [shutil.which(NAME), BUILT]:
        if found and os.access(found, os.X_OK) and Path(found).is_file():
            return Path(found)
    told = f"SPIKECERT_KERNEL: {named} is no program" if named else f"found no {NAME} on the PATH"
    raise Refused(f"{told}: build the native kernel by `make native`, or choose another kernel")


def check_native(model: Path, lines: Iterable[str], seconds: float = LONGEST) -> str:
    """Return what the native kernel says that a certificate proves of a model file's network, in one line.

    Args:
        model: the file.
        lines: of the certificate, one after the other.
        seconds: after which the kernel is stopped.

    Raises:
        Refused: for all that it does not accept, as where it crashes, says nothing, or takes longer.
    """
    command = [find_native(), Path(model).resolve(), "-"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as kernel:
        assert kernel.stdout is not None
        limit = Timer(seconds, kernel.kill)
        limit.start()
        try:
            _write(kernel, lines)
            said = kernel.stdout.read(1 << 16).decode(errors="replace")
            status = kernel.wait()
        finally:
            limit.cancel()
            kernel.kill()
    verdict, _, told = said.removesuffix("\n").partition(" ")
    if status == 0 and verdict == "accepted" and "\n" not in told:
        return told
    raise Refused(told if verdict == "refused:" else f"the native kernel ended without an answer: status {status}")


def _write(kernel: "subprocess.Popen[bytes]", lines: Iterable[str]) -> None:
    """Give it all lines, or those that it takes before it refuses."""
    assert kernel.stdin is not None
    with suppress(BrokenPipeError):
        for line in lines:
            kernel.stdin.write(line.rstrip("\n").encode() + b"\n")
    with suppress(BrokenPipeError):
        kernel.stdin.close()
