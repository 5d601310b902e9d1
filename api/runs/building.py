"""Networks, objectives and records out of what a user typed.

A network for inputs as they are, of one that was trained on normalised ones.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from pydantic import ValidationError
from torch import nn

from spikecert.certify import Fleet
from spikecert.certify.engines import ENGINES, Ray
from spikecert.models import DLIF, LIF, PLIF, Normalize, SpikingNetwork, architecture
from spikecert.models.files.storage import digest_of
from spikecert.models.source import carry
from spikecert.models.validation import check_choice
from spikecert.reports import Data, Record, Threat, render
from spikecert.reports.pages.norms import NORMS
from spikecert.reports.records.network_rules import EventRules, Feature, NetworkRules, spanned
from spikecert.reports.records.records import first_error
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
    SingleStep,
    Split,
)

if TYPE_CHECKING:
    from spikecert.training import Dataset


NEURONS = ("lif", "dlif", "plif")
OF_EVENTS = {"certified-flips": "flips", "certified-shift": "shift"}
REGULARISERS = ("gain-penalty", "margin-over-gain", "certified-moves")
OBJECTIVES = ("ms-mppd", "cross-entropy", "certified", "s-ibp", "mse", "huber", *OF_EVENTS, *REGULARISERS)
NOISES: dict[str, type[SingleStep] | type[GaussianNoise]] = {"single-step": SingleStep, "gaussian": GaussianNoise}
FILES = ("record.json", "report.html", "report.md", "samples.csv", "table.tex")


def neuron(kind: str, num_steps: int, decay: float, threshold: float, reset: str) -> LIF:
    """Return a template neuron."""
    check_choice("neuron", kind, NEURONS)
    constants = {"decay": decay, "threshold": threshold, "reset": reset}
    if kind == "dlif":
        return DLIF(num_steps, **constants)
    return PLIF(**constants) if kind == "plif" else LIF(**constants)


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


def objective(
    text: str,
    rho: float,
    noise: str,
    size: float,
    gain_weight: float = 0.1,
    margin_weight: float = 1.0,
    events: EventRules | None = None,
    delta: float = 0.1,
) -> Objective:
    """Return a training objective, the sum of those named in `text`, such as "ms-mppd+gain-penalty".

    Args:
        text: names out of `OBJECTIVES`, joined by "+".
        rho: of "ms-mppd".
        noise: the perturbation of the copy in "ms-mppd".
        size: of that perturbation; ε (ℓ∞) of the others, of "certified-flips" and "certified-shift" the budget.
        gain_weight, margin_weight: of "gain-penalty" and "margin-over-gain".
        events: which events change, and how, of "certified-flips" and "certified-shift".
        delta: δ of "certified-moves", and where "huber" turns straight.

    Raises:
        ValueError: for a name that is not known, names that learn no labels, or a budget that is no whole number.
    """
    names = text.split("+")
    for name in names:
        check_choice("objective", name, OBJECTIVES)
    check_choice("noise", noise, NOISES)
    if set(names) <= set(REGULARISERS):
        told = f"got {text!r}, which learns no labels"
        raise ValueError(f"objective: {told}; expected a sum such as cross-entropy+{text}")
    if events is not None and not set(names) & set(OF_EVENTS):
        raise ValueError(f"events: got some with objective {text!r}, expected {' or '.join(OF_EVENTS)}")
    makers: dict[str, Callable[[], Objective]] = {
        "ms-mppd": lambda: MSMPPD(rho=rho, perturbation=NOISES[noise](size)),
        "cross-entropy": CrossEntropy,
        "certified": lambda: CertifiedLoss(size),
        "s-ibp": lambda: SIBP(size),
        "mse": MSE,
        "huber": lambda: Huber(delta),
        "certified-moves": lambda: CertifiedMoves(size, delta),
        **{name: partial(_of_events, norm, size, events or EventRules()) for name, norm in OF_EVENTS.items()},
        "gain-penalty": lambda: GainPenalty(gain_weight),
        "margin-over-gain": lambda: MarginOverGain(margin_weight, epsilon=size, norm="linf"),
    }
    return reduce(add, (makers[name]() for name in names))


def _of_events(norm: str, size: float, events: EventRules) -> CertifiedEvents:
    """Return the certified loss over flips or shifts."""
    if not (size >= 0 and float(size).is_integer()):
        raise ValueError(f"size: got {size:g}, expected a whole number, the budget of events")
    events.check(NORMS[norm])
    return CertifiedEvents(events.scale(NORMS[norm]).around(size))  # type: ignore[arg-type]


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


def fleet(engine: str | None, workers: int | None, folder: Path | None, address: str | None) -> Fleet | None:
    """Return who decides samples; None, for this process, where nothing is asked for.

    Raises:
        ValueError: for an engine that is not known, or an address without a cluster to look for.
    """
    if engine is None and workers is None and folder is None and address is None:
        return None
    check_choice("engine", engine or "local", ENGINES)
    if engine == "ray":
        return Fleet(Ray(address), workers, folder)
    if address is not None:
        raise ValueError(f"ray-address: got {address!r} without --engine ray, which it is for")
    return Fleet("local", workers, folder)


def threat(
    norm: str,
    epsilons: Sequence[float] | Mapping[float, str],
    limits: tuple[float, float] = (0.0, 1.0),
    events: EventRules | None = None,
    networks: NetworkRules | None = None,
    features: tuple[Feature, ...] = (),
    asked: str | None = None,
) -> Threat:
    """Return a threat model over inputs within limits; a mapping says how each ε was written.

    With `features` each moves by ε times its own size, within its own ends. `asked` is a property in place
    of labels.
    """
    check_choice("norm", norm, NORMS)
    written = tuple(epsilons.values()) if isinstance(epsilons, Mapping) else ()
    if features and norm != "linf":
        raise ValueError(f"features: got some with norm {norm!r}, expected linf: each has a size of its own")
    lower, upper = spanned(features) if features else limits
    told = {"norm": "box" if features else NORMS[norm], "epsilons": tuple(epsilons), "written": written}
    try:
        told |= {"events": events, "networks": networks, "features": features or None, "asked": asked}
        return Threat(lower=lower, upper=upper, **told)  # type: ignore[arg-type]
    except ValidationError as error:
        raise ValueError(first_error(error).removeprefix("record: ").replace("Value error, ", "")) from None


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
        mean, std: one number, or one a channel of images.

    Raises:
        ValueError: for numbers that do not fit, or a network that codes its inputs by rates or latencies.
    """
    if network.encoding == "rate":
        raise ValueError("mean: got it for a rate-coded network, whose inputs are probabilities, expected none")
    if network.encoding == "latency":
        raise ValueError("mean: got it for a latency-coded network, whose layers take its events, expected none")
    channels = shape[0] if len(shape) == 3 else 1
    for name, values in (("mean", mean), ("std", std)):
        if len(values) not in (1, channels):
            raise ValueError(
                f"{name}: got {len(values)} numbers, expected 1 or one for each of {channels} channels"
            )
    first = Normalize(*(tuple(values) * (channels // len(values)) for values in (mean, std)))
    settings = {"num_steps": network.num_steps, "encoding": network.encoding, "readout": network.readout}
    layer = first if len(shape) == 3 else _flat(first, shape)
    made = SpikingNetwork(layer.to(network.device, network.dtype), *network.layers, **settings).eval()
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


def _flat(channel: Normalize, shape: Sequence[int]) -> nn.BatchNorm1d:
    """Return the same map of each feature of a flat input."""
    if len(shape) != 1:
        raise ValueError(f"mean: got it for inputs of shape {tuple(shape)}, expected flat ones or images")
    layer = nn.BatchNorm1d(shape[0], eps=0.0, affine=False)
    for name in ("running_mean", "running_var"):
        value = getattr(channel, name)
        assert isinstance(value, torch.Tensor)
        getattr(layer, name).copy_(value.expand(shape[0]))
    return layer.eval()
