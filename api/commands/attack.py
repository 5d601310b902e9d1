"""`spikecert attack`: what attacks leave of a network's accuracy."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from spikecert.asking.options import command, typed
from spikecert.asking.question import Methods, Output, Question, Seconds
from spikecert.asking.threats import Threat
from spikecert.asking.values import text

from ..progress import Bars
from ..telling import INTERRUPTED, plain, show, show_json, show_json_text, table, wrote

if TYPE_CHECKING:
    from spikecert.reports import Record
    from spikecert.runs.examining import Examined


@dataclass(frozen=True, kw_only=True)
class Attacked(Question):
    """What is asked of one network, or of any module.

    Attributes:
        model: a network file as written by `train`, zoo:NAME (see `zoo`), or any module of torch as file.py:name
            or package.module:name, whose code is run: its class, or a function that returns it.
    """


@dataclass(frozen=True, kw_only=True)
class Attacking:
    """How it is attacked.

    Attributes:
        method: fgsm, pgd, apgd-ce, square, ensemble, …; repeat it for several. Default: ensemble; of code
            standard.
        standard: the standard attack, as --method standard: see docs/attacks.md.
        weights: of code: a safetensors file of the module's state.
        reset: of code: package.module:function that puts the module into its first state before each run.
        timeout: seconds for a sample, on average.
    """

    method: Methods = ()
    standard: bool = False
    weights: Path | None = None
    reset: Annotated[str, text("package.module:function")] | None = None
    timeout: Seconds | None = None

    def methods(self, usual: str) -> tuple[str, ...]:
        """Return the names of the attacks, each once."""
        return tuple(dict.fromkeys((*self.method, *["standard"] * self.standard))) or (usual,)


@command
def attack(asked: Attacked, how: Attacking, output: Output) -> int:
    """Attack a network: robust accuracy under each named attack, an upper bound of the true one."""
    from spikecert.reports import Plan
    from spikecert.runs import examining
    from spikecert.runs.sources import is_code

    if is_code(asked.model):
        return _attack_code(asked, how, output)
    for name, value in (("weights", how.weights), ("reset", how.reset)):
        if value is not None:
            raise ValueError(f"{name}: got {value} for {asked.model}, expected it for code alone, as file.py:name")
    methods = how.methods("ensemble")
    plan = Plan(asked.threat, methods, (), how.timeout, asked.seed, ties=asked.ties)
    named = replace(asked, model=Path(asked.model.name)), replace(how, method=methods, standard=False)
    with Bars() as bars:
        told_of = {"command": typed("attack", *named), "progress": bars, "out": output.out}
        examined = examining.examine(examining.subject_of(asked), plan, **told_of)
    return told(examined, output)


def _attack_code(asked: Question, how: Attacking, output: Output) -> int:
    """Attack a module that code makes, by its own gradients and without any."""
    from spikecert.certify.ties import STRICT
    from spikecert.runs import attacking_modules as modules
    from spikecert.runs import examining

    if asked.threat.asked is not None:
        raise ValueError("property: got one beside code, expected none: of code it is the class that is attacked")
    samples, source = examining.samples_alone(asked), str(asked.model)
    told_of = asked.samples.data, samples.inputs, samples.labels, asked.device
    subject = modules.foreign_subject(source, how.weights, how.reset, *told_of)
    with Bars() as bars:
        rest = {"seed": asked.seed, "ties": asked.ties or STRICT, "timeout": how.timeout, "progress": bars}
        found = modules.attack_subject(subject, asked.threat, how.methods("standard"), rest)
    if output.out is not None:
        wrote(modules.write_found(found, output.out))
    show_json(found) if output.json else show(_told_of_code(found, asked.threat))
    return 0


def _told_of_code(found: dict[str, Any], threat: Threat) -> str:
    """Return what is left of a module as a table of text, and the signs that this says little."""
    from spikecert.reports.pages.wording import percent

    count = found["samples"]
    head = f"{found['source']}: {threat.words}, {count} test samples of {found['data']}, ties {found['ties']}; "
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


def told(examined: "Examined", output: Output) -> int:
    """Write and show what was found; return the status, that of an interruption where there was one."""
    from spikecert.runs import examining

    if output.out is not None:
        wrote(*examining.write(examined, output.out))
    show_json_text(examined.record.to_json()) if output.json else show(summary(examined.record))
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
