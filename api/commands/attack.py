"""`spikecert attack`: what attacks leave of a network's accuracy."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..output import INTERRUPTED, plain, say, show, show_json_text, table
from ..progress import Bars
from .options.options import ATTACKS, Epsilons, Json, Model, Out, completed, epsilons
from .options.question_options import QUESTION, QuestionOptions
from .options.sharing import with_groups

if TYPE_CHECKING:
    from spikecert.reports import Record
    from spikecert.runs.examining import Examined


@with_groups
def attack(
    model: Model,
    epsilon: Epsilons = ["8/255"],  # noqa: B006 (typer copies it)
    asked: QuestionOptions = QUESTION,
    method: Annotated[
        list[str],
        typer.Option(
            "--method",
            autocompletion=completed(ATTACKS),
            help="fgsm, pgd, apgd-ce, square, ensemble, …; repeat it for several.",
        ),
    ] = ["ensemble"],  # noqa: B006
    out: Out = None,
    as_json: Json = False,
) -> int:
    """Attack a network: robust accuracy under each named attack, an upper bound of the true one."""
    from spikecert.reports import Plan
    from spikecert.runs import examining

    threat, subject = asked.threat(epsilons(epsilon)), asked.subject(model)
    methods = tuple(dict.fromkeys(method))
    plan = Plan(threat, methods, (), seed=asked.seed, ties=asked.ties)
    command = f"spikecert attack {shlex.quote(model.name)} {asked.repeated(epsilon)}"
    command += "".join(f" --method {shlex.quote(name)}" for name in methods)
    with Bars() as bars:
        examined = examining.examine(subject, plan, command=command, progress=bars, out=out)
    return told(examined, out, as_json)


def told(examined: "Examined", out: Path | None, as_json: bool) -> int:
    """Write and show what was found; return the status, that of an interruption where there was one."""
    from spikecert.runs import examining

    if out is not None:
        for path in examining.write(examined, out):
            say(f"wrote {path}")
    show_json_text(examined.record.to_json()) if as_json else show(summary(examined.record))
    return INTERRUPTED if examined.interrupted else 0


def summary(record: "Record") -> str:
    """Return the accuracies of a record as a table of text."""
    from spikecert.reports.figures.sandwich import summary_of
    from spikecert.reports.pages.wording import conditions, percent, signs_found, ties_found
    from spikecert.reports.records.categories import CATEGORIES, slices

    lines = [plain(f"{record.title}: {conditions(record)}")]
    for model in record.models:
        heads = ["ε", "clean", *(f"robust ({name})" for name in model.attacks)]
        heads += [
            *(f"certified ({name})" for name in model.verifiers),
            *(category.name for category in CATEGORIES),
        ]
        rows = [
            [
                record.threat.text(point.epsilon),
                *(percent(count, point.samples) for count in (point.clean, *point.robust.values())),
                *(percent(count, point.samples) for count in point.certified.values()),
                *(part.percent for part in slices(point)),
            ]
            for point in model.points
        ]
        lines += ["", plain(model.name), table(heads, rows)]
        if ties := ties_found(model):
            lines += [plain(ties)]
        lines += [plain(line) for line in signs_found(model, record.threat)]
        if model.radii is not None:
            lines += [plain(f"radii: {summary_of(model.radii)}")]
    return "\n".join(lines)
