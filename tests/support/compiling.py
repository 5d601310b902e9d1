"""One folder of compiled sources for all processes of a test run.

A source takes a compiler up to seven seconds, and each process of the tests, and each command that one starts, had
its own built. What loads them is the library's own code, and does not know: only the compiler is another.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from spikecert.kernels.loading import COMPILERS

FOLDER, COMPILER = "SPIKECERT_BUILT", "SPIKECERT_CC"
"""The variables that `shared_cc` reads."""


def share() -> bool:
    """Let this process, and those that it starts, build a source once; return False where CC names a compiler."""
    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None or sys.platform == "win32" or {"CC", FOLDER} & os.environ.keys():
        return False
    os.environ |= {
        "CC": str(Path(__file__).with_name("shared_cc")),
        COMPILER: compiler,
        FOLDER: tempfile.mkdtemp(prefix="spikecert-built-"),
    }
    return True


def unshare() -> None:
    """Remove the folder."""
    shutil.rmtree(os.environ[FOLDER], ignore_errors=True)
    for name in ("CC", COMPILER, FOLDER):
        del os.environ[name]
