"""How the library is built: imports go one way and in no circle, a class has a name of its own, readers fold."""

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from subprocess import run

import pytest

from spikecert.models.linear_maps import affine_types
from spikecert.models.linear_maps.normalizing import Normalize
from support.modules import INSIDE, ROOT, Module, forget, modules

MAY_IMPORT = {
    "files": {"processes"},
    "asking": {"files", "certify"},
    "kernels": set(),
    "processes": set(),
    "checking": {"files"},
    "models": {"kernels", "processes", "files"},
    "analysis": {"models", "files"},
    "certify": {"kernels", "processes", "models", "analysis", "checking", "files"},
    "training": {"kernels", "processes", "models", "analysis", "certify", "files"},
    "formats": {"models", "certify", "files"},
    "reports": {"models", "analysis", "certify", "files", "asking"},
    "testing": {"models", "analysis", "certify"},
    "api": {*INSIDE},
}
"""What a folder may import besides itself: models ← analysis ← training, certify ← reports ← api."""
PROGRAMS = {"spikecert.files.hdf5_child": "it is run by a process of its own, and imported by nothing"}
OUTSIDE_OF_CHECKING = {"numpy", "scipy", *sys.stdlib_module_names}


@pytest.fixture(autouse=True, scope="module")
def sources() -> Iterator[None]:
    """Keep no sources behind these tests."""
    yield
    forget()


def imported(module: Module, known: dict[str, Module]) -> set[str]:
    """Return the modules of the library that a module imports, for types or in a function as well."""
    names = {f"{source}.{name}" if f"{source}.{name}" in known else source for source, name in module.imports}
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


TRUSTED = ("spikecert.checking", "spikecert.files", "spikecert.processes")
"""The checker, and what it reads by."""


@pytest.mark.parametrize("folder", ["checking", "files", "processes"])
def test_the_checker_and_what_it_reads_by_import_numbers_and_the_standard_library_alone(folder: str) -> None:
    others = {
        source.split(".")[0]
        for module in modules(folder).values()
        for source, _ in module.imports
        if not source.startswith(TRUSTED) and module.name not in PROGRAMS
    }
    assert others <= OUTSIDE_OF_CHECKING


def test_the_kernel_knows_nothing_of_what_makes_certificates() -> None:
    known, trusted = modules(), ("kernel", "network", "maps", "numbers", "events")
    for name in (f"spikecert.checking.{part}" for part in trusted):
        own = [module for each, module in known.items() if each.startswith(name)]
        assert own
        used = {other for module in own for other in imported(module, known)}
        assert not [other for other in used if other.startswith("spikecert.checking.certificates")]


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
        for node in module.nodes:
            if isinstance(node, ast.ClassDef):
                homes[node.name.lstrip("_")].append(module.name)
    shared = {name: places for name, places in homes.items() if len(places) > 1}
    assert not {name: places for name, places in shared.items() if name not in SHARED}
    assert len(SHARED) <= 15
    assert set(SHARED) <= set(shared), "the names that have one meaning by now must leave the list"


TABLES = {
    "models/elements/layers.py": "types with weights, or statistics over time: what training does to modules",
    "models/running/running.py": "the gradient of a dense layer that it finds in its own way",
    "models/elements/recurrent.py": "which of them a feedback may be: those of one step, without statistics",
    "models/merging.py": "it writes new weights of each kind in its own way",
    "models/chips/through.py": "it rounds the weights of each kind, and no others",
    "models/conversion/populations.py": "whose votes are counted: neurons behind a dense layer",
    "models/tracing/building.py": "it looks for the layer that takes a bias",
    "models/conversion/nir/nir_modules.py": "the words of NIR",
    "models/conversion/nir/nir_writing.py": "the words of NIR",
    "models/architectures/images.py": "it draws the weights of each kind in its own way",
    "api/protocols/running.py": "it puts the statistics of the data in the place of the first layer's",
    "certify/loops/plant_loop.py": "it builds a controller",
    "certify/ranges/image.py": "it puts a narrower matrix in the place of the first layer's",
    "testing/claims/counterexamples.py": "it takes neurons out of dense networks",
    "testing/networks.py": "it builds one of each kind, and draws weights",
    "training/settings.py": "it moves dense layers and convolutions each in its way, and pairs of shares",
}
"""The files beside `models/linear_maps` that ask which type an affine layer has, or key on it, and why."""
WALKS = {
    "checking": "it has networks of its own",
    "models": "it runs, builds, saves and converts modules",
    "api/runs/building.py": "it builds a network",
    "api/protocols/running.py": "it builds a network",
    "api/commands/analysis/ablate.py": "it draws new weights for a network",
    "analysis/ablation.py": "it builds networks without a part of another",
    "formats/deciding.py": "it builds a network",
    "certify/ranges/image.py": "it builds a network of fewer inputs",
    "testing/claims/near.py": "it scales weights",
    "testing/claims/counterexamples.py": "it takes neurons out of networks",
    "testing/networks.py": "it builds a network",
    "certify/replay.py": "it keeps the mode of each module",
    "training/perturbations/base.py": "it keeps the mode of each module",
    "training/loop.py": "it asks whether a pass may go in parts",
    "training/objectives/ms_mppd.py": "it asks which mode batch norms are in",
    "training/objectives/gain_penalty.py": "it runs the first layers alone",
    "training/processes.py": "it replaces how batch norms run in training",
    "training/settings.py": "it moves weights",
    "training/starts/firing_start.py": "it moves weights",
    "training/steps.py": "it listens to modules while they run",
    "reports/records/evidence.py": "it asks for the names of modules",
}
"""The files, or folders, that walk through modules, and why; what is proved is read off the circuit."""
MOST_PLACES = 6
"""In so many files a pool may be named: its map, the checker, two of NIR, the architectures."""


