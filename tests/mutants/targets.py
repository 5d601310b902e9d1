"""The files at stake: a verdict rests on them, so that a wrong one of their lines may make "verified" false."""

import ast
import random
from collections import defaultdict
from functools import cache
from pathlib import Path

from support.layout import ROOT

from .c_changes import c_mutants
from .places import Mutant
from .python_changes import python_mutants

FOLDERS = (
    "certify/rounding.py",
    "certify/bounds",
    "certify/verifiers",
    "certify/branching",
    "certify/bits",
    "certify/milp",
    "certify/lirpa",
    "certify/network_sets",
    "certify/pairs",
    "certify/perturbations",
    "certify/questions",
    "certify/ranges",
    "certify/radii.py",
    "certify/loops",
    "certify/proofs",
    "checking",
    "models/circuit",
    "models/conversion",
    "models/elements",
    "models/linear_maps",
    "models/running",
    "models/tracing",
    "kernels",
    "formats/onnx",
    "training/bounds",
    "analysis/arithmetic.py",
    "analysis/gains",
    "analysis/norms",
)
"""Whole folders."""
FILES = (
    "asking/boxes.py",
    "asking/events.py",
    "asking/networks.py",
    "asking/threats.py",
    "asking/values.py",
    "certify/arithmetic.py",
    "certify/posed.py",
    "certify/listing.py",
    "certify/replay.py",
    "certify/problem.py",
    "certify/ties.py",
    "certify/verdicts.py",
    "certify/boxes.py",
    "certify/search.py",
    "certify/answering.py",
    "certify/verification.py",
    "models/constants.py",
    "models/networks.py",
    "models/rules.py",
)
"""Single files, of folders that hold others, too."""


def at_stake(parts: tuple[str, ...] = ()) -> list[str]:
    """Return the names of all files at stake, of those alone that begin with one of `parts` where some are given.

    A folder or a file that is named by hand need not be at stake.
    """
    folders = [ROOT / part for part in parts or (*FOLDERS, *FILES)]
    found = [path for folder in folders for path in ([folder] if folder.is_file() else folder.rglob("*"))]
    if missing := [folder.relative_to(ROOT).as_posix() for folder in folders if not folder.exists()]:
        raise ValueError(f"files: no file or folder {', '.join(missing)}")
    names = {path.relative_to(ROOT).as_posix() for path in found if path.suffix in (".py", ".c")}
    return sorted(name for name in names if not name.endswith("__init__.py"))


@cache
def mutants_of(file: str) -> tuple[Mutant, ...]:
    """Return all mutants that rules make of a file."""
    text = (ROOT / file).read_bytes()
    return tuple(c_mutants(file, text) if file.endswith(".c") else python_mutants(file, text))


def drawn(files: list[str], count: int, seed: int) -> list[Mutant]:
    """Draw mutants without repetition: a file by its size, in it a kind, all alike, of that kind one.

    Kinds are drawn alike since numbers that are off by one would be a quarter of all. A draw that changes nothing,
    or that is no Python, is drawn again.
    """
    source, found = random.Random(seed), dict[str, Mutant]()
    sizes = [(ROOT / file).stat().st_size for file in files]
    for _ in range(20 * count):
        if len(found) == count:
            break
        kinds = defaultdict[str, list[Mutant]](list)
        for each in mutants_of(source.choices(files, sizes)[0]):
            kinds[each.change.kind].append(each)
        if kinds and is_another(each := source.choice(kinds[source.choice(sorted(kinds))])):
            found[each.key] = each
    return list(found.values())


def is_another(mutant: Mutant) -> bool:
    """Return whether a mutant of Python is a program, and another one; of C a compiler must say."""
    text = (ROOT / mutant.file).read_bytes()
    if mutant.file.endswith(".c"):
        return True
    try:
        changed = ast.parse(mutant.change.applied(text))
    except SyntaxError:
        return False
    return ast.dump(changed) != ast.dump(ast.parse(text))


def folder_of(file: str) -> str:
    """Return the folder under which tables count a file."""
    return "/".join(Path(file).parts[:2]) if file.count("/") > 1 else Path(file).parts[0]
