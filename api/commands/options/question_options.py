"""Options of the commands that ask something about a network on data: attack, certify and radius."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from ...runs.sources import data_of, label_of, network_of
from .certify_options import UNCHANGED, EventOptions
from .options import (
    Data,
    Device,
    Features,
    InputScale,
    Mean,
    Norm,
    Range,
    Root,
    Samples,
    Seed,
    Std,
    Ties,
    completed,
    epsilons,
    first,
    fitting,
    number,
    scale,
)

if TYPE_CHECKING:
    from spikecert.reports.records.network_rules import Feature, NetworkRules
    from spikecert.reports.records.schema import Threat
    from spikecert.runs.examining import Subject
    from spikecert.training import Split

FIELDS = {
    "varied": "varied",
    "weight_tolerance": "weights",
    "threshold_tolerance": "threshold",
    "decay_tolerance": "decay",
    "stuck_layers": "layers",
    "with_epsilon": "around",
    "with_norm": "around",
}
"""Of a set's rules, by the option that says it."""


@dataclass(frozen=True)
class NetworkOptions:
    """What the seven options say; each field is the option of its name."""

    varied: Annotated[
        str | None,
        typer.Option(
            "--varied",
            autocompletion=completed(("weights", "threshold", "decay")),
            help="Of a tolerance: what ε is of: weights (and biases), threshold or decay; default: weights.",
        ),
    ] = None
    weight_tolerance: Annotated[
        str | None,
        typer.Option("--weight-tolerance", help="Of weights, where ε is of something else, such as 5%."),
    ] = None
    threshold_tolerance: Annotated[
        str | None, typer.Option("--threshold-tolerance", help="Of thresholds, beside ε of weights, such as 2%.")
    ] = None
    decay_tolerance: Annotated[
        str | None, typer.Option("--decay-tolerance", help="Of decays λ, beside ε of weights, such as 1%.")
    ] = None
    stuck_layers: Annotated[
        str | None,
        typer.Option(
            "--stuck-layers",
            help="Which spiking layers have stuck neurons, such as 0,1; default: all.",
            metavar="N,…",
        ),
    ] = None
    with_epsilon: Annotated[
        str | None,
        typer.Option(
            "--with-epsilon", help="How far inputs move besides the networks, such as 8/255; default: not."
        ),
    ] = None
    with_norm: Annotated[
        str | None,
        typer.Option(
            "--with-norm", autocompletion=completed(("linf", "l2")), help="Of --with-epsilon; default: linf."
        ),
    ] = None

    @property
    def given(self) -> dict[str, str]:
        """Return what was given, in the order of the options."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def rules(self, norm: str) -> "NetworkRules | None":
        """Return what the options say, None where none is given.

        Raises:
            ValueError: in one line, for a value that makes no sense, or an option that the norm does not have.
        """

        from spikecert.reports.records.network_rules import OF_NETWORKS, NetworkRules
        from spikecert.reports.records.records import first_error

        for name in self.given:
            fits = [known for known, names in OF_NETWORKS.items() if FIELDS[name] in names]
            if norm not in fits:
                option = name.replace("_", "-")
                raise ValueError(f"{option}: got one with --norm {norm}, expected --norm {' or '.join(fits)}")
        if not self.given:
            return None
        try:
            return NetworkRules.model_validate(self._told())
        except ValidationError as error:
            raise ValueError(first_error(error).removeprefix("record: ").replace("Value error, ", "")) from None

    def _told(self) -> dict[str, Any]:
        told: dict[str, Any] = {} if self.varied is None else {"varied": self.varied}
        for name in ("weight_tolerance", "threshold_tolerance", "decay_tolerance"):
            if (text := getattr(self, name)) is not None:
                share = number(text, option := name.replace("_", "-"))
                if not 0 <= share < 1:
                    raise ValueError(f"{option}: got {text!r}, expected a share below 1, such as 2%")
                told[FIELDS[name]] = share
        if self.stuck_layers is not None:
            parts = [part.strip() for part in self.stuck_layers.split(",")]
            if not all(part.isdecimal() and len(part) < 6 for part in parts):
                raise ValueError(f"stuck-layers: got {self.stuck_layers!r}, expected numbers such as 0,1")
            told["layers"] = tuple(map(int, parts))
        if self.with_epsilon is not None:
            epsilon = number(self.with_epsilon, "with-epsilon")
            if epsilon <= 0:
                raise ValueError(f"with-epsilon: got {self.with_epsilon!r}, expected a number above 0")
            written = "".join(self.with_epsilon.split())
            told["around"] = {"norm": self.with_norm or "linf", "epsilon": epsilon, "written": written}
        elif self.with_norm is not None:
            raise ValueError(f"with-norm: got {self.with_norm!r} without --with-epsilon, which it is of")
        return told

    @property
    def repeated(self) -> str:
        """Return the options as text, for the command that a report tells to repeat.

        >>> NetworkOptions(threshold_tolerance="2%", with_epsilon="8/255").repeated
        ' --threshold-tolerance 2% --with-epsilon 8/255'
        """
        told = self.given.items()
        return "".join(f" --{name.replace('_', '-')} {shlex.quote(value)}" for name, value in told)


SAME_NETWORK = NetworkOptions()
"""No option given."""


@dataclass(frozen=True)
class QuestionOptions:
    """Which samples, what may be done to them, and what breaks a tie; each field is the option of its name."""

    data: Data = "digits"
    root: Root = None
    limits: Range = None
    features: Features = None
    mean: Mean = None
    std: Std = None
    samples: Samples = None
    norm: Norm = "linf"
    events: EventOptions = UNCHANGED
    networks: NetworkOptions = SAME_NETWORK
    ties: Ties = None
    seed: Seed = 0
    device: Device = "cpu"

    @property
    def scaled(self) -> InputScale:
        """Return how inputs are scaled."""
        return scale(self.limits, self.mean, self.std)

    def threat(self, sizes: Sequence[float] | Mapping[float, str], asked: str | None = None) -> "Threat":
        """Return the threat model of some sizes; a mapping says how each was written; `asked` is a property."""
        from spikecert.runs import building

        limits, rules = self.scaled.limits, self.events.rules(self.norm)
        networks = self.networks.rules(self.norm)
        return building.threat(self.norm, sizes, limits, rules, networks, self.told_features(), asked)

    def written_threat(self, texts: Sequence[str], asked: str | None = None) -> "Threat":
        """Return the threat model of sizes as written: numbers, or one with its unit for each feature.

        `asked` is a property in place of labels, or None.
        """
        from spikecert.commands.options import units
        from spikecert.runs import building

        if self.features is not None and list(texts) == ["8/255"]:
            raise ValueError(
                "epsilon: got none with --features, expected 2degC:temperature,… or factors such as .5,1"
            )
        if not units.in_units(texts):
            return self.threat(epsilons(texts), asked)
        if self.features is None:
            raise ValueError(f"epsilon: got {texts[0]!r}, expected --features FILE with it, which knows units")
        named = units.sized(texts, self.told_features())
        rules = self.events.rules(self.norm)
        return building.threat(self.norm, {1.0: "1"}, self.scaled.limits, rules, None, named, asked)

    def told_features(self) -> "tuple[Feature, ...]":
        """Return the features of --features; () without it."""
        from spikecert.commands.options.units import load_features

        if self.features is None:
            return ()
        if self.limits is not None:
            raise ValueError(f"range: got {self.limits} beside --features, expected the file to tell it")
        return load_features(self.features)

    @property
    def ends(self) -> tuple[float, float]:
        """Return between which ends all inputs lie."""
        from spikecert.reports.records.network_rules import spanned

        known = self.told_features()
        return spanned(known) if known else self.scaled.limits

    def subject(self, model: Path) -> "Subject":
        """Return the network of a file, for inputs as the data have them, on its device, and the samples."""
        from spikecert.runs.examining import Subject

        scaled, network = self.scaled, network_of(model)
        source = data_of(self.data, self.root, network.num_steps, self.ends)
        network = scaled.of(network, source)
        chosen = fitting(network, source, self.samples, self.device)
        return Subject(network.called(label_of(model)), network, source, chosen)

    def samples_alone(self) -> "Split":
        """Return the samples for a module of whatever code, as the data have them."""
        if self.mean is not None or self.std is not None:
            raise ValueError("mean: got --mean or --std for code, expected the module to normalise its inputs")
        return first(data_of(self.data, self.root, limits=self.ends).test, self.samples)

    def repeated(self, epsilon: Sequence[str]) -> str:
        """Return the options as text, for the command that a report tells to repeat."""
        counted = "" if self.samples is None else f" --samples {self.samples}"
        counted += "" if self.root is None else f" --root {shlex.quote(str(self.root))}"
        counted += "" if self.features is None else f" --features {shlex.quote(str(self.features))}"
        counted += "" if self.ties is None else f" --ties {self.ties}"
        told = f"--epsilon {shlex.quote(','.join(epsilon))} --norm {self.norm} --data {self.data}"
        rest = f"{self.scaled.repeated}{self.events.repeated}{self.networks.repeated}"
        return f"{told}{counted} --seed {self.seed}{rest}"


QUESTION = QuestionOptions()
"""No option given."""
