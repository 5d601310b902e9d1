"""Which mutants of the kernel the corpus kills, by `python -m support.kernel_corpus.killing [SHARE] MODULE…`.

A mutant (`tests/mutants`) of a function is held against the certificates that lead through that function; no other
can tell it. It replaces the code of the function in place, in a process of its own, so all who imported that have
it. First the kernel as it is must live. SHARE: only one of so many mutants is made.
"""

import importlib
import inspect
import resource
import sys
import types
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any

from mutants.places import Mutant
from mutants.targets import is_another, mutants_of

from support.kernel_corpus.asking import claims_of_more, refusal, says_more
from support.kernel_corpus.kept import Kept, read, said
from support.layout import ROOT

LIMIT = 60
"""CPU seconds of a mutant: one that takes longer does not end, and is as good as killed."""
SPENDING = ("spend(", "grant(")
"""Calls that only count work: test_work.py is about them."""


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


def put(mutant: Mutant) -> None:
    """Replace the code of a mutant's function in this process."""
    module = importlib.import_module(f"spikecert.{mutant.file.removesuffix('.py').replace('/', '.')}")
    text = mutant.change.applied((ROOT / mutant.file).read_bytes())
    _found(module, mutant.where).__code__ = _code(compile(text, module.__file__ or "", "exec"), mutant.where)
    for known in vars(module).values():
        getattr(known, "cache_clear", lambda: None)()


def _found(module: types.ModuleType, name: str) -> Any:
    """Return a function of a module, below what wraps it."""
    place: Any = module
    for part in name.split("."):
        place = inspect.getattr_static(place, part)
        for inner in ("__func__", "fget", "func", "__wrapped__"):
            place = getattr(place, inner, place) if not isinstance(place, types.FunctionType) else place
        while hasattr(place, "__wrapped__"):
            place = place.__wrapped__
    return place


def _code(module: types.CodeType, name: str) -> types.CodeType:
    found = module
    for part in name.split("."):
        found = next(each for each in found.co_consts if isinstance(each, types.CodeType) and each.co_name == part)
    return found


def _run(mutant: Mutant | None, checks: Callable[[], object]) -> None:
    """Run checks with a mutant, within its time."""
    resource.setrlimit(resource.RLIMIT_CPU, (LIMIT, LIMIT + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if mutant is not None:
        put(mutant)
    checks()


def fate(mutant: Mutant | None, checks: Callable[[], object]) -> str:
    """Run checks with a mutant in a process of its own; return "killed", with why, or "survived"."""
    with ProcessPoolExecutor(1, get_context("fork")) as pool:
        error = pool.submit(_run, mutant, checks).exception()
    return "survived" if error is None else f"killed by {type(error).__name__}: {f'{error} '.splitlines()[0]}"


def made_of(module: str) -> list[Mutant]:
    """Return the mutants of functions of a module: not those within functions within, nor of counting work."""
    made = mutants_of(f"checking/kernel/{module}.py")
    return [each for each in made if each.where and not each.source.startswith(SPENDING) and is_another(each)]


def main(arguments: list[str]) -> None:
    """Print the fate of each mutant, and how many there were of each."""
    share = int(arguments.pop(0)) if arguments[0].isdigit() else 1
    tally, cases = Counter[str](), read()
    if (told := fate(None, partial(ask, cases[:20]))) != "survived":
        raise SystemExit(f"the kernel as it is: {told}")
    own = through(cases)
    for module in arguments:
        for mutant in made_of(module)[::share]:
            told = fate(mutant, partial(ask, own[f"{module} {mutant.where}"]))
            tally[told.split()[0]] += 1
            sys.stdout.write(f"{told[:110]:<40} | {mutant}\n")
            sys.stdout.flush()
    sys.stdout.writelines(f"{count:>6} {what}\n" for what, count in sorted(tally.items()))


if __name__ == "__main__":
    main(sys.argv[1:])
