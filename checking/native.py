"""Ask the native kernel: a program extracted from the proofs (proofs/README.md), which reads both files itself."""

import os
import shutil
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from threading import Timer

from .refusal import Refused

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
