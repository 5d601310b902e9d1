"""The modules of the library as files, and what each of them imports, without running any."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
INSIDE = (
    *("models", "analysis", "training", "certify", "checking", "reports", "formats", "testing", "kernels"),
    "files",
    "asking",
    "processes",
)
FOLDERS = ("api", *INSIDE)
"""The folders of the library at the repository's root; `api` is the package itself, the others lie in it."""


@dataclass(frozen=True)
class Module:
    """A module of the library.

    Attributes:
        name: under which it is imported.
        path: of its file.
        folder: the folder at the root that holds it.
    """

    name: str
    path: Path
    folder: str

    @cached_property
    def tree(self) -> ast.Module:
        """The parsed source."""
        return ast.parse(self.path.read_text(encoding="utf-8"))

    @property
    def package(self) -> str:
        """The package that relative imports start from."""
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """All nodes of the source: many tests walk through the same thousand files."""
        return list(ast.walk(self.tree))

    @cached_property
    def imports(self) -> list[tuple[str, str]]:
        """(module, name) of each import, wherever it stands; the name is empty for `import module`."""
        return list(self._imports())

    def _imports(self) -> Iterator[tuple[str, str]]:
        for node in self.nodes:
            if isinstance(node, ast.Import):
                yield from ((alias.name, "") for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from ((self._source(node), alias.name) for alias in node.names)

    def _source(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parents = self.package.split(".")
        kept = parents[: len(parents) - node.level + 1]
        return ".".join((*kept, node.module) if node.module else kept)


@cache
def modules(*folders: str) -> dict[str, Module]:
    """Return the modules of folders, of all if none is named, by name."""
    files = ((path, folder) for folder in folders or FOLDERS for path in sorted((ROOT / folder).rglob("*.py")))
    return {module.name: module for module in (_module(path, folder) for path, folder in files)}


@cache
def _module(path: Path, folder: str) -> Module:
    parts = path.relative_to(ROOT).with_suffix("").parts
    inner = parts[1:] if folder == "api" else parts
    return Module(".".join(("spikecert", *inner)).removesuffix(".__init__"), path, folder)


def forget() -> None:
    """Let go of all parsed sources: a million nodes, which each collection of garbage would look through."""
    modules.cache_clear()
    _module.cache_clear()
