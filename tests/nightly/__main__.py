"""All that is asked at night, part by part: `python -m nightly [NAME …]`, in the folder tests (`make nightly`).

A part that fails, or is ended for its time, keeps none of those behind it from running. The page,
build/nightly/index.html, is there from the first part on; the status is 1 if any of them failed. `--list` says the
parts, and how long they may take.
"""

import argparse
import sys
import time
from pathlib import Path

from .page import page, versions, write
from .parts import Outcome, Part, run

ROOT = Path(__file__).parents[2]
TESTS = (sys.executable, "-m", "pytest", "--hypothesis-seed={seed}", "-p", "no:cacheprovider")
BOTH = ("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")
ALL = {"THOROUGH": "1"}
VERSIONS = (sys.executable, "tests/nightly/versions.py")
MUTANTS, MUTANT_MINUTES = 200, 40
CLANG = f"""{sys.executable} -m pip install -q ziglang CC='{sys.executable} -m ziglang cc' {sys.executable}
kernels/building.py {{out}}/clang SPIKECERT_KERNELS={{out}}/clang exec {sys.executable} -m pytest -p
no:cacheprovider -n 2 --hypothesis-seed={{seed}} \
    tests/certify/bounds tests/certify/branching tests/certify/bits tests/models/running tests/training/bounds"""

PARTS = (
    Part("tests", "all tests by day, with all examples, drawn anew", (*TESTS, *BOTH), 75, ALL),
    Part("slow", "the long tests, with new draws", (*TESTS, "-m", "slow", "--timeout", "3600", *BOTH), 75, ALL),
    Part("flips", "planted flips: no verifier says verified", (*TESTS, "tests/matrix", *BOTH), 20, ALL),
    Part(
        "mutants",
        f"{MUTANTS} generated mutants: a test fails for each",
        (sys.executable, "tests/mutants", "run", "--count", str(MUTANTS), "--minutes", str(MUTANT_MINUTES)),
        MUTANT_MINUTES + 5,
    ),
    Part(
        "fuzz",
        "all readers, on damaged files",
        (sys.executable, "-m", "fuzz", "--seconds", "20", "--seed", "{seed}", "--out", "{out}/fuzz"),
        25,
        folder="tests",
    ),
    Part(
        "answers", "the frozen answers are what they were", (sys.executable, "benchmarks/answers", "compare"), 20
    ),
    Part("clang", "kernels by another compiler compute what oracles do", ("sh", "-ec", CLANG), 25, ALL),
    Part("newest", "a sample of tests under the newest dependencies", (*VERSIONS, "newest"), 25),
    Part("lowest", "a sample of tests under the lowest dependencies", (*VERSIONS, "lowest"), 25),
)
"""One after another, at most five and a half hours."""


def main() -> int:
    """Run the parts that are asked for; return 1 if any failed."""
    names = [part.name for part in PARTS]
    parser = argparse.ArgumentParser(prog="nightly", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}; all if none is named")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of all draws; the page says it")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "nightly", help="folder of page and logs")
    parser.add_argument("--list", action="store_true", help="say the parts, and run none")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(names):
        parser.error(f"NAME: got {min(unknown)}, expected some of {', '.join(names)}")
    chosen = [part for part in PARTS if part.name in asked.names or not asked.names]
    if asked.list:
        for part in chosen:
            print(f"{part.name}: {part.asks}; at most {part.minutes:g} minutes")
        return 0
    return night(chosen, ROOT, asked.out.resolve(), asked.seed)


def night(parts: list[Part], root: Path, out: Path, seed: int) -> int:
    """Run parts in turn, the page written anew behind each; return 1 if any failed."""
    out.mkdir(parents=True, exist_ok=True)
    ran, outcomes = versions(root), list[Outcome]()
    most = sum(part.minutes for part in parts)
    print(f"seed {seed}, at most {most:g} minutes, {out / 'index.html'}", flush=True)
    for place, part in enumerate(parts):
        outcomes.append(run(part, root, out, seed))
        write(out / "index.html", page(outcomes, parts[place + 1 :], seed, ran))
        print(f"{part.name}: {outcomes[-1].told} {outcomes[-1].counts}", flush=True)
    return int(not all(outcome.good for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
