"""`spikecert attack`: what attacks leave of a network's accuracy."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..progress import Bars
from ..telling import INTERRUPTED, plain, say, show, show_json, show_json_text, table
from .options.certify_options import Timeout
from .options.options import ATTACKS as ATTACK_NAMES
from .options.options import Epsilons, Json, Out, completed, with_groups
from .options.question_options import QUESTION, QuestionOptions

if TYPE_CHECKING:
    from spikecert.reports import Record, Threat
    from spikecert.runs.examining import Examined


Attacked = Annotated[
    Path,
    typer.Argument(
        help="A network file as written by `train`, zoo:NAME (see `zoo`), or any module of torch as file.py:name "
        "or package.module:name, whose code is run: its class, or a function that returns it.",
        metavar="MODEL",
    ),
]


@with_groups
def attack(
    model: Attacked,
    epsilon: Epsilons = ["8/255"],  # noqa: B006 (typer copies it)
    asked: QuestionOptions = QUESTION,
    method: Annotated[
        list[str],
        typer.Option(
            "--method",
            autocompletion=completed(ATTACK_NAMES),
            help="fgsm, pgd, apgd-ce, square, ensemble, …; repeat it for several. Default: ensemble; of code "
            "standard.",
        ),
    ] = [],  # noqa: B006
    standard: Annotated[
        bool, typer.Option("--standard", help="The standard attack, as --method standard: see docs/attacks.md.")
    ] = False,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="Of code: a safetensors file of the module's state.")
    ] = None,
    reset: Annotated[
        str | None,
        typer.Option(
            "--reset",
            help="Of code: package.module:function that puts the module into its first state before each run.",
        ),
    ] = None,
    timeout: Timeout = None,
    out: Out = None,
    as_json: Json = False,
) -> int:
    """Attack a network: robust accuracy under each named attack, an upper bound of the true one."""
    from spikecert.reports import Plan
    from spikecert.runs import examining
    from spikecert.runs.sources import is_code

    methods = tuple(dict.fromkeys((*method, "standard") if standard else method))
    if is_code(model):
        subject = str(model), weights, reset
        return _attack_code(*subject, epsilon, asked, methods or ("standard",), timeout, out, as_json)
    for name, value in (("weights", weights), ("reset", reset)):
        if value is not None:
            raise ValueError(f"{name}: got {value} for {model}, expected it for code alone, as file.py:name")
    threat, subject = asked.written_threat(epsilon), asked.subject(model)
    methods = methods or ("ensemble",)
    plan = Plan(threat, methods, (), timeout, asked.seed, ties=asked.ties)
    command = f"spikecert attack {shlex.quote(model.name)} {asked.repeated(epsilon)}"
    command += "".join(f" --method {shlex.quote(name)}" for name in methods)
    command += "" if timeout is None else f" --timeout {timeout:g}"
    with Bars() as bars:
        examined = examining.examine(subject, plan, command=command, progress=bars, out=out)
    return told(examined, out, as_json)


def _attack_code(
    source: str,
    weights: Path | None,
    reset: str | None,
    epsilon: Sequence[str],
    asked: QuestionOptions,
    methods: Sequence[str],
    timeout: float | None,
    out: Path | None,
    as_json: bool,
) -> int:
    """Attack a module that code makes, by its own gradients and without any."""
    from spikecert.certify.ties import STRICT
    from spikecert.runs import attacking_modules as modules

    threat, samples = asked.written_threat(epsilon), asked.samples_alone()
    subject = modules.foreign_subject(
        source, weights, reset, asked.data, samples.inputs, samples.labels, asked.device
    )
    with Bars() as bars:
        rest = {"seed": asked.seed, "ties": asked.ties or STRICT, "timeout": timeout, "progress": bars}
        found = modules.attack_subject(subject, threat, methods, rest)
    if out is not None:
        say(f"wrote {modules.write_found(found, out)}")
    show_json(found) if as_json else show(_told_of_code(found, threat))
    return 0


def _told_of_code(found: "dict[str, Any]", threat: "Threat") -> str:
    """Return what is left of a module as a table of text, and the signs that this says little."""
    from spikecert.reports.pages.norms import sign
    from spikecert.reports.pages.wording import percent

    count = found["samples"]
    head = f"{found['source']}: {sign(threat)}, {count} test samples of {found['data']}, ties {found['ties']}; "
    head += "nothing is proved of code"
    names = list(found["broken_at"])
    rows = [
        [
            threat.text(point["epsilon"]),
            percent(found["clean"], count),
            *(percent(point["robust"][name], count) for name in names),
        ]
        for point in found["points"]
    ]
    signs = [
        f"Attack {name}, ε = {threat.text(point['epsilon'])}: {line}."
        for point in found["points"]
        for name in names
        for line in point["warnings"][name]
    ]
    heads = ["ε", "clean", *(f"robust ≤ ({name})" for name in names)]
    return "\n".join([plain(head), "", table(heads, rows), *map(plain, signs)])


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
    from spikecert.reports.records.categories import categories, slices

    lines = [plain(f"{record.title}: {conditions(record)}")]
    for model in record.models:
        heads = ["ε", "clean", *(f"robust ≤ ({name})" for name in model.attacks)]
        heads += [
            *(f"certified ({name})" for name in model.verifiers),
            *(category.name for category in categories(record.threat)),
        ]
        rows = [
            [
                record.threat.text(point.epsilon),
                *(percent(count, point.samples) for count in (point.clean, *point.robust.values())),
                *(percent(count, point.samples) for count in point.certified.values()),
                *(part.percent for part in slices(point, record.threat)),
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
