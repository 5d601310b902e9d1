"""Write a record to a file, in the format that its suffix names."""

from collections.abc import Callable
from pathlib import Path

from ...files import write_atomically
from ..records.records import Record
from .html_page import to_html
from .latex import to_latex
from .markdown import to_markdown
from .samples_csv import to_csv

RENDERERS: dict[str, Callable[[Record], str]] = {
    ".html": to_html,
    ".md": to_markdown,
    ".csv": to_csv,
    ".tex": to_latex,
    ".json": Record.to_json,
}


def render(record: Record, path: str | Path) -> Path:
    """Write `record` to `path`, atomically, and return the path.

    Args:
        record: any record; the same record always gives the same bytes.
        path: suffix .html (self-contained report), .md, .csv (samples), .tex (table) or .json (for `load_record`).

    Raises:
        ValueError: for another suffix.
    """
    path = Path(path)
    if path.suffix not in RENDERERS:
        raise ValueError(f"path: got {path.name!r}, expected a name that ends in {', '.join(RENDERERS)}")
    write_atomically(path, RENDERERS[path.suffix](record).encode())
    return path
