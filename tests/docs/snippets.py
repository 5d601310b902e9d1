"""The code blocks of a Markdown page."""

import re
import shlex
from pathlib import Path

_BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return (language, code) of each Python or shell block, in order."""
    return _BLOCK.findall(page.read_text(encoding="utf-8"))


def commands(code: str) -> list[list[str]]:
    """Return the arguments of each `spikecert` command of a shell block."""
    lines = [shlex.split(line, comments=True) for line in code.splitlines()]
    return [line[1:] for line in lines if line[:1] == ["spikecert"]]
