"""Lines of code as caps count them: no blank lines, comments or docstrings; Python, and C with its headers."""

import ast
import io
import re
import sys
import tokenize
from dataclasses import dataclass
from pathlib import Path

SILENT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}
"""Tokens that make no line of code."""
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Size:
    """How large a folder is.

    Attributes:
        lines: of code, in all its files.
        files: of Python and C.
    """

    lines: int
    files: int


def python_lines(text: str) -> int:
    """Return how many lines hold code; a string over several lines is all of them, a docstring none."""
    tokens = (token for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type not in SILENT)
    lines = {line for token in tokens for line in range(token.start[0], token.end[0] + 1)}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            said = node.body[0]
            lines -= {*range(said.lineno, (said.end_lineno or said.lineno) + 1)}
    return len(lines)


def c_lines(text: str) -> int:
    """Return how many lines hold more than comments."""
    bare = re.sub(r"/\*.*?\*/", lambda found: "\n" * found.group().count("\n"), text, flags=re.DOTALL)
    return sum(bool(line.strip()) for line in re.sub(r"//.*", "", bare).split("\n"))


COUNTERS = {".py": python_lines, ".c": c_lines, ".h": c_lines}


def size(folder: Path) -> Size:
    """Return the size of a folder, with all below it."""
    files = [path for path in folder.rglob("*") if path.suffix in COUNTERS and path.is_file()]
    counts = [COUNTERS[path.suffix](path.read_text(encoding="utf-8")) for path in files]
    return Size(sum(counts), len(counts))


def sizes(root: Path, folders: tuple[str, ...]) -> dict[str, Size]:
    """Return the size of each of a tree's folders."""
    return {folder: size(root / folder) for folder in folders}


if __name__ == "__main__":
    from modules import INSIDE, ROOT

    found = sizes(ROOT, (*sorted((*INSIDE, "api")), "tests", "benchmarks"))
    told = (f"{name} = {{ lines = {each.lines}, files = {each.files} }}\n" for name, each in found.items())
    sys.stdout.writelines(told)
