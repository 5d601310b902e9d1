"""Options that several commands share, and how their texts become values.

Groups of options: a command has an argument that is a dataclass, and its fields are options of the command.
"""

import ast
import functools
import inspect
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from spikecert.models import SpikingNetwork
    from spikecert.training import Dataset, Split


def number(text: str, name: str = "number") -> float:
    """Return the value of "0.03", "8/255" or "3%".

    >>> number("8/255") == 8 / 255
    True
    """
    from spikecert.files.texts import fraction

    value = fraction(text)
    if not math.isfinite(value):
        raise ValueError(f"{name}: got {text!r}, expected a number or a fraction such as 8/255")
    return value


UNITS = {"": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "kb": 10**3, "mb": 10**6, "gb": 10**9}


def size(text: str, name: str) -> int:
    """Return the bytes of "4GiB", "500 MB" or "1048576".

    >>> size("4GiB", "memory") == 2**32
    True
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([a-z]*)", text.strip().lower())
    unit = None if found is None else UNITS.get(found[2])
    if found is None or unit is None or not 1 <= float(found[1]) * unit < 2**63:
        raise ValueError(f"{name}: got {text!r}, expected a size such as 4GiB or 500MB")
    return int(float(found[1]) * unit)


def epsilons(texts: Sequence[str]) -> dict[float, str]:
    """Return each ε that the options name, rising, with its text: "--epsilon 0.01,0.02 --epsilon 8/255"."""
    parts = [part for text in texts for part in text.split(",")]
    values = {number(part, "epsilon"): "".join(part.split()) for part in reversed(parts)}
    if not values or min(values) <= 0:
        raise ValueError(f"epsilon: got {', '.join(texts) or 'nothing'}, expected numbers above 0")
    return dict(sorted(values.items()))


def table_keys(folder: str, *tables: str) -> tuple[str, ...]:
    """Return the names in tables of a package, read off its source: shell completion has no time to import it.

    >>> table_keys("certify/verifiers", "VERIFIERS")[0]
    'interval'
    """
    loader: Any = __loader__
    source = loader.get_data(str(Path(__file__).parents[2].joinpath(folder, "__init__.py")))
    nodes = (node for node in ast.parse(source).body if isinstance(node, ast.AnnAssign))
    found = {ast.unparse(node.target): node.value for node in nodes}
    return tuple(ast.literal_eval(key) for table in tables for key in found[table].keys)  # type: ignore[union-attr]


VERIFIERS = table_keys("certify/verifiers", "VERIFIERS")
ATTACKS = table_keys("certify/attacks", "ATTACKS")
DATA_SETS = table_keys("training/data", "IMAGES", "EVENTS")


def completed(names: Sequence[str]) -> Callable[[str], list[str]]:
    """Return what completes a value to one of `names`, or the last of several with commas.

    >>> completed(("trains", "linear"))("trains,l")
    ['trains,linear']
    """

    def complete(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        return [f"{before}{comma}{name}" for name in names if name.startswith(last)]

    return complete


def names(text: str, name: str) -> tuple[str, ...]:
    """Return the names in "trains,linear", each once.

    >>> names("trains, linear,trains", "verifier")
    ('trains', 'linear')
    """
    parts = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    if "" in parts:
        raise ValueError(f"{name}: got {text!r}, expected names with commas between them")
    return parts


def share(text: str, name: str) -> float:
    """Return a share in [0, 1]."""
    value = number(text, name)
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name}: got {text!r}, expected a share from 0 to 1")
    return value


def first(split: "Split", samples: int | None) -> "Split":
    """Return the first samples of a split; all for None."""
    import torch

    if samples is None:
        return split
    if samples > len(split):
        raise ValueError(f"samples: got {samples}, expected at most the split's {len(split)}")
    return split.take(torch.arange(samples))


def fitting(network: "SpikingNetwork", data: "Dataset", samples: int | None, device: str) -> "Split":
    """Return test samples in the network's dtype and on its device, and move the network there."""
    from spikecert.training import Split

    chosen = first(data.test, samples)
    network.to(checked_device(device))
    return Split(chosen.inputs.to(network.device, network.dtype), chosen.labels.to(network.device))


@dataclass(frozen=True)
class InputScale:
    """How inputs are scaled: their limits, and what the network takes away and divides by first."""

    limits: tuple[float, float] = (0.0, 1.0)
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def of(self, network: "SpikingNetwork", data: "Dataset") -> "SpikingNetwork":
        """Return the network for inputs as the data have them."""
        from spikecert.runs.building import normalised

        return normalised(network, data.shape, self.mean, self.std) if self.mean else network

    @property
    def repeated(self) -> str:
        """Return the options as text, for the command that a report tells to repeat."""
        told = "" if self.limits == (0.0, 1.0) else f" --range={_listed(self.limits)}"
        return told + (f" --mean={_listed(self.mean)} --std={_listed(self.std)}" if self.mean else "")


def _listed(values: Sequence[float]) -> str:
    return ",".join(map(repr, values))


