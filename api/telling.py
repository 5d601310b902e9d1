"""What a user sees of commands: results, messages and pages.

What commands write: results to standard output, messages to standard error.

Show a written page to the user, in whatever opens pages here.
"""

import json
import shlex
import shutil
import sys
import webbrowser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

INTERRUPTED = 130
"""Exit status of what Ctrl-C ended, as a shell calls it."""

PARTS, UNFINISHED = "parts", "interrupted"
"""Folders within --out: parts that are finished, and what is written of those if the run was interrupted."""


def forget_unfinished(out: Path) -> None:
    """Remove what an interrupted run wrote: the whole is there now."""
    if (out / UNFINISHED).is_dir():
        shutil.rmtree(out / UNFINISHED)


def show(text: str) -> None:
    """Write a result to standard output, each line with nothing in it but what a terminal just prints."""
    sys.stdout.write(f"{_safe(text)}\n")


def show_json(content: Any) -> None:
    """Write JSON to standard output; NaN and inf are refused, as JSON has none.

    Letters stay as they are, but for those that a terminal does not just print: JSON has escapes for them.
    """
    show_json_text(json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False))


def show_json_text(text: str) -> None:
    """Write JSON that is text already, as `show_json` does."""
    show("\n".join(_readable(line) for line in text.split("\n")))


def plain(text: str) -> str:
    """Return `text` on one line, with an escape for each character that a terminal does not just print."""
    return printable(" ".join(text.split()))


def printable(text: str) -> str:
    """Return `text` with an escape for each character that a terminal does not just print; line ends, too."""
    if text.isascii() and text.isprintable():
        return text
    from spikecert.files.texts import printable

    return printable(text)


def _readable(line: str) -> str:
    if printable(line) == line:
        return line
    return "".join(char if printable(char) == char else json.dumps(char)[1:-1] for char in line)


def say(message: str) -> None:
    """Write a message to standard error, each line as `show` does."""
    sys.stderr.write(f"{_safe(message)}\n")


def _safe(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of text with aligned columns, the first to the left, the others to the right.

    >>> print(table(("ε", "clean"), [("0.03", "97.0 %")]))
    ε      clean
    0.03  97.0 %
    """
    lines = [[plain(cell) for cell in line] for line in (heads, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    return "\n".join(_line(line, widths).rstrip() for line in lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first = cells[0].ljust(widths[0])
    return "  ".join((first, *(cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))))


def json_text(content: Any) -> str:
    """Return the text of a JSON file."""
    return json.dumps(content, indent=1, allow_nan=False)


def write_files(folder: Path | None, files: Mapping[str, str]) -> None:
    """Write texts to files of a folder, each at once or not at all, and say so; None: write nothing."""
    from spikecert.files import write_atomically

    paths = {} if folder is None else {folder / name: text for name, text in files.items()}
    for path, text in paths.items():
        write_atomically(path, text.encode())
        wrote(path)


def wrote(*paths: Path) -> None:
    """Say which files were written, as a shell takes their names."""
    for path in paths:
        say(f"wrote {shlex.quote(str(path))}")


def open_page(path: Path) -> None:
    """Open a page in the user's browser, or say where it is where there is none."""
    page = path.resolve().as_uri()
    try:
        opened = webbrowser.open_new_tab(page)
    except webbrowser.Error:
        opened = False
    if not opened:
        say(f"open: no browser was found here; the page is {path}")
