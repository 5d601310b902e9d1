"""Networks, objectives and records out of what a user typed.

A network for inputs as they are, of one that was trained on normalised ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from spikecert.asking import Threat
from spikecert.asking.boxes import Feature
from spikecert.asking.events import FlipThreat, OfEvents, ShiftThreat
from spikecert.asking.question import ChangedEvents, Fan, Samples
from spikecert.asking.run_files import TrainStep
from spikecert.asking.values import Mistake
from spikecert.certify import Fleet
from spikecert.certify.engines import Ray
from spikecert.certify.perturbations import takes_whole
from spikecert.files.plugged import is_plugged, plugged
from spikecert.models import DLIF, LIF, PLIF, Normalize, SpikingNetwork, architecture, save
from spikecert.models.chips import ChipWeights, whole_inputs
from spikecert.models.circuit.lowering import rule_of
from spikecert.models.files.storage import digest_of
from spikecert.models.source import carry
from spikecert.models.validation import check_choice
from spikecert.reports import Data, Record, render
from spikecert.training import (
    MSE,
    MSMPPD,
    SIBP,
    CertifiedEvents,
    CertifiedLoss,
    CertifiedMoves,
    CrossEntropy,
    GainPenalty,
    GaussianNoise,
    Huber,
    MarginOverGain,
    Objective,
    Settings,
    SingleStep,
    Split,
    fit,
)

from .sources import kept_file, network_of

if TYPE_CHECKING:
    from spikecert.training import Dataset, TrainingRun


NETWORK = "network.safetensors"
NEURONS = ("lif", "dlif", "plif")
OF_EVENTS: dict[str, type[OfEvents]] = {"certified-flips": FlipThreat, "certified-shift": ShiftThreat}
REGULARISERS = ("gain-penalty", "margin-over-gain", "certified-moves")
OBJECTIVES = ("ms-mppd", "cross-entropy", "certified", "s-ibp", "mse", "huber", *OF_EVENTS, *REGULARISERS)
NOISES: dict[str, type[SingleStep] | type[GaussianNoise]] = {"single-step": SingleStep, "gaussian": GaussianNoise}
FILES = ("record.json", "report.html", "report.md", "samples.csv", "table.tex")


def neuron(kind: str, num_steps: int, decay: float, threshold: float, reset: str) -> LIF:
    """Return a template neuron, one of a plug-in's constants if it is `package:name`."""
    constants = {"decay": float(decay), "threshold": float(threshold), "reset": reset}
    if is_plugged(kind):
        made: LIF = plugged("neurons", kind).made(num_steps=num_steps, **constants)
        rule_of(made, num_steps, kind)
        return made
    check_choice("neuron", kind, NEURONS)
    if kind == "dlif":
        return DLIF(num_steps, **constants)
    return PLIF(**constants) if kind == "plif" else LIF(**constants)


def template(step: TrainStep) -> LIF:
    """Return the neuron that a step trains."""
    return neuron(step.neuron, step.num_steps, step.decay, step.threshold, step.reset)


def kept_network(step: TrainStep) -> SpikingNetwork | None:
    """Return the network of the file that a step goes on from, None for an architecture.

    Raises:
        ValueError: for settings of neurons beside a file, which has its own.
    """
    path, usual = Path(step.network), TrainStep()
    if not kept_file(step.network) and not path.is_file():
        return None
    for name in ("neuron", "num_steps", "decay", "threshold", "reset"):
        if (given := getattr(step, name)) != getattr(usual, name):
            raise Mistake((name,), given, f"none: {step.network} has its own")
    return network_of(path)