def scale(limits: str | None, mean: str | None, std: str | None) -> InputScale:
    """Return what --range, --mean and --std say.

    >>> scale("-1,1", None, None).repeated
    ' --range=-1.0,1.0'
    """
    low_high = (0.0, 1.0) if limits is None else _numbers(limits, "range")
    if len(low_high) != 2 or low_high[0] >= low_high[1]:
        raise ValueError(f"range: got {limits!r}, expected the least and the greatest value, as in 0,1")
    if (mean is None) != (std is None):
        raise ValueError(f"{'std' if std is None else 'mean'}: got none, expected --mean and --std, or neither")
    return InputScale(
        low_high, *(() if text is None else _numbers(text, told) for told, text in (("mean", mean), ("std", std)))
    )


def _numbers(text: str, name: str) -> tuple[float, ...]:
    return tuple(number(part, name) for part in text.split(","))


def checked_device(device: str) -> str:
    """Return `device` if torch can use it."""
    import torch

    try:
        torch.zeros(1, device=device).tolist()  # "meta" holds no numbers
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = str(error).partition("\n")[0][:200]
        raise ValueError(f"device: got {device[:40]!r}, which torch can't use here: {reason}") from error
    return device


Model = Annotated[
    Path, typer.Argument(help="A network file as written by `train`, or zoo:NAME (see `zoo`).", metavar="MODEL")
]
Data = Annotated[
    str,
    typer.Option(
        "--data",
        autocompletion=completed(DATA_SETS),
        help="digits, fashion-mnist, mnist, cifar10, cifar100; digit-events, nmnist, shd, ssc, dvs-gesture; "
        "order, delayed-xor, gap, coincidence, copying, digit-rows, digit-blocks, digit-recall; your own: "
        "an .npz archive of inputs and labels, a folder of pictures by class, or file.py:function (its code is "
        "run).",
    ),
]
Root = Annotated[Path | None, typer.Option("--root", help="The folder of the data set's files.")]
Range = Annotated[
    str | None,
    typer.Option(
        "--range", help="Least and greatest value of the inputs of your own data; default: 0,1.", metavar="LO,HI"
    ),
]
Features = Annotated[
    Path | None,
    typer.Option(
        "--features",
        help="A TOML file with a table for each feature of your own data: its unit, range and epsilon. --epsilon "
        "is then 2degC:temperature,.5kPa:pressure, or factors of the file's epsilons, such as .5,1,2.",
    ),
]
Mean = Annotated[
    str | None,
    typer.Option(
        "--mean",
        help="What the network's inputs are normalised by, one number or one a channel; data and ε are not.",
    ),
]
Std = Annotated[str | None, typer.Option("--std", help="As --mean.")]
Samples = Annotated[int | None, typer.Option("--samples", min=1, help="First test samples; default: all.")]
Epsilons = Annotated[
    list[str], typer.Option("--epsilon", help="Perturbation size, such as 8/255; several: with commas.")
]
Norm = Annotated[
    str,
    typer.Option(
        "--norm",
        autocompletion=completed(("linf", "l2", "flips", "shift", "flips+shift", "tolerance", "stuck")),
        help="linf or l2; of events flips (how many), shift (by how many steps in all) or flips+shift (how many "
        "flip beside moves by --jitter, of --count events); of the network itself tolerance (of all weights, such "
        "as --epsilon 5%) or stuck (how many neurons).",
    ),
]
Ties = Annotated[
    str | None,
    typer.Option(
        "--ties",
        autocompletion=completed(("argmax", "strict")),
        help="A tie of logits: argmax (the lowest index wins) or strict (a failure); default: by the readout.",
    ),
]
Seed = Annotated[int, typer.Option("--seed", min=0, max=2**63 - 1, help="Of everything random.")]
Device = Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:1, …")]
Out = Annotated[Path | None, typer.Option("--out", help="Folder for record.json, report.html, samples.csv, …")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output and nothing else.")]
Verifier = Annotated[
    str, typer.Option(autocompletion=completed(VERIFIERS), help=f"{', '.join(VERIFIERS[:-1])} or {VERIFIERS[-1]}.")
]
Verifiers = Annotated[
    str,
    typer.Option(
        "--verifier",
        autocompletion=completed(VERIFIERS),
        help=f"{', '.join(VERIFIERS[:-1])} or {VERIFIERS[-1]}; several: with commas.",
    ),
]


Parameters = Mapping[str, inspect.Parameter]


def with_groups(command: Callable[..., int]) -> Callable[..., int]:
    """Return a command with the fields of each argument whose default is a dataclass in that argument's place."""
    signature = inspect.signature(command)
    shown = signature.replace(parameters=list(_flat(signature.parameters)))

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> int:
        """Run the command with its options gathered in groups."""
        return command(**_gathered(signature.parameters, shown.bind(*args, **kwargs).arguments))

    run.__annotations__ = {name: parameter.annotation for name, parameter in shown.parameters.items()}
    vars(run)["__signature__"] = shown
    return run


def _flat(parameters: Parameters) -> Iterator[inspect.Parameter]:
    """Yield parameters, those of a group in its place."""
    for parameter in parameters.values():
        if is_dataclass(parameter.default):
            yield from _flat(_fields(parameter))
        else:
            yield parameter.replace(kind=inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _gathered(parameters: Parameters, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `parameters` are given, groups as their dataclasses."""
    found: dict[str, Any] = {}
    for name, parameter in parameters.items():
        if is_dataclass(parameter.default):
            found[name] = type(parameter.default)(**_gathered(_fields(parameter), given))
        elif name in given:
            found[name] = given[name]
    return found


def _fields(parameter: inspect.Parameter) -> Parameters:
    return inspect.signature(type(parameter.default)).parameters
