"""Pages that are made when the site is built: the bibliography, and a table of names for each page of the "
"reference."""

import importlib
import inspect
import re
from pathlib import Path

HERE = Path(__file__).parent
ENTRY = re.compile(r"^@\w+\{(\w+), (.*)\}$", re.MULTILINE)
MODULES = ("analysis", "certify", "checking", "formats", "models", "reports", "testing", "training")


def entries() -> dict[str, dict[str, str]]:
    """Return the fields of each source in references.bib by its key."""
    found = ENTRY.findall((HERE / "references.bib").read_text(encoding="utf-8"))
    return {key: dict(re.findall(r"(\w+) = \{((?:[^{}]|\{[^{}]*\})*)\}", body)) for key, body in found}


def bibliography() -> str:
    """Return the page that "References: key" in docstrings leads to."""
    lines = [
        "# Bibliography",
        "",
        "The keys are those of docstrings (“References: key”) and of docs/references.bib.",
        "",
    ]
    for key, told in sorted(entries().items()):
        where = next(
            (
                told[name]
                for name in ("journal", "booktitle", "publisher", "institution", "howpublished")
                if name in told
            ),
            "",
        )
        parts = (
            told.get("author", "").replace(" and ", "; "),
            f"*{told['title']}*",
            where,
            told.get("note", ""),
            told.get("year", ""),
        )
        text = ". ".join(plain(part).removesuffix(".") for part in parts if part)
        lines += [f"(bib-{key})=", f"**{key}**  ", f"{text}.", ""]
    return "\n".join(lines)


def plain(text: str) -> str:
    r"""Return BibTeX's text without braces and accents spelt out: "L{\'e}on" as "Léon"."""
    for spelt, letter in (("{\\'e}", "é"), ('{\\"u}', "ü"), ('{\\"o}', "ö"), ("--", "–")):
        text = text.replace(spelt, letter)
    return text.replace("{", "").replace("}", "")


def table(name: str) -> str:
    """Return the public names of a package with their first lines, as a table."""
    module = importlib.import_module(f"spikecert.{name}")
    names = sorted(module.__all__, key=lambda item: (item.islower(), item.lower()))
    rows = [
        f"| {{py:obj}}`{item} <spikecert.{name}.{item}>` | {summary(getattr(module, item))} |" for item in names
    ]
    return "\n".join(["| name | what it is |", "|---|---|", *rows]) + "\n"


def summary(found: object) -> str:
    """Return the first line of a docstring as a cell; of what has none of its own, its type."""
    own = inspect.isclass(found) or inspect.isroutine(found)
    line = (inspect.getdoc(found) or "").partition("\n")[0] if own else f"a {type(found).__name__}"
    return re.sub(r"([|*_\\<])", r"\\\1", line.replace("`", ""))


def linked(line: str) -> str:
    """Return a "References:" line of a docstring with its keys as links."""
    head, found, keys = line.partition("References:")
    if not found or head.strip():
        return line
    return head + found + re.sub(r"\b([a-z]+\d{4}[a-z]+)\b", r":ref:`\1 <bib-\1>`", keys)


def write(folder: Path) -> None:
    """Write all pages to a folder."""
    (folder / "bibliography.md").write_text(bibliography(), encoding="utf-8")
    for name in MODULES:
        (folder / f"names_{name}.txt").write_text(table(name), encoding="utf-8")
