"""The command line: `python -m fuzz --reader NAME --seconds N`, in the folder tests."""

import argparse
import faulthandler
import subprocess
import sys
from pathlib import Path

from .fuzzing import SLOWEST, fuzz, peak_memory
from .readers import readers

MOST_MEMORY = 2**30


def main() -> int:
    """Fuzz one reader, or all in turn, each in its own process; return 1 if anything was found."""
    known = readers()
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--reader", choices=[*known, "all"], default="all")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each reader")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--out", type=Path, default=Path("fuzz-findings"), help="folder for inputs that were found"
    )
    parser.add_argument("--here", action="store_true", help="in this process, where a crash ends it all")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    names = list(known) if asked.reader == "all" else [asked.reader]
    found = [_fuzzed(name, asked) if asked.here else _apart(name, asked) for name in names]
    return int(any(found))


def _apart(name: str, asked: argparse.Namespace) -> bool:
    """Fuzz one reader in another process; return whether anything was found, its crash included."""
    options = [
        "--reader",
        name,
        "--seconds",
        str(asked.seconds),
        "--seed",
        str(asked.seed),
        "--out",
        str(asked.out),
    ]
    done = subprocess.run([sys.executable, "-m", "fuzz", "--here", *options], check=False)
    if done.returncode not in (0, 1):
        print(f"--- {name}: the process ended with status {done.returncode} on {_last(name, asked)}", flush=True)
    return done.returncode != 0


def _last(name: str, asked: argparse.Namespace) -> Path:
    return asked.out / f"{name}-last-input"


def _fuzzed(name: str, asked: argparse.Namespace) -> bool:
    """Fuzz one reader, print what was seen, and return whether anything was found."""

    def before(data: bytes) -> None:
        _last(name, asked).write_bytes(data)
        faulthandler.dump_traceback_later(3 * SLOWEST, exit=True)

    faulthandler.enable()
    found = fuzz(readers()[name], asked.seconds, asked.seed, before=before)
    faulthandler.cancel_dump_traceback_later()
    rate = f"{found.runs} inputs, {found.accepted} read, {found.places} ways to end"
    print(f"{name}: {rate}, slowest {found.slowest:.2f} s, peak {found.peak / 2**20:.0f} MB", flush=True)
    for index, finding in enumerate(found.findings):
        path = asked.out / f"{name}-{asked.seed}-{index}"
        path.write_bytes(finding.data)
        print(f"--- {path}\n{finding.problem}", flush=True)
    if peak_memory() > MOST_MEMORY:
        print(f"memory: {peak_memory()} bytes, expected at most {MOST_MEMORY}", flush=True)
    return bool(found.findings) or peak_memory() > MOST_MEMORY


if __name__ == "__main__":
    sys.exit(main())
