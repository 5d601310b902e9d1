"""A protocol as data: what is trained, on what, how it is measured. A file in cells/ holds one, or a product."""

import reprlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, reduce
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from spikecert.asking import Threat
from spikecert.asking.values import number
from spikecert.files import FileKind
from spikecert.files.texts import read_toml
from spikecert.models.validation import check_choice, one_line
from spikecert.reports.records.rows import Part

CELLS = Path(__file__).parent / "cells"
CELL = FileKind("protocol", "a file of this package", most=2**20)


def as_number(value: Any) -> float:
    """Return "8/255" as a number."""
    try:
        return float(number(value))
    except ValueError:
        got = reprlib.repr(value)
        raise ValueError(f"got {got}, expected a number or a fraction such as 8/255") from None


Number = Annotated[float, BeforeValidator(as_number), Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class TrainingSettings(Part):
    """What `fit` is told; `augmentation` and `retraction` are the arguments of `Augmentation` and `Retraction`."""

    epochs: Count
    batch_size: Count = 64
    optimizer: str = "sgd"
    learning_rate: Number | None = None
    momentum: Number = 0.9
    weight_decay: Number = 5e-4
    schedule: str = "cosine"
    precision: str = "full"
    accumulate: int = 1
    augmentation: dict[str, Any] | None = None
    retraction: dict[str, Any] | None = None


class Start(Part):
    """How the untrained network of a variant differs from the protocol's.

    Attributes:
        architecture, num_steps, decay, threshold, reset: instead of the protocol's.
        firing: arguments of `start_firing`; None for weights as the architecture starts them.
        local_fields: arguments of `LocalFields`, for the start and for each step; None for a dense first layer.
    """

    architecture: str | None = None
    num_steps: Count | None = None
    decay: Number | None = None
    threshold: Number | None = None
    reset: str | None = None
    firing: dict[str, Any] | None = None
    local_fields: dict[str, Any] | None = None


class Variant(Part):
    """One kind of training. An array among a term's arguments makes one row of the table for each value.

    Attributes:
        name: what the table calls it.
        terms: objectives, which add up: "kind" names the class, the rest are its arguments.
        training: settings that differ from the protocol's.
        start: what differs in the untrained network.
        neurons: instead of the protocol's.
        data: instead of the protocol's.
    """

    name: str
    terms: tuple[dict[str, Any], ...] = Field(min_length=1)
    training: dict[str, Any] = Field(default_factory=dict)
    start: Start = Start()
    neurons: tuple[str, ...] | None = None
    data: str | None = None


class CertificationSettings(Part):
    """What share of the first `samples` test samples each verifier certifies, at ε far below those of attacks.

    Attributes:
        epsilons: of the norm, rising.
        verifiers: names as in `verify`.
        samples: how many, the first.
        timeout: of the verifiers, seconds for a sample.
    """

    epsilons: tuple[Number, ...] = Field(min_length=1)
    verifiers: tuple[str, ...] = ("trains", "linear")
    samples: Count
    timeout: Number | None = None


class EvaluationSettings(Part):
    """How each network is measured, on the first `samples` test samples (default: all).

    Attributes:
        epsilons: of the norm, rising.
        norm: as people name it: "linf", "l2", or of sets of events "flips", "shift", "flips+shift".
        events: which events change, and how, of such sets.
        attacks: of the paper's (`attacks.PAPER`) or of `attack`'s names.
        verifiers: names as in `verify`.
        timeout: of the verifiers, seconds for a sample.
        stability: also the gain of the surrogate network and the mean pattern-preserving radius.
        noise: σ of Gaussian noise under which accuracy is measured, clipped to [0, 1] and to no ball, or None.
        certification: also certified shares at small ε, on a few samples.
        alignment: also `alignment` and `rms_current`, before training and after.
        last_epoch: also measure the network of the last epoch, beside the one that validation picked.
    """

    epsilons: tuple[Number, ...] = Field(min_length=1)
    norm: str = "linf"
    events: dict[str, Any] = Field(default_factory=dict)
    samples: Count | None = None
    attacks: tuple[str, ...] = ()
    verifiers: tuple[str, ...] = ()
    timeout: Number | None = None
    stability: bool = False
    noise: Number | None = None
    certification: CertificationSettings | None = None
    alignment: bool = False
    last_epoch: bool = False

    @model_validator(mode="after")
    def _check_threat(self) -> "EvaluationSettings":
        self.threat(self.epsilons)
        return self

    def threat(self, epsilons: Sequence[float]) -> Threat:
        """Return the threat model in some sizes."""
        return Threat.of(self.norm, tuple(epsilons), **self.events)


class Protocol(Part):
    """A table to reproduce: rows are variants (times neurons, times values in arrays), repeated for each seed.

    Attributes:
        network: settings of the architecture's own function, such as `initialization`.
        encoding: of images; event frames have their own.
        images: what is trained on: "train", the train split, where the validation split picks the epoch; or "all",
            the validation split too, where nothing is left to pick by and the last epoch is what is measured.
            Picking by the test split, as some authors do, is not offered.
        train_samples: first training samples, and at most as many validation samples; None for all.
        validation_samples: first validation samples, by which the epoch is picked; None for as many as there are.
    """

    name: str
    title: str
    data: str
    architecture: str
    num_steps: Count
    decay: Number = 0.99
    threshold: Number = 1.0
    reset: str = "zero"
    encoding: Literal["direct", "rate"] = "direct"
    neurons: tuple[str, ...] = ("lif",)
    seeds: tuple[int, ...] = (0,)
    network: dict[str, bool | str] = Field(default_factory=dict)
    images: Literal["train", "all"] = "train"
    train_samples: Count | None = None
    validation_samples: Count | None = None
    training: TrainingSettings
    evaluation: EvaluationSettings
    variants: tuple[Variant, ...] = Field(min_length=1)


def names() -> tuple[str, ...]:
    """Return the names of all protocols."""
    return tuple(sorted(_contents()))


def protocol(name: str) -> Protocol:
    """Return the protocol of that name.

    Raises:
        ValueError: for an unknown name.

    >>> protocol("vgg11-cifar10-at").training.epochs
    100
    """
    check_choice("protocol", name, names())
    return parse(name, _contents()[name])


def parse(name: str, content: Mapping[str, Any]) -> Protocol:
    """Return the content of a file as a protocol.

    Raises:
        ValueError: in one line, for a field that is missing, unknown or out of range.
    """
    try:
        return Protocol.model_validate({"name": name, **content})
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, problem["loc"]))[:100]
        raise ValueError(f"protocol: {name}: {place}: {one_line(problem['msg'])}") from None


@cache
def _contents() -> dict[str, dict[str, Any]]:
    """Return the content of each protocol by its name."""
    stems = (path.stem for path in CELLS.glob("*.toml"))
    return {name: each for stem in stems if stem[0] != "_" for name, each in _protocols(stem, _read(stem))}


def _protocols(stem: str, content: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield names and contents: of a file with `parts` each choice out of them, with titles joined."""
    if "parts" not in content:
        yield stem, content
        return
    for chosen in product(*(part.items() for part in content.pop("parts"))):
        names, parts = zip(*chosen, strict=True)
        yield (
            "-".join(names),
            {**reduce(merged, parts, content), "title": "".join(part["title"] for part in parts)},
        )


def _read(stem: str) -> dict[str, Any]:
    """Return a file's content on top of that of the file that it extends."""
    content = read_toml(CELL.text(CELLS / f"{stem}.toml"))
    base = content.pop("extends", None)
    return content if base is None else merged(_read(base), content)


def merged(base: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with the values of `above`, table by table."""
    found = dict(base)
    for key, value in above.items():
        both_tables = isinstance(value, Mapping) and isinstance(found.get(key), Mapping)
        found[key] = merged(found[key], value) if both_tables else value
    return found
