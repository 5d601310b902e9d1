"""Settings of the documentation site: `make docs` builds it into build/site, without a network."""

import re
import shutil
import sys
from importlib.metadata import version as installed
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import make_reference  # noqa: E402

ROOT = HERE.parent

project = "spikecert"
author = "The spikecert developers"
copyright = "the spikecert developers, MIT License"
release = installed("spikecert")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx-mathjax-offline",
]
exclude_patterns = ["Thumbs.db"]
myst_enable_extensions = ["dollarmath", "colon_fence", "smartquotes"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]
default_role = "code"

nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 120

autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_custom_sections = [("References", "notes")]

html_theme = "furo"
html_title = f"spikecert {release}"
html_show_sourcelink = False
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_copy_source = False
html_theme_options = {"source_edit_link": "", "footer_icons": []}


def _gather(app: object) -> None:
    """Copy pages that live elsewhere in the repository: the notebook, and the benchmarks with their figures."""
    target = HERE / "generated"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    shutil.copy(ROOT / "examples" / "tour.ipynb", target)
    shutil.copy(ROOT / "benchmarks" / "README.md", target / "benchmarks.md")
    shutil.copytree(ROOT / "benchmarks" / "figures", target / "figures")
    make_reference.write(target)


def _escape(app: object, what: str, name: str, found: object, options: object, lines: list[str]) -> None:
    """Take |x| and a*b in docstrings as they stand, outside of code, and link what they refer to."""
    for index, line in enumerate(lines):
        if make_reference.linked(line) != line:
            lines[index] = make_reference.linked(line)
            continue
        if not line.lstrip().startswith((">>>", "...")):
            parts = re.split(r"(`[^`]*`)", line)
            lines[index] = "".join(p if p.startswith("`") else re.sub(r"([|*_])(?!_)", r"\\\1", p) for p in parts)


def setup(app: object) -> None:
    """Let sphinx know."""
    app.connect("builder-inited", _gather)  # type: ignore[attr-defined]
    app.connect("autodoc-process-docstring", _escape, priority=100)  # type: ignore[attr-defined]
