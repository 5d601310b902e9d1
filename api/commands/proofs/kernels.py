"""Which program checks a proof: the checker of short proofs, or the kernel of certificates."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ...runs.sources import ZOO

if TYPE_CHECKING:
    from spikecert.checking import Network, Statement

    Check = Callable[[Path, Network, float], Statement]

CLASSIC, PYTHON, NATIVE = "classic", "python", "native"
KERNELS = (CLASSIC, PYTHON, NATIVE)
PROGRAM = "spikecert-kernel"


def checker(kernel: str) -> "Check":
    """Return what checks files; certificates are for the kernel alone.

    Raises:
        ValueError: for an unknown kernel, or one that is not there.
    """
    if kernel not in KERNELS:
        raise ValueError(f"kernel: got {kernel!r}, expected {', '.join(KERNELS[:-1])} or {KERNELS[-1]}")
    if kernel == NATIVE:
        found = "this version can't run it yet" if shutil.which(PROGRAM) else f"no {PROGRAM} is on the PATH"
        raise ValueError(f"kernel: got {NATIVE!r}, and {found}: {CLASSIC} and {PYTHON} need none")
    return _by_kernel if kernel == PYTHON else _by_either


def network_of(model: Path, work: float) -> "Network":
    """Return the network of a model file.

    Raises:
        ValueError: for a name of the zoo, and for what is no model that the checker knows.
    """
    from spikecert.checking import read_network

    if str(model).startswith(ZOO):
        name = str(model).removeprefix(ZOO)
        raise ValueError(f"model: got {model}, expected a network file: spikecert zoo {name} --out FILE writes it")
    return read_network(model, work)


def _by_either(path: Path, network: "Network", work: float) -> "Statement":
    """Return what a file proves: the checker of short proofs says it, or of a certificate the kernel."""
    from spikecert.checking import check
    from spikecert.checking.kernel import SUFFIXES

    return (_by_kernel if path.suffix in SUFFIXES else check)(path, network, work)


def _by_kernel(path: Path, network: "Network", work: float) -> "Statement":
    """Return what the kernel says of a certificate, or of one that is made from a short proof meanwhile."""
    from spikecert.checking import Refused
    from spikecert.checking.kernel import SUFFIXES, check_certificate, check_file

    if path.suffix in SUFFIXES:
        return check_file(path, network, work)
    from spikecert.certify.certificates import elaborate  # of no trust; only now: it imports torch

    try:
        return check_certificate(elaborate(path, network), network, work)
    except Refused as error:
        told = str(error).removeprefix(f"{path.name}: ")
        raise Refused(f"{path.name}: {told}") from error
