"""`spikecert report`: one or several records as one report."""

from pathlib import Path
from typing import Annotated

import typer

from ..output import say, show, show_json_text


def report(
    records: Annotated[list[Path], typer.Argument(help="Records (JSON); several are put side by side.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="A .html, .md, .csv, .tex or .json file; default: a summary here.")
    ] = None,
    radii: Annotated[
        list[Path] | None, typer.Option("--radii", help="A radii.json of `radius --out`; repeat it for several.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the (joined) record on standard output.")] = False,
) -> int:
    """Render records: HTML for people, Markdown for a pull request, LaTeX for a paper, CSV and JSON."""
    from spikecert.reports import join, load_record, render
    from spikecert.reports.attaching import load_radii, with_radii

    from .attack import summary

    joined = join([load_record(path) for path in records])
    for path in radii or ():
        joined = with_radii(joined, load_radii(path))
    if out is not None:
        say(f"wrote {render(joined, out)}")
    if as_json:
        show_json_text(joined.to_json())
    elif out is None:
        show(summary(joined))
    return 0