def place(module: Module) -> str:
    """Return a module's path below the root."""
    return module.path.relative_to(ROOT).as_posix()


def named(node: ast.AST) -> set[str]:
    """Return the dotted names in an expression."""
    return {ast.unparse(inner) for inner in ast.walk(node) if isinstance(inner, ast.Name | ast.Attribute)}


def typed(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield what code compares types with."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("isinstance", "issubclass"):
            yield node.args[1]
        elif isinstance(node, ast.Compare) and "type" in named(node.left):
            yield from node.comparators
        elif isinstance(node, ast.match_case):
            yield node.pattern


def asks(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield what code compares types with, or looks them up by."""
    yield from typed(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            yield from (part for part in (*node.keys, *node.values) if part is not None)
        elif isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Tuple | ast.Set):
            yield node.value


def walks(tree: ast.AST) -> bool:
    """Return whether code goes through the modules of a network."""
    nodes = list(ast.walk(tree))
    calls = {ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)}
    parts = {ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute)}
    lists = ("modules", "named_modules")
    listing = any(call.endswith(f".{name}") for call in calls for name in lists)
    return listing or "walk" in calls or any(part.endswith("network.layers") for part in parts)


def test_affine_layers_are_known_in_one_place() -> None:
    types = {kind.__name__ if kind is Normalize else f"nn.{kind.__name__}" for kind in affine_types()}
    asking = {
        place(module) for module in modules().values() if any(named(part) & types for part in asks(module.tree))
    }
    assert {home for home in asking if not home.startswith("models/linear_maps/")} == set(TABLES)


@pytest.mark.parametrize("pool", ["AvgPool1d", "AvgPool2d"])
def test_a_pool_is_named_in_few_files(pool: str) -> None:
    texts = {place(module): module.path.read_text(encoding="utf-8") for module in modules().values()}
    homes = {home for home, text in texts.items() if pool in text}
    assert len(homes) <= MOST_PLACES, homes
    assert {home.partition("/")[0] for home in homes} <= {"models", "checking", "testing"}


def test_readers_fold_the_circuit_and_walk_no_modules() -> None:
    walking = {place(module) for module in modules().values() if walks(module.tree)}
    apart = {home for home in walking if home not in WALKS and home.partition("/")[0] not in WALKS}
    assert apart == set()
    assert not {home for home in WALKS if "/" in home and home not in walking}, "these walk no more"


OPENING = re.compile(
    r"^(?:open|fdopen|safe_open|\w*NamedTemporaryFile|TemporaryDirectory|mkstemp|SummaryWriter)$"
    r"|\.(?:open|fdopen|read_bytes|read_text|write_bytes|write_text|fromfile|tofile|memmap|savefig|File)$"
    r"|^(?:np|numpy|torch|zipfile|tarfile|gzip|bz2|lzma|tempfile|h5py|shelve|sqlite3|io)\.(?!BytesIO$|StringIO$)"
    r"(?:load\w*|save\w*|open\w*|\w*File|mk\w+|Temporary\w+|\w*FileIO)$"
)
"""Calls that open a file."""
OPENS = {
    "files": "the one place",
    "kernels/building.py": "sources and libraries of this package, where that is built",
    "kernels/loading.py": "what was built of this package",
    "api/stopping.py": "the pipe that signals are told by, and nowhere in place of a terminal that is gone",
    "processes/memory.py": "what Linux says of its memory, and no file of anybody's",
    "training/journal.py": "TensorBoard writes its events by itself",
    "reports/figures/plots.py": "matplotlib writes into memory",
}
"""The files, or folders, that open files, and why."""
OWN_METHODS = {"store.open": "of a BatchStore"}


def opens(tree: ast.AST) -> bool:
    """Return whether code calls anything that opens a file."""
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return any(OPENING.search(name) for name in called - OWN_METHODS.keys())


def test_files_are_opened_in_one_place() -> None:
    opening = {place(module) for module in modules().values() if opens(module.tree)}
    apart = {home for home in opening if home.partition("/")[0] not in OPENS}
    assert apart == {home for home in OPENS if "/" in home}


@pytest.mark.parametrize(
    "call",
    ["open(p)", "Path(p).read_bytes()", "p.open()", "np.load(p)", "gzip.open(p)", "h5py.File(p)", "os.open(p)"],
)
def test_a_call_that_opens_a_file_is_seen(call: str) -> None:
    assert opens(ast.parse(f"content = {call}"))


ALLOWANCES = re.compile(r"\.gamma\(|\brounding\.unit\b|\b4 \* [\w.]*num_steps \+ [48]\b")
"""What an allowance for rounding is made of."""


def test_what_rounding_costs_is_said_in_one_place() -> None:
    """Bounds, lirpa, milp and training call certify/rounding; checking/ and the kernels in C keep their own."""
    found = {
        path.relative_to(ROOT).as_posix()
        for folder in ("certify", "training")
        for path in (ROOT / folder).rglob("*.py")
        if ALLOWANCES.search(path.read_text())
    }
    assert found == {"certify/rounding.py"}


FORMULAS = {
    "what a spike leaves of both ends of a potential": (
        r"clamp_min\(\w*\.?perhaps\) - |clamp_m(?:in|ax)\((?:theta|\w*\.?threshold)\b",
        "intervals",
    ),
    "α_k, what a constant current comes to": (r"\+ [\w.]*decay \* \w*gain|decay\*\*k for k", "trains/train_table"),
    "trains of a hard reset under a constant current": (r"\btimes % ", "trains/train_table"),
    "least sums over the paths of a graph": (r"\(lengths?\b.* \+ .*\)\.amin\(0\)", "trains/train_graph"),
    "weights λ^{t−k} of windows": (r"decay \*\* torch\.arange\(length", "signals/windows"),
    "W·m and |W|·r": (r"fold\((?:self\.)?absolute, |absolute\(\)\.linear, radius", "signals/affine"),
    "middle and radius of two ends": (r"\* 0\.5, |upper - [\w.]*lower\)\.mul_\(0\.5\)", "signals/windows"),
}
"""What bounds and training have in common: how a formula looks, and where below certify/bounds it stands."""
OF_THEIR_OWN = {
    "certify/bounds/cells/automaton.py": "each cell leaves two, which are joined with others'",
    "certify/bounds/trains/train_graph.py": "a spike joins what all its edges leave",
}
"""The files that compute something else of the same ends, and what."""


@pytest.mark.parametrize("formula", FORMULAS)
def test_bounds_and_training_have_one_arithmetic_of_ends(formula: str) -> None:
    pattern, home = FORMULAS[formula]
    found = {
        path.relative_to(ROOT).as_posix()
        for folder in ("certify/bounds", "training/bounds")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(pattern, path.read_text(encoding="utf-8"))
    }
    assert found - OF_THEIR_OWN.keys() == {f"certify/bounds/{home}.py"} - OF_THEIR_OWN.keys()


FACES = {
    "Trains": "a layer's trains",
    "Priced": "the same with prices",
    "LIF": "layers that fire",
    "Rule": "rules",
}
"""Classes that stand for a family of others: code asks what one can, not which one it is."""
ASKED = ("models", "checking")
"""The folders where neurons are made, and that of another program, which has its own."""


def families(bases: dict[str, set[str]]) -> set[str]:
    """Return all faces and what is below them, by the bases that classes name; rate codes are known input."""
    found, left = {"RateTrains"}, set(FACES)
    while left:
        found |= left
        left = {name for name, above in bases.items() if above & left} - found
    return found


def test_no_one_asks_which_neuron_rule_or_family_of_trains_it_has() -> None:
    """A new one answers properties and is listed in a table of elements: there is no ladder of types."""
    classes = [node for module in modules().values() for node in module.nodes if isinstance(node, ast.ClassDef)]
    known = families({node.name: {ast.unparse(base) for base in node.bases} for node in classes})
    rules = {"DeclaredRule", "Leaky", "LinearNeuron", "Stepped", "FedBack"}
    neurons = {
        "DLIF",
        "PLIF",
        "VariedLIF",
        "RefractoryLIF",
        "AdaptiveLIF",
        "CoupledLIF",
        "IntegerLIF",
        "Recurrent",
    }
    assert {"TableTrains", "BalancedTable", "GraphTrains", "CellTrains", "PricedCells", *rules, *neurons} <= known
    asking = {
        (place(module), name)
        for module in modules().values()
        if place(module).partition("/")[0] not in ASKED
        for part in typed(module.tree)
        for name in named(part) & known
    }
    assert asking == set()
