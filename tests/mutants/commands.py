"""The command line of mutants: list them, run them, show what became of them."""

import argparse
import multiprocessing
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from .picture import open_keys, read, table
from .places import Mutant
from .running import warm_up
from .targets import at_stake, drawn, mutants_of
from .trying import Broken, Trials
from .written import written

FORK = multiprocessing.get_context("fork")


def arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python tests/mutants", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run tests against mutants until one fails")
    listed = commands.add_parser("list", help="say which mutants there are, one a line")
    show = commands.add_parser("show", help="the table of a file of results")
    for each in (run, listed):
        each.add_argument(
            "--files", nargs="*", default=(), help="files or folders, instead of all that are at stake"
        )
        each.add_argument("--count", type=int, default=200, help="of mutants that are drawn")
        each.add_argument("--seed", type=int, default=0)
        each.add_argument(
            "--written", type=int, default=0, help="of mutants that are drawn from written.toml besides"
        )
    listed.add_argument("--all", action="store_true", help="all that rules make, without drawing")
    run.add_argument("--minutes", type=float, default=60.0, help="after which no further mutant starts")
    run.add_argument("--seconds", type=float, default=120.0, help="CPU time for each mutant")
    run.add_argument("--near", action="store_true", help="the nearest tests only")
    run.add_argument("--processes", type=int, default=1)
    show.add_argument("--keys", action="store_true", help="what survivors.toml lists a survivor by, one a line")
    for each in (run, show):
        each.add_argument(
            "--results",
            type=Path,
            default=Path("build/mutants.jsonl"),
            help="added to; what is in it is not run again",
        )
    return parser.parse_args()


def chosen(asked: argparse.Namespace) -> list[Mutant]:
    """Return the mutants that are asked for."""
    files = at_stake(tuple(asked.files))
    by_hand = written(files if asked.files else None)
    by_hand = random.Random(asked.seed).sample(by_hand, min(asked.written, len(by_hand)))
    if asked.command == "list" and asked.all:
        return [*by_hand, *(each for file in files for each in mutants_of(file))]
    found = [*by_hand, *drawn(files, asked.count, asked.seed)]
    random.Random(asked.seed).shuffle(found)  # so that of both kinds some run before the time is up
    return found


def main() -> int:
    """Do what is asked for; return 0, or 2 if a test that failed fails with the unchanged package, too.

    Mutants that survive are no failure: some change nothing that shows. They are what the table is for.
    """
    asked = arguments()
    if asked.command == "show":
        outcomes = read(asked.results).values()
        say("\n".join(open_keys(outcomes)) if asked.keys else table(outcomes))
        return 0
    try:
        mutants = chosen(asked)
    except (ValueError, LookupError) as error:
        say(str(error))
        return 2
    if asked.command == "list":
        say("\n".join(map(str, mutants)))
        return 0
    return run_all(mutants, asked)


def run_all(mutants: list[Mutant], asked: argparse.Namespace) -> int:
    """Run mutants in processes, each with a copy of its own, and print the table."""
    asked.results.parent.mkdir(parents=True, exist_ok=True)
    done = read(asked.results)
    left, stop = [each for each in mutants if each.key not in done], time.monotonic() + 60 * asked.minutes
    warm_up()
    with tempfile.TemporaryDirectory(prefix="mutants") as name:
        queue = FORK.SimpleQueue()
        workers = [
            FORK.Process(target=work, args=(Path(name, str(i)), left, queue, stop, asked))
            for i in range(asked.processes)
        ]
        for worker in workers:
            worker.start()
        for place in (*range(len(left)), *[None] * len(workers)):
            queue.put(place)
        for worker in workers:
            worker.join()
    outcomes = read(asked.results)
    say(table(outcomes[each.key] for each in mutants if each.key in outcomes))
    if missing := sum(each.key not in outcomes for each in mutants):
        say(f"\n{missing} of {len(mutants)} mutants were not run, or are no C.")
    return max((abs(worker.exitcode or 0) for worker in workers), default=0)


def work(folder: Path, mutants: list[Mutant], queue: Any, stop: float, asked: argparse.Namespace) -> None:
    """Take mutants from a queue, and write what becomes of each."""
    trials, parent = Trials(folder, asked.seconds, asked.near), os.getppid()
    while (place := queue.get()) is not None:
        if time.monotonic() > stop or os.getppid() != parent:
            continue
        try:
            outcome = trials.outcome(mutants[place])
        except Broken as error:
            say(str(error))
            sys.exit(2)
        if outcome is not None:
            outcome.write(asked.results)
            say(f"{outcome.fate:10} {mutants[place]} {outcome.by} {outcome.seconds:.0f} s")
    for test in trials.broken:
        say(f"broken     {test}: fails with the unchanged package")
    sys.exit(2 if trials.broken else 0)


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
