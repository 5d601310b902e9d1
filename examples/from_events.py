"""From a file of events to a report in ten lines: bars that drift over a sensor of 8×8 pixels (about 20 s).

python examples/from_events.py [EVENTS.npz]

The file holds `events`, an array of (recording, t, x, y, p), t in microseconds, and the `labels` of recordings.
Without one, a file of bars is made: they drift left, right, up or down, some events are missing, some are noise.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from spikecert import LIF, SpikingNetwork, fit, measure, mlp, record, render
from spikecert.reports import Data, Plan, Threat
from spikecert.training import own_dataset
from spikecert.training.data.digit_events import frames

SIDE, STEPS, DURATION, SAMPLES = 8, 6, 60_000, 20
WAYS = ("left", "right", "up", "down")
FIELDS = [("recording", np.int32), ("t", np.int32), ("x", np.uint8), ("y", np.uint8), ("p", np.uint8)]


def bars(path: Path, count: int = 400) -> None:
    """Write a file of bars that drift: polarity 1 where a bar comes, 0 where it leaves."""
    draw, rows, labels = np.random.default_rng(0), [], np.arange(count) % len(WAYS)
    for recording, label in enumerate(labels):
        for step in range(SIDE):
            for along in np.flatnonzero(draw.random(SIDE) < 0.9):
                place = step if WAYS[label] in ("right", "down") else SIDE - 1 - step
                x, y = (place, along) if label < 2 else (along, place)
                t = (step * DURATION + draw.integers(0, DURATION)) // SIDE
                rows += [(recording, t, x, y, 1), (recording, min(t + DURATION // SIDE, DURATION), x, y, 0)]
        noise = draw.integers(0, [DURATION, SIDE, SIDE, 2], (4, 4))
        rows += [(recording, *event) for event in noise]
    np.savez(path, events=np.array(rows, FIELDS), labels=labels)


def main(path: Path) -> None:
    """Read, train, measure, render."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    with np.load(path) as file:
        events, labels = file["events"], file["labels"]
    places = (events["p"] * SIDE + events["y"].astype(int)) * SIDE + events["x"]
    of = [events["recording"] == recording for recording in range(len(labels))]
    binned = [frames(events["t"][one], places[one], STEPS, DURATION, 2 * SIDE * SIDE) for one in of]
    data = own_dataset("drifting bars", (np.stack(binned), labels), events=True, names=WAYS)
    layers = mlp((2 * SIDE * SIDE, 32, len(WAYS)), num_steps=STEPS, neuron=LIF(decay=0.6)).layers
    fresh = SpikingNetwork(nn.Flatten(), *layers, num_steps=STEPS, encoding="none")
    network = fit(fresh, data, epochs=15, optimizer="adam", learning_rate=0.01).network
    inputs, labels = data.test.inputs[:SAMPLES].float(), data.test.labels[:SAMPLES]
    threat = Threat.of("shift", (1, 2, 4))
    found = measure("bars", network, inputs, labels, Plan(threat, ("spike-shift",), ("trains",)))
    about = Data(name=data.name, split="test", samples=SAMPLES, classes=4, shape=inputs.shape[1:], names=WAYS)
    page = render(record([found], about, threat, title="Bars that drift"), "runs/events.html")
    for point in found.points:
        print(
            f"moves by {point.epsilon:g} steps in all, of {point.samples}: {point.clean} right, "
            f"{point.certified_by_any} proved, {point.clean - min(point.robust.values())} broken"
        )
    print(page)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        bars(Path("bars.npz"))
        main(Path("bars.npz"))
