"""`spikecert attack`: what attacks leave of a network's accuracy."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..output import INTERRUPTED, plain, say, show, show_json_text, table
from ..progress import Bars
from ..runs.sources import data_of, label_of, network_of
from .options.event_options import UNCHANGED, EventOptions, changing_events
from .options.options import (
    ATTACKS,
    Data,
    Device,
    Epsilons,
    Json,
    Mean,
    Model,
    Norm,
    Out,
    Range,
    Root,
    Samples,
    Seed,
    Std,
    Ties,
    completed,
    epsilons,
    fitting,
    repeated,
    scale,
)

if TYPE_CHECKING:
    from spikecert.reports import Record
    from spikecert.runs.examining import Examined


@changing_events
def attack(
    model: Model,
    data: Data = "digits",
    root: Root = None,
    limits: Range = None,
    mean: Mean = None,
    std: Std = None,
    samples: Samples = None,
    epsilon: Epsilons = ["8/255"],  # noqa: B006 (typer copies it)
    norm: Norm = "linf",
    events: EventOptions = UNCHANGED,
    method: Annotated[
        list[str],
        typer.Option(
            "--method",
            autocompletion=completed(ATTACKS),
            help="fgsm, pgd, apgd-ce, square, ensemble, …; repeat it for several.",
        ),
    ] = ["ensemble"],  # noqa: B006
    ties: Ties = None,
    seed: Seed = 0,
    device: Device = "cpu",
    out: Out = None,
    as_json: Json = False,
) -> int:
    """Attack a network: robust accuracy under each named attack, an upper bound of the true one."""
    from spikecert.reports import Plan
    from spikecert.runs import building, examining

    scaled = scale(limits, mean, std)
    rules = events.rules(norm)
    threat = building.threat(norm, epsilons(epsilon), scaled.limits, rules)
    network = network_of(model)
    source = data_of(data, root, network.num_steps, scaled.limits)
    network = scaled.of(network, source)
    chosen = fitting(network, source, samples, device)
    methods = tuple(dict.fromkeys(method))
    plan = Plan(threat, methods, (), seed=seed, ties=ties)
    command = (
        f"spikecert attack {shlex.quote(model.name)} "
        + repeated(epsilon, norm, data, samples, seed, ties)
        + scaled.repeated
        + events.repeated
    )
    command += "".join(f" --method {shlex.quote(name)}" for name in methods)
    subject = examining.Subject(label_of(model), network, source, chosen)
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
    from spikecert.reports.pages.wording import conditions, percent, ties_found
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
        if model.radii is not None:
            lines += [plain(f"radii: {summary_of(model.radii)}")]
    return "\n".join(lines)
