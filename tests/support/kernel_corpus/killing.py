"""Which mutants of the kernel the corpus kills: `python -m support.kernel_corpus.killing [SHARE] MODULE…`.

A mutant of a function is held against the certificates that lead through that function; no other can tell it.
SHARE: only one of so many mutants is made.
"""

import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from support.kernel_corpus.asking import claims_of_more, refusal, says_more
from support.kernel_corpus.kept import Kept, read, said

sys.path.append(str(Path(__file__).parents[2] / "soundness"))


def ask(cases: Iterable[Kept]) -> None:
    """Raise where some of the corpus is not what it was."""
    cases, known = list(cases), said()
    for case in cases:
        assert case.margins == known[case.name], f"{case.name} proves something else"
    for case in cases:
        for what, lines in claims_of_more(case):
            assert refusal(case, lines), f"{case.name}: a claim of more, {what}"
        for found in says_more(case):
            assert not found.taken, f"{case.name}: line {found.line + 1} says more"


def through(cases: Iterable[Kept]) -> dict[str, list[Kept]]:
    """Return which certificates lead through each function, by file and name."""
    found: dict[str, list[Kept]] = defaultdict(list)
    for case in cases:
        for name in sorted({name.partition(".<locals>")[0] for name, *_ in case.steps()}):
            found[name].append(case)
    return found


def main(arguments: list[str]) -> None:
    """Print the fate of each mutant, and how many there were of each."""
    from .syntax_mutants import fate, mutants_of

    share = int(arguments.pop(0)) if arguments[0].isdigit() else 1
    tally, own = Counter[str](), through(read())
    for module in arguments:
        for index, mutant in enumerate(mutants_of(f"spikecert.checking.kernel.{module}")):
            if index % share:
                continue
            told = fate(mutant, partial(ask, own[f"{module} {mutant.function}"]))
            tally[told.split()[0]] += 1
            sys.stdout.write(f"{told[:110]:<40} | {mutant}\n")
            sys.stdout.flush()
    sys.stdout.writelines(f"{count:>6} {what}\n" for what, count in sorted(tally.items()))


if __name__ == "__main__":
    main(sys.argv[1:])
