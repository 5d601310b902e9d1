"""`spikecert compare`: two records side by side, sample by sample, for a pull request."""

from pathlib import Path
from typing import Annotated

import typer

from ...telling import say, show, show_json_text
from ..options.options import Json


def compare(
    before: Annotated[Path, typer.Argument(help="A record (JSON).", metavar="BEFORE")],
    after: Annotated[Path, typer.Argument(help="A record of the same samples.", metavar="AFTER")],
    fail_on_regression: Annotated[
        bool,
        typer.Option("--fail-on-regression", help="Status 1 if any sample lost its proof or is newly broken."),
    ] = False,
    by_share: Annotated[
        bool,
        typer.Option("--by-share", help="With it: status 1 if fewer are certified or more are broken at any ε."),
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="A .html, .md or .json file; default: Markdown here.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Compare two records of the same samples: two networks, or two versions of one.

    Two records of one network that contradict each other end with status 3: one of them has a bug.
    """
    from spikecert.reports import load_record
    from spikecert.reports.comparing.compared import render_comparison, to_markdown
    from spikecert.reports.comparing.comparing import compare as compared

    if by_share and not fail_on_regression:
        raise ValueError("by-share: got it alone, expected it beside --fail-on-regression")
    records = load_record(before), load_record(after)
    comparison = compared(*records)
    if out is not None:
        say(f"wrote {render_comparison(comparison, *records, out)}")
    if as_json:
        show_json_text(comparison.to_json())
    elif out is None:
        show(to_markdown(comparison).rstrip())
    if fail_on_regression and comparison.regressed(by_share):
        say("worse than before: see the rows above" if out is None else "worse than before")
        return 1
    return 0
