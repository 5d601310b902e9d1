"""`spikecert report`: one or several records as one report."""

from pathlib import Path
from typing import Annotated

import typer

from ...telling import say, show, show_json_text


def report(
    records: Annotated[list[Path], typer.Argument(help="Records (JSON); several are put side by side.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="A .html, .md, .csv, .tex or .json file; default: a summary here.")
    ] = None,
    radii: Annotated[
        list[Path] | None, typer.Option("--radii", help="A radii.json of `radius --out`; repeat it for several.")
    ] = None,
    summary: Annotated[
        bool,
        typer.Option("--summary", help="One page for a safety case instead: claim, evidence, assumptions, risk."),
    ] = False,
    title: Annotated[str | None, typer.Option("--title", help="Of the page; default: the record's.")] = None,
    checked: Annotated[
        Path | None,
        typer.Option("--checked", help="With --summary: what `check-proof --json` printed, to tell of proofs."),
    ] = None,
    open_it: Annotated[bool, typer.Option("--open", help="Show the page of --out in a browser.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the (joined) record on standard output.")] = False,
) -> int:
    """Render records: HTML for people, Markdown for a pull request, LaTeX for a paper, CSV and JSON.

    With --summary one page for a safety case.
    """
    from spikecert.reports import join, load_record, render
    from spikecert.reports.pages.safety_case import load_checked, render_summary

    from ...reports.making.combining import load_radii, with_radii
    from ...telling import open_page
    from ..attack import summary as told_short

    if open_it and (out is None or out.suffix != ".html"):
        raise ValueError("open: got no page to show, expected --out FILE.html beside --open")
    if summary and out is None:
        raise ValueError("summary: got no file to write, expected --out FILE.html or FILE.md beside --summary")
    joined = join([load_record(path) for path in records])
    for path in radii or ():
        joined = with_radii(joined, load_radii(path))
    if title is not None:
        joined = joined.model_copy(update={"title": title})
    if checked is not None and not summary:
        raise ValueError("checked: got a file without --summary, which tells of proofs")
    proofs = None if checked is None else load_checked(checked)
    if out is not None:
        say(f"wrote {render_summary(joined, out, proofs) if summary else render(joined, out)}")
    if open_it and out is not None:
        open_page(out)
    if as_json:
        show_json_text(joined.to_json())
    elif out is None:
        show(told_short(joined))
    return 0
