"""`spikecert report`: records as one report; two of them side by side; counterexamples that run again."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spikecert.asking.options import Without, command
from spikecert.asking.question import Samples
from spikecert.asking.values import Mistake, Saying, whole

from ...telling import say, show, show_json, show_json_text, table, wrote
from ..options import Json
from .explain import named_network

if TYPE_CHECKING:
    from spikecert.reports import ModelRecord, Record

SCHEMA = "spikecert.replay/1"


@dataclass(frozen=True, kw_only=True)
class Rendering:
    """What is rendered.

    Attributes:
        out: a .html, .md, .csv, .tex, .json or .xml (JUnit) file; default: a summary here.
        figures: a folder for each figure of the record as .svg, .pdf and .png.
        summary: one page for a safety case instead: claim, evidence, assumptions, risk.
        title: of the page; default: the record's.
        checked: with --summary: what `check-proof --json` printed, to tell of proofs.
        open: show the page of --out in a browser.
    """

    out: Path | None = None
    figures: Path | None = None
    summary: bool = False
    title: str | None = None
    checked: Path | None = None
    open: bool = False

    def __post_init__(self) -> None:
        if self.open and (self.out is None or self.out.suffix != ".html"):
            raise Mistake(("open",), Saying("no page to show"), "--out FILE.html beside --open")
        if self.summary and self.out is None:
            raise Mistake(("summary",), Saying("no file to write"), "--out FILE.html or FILE.md beside --summary")
        if self.checked is not None and not self.summary:
            raise Mistake(("checked",), Saying("a file"), "--summary beside it, which tells of proofs")


@dataclass(frozen=True, kw_only=True)
class Against:
    """With what a record is compared.

    Attributes:
        against: a record before this one, of the same samples: two networks, or two versions of one.
        fail_on_regression: with --against: status 1 if any sample lost its proof or is newly broken.
        by_share: with it: status 1 if fewer are certified or more are broken at any ε.
    """

    against: Path | None = None
    fail_on_regression: bool = False
    by_share: bool = False

    def __post_init__(self) -> None:
        if self.by_share and not self.fail_on_regression:
            raise Mistake(("by_share",), Saying("it alone"), "it beside --fail-on-regression")
        if self.fail_on_regression and self.against is None:
            raise Mistake(("fail_on_regression",), Saying("it alone"), "--against BEFORE beside it")


@dataclass(frozen=True, kw_only=True)
class Replaying(Samples):
    """Which counterexamples are run again.

    Attributes:
        replay: run the counterexamples again: status 1 unless each lies in its set and fails.
        model: with --replay: the network's file; default: that of the record's command.
        sample: with --replay: one sample alone; default: all.
        save: with --replay: folder for the networks of a tolerance that fail, each as a file of its own.
        mean: with --replay: what the network's inputs are normalised by.
        std: as --mean.
    """

    replay: bool = False
    model: Path | None = None
    sample: Annotated[int, whole()] | None = None
    save: Path | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in () if self.replay else ("model", "sample", "save", "mean"):
            if getattr(self, name) is not None:
                raise Mistake((name,), Saying("it alone"), "--replay beside it")


@command
def report(
    records: Annotated[list[Path], typer.Argument(help="Records (JSON); several are put side by side.")],
    how: Rendering,
    comparing: Against,
    replaying: Annotated[Replaying, Without("data", "label", "duration", "root", "samples")],
    radii: Annotated[
        list[Path] | None, typer.Option("--radii", help="A radii.json of `radius --out`; repeat it for several.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Render records: HTML for people, Markdown for a pull request, LaTeX for a paper, CSV and JSON.

    With --against, a record is compared with one before it: two of one network that contradict each other end with
    status 3, one of them has a bug. With --replay its counterexamples run again.
    """
    both = comparing.against is not None and replaying.replay
    taken = "replay" if replaying.replay else None if comparing.against is None else "against"
    if both or (taken and (len(records) > 1 or radii or how.summary or how.title or how.figures)):
        told = "other records, radii, a page, a title or figures"
        raise ValueError(f"{taken}: got it beside {told}, expected one record alone")
    if replaying.replay:
        return _replay(records[0], replaying, how.out, as_json)
    if comparing.against is not None:
        return _compare((comparing.against, records[0]), comparing, how, as_json)
    return _render(records, radii or [], how, as_json)


def _render(records: list[Path], radii: list[Path], how: Rendering, as_json: bool) -> int:
    from spikecert.commands.attack import summary as told_short
    from spikecert.reports import join, load_record, render, save_figures
    from spikecert.reports.making.combining import load_radii, with_radii
    from spikecert.reports.pages.safety_case import load_checked, render_summary

    joined = join([load_record(path) for path in records])
    for path in radii:
        joined = with_radii(joined, load_radii(path))
    if how.title is not None:
        joined = joined.model_copy(update={"title": how.title})
    proofs = None if how.checked is None else load_checked(how.checked)
    if how.out is not None:
        _wrote(render_summary(joined, how.out, proofs) if how.summary else render(joined, how.out), how.open)
    for path in () if how.figures is None else save_figures(joined, how.figures):
        wrote(path)
    if as_json:
        show_json_text(joined.to_json())
    elif how.out is None and how.figures is None:
        show(told_short(joined))
    return 0


def _wrote(path: Path, opening: bool) -> None:
    from spikecert.telling import open_page

    wrote(path)
    if opening:
        open_page(path)


def _compare(paths: tuple[Path, Path], asked: Against, how: Rendering, as_json: bool) -> int:
    """Compare two records, the one before first."""
    from spikecert.reports import load_record
    from spikecert.reports.comparing.compared import render_comparison, to_markdown
    from spikecert.reports.comparing.comparing import compare as compared

    records = load_record(paths[0]), load_record(paths[1])
    comparison = compared(*records)
    if how.out is not None:
        _wrote(render_comparison(comparison, *records, how.out), how.open)
    if as_json:
        show_json_text(comparison.to_json())
    elif how.out is None:
        show(to_markdown(comparison).rstrip())
    if asked.fail_on_regression and comparison.regressed(asked.by_share):
        say("worse than before: see the rows above" if how.out is None else "worse than before")
        return 1
    return 0


def _replay(path: Path, how: Replaying, out: Path | None, as_json: bool) -> int:
    """Run counterexamples again; of a set of networks the member that fails is the one that the record holds."""
    from spikecert.models import network_hash
    from spikecert.reports import load_record
    from spikecert.reports.making.tables import replayed
    from spikecert.runs.building import normalised
    from spikecert.runs.sources import network_of

    if out is not None:
        raise ValueError(f"out: got {out} beside --replay, expected none: what is found is told here")
    known = load_record(path)
    network = network_of(how.model or named_network(known, path)).eval()
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
    show_json(content) if as_json else show(_told(known, measured, rows))
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
            wrote(path)
