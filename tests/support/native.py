"""Whether the native kernel is here, and why tests of it are left out where it is not."""

import pytest

from spikecert.checking import Refused
from spikecert.checking import short as native

NATIVE = "no native kernel here"


def is_built() -> bool:
    """Return whether there is one."""
    try:
        native.find_native()
    except Refused:
        return False
    return True


HERE = pytest.mark.skipif(not is_built(), reason=f"{NATIVE}: `make native` builds it from the proofs")


def say_left_out(reporter: pytest.TerminalReporter) -> None:
    """Say how many tests of the native kernel were left out, and what brings them in."""
    left = [report for report in reporter.stats.get("skipped", []) if NATIVE in str(report.longrepr)]
    if left:
        told = f"LEFT OUT: {len(left)} tests of the native kernel, which is not built here."
        build = "`make native` builds it; it needs coq, libcoq-flocq, ocaml-findlib, libzarith-ocaml-dev."
        reporter.write_line(f"{told} {build}", yellow=True, bold=True)
