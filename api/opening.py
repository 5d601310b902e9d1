"""Show a written page to the user, in whatever opens pages here."""

import webbrowser
from pathlib import Path

from .telling import say


def open_page(path: Path) -> None:
    """Open a page in the user's browser, or say where it is where there is none."""
    page = path.resolve().as_uri()
    try:
        opened = webbrowser.open_new_tab(page)
    except webbrowser.Error:
        opened = False
    if not opened:
        say(f"open: no browser was found here; the page is {path}")
