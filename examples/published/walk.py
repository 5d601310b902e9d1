"""What the scripts of this folder share: images, options, and the way from a converted network to its report."""

import argparse
import time
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from spikecert import SpikingNetwork, circuit, dataset, gain, measure, record, render
from spikecert.reports import Data, Plan, RadiusPlan, Threat
from spikecert.training import Split


def options(text: str, epsilon: float = 1 / 255) -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", default="digits", help="digits (8 by 8, shown as 28 by 28), mnist, fashion-mnist"
    )
    parser.add_argument("--root", type=Path, help="the folder of MNIST")
    parser.add_argument("--train", type=int, default=600, help="how many images to train on")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--samples", type=int, default=4, help="how many test images to examine")
    parser.add_argument("--epsilon", type=float, default=epsilon, help="of the l-infinity ball, as a share of 1")
    parser.add_argument("--seconds", type=float, default=2.0, help="for a sample and verifier, about")
    parser.add_argument("--small", action="store_true", help="fewer neurons and steps, as the tests have them")
    chosen = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    return chosen


def images(chosen: argparse.Namespace) -> tuple[Split, Split]:
    """Return images (1, 28, 28) to train on and to test on."""
    data = dataset(chosen.data, chosen.root)
    train, test = data.train.take(torch.arange(min(chosen.train, len(data.train)))), data.test
    return Split(_shown(train.inputs), train.labels), Split(_shown(test.inputs), test.labels)


def _shown(inputs: Tensor) -> Tensor:
    """Return digits of 8 by 8 as 28 by 28: each pixel three by three, with a margin of two."""
    if inputs[0].numel() != 64:
        return inputs
    return pad(interpolate(inputs.view(-1, 1, 8, 8), scale_factor=3, mode="nearest"), (2, 2, 2, 2))


def walk(name: str, network: SpikingNetwork, test: Split, chosen: argparse.Namespace, started: float) -> None:
    """Gains (of loops none), attacks, certificates and radii of the first test images, and the report."""
    inputs, labels = test.inputs[: chosen.samples], test.labels[: chosen.samples]
    inputs = inputs.flatten(1) if _takes_vectors(network) else inputs
    threat = Threat.of("linf", chosen.epsilon)
    radii = RadiusPlan("trains", tolerance=chosen.epsilon / 4, timeout=chosen.seconds, samples=2)
    plan = Plan(threat, ("pgd",), ("trains", "auto"), timeout=chosen.seconds, radii=radii)
    gains = None if circuit(network).recurs else gain(network, input_shape=inputs.shape[1:])
    found = measure(name, network, inputs, labels, plan, gains=gains)
    samples = Data(name=chosen.data, split="test", samples=len(labels), classes=10, shape=tuple(inputs.shape[1:]))
    path = render(record([found], samples, threat, title=name), Path("runs") / f"{name.replace(' ', '-')}.html")
    point = found.points[0]
    print(
        f"of {len(labels)}: {point.clean} right, {point.certified_by_any} certified at {chosen.epsilon:.4f}, "
        f"{time.perf_counter() - started:.0f} s; {path}"
    )


def recordings(chosen: argparse.Namespace, num_steps: int) -> tuple[Split, Split]:
    """Return recordings (T, 2, 34, 34) of N-MNIST, or of the digits' events, eight by eight, shown as large."""
    data = dataset("nmnist" if chosen.data == "nmnist" else "digit-events", chosen.root, num_steps=num_steps)
    train = data.train.take(torch.arange(min(chosen.train, len(data.train))))
    return tuple(Split(_large(part.inputs.float()), part.labels) for part in (train, data.test))  # pyright: ignore


def _large(events: Tensor) -> Tensor:
    """Return events of 8 by 8 as 34 by 34: each pixel four by four, with a margin of one."""
    if events.shape[-1] != 8:
        return events
    frames = interpolate(events.flatten(0, 1), scale_factor=4, mode="nearest")
    return pad(frames, (1, 1, 1, 1)).unflatten(0, events.shape[:2])


def walk_events(
    name: str, network: SpikingNetwork, events: Tensor, labels: Tensor, chosen: argparse.Namespace, started: float
) -> None:
    """Gains, attacks, certificates and radii of recordings of which one event flips, and the report."""
    threat = Threat.of("flips", 1)
    radii = RadiusPlan("trains", tolerance=1, timeout=chosen.seconds, samples=1)
    plan = Plan(threat, ("spike-flip",), ("trains",), timeout=chosen.seconds, radii=radii)
    shape = tuple(events.shape[1:])
    try:
        gains = gain(network, input_shape=shape[1:])
    except (TypeError, ValueError) as error:
        gains = None
        print(f"no gains: {error}")
    found = measure(name, network, events, labels, plan, gains=gains)
    samples = Data(name=chosen.data, split="test", samples=len(labels), classes=10, shape=shape)
    path = render(record([found], samples, threat, title=name), Path("runs") / f"{name.replace(' ', '-')}.html")
    point = found.points[0]
    print(
        f"of {len(labels)}: {point.clean} right, {point.certified_by_any} certified when one event flips, "
        f"{time.perf_counter() - started:.0f} s; {path}"
    )


def _takes_vectors(network: SpikingNetwork) -> bool:
    return isinstance(network.layers[0], torch.nn.Linear | torch.nn.BatchNorm1d)
