"""A copy of the package that one process changes and puts back."""

import py_compile
from pathlib import Path

from support.layout import ROOT, building, copy_package

from .places import Mutant

KEPT = ROOT / "build" / "kernels"
"""Libraries that were built before."""


class Copy:
    """The package below a folder.

    Attributes:
        folder: what stands first on the path of a process that shall import the copy.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.building = building()
        copy_package(folder)
        for path in folder.rglob("*.py"):
            py_compile.compile(str(path), quiet=2, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)

    def change(self, mutant: Mutant) -> None:
        """Make the change."""
        path = self._path(mutant)
        path.write_bytes(mutant.change.applied(path.read_bytes()))
        self._forget(path)

    def restore(self, mutant: Mutant) -> None:
        """Put the file back."""
        path = self._path(mutant)
        path.write_bytes((ROOT / mutant.file).read_bytes())
        self._forget(path)
        self._build(mutant)

    def compiles(self, mutant: Mutant) -> bool:
        """Return whether a changed C source is C: what does not compile is not used, and breaks nothing."""
        try:
            self._build(mutant)
        except self.building.NotBuilt:
            return False
        return True

    def _build(self, mutant: Mutant) -> None:
        """Build the kernels of a changed source: others are where they were kept."""
        if mutant.file.endswith(".c"):
            kernels = self.folder / "spikecert" / "kernels"
            self.building.build(kernels / "built", ("native",), KEPT, kernels / "sources")

    def _path(self, mutant: Mutant) -> Path:
        return self.folder / "spikecert" / mutant.file.removeprefix("api/")

    def _forget(self, path: Path) -> None:
        """Remove the bytecode of a file, which would be taken for it."""
        for kept in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            kept.unlink()
