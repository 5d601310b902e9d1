"""The command line: `python -m fuzz --reader NAME --seconds N`, in the folder tests."""

import argparse
import faulthandler
import sys
from pathlib import Path

from .fuzzing import SLOWEST, fuzz, peak_memory
from .readers import readers

MOST_MEMORY = 2**30


def main() -> int:
    """Fuzz one reader, or all in turn; print what was seen; return 1 if anything was found."""
    known = readers()
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--reader", choices=[*known, "all"], default="all")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each reader")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--out", type=Path, default=Path("fuzz-findings"), help="folder for inputs that were found"
    )
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    last, failed = asked.out / "last-input", False

    def before(data: bytes) -> None:
        last.write_bytes(data)
        faulthandler.dump_traceback_later(3 * SLOWEST, exit=True)

    for name in known if asked.reader == "all" else [asked.reader]:
        found = fuzz(known[name], asked.seconds, asked.seed, before=before)
        faulthandler.cancel_dump_traceback_later()
        rate = f"{found.runs} inputs, {found.accepted} read, {found.places} ways to end"
        print(f"{name}: {rate}, slowest {found.slowest:.2f} s, peak {found.peak / 2**20:.0f} MB", flush=True)
        for index, finding in enumerate(found.findings):
            path = asked.out / f"{name}-{asked.seed}-{index}"
            path.write_bytes(finding.data)
            print(f"--- {path}\n{finding.problem}", flush=True)
        failed |= bool(found.findings)
    if peak_memory() > MOST_MEMORY:
        print(f"memory: {peak_memory()} bytes, expected at most {MOST_MEMORY}")
        failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
