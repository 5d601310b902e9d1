"""The file that `spikecert run` repeats: data, a network or its training, a threat model, and what to measure."""

import reprlib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, ValidationError, model_validator

from spikecert.certify.attacks import ATTACKS
from spikecert.certify.questions.described import LONGEST
from spikecert.certify.verifiers import VERIFIERS
from spikecert.files import FileKind
from spikecert.files.texts import LONGEST_TEXT, read_toml
from spikecert.models.elements.registry import MOST_STEPS
from spikecert.models.validation import check_choice, one_line
from spikecert.reports import load_record
from spikecert.reports.records.network_rules import MOST_FEATURES, EventRules, Feature, NetworkRules, spanned
from spikecert.reports.records.rows import Part, Written

from ..commands.options.options import number
from .building import threat

RUN = FileKind("file", "a TOML file or a record", most=4 * LONGEST_TEXT)


def as_number(value: Any) -> Any:
    """Return "8/255" as a number, refuse true and false, leave other values to pydantic."""
    try:
        return number(str(value)) if isinstance(value, str | bool) else value
    except ValueError:
        got = reprlib.repr(value) if isinstance(value, str) else str(value).lower()
        raise ValueError(f"got {got}, expected a number or a fraction such as 8/255") from None


def _known(kind: str, table: Any) -> AfterValidator:
    def check(value: str) -> str:
        check_choice(kind, value, tuple(table))
        return value

    return AfterValidator(check)


NUMBER = BeforeValidator(as_number, json_schema_input_type=float | str)
Positive = Annotated[float, NUMBER, Field(gt=0, allow_inf_nan=False)]
Weight = Annotated[float, NUMBER, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, NUMBER, Field(ge=0, le=1)]
Finite = Annotated[float, NUMBER, Field(allow_inf_nan=False)]
Channels = Annotated[tuple[Finite, ...], Field(min_length=1, max_length=1000)]
Count = Annotated[int, Field(ge=1, le=2**31, strict=True)]
Name = Annotated[str, Field(max_length=200)]
FORMS = ("=number", "=list")
"""How pydantic calls what a value may be that is one number or a list of them."""
Form = Discriminator(lambda value: FORMS[isinstance(value, list | tuple)])
Verifier = Annotated[str, _known("verifier", VERIFIERS)]
Method = Annotated[str, _known("method", ATTACKS)]


class DataStep(Part):
    """Which samples: the first of the test split; None for all.

    `range` is the least and the greatest value of the inputs; `mean` and `std` are what the network's inputs are
    normalised by, one number or one a channel, as the options of `spikecert certify` say.
    """

    name: Annotated[str, Field(max_length=4096)] = "digits"
    samples: Count | None = None
    range: tuple[Finite, Finite] = (0.0, 1.0)
    mean: Channels | None = None
    std: Annotated[tuple[Positive, ...], Field(min_length=1, max_length=1000)] | None = None

    @model_validator(mode="after")
    def _check_scale(self) -> "DataStep":
        if not self.range[0] < self.range[1]:
            raise ValueError(f"range: got {list(self.range)}, expected the least and the greatest value")
        if (self.mean is None) != (self.std is None):
            missing = "std" if self.std is None else "mean"
            raise ValueError(f"{missing}: got none, expected mean and std, or neither")
        return self


class ModelStep(Part):
    """A network that exists already; the path is relative to the file's folder."""

    path: Annotated[str, Field(max_length=4096)]


class FeatureTable(Part):
    """One feature of the data: its unit, between which ends it lies, and how far it may move where ε = 1."""

    unit: Annotated[str, Field(max_length=40)] = ""
    range: tuple[Finite, Finite] = (0.0, 1.0)
    epsilon: Weight = 0.0


class FeatureTables(Part):
    """The features of a sample, in their order, by name."""

    features: dict[Name, FeatureTable] = Field(default_factory=dict, max_length=MOST_FEATURES)

    def sized(self) -> tuple[Feature, ...]:
        """Return them as records have them."""
        return tuple(
            Feature(name=name, unit=told.unit, size=told.epsilon, lower=told.range[0], upper=told.range[1])
            for name, told in self.features.items()
        )


class TrainStep(Part):
    """A network to train, by the options of `spikecert train`.

    `events` says which events change, and how, of the objectives "certified-flips" and "certified-shift".
    """

    network: Name = "mlp:64-64"
    neuron: Name = "dlif"
    num_steps: Annotated[int, Field(ge=1, le=MOST_STEPS, strict=True)] = 8
    decay: Share = 0.99
    threshold: Positive = 1.0
    reset: Name = "zero"
    objective: Name = "ms-mppd"
    rho: Weight = 1.0
    noise: Name = "single-step"
    size: Weight = 4 / 255
    gain_weight: Weight = 0.1
    margin_weight: Weight = 1.0
    delta: Weight = 0.1
    epochs: Count = 20
    batch_size: Count = 64
    learning_rate: Positive | None = None
    optimizer: Name = "adam"
    weight_decay: Weight = 0.0
    events: EventRules | None = None


