"""Which tests ought to see a change of a file: those nearest to it by imports, then the wide ones.

A test is as near as few imports lead from it to the file; of two as near the one whose folder is more alike. One
that names the function is two imports nearer. A C source is as near as the Python files that name it.
"""

import re
from collections import defaultdict, deque
from functools import cache
from pathlib import Path

from support.layout import ROOT

SOURCES = (
    "api",
    "models",
    "analysis",
    "training",
    "certify",
    "checking",
    "reports",
    "formats",
    "kernels",
    "testing",
    "asking",
    "files",
)
FROM = re.compile(r"^\s*from\s+(\.*)([\w.]*)\s+import\s+(\([^)]*\)|[^\n]*)", re.MULTILINE)
PLAIN = re.compile(r"^\s*import\s+([\w., ]+)", re.MULTILINE)
"""Imports, without a tree of each file: six seconds for all."""
NEAR = 10
"""Files of tests that run first."""
FARTHEST = 3
"""Imports that lead from a test that runs first to the file, at most."""
WIDE = {
    "checking": ("tests/checking", "tests/soundness"),
    "formats": ("tests/formats", "tests/soundness"),
    "models": ("tests/models", "tests/must_raise", "tests/soundness", "tests/contracts", "tests/conversion"),
    "training": ("tests/training/bounds", "tests/training"),
    "analysis": ("tests/analysis", "tests/theorems", "tests/soundness"),
    "asking": ("tests/asking", "tests/api"),
    "kernels": ("tests/certify/bits", "tests/certify/bounds", "tests/soundness", "tests/contracts"),
    "": ("tests/soundness", "tests/contracts", "tests/must_raise", "tests/certify"),
}
"""What runs where no near test fails, by the first folder of the file."""


def nearest(file: str, where: str = "") -> list[str]:
    """Return the files of tests that run first, nearest first, for a change of what is named `where`."""
    away, mirror = _distances(file), Path("tests", file).with_suffix("").parts
    words = re.compile(rf"\b{re.escape(where.split('.')[-1])}\b") if where else None
    tests = [name for name in away if Path(name).name.startswith("test_") and not name.startswith("tests/api/")]

    def far(name: str) -> tuple[int, str]:
        alike = sum(1 for one, other in zip(mirror, Path(name).parts, strict=False) if one == other)
        alike += Path(name).stem.removeprefix("test_") in Path(file).stem
        named = words is not None and words.search((ROOT / name).read_text("utf-8")) is not None
        return 2 * away[name] - alike - 4 * named, name

    return sorted((name for name in tests if away[name] <= FARTHEST), key=far)[:NEAR]


def wide(file: str) -> list[str]:
    """Return the folders of tests that run last."""
    folder = "/".join(Path("tests", file).parts[:3])
    own = [folder] if (ROOT / folder).is_dir() else []
    return list(dict.fromkeys((*own, *WIDE.get(Path(file).parts[0], WIDE[""]))))


def _distances(file: str) -> dict[str, int]:
    """Return how many imports lead to a file from each file that it can be reached from."""
    found, queue = {file: 0}, deque([file])
    while queue:
        each = queue.popleft()
        for name in _importers().get(each, ()):
            if name not in found:
                found[name] = found[each] + 1
                queue.append(name)
    return found


@cache
def _importers() -> dict[str, list[str]]:
    """Return the files that import each file, or name it if it is C."""
    files = {module: path for path in _files() if (module := _module(path))}
    found = defaultdict[str, list[str]](list)
    for path in _files():
        text = path.read_text("utf-8")
        modules = {files[name] for name in _imported(path, text) if name in files}
        for target in modules - {path}:
            found[_name(target)].append(_name(path))
        if path.parts[len(ROOT.parts)] != "tests":
            for source in set(re.findall(r"(?:load|functions)\(\"(\w+)\"", text)):
                found[f"kernels/sources/{source}.c"].append(_name(path))
    for path in (ROOT / "kernels/sources").rglob("*.c"):
        for source in re.findall(r"#include \"(.*\.c)\"", path.read_text("utf-8")):
            found[f"kernels/sources/{source}"].append(_name(path))
    return found


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def _files() -> list[Path]:
    """Return all Python files of the package and of the tests."""
    folders = [ROOT / name for name in (*SOURCES, "tests")]
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


def _module(path: Path) -> str:
    """Return the name by which a file is imported."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts[:-1] if parts[-1] == "__init__" else parts
    return ".".join(parts[1:] if parts[0] == "tests" else ("spikecert", *parts[parts[0] == "api" :]))


def _imported(path: Path, text: str) -> set[str]:
    """Return the names of all that a file imports: modules, and members that may be modules."""
    package = _module(path).split(".")
    package = package if path.name == "__init__.py" else package[:-1]
    found = {name for names in PLAIN.findall(text) for name in re.split(r"[,\s]+", names)}
    for dots, name, members in FROM.findall(text):
        base = package[: len(package) - len(dots) + 1] if dots else []
        module = ".".join((*base, *filter(None, [name])))
        found |= {f"{module}.{member}" for member in re.findall(r"\w+", members)} | {module}
    return found
