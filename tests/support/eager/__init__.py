"""What C sources compute, by torch's operations: oracles that kernels are held against."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from spikecert.models.running import compiled, sparse

KERNELS = ("eager", "compiled")


@contextmanager
def by(kernel: str) -> Iterator[None]:
    """Run networks, and bounds in training, by torch's operations where `kernel` is "eager"."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (compiled, sparse) if kernel == "eager" else ():
            patch.setattr(module, "REALS", {})
        yield
