"""Which kernel checks a proof: that in Python, or the native one; and what keeps the certificate that it reads."""

import shlex
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ...runs.sources import ZOO
from ...telling import say

if TYPE_CHECKING:
    from spikecert.checking import Network, Statement

    Check = Callable[[Path, Network, float], Statement]

Answer = TypeVar("Answer")
PYTHON, NATIVE = "python", "native"
KERNELS = (PYTHON, NATIVE)


def checker(kernel: str, model: Path) -> "Check":
    """Return what checks files about a model file; certificates are for the kernel alone.

    Raises:
        ValueError: for an unknown kernel, or one that is not there.
    """
    if kernel not in KERNELS:
        raise ValueError(f"kernel: got {kernel!r}, expected {' or '.join(KERNELS)}")
    if kernel == NATIVE:
        _find_native()
        return partial(_by_native, model)
    return _by_python


def network_of(model: Path, work: float) -> "Network":
    """Return the network of a model file.

    Raises:
        ValueError: for a name of the zoo, and for what is no model that the checker knows.
    """
    from spikecert.checking import read_network

    if str(model).startswith(ZOO):
        name = str(model).removeprefix(ZOO)
        raise ValueError(f"model: got {model}, expected a network file: spikecert zoo {name} --out FILE writes it")
    network = read_network(model, work)
    if network.unconfirmed:
        say(f"{shlex.quote(str(model))}: not confirmed by its source")
    return network


def _by_python(path: Path, network: "Network", work: float) -> "Statement":
    """Return what the kernel says of a certificate, or of one that is made from a short proof meanwhile."""
    from spikecert.checking import check
    from spikecert.checking.kernel import SUFFIXES, check_file

    return (check_file if path.suffix in SUFFIXES else check)(path, network, work)


def _find_native() -> None:
    from spikecert.checking import Refused
    from spikecert.checking.short import find_native

    try:
        find_native()
    except Refused as error:
        raise ValueError(f"kernel: got {NATIVE!r}, and {error}") from error


def _by_native(model: Path, path: Path, network: "Network", work: float) -> "Statement":
    """Return what the native kernel says of a certificate, or of one that is made from a short proof meanwhile."""
    from spikecert.checking import Refused
    from spikecert.checking.short import check_native

    lines = Told(_lines(path, network), network)
    told = _named(path, partial(check_native, model, lines))
    statement = lines.statement()
    if told != _expected(statement):
        raise Refused(f"{path.name}: the native kernel speaks of something else: {told[:200]}")
    return statement


def _expected(statement: "Statement") -> str:
    """Return how the native kernel says a statement about a ball (proofs/native/claim.ml)."""
    ends = sorted({f"{float(end):.9g}" for end in (statement.radius.min(), statement.radius.max())}, key=float)
    about = f"sample {statement.point}, ties {statement.ties}, network {statement.network}"
    return f"class {statement.label} within {' to '.join(ends)} of {about}"


class Told:
    """The lines of a certificate, of which the claim and the number of leaves are kept as they go by."""

    def __init__(self, lines: Iterable[str], network: "Network") -> None:
        self._lines, self._network = lines, network
        self._claim, self._leaves = "", 0

    def __iter__(self) -> Iterator[str]:
        for index, line in enumerate(self._lines):
            self._claim = line if index == 1 else self._claim
            self._leaves += line.strip() in ("close", "empty")
            yield line

    def statement(self) -> "Statement":
        """Return the claim as a statement; of margins the native kernel says nothing."""
        from spikecert.checking.kernel.certificates import claim_of

        return claim_of(self._claim, self._network).stated(Fraction(0), self._leaves)


def _lines(path: Path, network: "Network") -> Iterable[str]:
    """Return the lines of a certificate, or of one that is made from a short proof meanwhile."""
    from spikecert.checking.kernel import SUFFIXES
    from spikecert.checking.kernel.certificates import lines_of

    if path.suffix in SUFFIXES:
        return lines_of(path)
    from spikecert.checking.certificates import elaborate  # of no trust

    return elaborate(path, network, joint=False)


def _named(path: Path, check: "Callable[[], Answer]") -> "Answer":
    """Return what a check says; what it refuses begins with the file's name."""
    from spikecert.checking import Refused

    try:
        return check()
    except ValueError as error:  # a refusal, or a file that is no text
        told = str(error).removeprefix(f"{path.name}: ")
        raise Refused(f"{path.name}: {told}") from error


def keeping(check: "Check", folder: Path, kernel: str) -> "Check":
    """Return what writes the certificate (proof/2) of each proof to a folder, and checks that.

    What makes a certificate needs no trust. Rules of several neurons at once are left out for the native kernel.
    """
    from spikecert.checking.kernel import SUFFIXES

    if folder.exists() and not folder.is_dir():
        raise ValueError(f"certificates: got {folder}, which is a file, expected a folder")

    def written_and_checked(path: Path, network: "Network", work: float) -> "Statement":
        """Return what the kernel says of the certificate that now lies in the folder."""
        from spikecert.checking.certificates import elaborate
        from spikecert.files import write_atomically

        if path.suffix in SUFFIXES:
            return check(path, network, work)
        made = folder / f"{path.stem}.certificate"
        lines = elaborate(path, network, joint=kernel != NATIVE)
        _named(path, lambda: write_atomically(made, (f"{line}\n".encode("ascii") for line in lines)))
        return check(made, network, work)

    return written_and_checked