class ThreatStep(FeatureTables):
    """The perturbations: their norm, every ε at which to attack and certify, and which events change, and how.

    `networks` says of sets of networks what stands beside ε. `asked` is a property in place of the labels, as
    `spikecert certify --property` takes it.
    With `features`, tables by name in the order of the data, each moves by ε times its own `epsilon`.

    `written` is each ε as people wrote it; where `epsilon` holds texts, such as ".5/255", it is filled from them.
    """

    norm: Literal["linf", "l2", "flips", "shift", "flips+shift", "tolerance", "stuck"] = "linf"
    epsilon: Annotated[tuple[Positive, ...], Field(min_length=1, max_length=1000)] = (8 / 255,)
    written: Annotated[tuple[Written, ...], Field(max_length=1000)] = ()
    events: EventRules | None = None
    networks: NetworkRules | None = None
    asked: Annotated[str, Field(min_length=1, max_length=LONGEST)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _keep_texts(cls, told: Any) -> Any:
        """Fill `written` from an `epsilon` of texts and numbers."""
        values = told.get("epsilon") if isinstance(told, dict) and "written" not in told else None
        if not isinstance(values, list) or not any(isinstance(value, str) for value in values):
            return told
        texts = ["".join(str(value).split()) for value in values]
        try:
            [number(text) for text in texts]
        except ValueError:
            return told  # the numbers are refused themselves, by their place
        return {**told, "written": texts}

    @model_validator(mode="after")
    def _check_written(self) -> "ThreatStep":
        if self.written and tuple(map(number, self.written)) != self.epsilon:
            raise ValueError(f"written: got {list(self.written)}, expected the numbers of epsilon as texts")
        return self

    @property
    def texts(self) -> dict[float, str]:
        """Return each ε, rising, with its text, or with none where that is not known."""
        pairs = zip(self.epsilon, self.written or ("",) * len(self.epsilon), strict=True)
        return dict(sorted(pairs))

    @model_validator(mode="after")
    def _check_threat(self) -> "ThreatStep":
        told = {"events": self.events, "networks": self.networks, "features": self.sized(), "asked": self.asked}
        threat(self.norm, sorted(set(self.epsilon)), **told)
        return self


class AttackStep(Part):
    """Attacks by name, as in `spikecert attack --method`."""

    methods: Annotated[tuple[Method, ...], Field(min_length=1, max_length=1000)] = ("ensemble",)


class CertifyStep(Part):
    """Verifiers by name; `require` is the share that must be certified at each ε, else the status is 1."""

    verifiers: Annotated[tuple[Verifier, ...], Field(min_length=1, max_length=1000)] = ("auto",)
    timeout: Positive | None = None
    require: Share | None = None


class RadiusStep(Part):
    """Radii of the first samples; None for all."""

    verifier: Verifier = "auto"
    tolerance: Positive = 1e-3
    timeout: Positive | None = None
    samples: Count | None = None


class Configuration(Part):
    """A whole run. The result depends on this file alone, on one machine, as long as no time limit cuts it short.

    `ties` is what a tie between logits is; without it what is usual for the network's readout.
    `threads` is the number of torch's threads: sums over several threads may round otherwise.
    """

    schema_version: Literal["spikecert.run/1"] = Field("spikecert.run/1", alias="schema")
    title: Annotated[str, Field(max_length=1000)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63, strict=True)] = 0
    device: Name = "cpu"
    threads: Annotated[int, Field(ge=1, le=1024, strict=True)] = 1
    gains: bool = True
    data: DataStep = DataStep()
    model: ModelStep | None = None
    train: TrainStep | None = None
    threat: ThreatStep = ThreatStep()
    attack: AttackStep | None = None
    certify: CertifyStep | None = None
    radius: RadiusStep | None = None
    ties: Literal["argmax", "strict"] | None = None

    @model_validator(mode="after")
    def _check_steps(self) -> "Configuration":
        if (self.model is None) == (self.train is None):
            raise ValueError("expected a table [model] or a table [train], one of the two")
        if self.data.mean is not None and self.model is None:
            raise ValueError(
                "data.mean: got it with a table [train], expected it with [model]: train on data as they are"
            )
        if self.threat.features and self.data.range != (0.0, 1.0):
            raise ValueError("data.range: got it beside threat.features, expected the features to tell it")
        if self.attack is None and self.certify is None and self.radius is None:
            raise ValueError("expected one of the tables [attack], [certify] and [radius]")
        if self.threat.asked is not None and self.ties is not None:
            raise ValueError("ties: got one beside threat.asked, a property, which says itself what a tie is")
        return self

    @property
    def limits(self) -> tuple[float, float]:
        """Return between which ends all inputs lie."""
        features = self.threat.sized()
        return spanned(features) if features else self.data.range


def load_configuration(path: Path) -> tuple[Configuration, str | None]:
    """Read a TOML file, or the configuration that a record holds; return it, and the record's fingerprint.

    Raises:
        FileNotFoundError: where there is no such file.
        ValueError: in one line that names the key, for what is missing, unknown or out of range.
    """
    if path.suffix == ".json":
        record = load_record(path)
        if record.configuration is None:
            raise ValueError(f"file: {path} was not made by `spikecert run` and holds no configuration")
        return parsed(record.configuration, path), record.fingerprint
    text = RUN.text(path)
    try:
        content = read_toml(text)
    except ValueError as error:
        raise ValueError(f"file: {path} is no TOML file: {one_line(error)}") from error
    return parsed(content, path), None


def parsed(content: dict[str, Any], path: Path) -> Configuration:
    """Return checked content; `path` is for the message."""
    try:
        return Configuration.model_validate(content)
    except ValidationError as error:
        raise ValueError(f"{path.name}: {first_mistake(error)}") from None


def first_mistake(error: ValidationError) -> str:
    """Return the first error in one line, with its key, and how many more there are."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"] if part not in FORMS)[:100]
    told = "unknown key" if first["type"] == "extra_forbidden" else one_line(first["msg"])
    told = told.removeprefix("Value error, ").replace("valid tuple", "list").replace("Tuple", "List")
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{f'{place}: ' if place else ''}{told}{more}"
