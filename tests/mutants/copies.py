"""A copy of the package that one process changes and puts back, and a C compiler that keeps what it built."""

import os
import py_compile
import subprocess
from pathlib import Path

from support.layout import ROOT, copy_package

from .places import Mutant

COMPILER = r"""#!/bin/sh
# A build is known by what was asked for, and by all sources: a file may include others.
for each; do [ "$before" = -o ] && target=$each; before=$each; done
all() { echo "$@" | sed 's| -o .*||'; basename "$before"; cd "$(dirname "$before")" && cat *.c */*.c; }
key=$(all "$@" | sha256sum | cut -c1-64)
[ -n "$target" ] && cp "KEPT/$key" "$target" 2>/dev/null && exit 0
REAL "$@" || exit
cp "$target" "KEPT/$key.$$" && mv "KEPT/$key.$$" "KEPT/$key"
"""
"""Two seconds for each source in each process otherwise."""


class Copy:
    """The package below a folder.

    Attributes:
        folder: what stands first on the path of a process that shall import the copy.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
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

    def compiles(self, mutant: Mutant) -> bool:
        """Return whether a changed C source is C: what does not compile is not used, and breaks nothing."""
        if not mutant.file.endswith(".c"):
            return True
        options = ("-fsyntax-only", "-w", "-DREAL=double", "-DFUSED=1", "-march=native")
        found = [
            subprocess.run(["cc", *options, str(path)], capture_output=True, check=False)
            for path in self._built(mutant)
        ]
        return all(done.returncode == 0 for done in found)

    def _built(self, mutant: Mutant) -> list[Path]:
        """Return the sources that are compiled: a file of a folder is part of the folder's namesake."""
        path = self._path(mutant)
        return [path] if path.parent.name == "sources" else [path.parent.with_suffix(".c")]

    def _path(self, mutant: Mutant) -> Path:
        return self.folder / "spikecert" / mutant.file.removeprefix("api/")

    def _forget(self, path: Path) -> None:
        """Remove the bytecode of a file, which would be taken for it."""
        for kept in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            kept.unlink()


def keeping_compiler(folder: Path) -> None:
    """Let C sources be built by a compiler that keeps its builds in a folder."""
    kept, script = folder / "built", folder / "cc"
    kept.mkdir()
    script.write_text(COMPILER.replace("KEPT", str(kept)).replace("REAL", os.environ.get("CC", "cc")))
    script.chmod(0o755)
    os.environ["CC"] = str(script)