@dataclass(frozen=True)
class FeatureScale:
    """Ends of each feature, or of all: training sees numbers in [0, 1], and the network takes them as they are.

    Attributes:
        low, high: the ends, one number or one for each feature.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]

    @staticmethod
    def of(data: "Dataset", features: Sequence[Feature] | None) -> "FeatureScale | None":
        """Return the scale of features, or of the data's own range; None where that is [0, 1] already."""
        ends = [(float(one.range[0]), float(one.range[1])) for one in features or ()] or [data.limits]
        return None if ends == [(0.0, 1.0)] else FeatureScale(*zip(*ends, strict=True))

    def of_data(self, data: "Dataset") -> "Dataset":
        """Return the data in [0, 1].

        Raises:
            ValueError: where features are others than the data's, or samples lie outside.
        """
        if len(self.low) > 1 and data.shape != (len(self.low),):
            got = f"{len(self.low)} of them for inputs of shape {data.shape}"
            raise ValueError(f"features: got {got}, expected one for each number of a sample")
        low, high = (torch.tensor(ends, dtype=torch.float64) for ends in (self.low, self.high))

        def scaled_part(part: Split) -> Split:
            found = (part.inputs.double() - low) / (high - low)
            outside = ((found < 0) | (found > 1)).flatten(1).any(0).nonzero()
            if len(outside):
                place = int(outside[0])
                told = data.features[place][0] if data.features else f"number {place}"
                raise ValueError(f"features: got samples outside of the range of {told}, expected all within")
            return Split(found.float(), part.labels)

        parts = {name: scaled_part(getattr(data, name)) for name in ("train", "validation", "test")}
        return replace(data, limits=(0.0, 1.0), **parts)

    def of_network(self, network: SpikingNetwork, data: "Dataset") -> SpikingNetwork:
        """Return a network for data as they are, of one that takes them in [0, 1]."""
        sizes = tuple(high - low for low, high in zip(self.low, self.high, strict=True))
        return normalised(network, data.shape, self.low, sizes)


SCALED = "scaled"
"""The folder within a run's whose network takes numbers in [0, 1], and its checkpoints."""


SIZED = {"ms-mppd", "certified", "s-ibp", "certified-moves", "margin-over-gain"}
"""Objectives that ask what a change of a size does, the same size in each number of a sample."""


def trained(
    step: TrainStep,
    data: "Dataset",
    seed: int,
    folder: Path,
    features: Sequence[Feature] | None = None,
    kept: SpikingNetwork | None = None,
    **rest: Any,
) -> "TrainingRun":
    """Return what `fit` finds for a new network, or for one that is there and takes the data as they are.

    A new one sees data of a range of their own in [0, 1], and takes them as they are where it is written.

    Raises:
        ValueError: for objectives of one size beside features that have sizes of their own.
    """
    if kept is not None and features and (named := sorted(SIZED & {*step.objective.split("+")})):
        told = (
            "features of several units and a network of a file, expected one without a size, such as cross-entropy"
        )
        raise ValueError(f"objective: got {named[0]} for {told}")
    if kept is not None:
        aim = objective(step, data.limits)
        return fit(kept, data, aim, settings(step, seed), folder=folder, **rest)
    fresh = fresh_network(step.network, data, step.num_steps, template(step), seed)
    scale, how = FeatureScale.of(data, features), (objective(step), settings(step, seed))
    if scale is None:
        return fit(fresh, data, *how, folder=folder, **rest)
    found = fit(fresh, scale.of_data(data), *how, folder=folder / SCALED, **rest)
    networks = {name: scale.of_network(getattr(found, name), data) for name in ("network", "last")}
    save(networks["network"], folder / NETWORK)
    return replace(found, **networks)


