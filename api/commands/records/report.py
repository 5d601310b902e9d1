"""`spikecert report`: one or several records as one report.

`spikecert compare`: two records side by side, sample by sample, for a pull request.

`spikecert replay`: the counterexamples of a record, run again.
"""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spikecert.asking.options import Without, command
from spikecert.asking.question import Samples
from spikecert.asking.values import Naming, whole

from ...telling import say, show, show_json, show_json_text, table
from ..options import Json
from .explain import named_network


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
    from spikecert.commands.attack import summary as told_short
    from spikecert.reports import join, load_record, render
    from spikecert.reports.making.combining import load_radii, with_radii
    from spikecert.reports.pages.safety_case import load_checked, render_summary
    from spikecert.telling import open_page

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


if TYPE_CHECKING:
    from spikecert.reports import ModelRecord, Record

SCHEMA = "spikecert.replay/1"


@dataclass(frozen=True, kw_only=True)
class Replaying(Samples):
    """Which counterexamples are run again.

    Attributes:
        record: record.json of a report.
        model: the network's file; default: that of the record's command.
        sample: one sample alone; default: all.
        save: folder for the networks of a tolerance that fail, each as a file of its own.
        json: print JSON on standard output and nothing else.
    """

    record: Annotated[Path, Naming(argument=True)]
    model: Path | None = None
    sample: Annotated[int, whole()] | None = None
    save: Path | None = None
    json: bool = False


@command
def replay(how: Annotated[Replaying, Without("data", "root", "samples")]) -> int:
    """Run a record's counterexamples again: each must lie in its set and fail, or the status is 1.

    Of a set of networks the member that fails is the one that the record holds.
    """
    from spikecert.models import network_hash
    from spikecert.reports import load_record
    from spikecert.reports.making.tables import replayed
    from spikecert.runs.building import normalised
    from spikecert.runs.sources import network_of

    known = load_record(how.record)
    network = network_of(how.model or named_network(known, how.record)).eval()
    network = normalised(network, known.data.shape, how.mean, how.std or ()) if how.mean else network
    digest = network_hash(network)
    measured = next((one for one in known.models if one.architecture.sha256 == digest), None)
    if measured is None:
        raise ValueError(f"model: got a network of SHA-256 {digest[:12]}…, which the record is not about")
    found = [
        replayed(known.threat, network, measured.ties, case)
        for case in measured.counterexamples
        if how.sample is None or case.index == how.sample
    ]
    if how.sample is not None and not found:
        raise ValueError(f"sample: got {how.sample}, of which the record keeps no counterexample")
    if how.save is not None:
        _saved(known, found, how.save)
    rows = [{name: getattr(one, name) for name in HEADS} for one in found]
    content = {"schema": SCHEMA, "network": digest, "norm": known.threat.norm, "replayed": rows}
    content |= {} if known.threat.asked is None else {"property": known.threat.asked}
    show_json(content) if how.json else show(_told(known, measured, rows))
    return int(not all(one.fails for one in found))


HEADS = {"index": "sample", "label": "label", "epsilon": "ε", "predicted": "answer", "fails": "fails", "told": ""}


def _told(known: "Record", measured: "ModelRecord", rows: list[dict[str, Any]]) -> str:
    head = f"{measured.name}: {len(rows)} counterexamples, {known.threat.words}, ties {measured.ties}"
    if not rows:
        return head
    cells = [
        (
            str(row["index"]),
            known.data.label(row["label"]),
            known.threat.short(row["epsilon"]),
            known.data.label(row["predicted"]),
            "again" if row["fails"] else "NO",
            row["told"],
        )
        for row in rows
    ]
    return f"{head}\n\n{table(tuple(HEADS.values()), cells)}"


def _saved(known: "Record", found: list[Any], folder: Path) -> None:
    """Write members as network files.

    Raises:
        ValueError: for a record of other sets.
    """
    from spikecert.models import save

    if known.threat.norm != "tolerance":
        told = "of a tolerance alone members are networks of their own"
        raise ValueError(f"save: got a record in norm {known.threat.norm}, expected tolerance: {told}")
    for one in found:
        if one.member is not None:
            path = folder / f"sample-{one.index}.safetensors"
            save(one.member, path)
            say(f"wrote {shlex.quote(str(path))}")
