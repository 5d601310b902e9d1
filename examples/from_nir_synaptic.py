"""A NIR file of second-order neurons: snnTorch's `Synaptic`, trained, exported, read here and certified.

python examples/from_nir_synaptic.py [digits | fashion-mnist]    (needs: pip install '.[snn]')
"""

import sys
from pathlib import Path
from typing import Any

import nir
import snntorch
import torch
from snntorch import utils
from snntorch.export_nir import export_to_nir
from torch import Tensor, nn

from spikecert import dataset, from_nir, gain, measure, record, render
from spikecert.reports import Data, Plan, Threat

STEPS, SAMPLES, EPSILON = 6, 20, 2 / 255


def synaptic(width: int) -> snntorch.Synaptic:
    """Return neurons whose spikes reset the potential at once, and leave the synaptic current: NIR's CubaLIF."""
    constants: dict[str, Any] = {"alpha": torch.full((width,), 0.7), "beta": torch.full((width,), 0.8)}
    constants |= {"threshold": torch.ones(width), "reset_mechanism": "zero", "reset_delay": False}
    return snntorch.Synaptic(**constants, init_hidden=True)


def train(module: nn.Module, inputs: Tensor, labels: Tensor, epochs: int) -> None:
    """Train on the mean of the last layer over time."""
    optimizer = torch.optim.Adam(module.parameters(), lr=5e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(inputs)).split(64):
            optimizer.zero_grad()
            utils.reset(module)
            outputs = torch.stack([module(inputs[batch]) for _ in range(STEPS)])
            nn.functional.cross_entropy(outputs.mean(0), labels[batch]).backward()
            optimizer.step()


def main() -> None:
    """Train, export, convert, examine, and write the report."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    data = dataset(sys.argv[1] if len(sys.argv) > 1 else "digits")
    features = data.train.inputs[0].numel()
    inputs, tested = data.train.inputs.flatten(1), data.test.inputs.flatten(1)
    layers = nn.Linear(features, 32), synaptic(32), nn.Linear(32, 16), synaptic(16), nn.Linear(16, 10)
    module = nn.Sequential(*layers)
    train(module, inputs[:12_000], data.train.labels[:12_000], epochs=20 if len(inputs) < 5_000 else 3)
    Path("runs").mkdir(exist_ok=True)
    nir.write("runs/synaptic.nir", export_to_nir(module, tested[0]))

    network = from_nir("runs/synaptic.nir", tested[:64], num_steps=STEPS, origin=module)
    inputs, labels = tested[:SAMPLES], data.test.labels[:SAMPLES]
    plan = Plan(Threat.of("linf", EPSILON), attacks=("pgd",), verifiers=("auto",))
    found = measure("NIR", network, inputs, labels, plan, gains=gain(network, method="lmi"))
    samples = Data(name=data.name, split="test", samples=SAMPLES, classes=10, shape=(features,))
    path = render(record([found], samples, plan.threat, title="Synapses from NIR"), Path("runs/synaptic.html"))
    point = found.points[0]
    print(f"of {SAMPLES}: {point.clean} right, {point.certified_by_any} certified; {path}")


if __name__ == "__main__":
    main()
