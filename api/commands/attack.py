"""`spikecert attack`: what attacks leave of a network's accuracy.

Attack a module of whatever code, named on the command line: what is left, with no bound from below.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import torch
import typer
from torch import Tensor, nn

from ..certify.attacks import ATTACKS, Attack, Ensemble, attack_module
from ..certify.attacks.standard import STANDARD, VERSION
from ..certify.perturbations import RangedSet
from ..files import write_atomically
from ..models import SpikingNetwork
from ..models.files.storage import digest_of, read_state
from ..models.validation import check_choice
from ..progress import Bars
from ..reports import Threat
from ..runs.sources import function_of, guarded, loaded
from ..telling import INTERRUPTED, plain, say, show, show_json, show_json_text, table
from .options.certify_options import Timeout
from .options.options import ATTACKS as ATTACK_NAMES
from .options.options import Epsilons, Json, Out, completed
from .options.question_options import QUESTION, QuestionOptions
from .options.sharing import with_groups

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

    from ..commands import attack as modules

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


SCHEMA = "spikecert.module_attack/1"


@dataclass(frozen=True)
class ForeignSubject:
    """A module of whatever code, how it is put into its first state, and the samples that it is attacked on."""

    name: str
    module: nn.Module
    reset: Any
    data: str
    inputs: Tensor
    labels: Tensor

    @property
    def sha256(self) -> str:
        """Return the hash of the module's state."""
        return digest_of("", self.module.state_dict())


def foreign_module(source: str, weights: Path | None) -> nn.Module:
    """Return the module that code makes, with the weights of a safetensors file.

    Raises:
        ValueError: for code that makes none, and for weights of another module.
    """
    found, _ = loaded(source)
    if isinstance(found, SpikingNetwork):
        raise ValueError(f"model: {source} is a network of ours, expected its file: save(network, path)")
    if not isinstance(found, nn.Module):
        raise ValueError(f"model: {source} is {type(found).__name__}, expected a torch module, or what makes one")
    if weights is not None:
        state = read_state(weights)
        guarded(f"{source} with {weights}", lambda: found.load_state_dict(state))
    return found.eval()


def foreign_subject(
    source: str, weights: Path | None, reset: str | None, data: str, inputs: Tensor, labels: Tensor, device: str
) -> ForeignSubject:
    """Return what is to be attacked: inputs in the module's dtype, the module tried on two of them."""
    module = foreign_module(source, weights).to(device)
    first = next((one for one in module.parameters() if one.is_floating_point()), None)
    inputs = inputs.to(device, torch.float32 if first is None else first.dtype)
    begin = None if reset is None else function_of(reset)
    subject = ForeignSubject(source, module, begin, data, inputs, labels.to(device))
    guarded(f"{source} on inputs of shape {tuple(inputs[:2].shape)}", lambda: _run(subject, inputs[:2]))
    return subject


@torch.no_grad()
def _run(subject: ForeignSubject, inputs: Tensor) -> Any:
    if subject.reset is not None:
        subject.reset(subject.module)
    return subject.module(inputs)


def attack_subject(
    subject: ForeignSubject, threat: Threat, methods: Sequence[str], asked: dict[str, Any]
) -> dict[str, Any]:
    """Return what each attack leaves at each ε, with the signs that it says little, as JSON keeps it.

    `asked` are further arguments of `attack_module`, its seed and ties among them.
    A sample that an attack broke at one ε is broken at all greater ones.

    Raises:
        ValueError: for sets and attacks that go by more than a module's own gradients.
    """
    chosen = {name: _method(name) for name in methods}
    balls = [_ball(threat, epsilon) for epsilon in threat.epsilons]
    asked = {"reset": subject.reset, **asked}
    found = {name: _attacked(subject, balls, method, asked) for name, method in chosen.items()}
    points = [
        {
            "epsilon": epsilon,
            "robust": {name: each.left[place] for name, each in found.items()},
            "warnings": {name: each.warnings[place] for name, each in found.items()},
        }
        for place, epsilon in enumerate(threat.epsilons)
    ]
    return {
        "schema": SCHEMA,
        "source": subject.name,
        "sha256": subject.sha256,
        "data": subject.data,
        "samples": len(subject.labels),
        "norm": threat.norm,
        "ties": asked["ties"],
        "seed": asked["seed"],
        "standard attack": VERSION if STANDARD in found else None,
        "clean": next(iter(found.values())).clean,
        "points": points,
        "broken_at": {name: [_size(threat, at) for at in each.broken] for name, each in found.items()},
    }


@dataclass
class _Fallen:
    """What one attack did: at which ε each sample fell, how many were right before it, and left at each ε."""

    broken: list[int | None]
    clean: int = 0
    left: list[int] = field(default_factory=list)
    warnings: list[list[str]] = field(default_factory=list)


def _attacked(
    subject: ForeignSubject, balls: Sequence[RangedSet], method: str | Attack, asked: Mapping[str, Any]
) -> _Fallen:
    found = _Fallen([None] * len(subject.labels))
    for place, ball in enumerate(balls):
        standing = torch.tensor([at for at, fell in enumerate(found.broken) if fell is None], dtype=torch.long)
        told: tuple[str, ...] = ()
        if len(standing):
            inputs, labels = subject.inputs[standing], subject.labels[standing]
            result = attack_module(subject.module, inputs, labels, ball, method, **asked)
            told = result.warnings
            if place == 0:
                found.clean = len(labels) - result.signs.wrong
            for at in standing[result.success.cpu()].tolist():
                found.broken[at] = place
        found.left.append(found.broken.count(None))
        found.warnings.append(list(told))
    return found


def _size(threat: Threat, place: int | None) -> float | None:
    return None if place is None else threat.epsilons[place]


def _ball(threat: Threat, epsilon: float) -> RangedSet:
    found = threat.around(epsilon)
    if not isinstance(found, RangedSet):
        raise ValueError(f"norm: got {threat.norm}, expected linf or l2 for a module that no converter took")
    return found


def _method(name: str) -> str | Attack:
    """Return an attack that needs a module's own gradients, or none."""
    check_choice("method", name, ATTACKS)
    if name == STANDARD:
        return name
    found = ATTACKS[name]()
    own = isinstance(found, Ensemble) or RangedSet not in found.accepts or not found.foreign
    if own or getattr(found, "surrogate", None) is not None:
        expected = "expected one of a module's own gradients, such as standard, pgd or square"
        raise ValueError(f"method: got {name}, {expected}")
    return found


def write_found(found: Mapping[str, Any], out: Path) -> Path:
    """Write what was found to a folder, atomically, and return the path."""
    path = out / "attack.json"
    write_atomically(path, json.dumps(found, indent=1, allow_nan=False).encode())
    return path
