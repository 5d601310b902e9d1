"""How the library is built: imports go one way and in no circle, and a class has a name of its own."""

import ast
import sys
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from subprocess import run

import pytest

from support.modules import INSIDE, ROOT, Module, modules

MAY_IMPORT = {
    "kernels": set(),
    "checking": set(),
    "models": {"kernels"},
    "analysis": {"models"},
    "certify": {"kernels", "models", "analysis", "checking"},
    "training": {"kernels", "models", "analysis", "certify"},
    "formats": {"models", "certify"},
    "reports": {"models", "analysis", "certify"},
    "testing": {"models", "analysis", "certify"},
    "api": {*INSIDE},
}
"""What a folder may import besides itself: models ← analysis ← training, certify ← reports ← api."""
OUTSIDE_OF_CHECKING = {"numpy", "scipy", *sys.stdlib_module_names}


def imported(module: Module, known: dict[str, Module]) -> set[str]:
    """Return the modules of the library that a module imports, for types or in a function as well."""
    names = {f"{source}.{name}" if f"{source}.{name}" in known else source for source, name in module.imports()}
    return {name for name in names if name in known and name != module.name}


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Return a circle of imports, its first module again at its end; empty if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_no_import_goes_round_in_a_circle() -> None:
    known = modules()
    assert circle({name: imported(module, known) for name, module in known.items()}) == []


def test_an_import_for_types_or_in_a_function_counts(tmp_path: Path) -> None:
    sources = {
        "a": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .b import B\n",
        "b": "def f():\n    from . import c\n",
        "c": "import spikecert.x.a as a\n",
        "d": "from .a import A\n",
    }
    known = {f"spikecert.x.{name}": Module(f"spikecert.x.{name}", tmp_path / name, "x") for name in sources}
    for name, source in sources.items():
        (tmp_path / name).write_text(source, encoding="utf-8")
    graph = {name: imported(module, known) for name, module in known.items()}
    assert set(circle(graph)) == {"spikecert.x.a", "spikecert.x.b", "spikecert.x.c"}
    del graph["spikecert.x.c"]
    assert circle(graph) == []


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_folders_import_one_way(folder: str) -> None:
    known = modules()
    wrong = {
        (module.name, name)
        for module in modules(folder).values()
        for name in imported(module, known)
        if known[name].folder not in {folder, *MAY_IMPORT[folder]}
    }
    assert not wrong


def test_the_allowed_imports_are_no_circle_and_name_every_folder() -> None:
    assert set(MAY_IMPORT) == {"api", *INSIDE}
    assert circle(MAY_IMPORT) == []


def test_the_checker_imports_numbers_and_the_standard_library_alone() -> None:
    others = {
        source.split(".")[0]
        for module in modules("checking").values()
        for source, _ in module.imports()
        if not source.startswith("spikecert.checking")
    }
    assert others <= OUTSIDE_OF_CHECKING


def test_a_folder_by_its_bare_name_is_refused_in_one_line() -> None:
    """By its bare name each class would be there twice, and unequal to the one that the library knows."""
    code = f"""
for name in {INSIDE}:
    try:
        __import__(name)
    except ImportError as error:
        print(error)
"""
    done = run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    said = [line.partition(":")[0] for line in done.stdout.splitlines()]
    assert said == [f"import spikecert.{name}, not {name}" for name in INSIDE]


CHECKER = "the checker shares nothing with the library, on purpose, and says the same word for the same thing"
"""A reason."""
SHARED = {
    "Branch": CHECKER,
    "Linear": f"the verifier, a public name; {CHECKER}",
    "Narrowing": f"a search, and what it leaves in a proof; {CHECKER}",
    "Perturbation": "both are public: what moves a membrane, and what may move an input",
    "Residual": CHECKER,
    "Sum": f"of objectives; {CHECKER}",
}
"""Class names that stand for more than one thing, leading underscores aside, and why; none may be added to it."""


def test_a_class_name_has_one_meaning() -> None:
    homes = defaultdict(list)
    for module in modules().values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef):
                homes[node.name.lstrip("_")].append(module.name)
    shared = {name: places for name, places in homes.items() if len(places) > 1}
    assert not {name: places for name, places in shared.items() if name not in SHARED}
    assert len(SHARED) <= 15
    assert set(SHARED) <= set(shared), "the names that have one meaning by now must leave the list"
