"""Text that may be a stranger's, as each form of a report may show it: the one place that decides.

In every form it stays on its line, and what a reader's program would act on is shown as an escape (`\\x1b`,
`\\u202e`): control characters, line ends, marks that turn text around, letters set from right to left.
"""

import re
from typing import Any

from markupsafe import Markup, escape

from ...files.text import printable

SPACE = "\u00a0"
"""Pages may hold it: it only keeps two words on one line."""
MARKDOWN = "\\`*_|[]#~$"
STARTS = re.compile(r"^(?:(\d{1,9})([.)])|()([-+=]))(?=\s|$|[-+=])")
"""What begins a list, a line or a heading where it stands first: "1. ", "- ", "===". """
LATEX = {
    "\\": r"\textbackslash{}",
    **{sign: rf"\{sign}" for sign in "&%$#_{}"},
    **{sign: f"{{{sign}}}" for sign in "[]*"},  # behind \\ they would be its arguments
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "`": r"\textasciigrave{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "λ": r"$\lambda$",
    "ρ": r"$\rho$",
    "θ": r"$\theta$",
    "σ": r"$\sigma$",
    "ε": r"$\varepsilon$",
    "α": r"$\alpha$",
    "β": r"$\beta$",
    "∞": r"$\infty$",
    "ℓ": r"$\ell$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "→": r"$\to$",
    "×": r"$\times$",
}
FORMULAS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
"""What a spreadsheet may take for the start of a formula."""


def plain(text: str) -> str:
    r"""Return text as a terminal may show it, on one line.

    >>> plain("a\x1b[2K\n b")
    'a\\x1b[2K b'
    """
    return printable(" ".join(text.split()))


def markdown(text: str) -> str:
    r"""Return text that Markdown, and the HTML that it may hold, prints as it is.

    >>> print(markdown("a_b <i> | [c](d)"))
    a\_b &lt;i&gt; \| \[c\](d)
    """
    text = plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return STARTS.sub(r"\1\3\\\2\4", "".join(f"\\{sign}" if sign in MARKDOWN else sign for sign in text))


def latex(text: str) -> str:
    r"""Return text that LaTeX prints as it is.

    >>> print(latex("a_b & ρ = 1"))
    a\_b \& $\rho$ = 1
    """
    return "".join(LATEX.get(sign, sign) for sign in plain(text))


def cell(text: str) -> str:
    """Return text as a cell of a CSV file: with an apostrophe before what a spreadsheet would run as a formula.

    >>> cell("=1+1")
    "'=1+1"
    """
    text = plain(text)
    return f"'{text}" if text.startswith(FORMULAS) else text


def page(value: Any) -> Any:
    """Return a value as a page may hold it; the template escapes what HTML would act on."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return SPACE.join(map(printable, value.split(SPACE)))


def code_page(text: str) -> Markup:
    """Return one of our own sentences as a page shows it: what stands between backticks in its own type.

    >>> code_page("run `make` <now>")
    Markup('run <code>make</code> &lt;now&gt;')
    """
    parts = enumerate(map(escape, text.split("`")))
    return Markup("").join(Markup("<code>{}</code>").format(part) if place % 2 else part for place, part in parts)


def code_markdown(text: str) -> str:
    r"""Return one of our own sentences as Markdown shows it, with its code, in which no sign is to escape.

    >>> code_markdown("run `make` in a_b")
    'run `make` in a\\_b'
    """
    return markdown(text).replace("\\`", "`")
