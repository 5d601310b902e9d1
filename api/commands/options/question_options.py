"""Options of the commands that ask something about a network on data: attack, certify and radius."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...runs.sources import data_of, label_of, network_of
from .event_options import UNCHANGED, EventOptions
from .network_options import SAME_NETWORK, NetworkOptions
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
    epsilons,
    first,
    fitting,
    scale,
)

if TYPE_CHECKING:
    from spikecert.reports.records.features import Feature
    from spikecert.reports.records.schema import Threat
    from spikecert.runs.examining import Subject
    from spikecert.training import Split


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
        from spikecert.runs import building

        from . import units

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
        from .units import load_features

        if self.features is None:
            return ()
        if self.limits is not None:
            raise ValueError(f"range: got {self.limits} beside --features, expected the file to tell it")
        return load_features(self.features)

    @property
    def ends(self) -> tuple[float, float]:
        """Return between which ends all inputs lie."""
        from spikecert.reports.records.features import spanned

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