def fresh_network(
    text: str, data: "Dataset", num_steps: int, template: LIF, seed: int, **settings: bool | str
) -> SpikingNetwork:
    """Return an untrained network whose weights depend on `seed` alone; the global generator is left as it was.

    For event frames its encoding is "none".
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = architecture(text, data.shape, data.classes, num_steps, template, **settings)
    if data.num_steps is None:
        return network
    return SpikingNetwork(*network.layers, num_steps=num_steps, encoding="none", readout=network.readout)


def objective(step: TrainStep, limits: tuple[float, float] = (0.0, 1.0)) -> Objective:
    """Return a training objective, the sum of those that a step names, such as "ms-mppd+gain-penalty".

    Its sizes are shares of what lies between the least and the greatest input, `limits`.

    Raises:
        ValueError: for a name that is not known, names that learn no labels, or a budget that is no whole number.
    """
    names, delta = step.objective.split("+"), float(step.delta)
    size = float(step.size) * (limits[1] - limits[0])
    ends: dict[str, Any] = {"lower": limits[0], "upper": limits[1]}
    for name in names:
        check_choice("objective", name, OBJECTIVES)
    check_choice("noise", step.noise, NOISES)
    if set(names) <= set(REGULARISERS):
        told = f"got {step.objective!r}, which learns no labels"
        raise ValueError(f"objective: {told}; expected a sum such as cross-entropy+{step.objective}")
    if (given := [*step.events.given]) and not set(names) & set(OF_EVENTS):
        fits = " or ".join(name for name, form in OF_EVENTS.items() if given[0] in form.__dataclass_fields__)
        raise ValueError(f"{given[0]}: got one with objective {step.objective}, expected {fits}")
    makers: dict[str, Callable[[], Objective]] = {
        "ms-mppd": lambda: MSMPPD(rho=float(step.rho), perturbation=NOISES[step.noise](size, **ends)),
        "cross-entropy": CrossEntropy,
        "certified": lambda: CertifiedLoss(size, **ends),
        "s-ibp": lambda: SIBP(size, **ends),
        "mse": MSE,
        "huber": lambda: Huber(delta),
        "certified-moves": lambda: CertifiedMoves(size, delta, **ends),
        **{
            name: partial(_of_events, form.norm, float(step.size), step.events) for name, form in OF_EVENTS.items()
        },
        "gain-penalty": lambda: GainPenalty(float(step.gain_weight)),
        "margin-over-gain": lambda: MarginOverGain(float(step.margin_weight), epsilon=size, norm="linf"),
    }
    return reduce(add, (makers[name]() for name in names))


def _of_events(norm: str, size: float, changes: ChangedEvents) -> CertifiedEvents:
    """Return the certified loss over flips or shifts; of none of them over the sample alone."""
    threat = Threat.of(norm, 1, **changes.given)
    if not size.is_integer():
        raise ValueError(f"size: got {size:g}, expected a whole number, the budget of events")
    return CertifiedEvents(threat.around(size))  # type: ignore[arg-type]


def settings(step: TrainStep, seed: int) -> Settings:
    """Return how a step trains.

    Raises:
        ValueError: for a chip whose weights are not told as its name and their bits.
    """
    target, _, bits = (step.through or "").partition(":")
    if bits and not bits.isdecimal():
        raise ValueError(f"through: got {step.through!r}, expected a chip and bits, such as loihi:4")
    rate = None if step.learning_rate is None else float(step.learning_rate)
    return Settings(
        epochs=step.epochs,
        batch_size=step.batch_size,
        learning_rate=rate,
        optimizer=step.optimizer,
        weight_decay=float(step.weight_decay),
        precision=step.precision,
        steps_at_once=step.steps_at_once,
        accumulate=step.accumulate,
        through=ChipWeights(target, int(bits) if bits else 8) if target else None,
        seed=seed,
    )


def described(data: "Dataset", samples: Split) -> Data:
    """Return the samples as a part of a record."""
    return Data(
        name=data.name,
        split="test",
        samples=len(samples),
        classes=data.classes,
        shape=tuple(samples.inputs.shape[1:]),
        sha256=digest_of("", {"inputs": samples.inputs, "labels": samples.labels}),
        names=data.names,
    )


def fleet(fan: Fan) -> Fleet | None:
    """Return who decides samples; None, for this process, where nothing is asked for."""
    if fan == Fan():
        return None
    engine = Ray(fan.ray_address) if fan.engine == "ray" else "local"
    return Fleet(engine, fan.workers, fan.resume)


def checked_device(device: str) -> str:
    """Return `device` if torch can use it."""
    try:
        torch.zeros(1, device=device).tolist()  # "meta" holds no numbers
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = str(error).partition("\n")[0][:200]
        raise ValueError(f"device: got {device[:40]!r}, which torch can't use here: {reason}") from error
    return device


def first(split: Split, samples: int | None) -> Split:
    """Return the first samples of a split; all for None."""
    if samples is None:
        return split
    if samples > len(split):
        raise ValueError(f"samples: got {samples}, expected at most the split's {len(split)}")
    return split.take(torch.arange(samples))


def scaled(network: SpikingNetwork, data: "Dataset", asked: Samples) -> SpikingNetwork:
    """Return a network for inputs as the data have them."""
    return normalised(network, data.shape, asked.mean, asked.std or ()) if asked.mean else network


def fitting(network: SpikingNetwork, data: "Dataset", samples: int | None, device: str) -> Split:
    """Return test samples in the network's dtype and on its device, and move the network there.

    A build for a chip takes data in [0, 1] as its own whole numbers.
    """
    chosen = first(data.test, samples)
    network.to(checked_device(device))
    whole = takes_whole(network) is not None and data.limits == (0.0, 1.0)
    inputs = whole_inputs(network, chosen.inputs) if whole else chosen.inputs
    return Split(inputs.to(network.device, network.dtype), chosen.labels.to(network.device))


def write_all(record: Record, folder: Path) -> list[Path]:
    """Write the record in every format to `folder` and return the paths."""
    return [render(record, folder / name) for name in FILES]


def normalised(
    network: SpikingNetwork, shape: Sequence[int], mean: Sequence[float], std: Sequence[float]
) -> SpikingNetwork:
    """Return the network behind (x − mean)/std, which becomes its first layer: ε is then in units of x.

    Args:
        network: of encoding "direct" or "none".
        shape: of one sample at one step.
        mean, std: one number, or one for each channel of images, or feature of flat inputs.

    Raises:
        ValueError: for numbers that do not fit, or a network that codes its inputs by rates or latencies.
    """
    if network.encoding == "rate":
        raise ValueError("mean: got it for a rate-coded network, whose inputs are probabilities, expected none")
    if network.encoding == "latency":
        raise ValueError("mean: got it for a latency-coded network, whose layers take its events, expected none")
    channels = shape[0] if len(shape) in (1, 3) else 1
    for name, values in (("mean", mean), ("std", std)):
        if len(values) not in (1, channels):
            raise ValueError(
                f"{name}: got {len(values)} numbers, expected 1 or one for each of {channels} channels or features"
            )
    first = Normalize(*(tuple(values) * (channels // len(values)) for values in (mean, std)))
    settings = {"num_steps": network.num_steps, "encoding": network.encoding, "readout": network.readout}
    placed = (layer.to(network.device, network.dtype) for layer in _placed(first, shape))
    made = SpikingNetwork(*placed, *network.layers, **settings).eval()
    least, largest = min(map(abs, std)), max(map(abs, mean))
    carry(network, made, lambda limit: limit * least - largest)
    return made


def flattening(network: SpikingNetwork) -> SpikingNetwork:
    """Return a network that makes one row of each sample first.

    Raises:
        ValueError: for one that does not take the same input at all steps.
    """
    if network.encoding != "direct":
        raise ValueError(f'flat: got it for a network of encoding {network.encoding!r}, expected "direct"')
    settings = {"num_steps": network.num_steps, "readout": network.readout}
    made = SpikingNetwork(nn.Flatten(), *network.layers, **settings).eval()
    carry(network, made)
    return made


def _placed(first: Normalize, shape: Sequence[int]) -> tuple[nn.Module, ...]:
    """Return the layer for images, or for features of a flat input, each a channel of a pixel: it never learns."""
    if len(shape) == 3:
        return (first,)
    if len(shape) != 1:
        raise ValueError(f"mean: got it for inputs of shape {tuple(shape)}, expected flat ones or images")
    return nn.Unflatten(1, (shape[0], 1, 1)), first, nn.Flatten()
