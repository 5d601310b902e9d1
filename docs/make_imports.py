"""Draw which folders import which into docs/figures/imports.svg: `python docs/make_imports.py`."""

import ast
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "figures" / "imports.svg"
WIDTH, ROW, BOX, HEIGHT = 960, 100, 172, 46
STYLE = "font: 13px sans-serif; text-anchor: middle"
ARROW = '<marker id="end" markerWidth="9" markerHeight="9" refX="8" refY="4" orient="auto">'
Graph = dict[str, set[str]]


def folders() -> dict[str, str]:
    """Return the folders of the package at the root, each with the first sentence about it."""
    found = {}
    for path in sorted(ROOT.glob("*/__init__.py")):
        told = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        found[path.parent.name] = told.splitlines()[0].partition(":")[0].rstrip(".")
    return found


def imports(names: dict[str, str]) -> Graph:
    """Return the folders that each folder imports, for types or in functions, too."""
    found: Graph = {name: set() for name in names}
    for name in names:
        for path in (ROOT / name).rglob("*.py"):
            depth = len(path.relative_to(ROOT).parts) - 1
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom):
                    found[name] |= _imported(node, depth + (name != "api")) & names.keys() - {name}
    return found


def _imported(node: ast.ImportFrom, depth: int) -> set[str]:
    """Return the folders at the root that an import may be of, in a file so many folders below the package."""
    if node.level not in (0, depth) or not (node.level or f"{node.module}.".startswith("spikecert.")):
        return set()
    parts = [part for part in (node.module or "").split(".") if part][0 if node.level else 1 :]
    return {*parts[:1]} if parts else {alias.name for alias in node.names}


def rows(graph: Graph) -> list[list[str]]:
    """Return the folders from the top down, each above all that it imports."""
    level: dict[str, int] = {}
    for name in TopologicalSorter(graph).static_order():
        level[name] = 1 + max((level[other] for other in graph[name]), default=-1)
    found = defaultdict(list)
    for name in sorted(level):
        found[level[name]].append(name)
    return [found[number] for number in sorted(found, reverse=True)]


def direct(graph: Graph) -> Graph:
    """Return the graph without the imports that lead to where a longer way leads, too."""
    below: Graph = {}
    for name in TopologicalSorter(graph).static_order():
        below[name] = set().union(graph[name], *(below[other] for other in graph[name]))
    return {name: others - set().union(*(below[other] for other in others)) for name, others in graph.items()}


def picture() -> str:
    """Return the picture: an arrow leads to what is imported, and to all that this one imports."""
    told = folders()
    graph = imports(told)
    order, arrows, place = rows(graph), direct(graph), dict[str, tuple[int, int]]()
    for number, row in enumerate(order):
        above = {name: [place[other][0] for other in place if name in arrows[other]] for name in row}
        row.sort(key=lambda name: (sum(above[name]) / max(1, len(above[name])), name))
        place |= {name: (WIDTH * (2 * k + 1) // (2 * len(row)), ROW * number + 10) for k, name in enumerate(row)}
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {ROW * len(order)}" style="{STYLE}">']
    lines += [f'<defs>{ARROW}<path d="M0,0 L9,4 L0,8 z" fill="#666"/></marker></defs>']
    lines += [f'<rect width="{WIDTH}" height="{ROW * len(order)}" fill="#fff"/>']
    for name, others in arrows.items():
        for other in sorted(others):
            (x, y), (a, b) = place[name], place[other]
            path = f"M{x},{y + HEIGHT} C{x},{y + ROW - 20} {a},{b - ROW + HEIGHT + 20} {a},{b - 1}"
            lines.append(f'<path d="{path}" fill="none" stroke="#666" marker-end="url(#end)"/>')
    for name, (x, y) in place.items():
        box = f'<rect x="{x - BOX // 2}" y="{y}" width="{BOX}" height="{HEIGHT}" rx="6"'
        lines.append(f'{box} fill="#eef3fb" stroke="#345"/>')
        lines.append(f'<text x="{x}" y="{y + 28}"><title>{told[name]}</title>{name}</text>')
    return "\n".join([*lines, "</svg>", ""])


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
