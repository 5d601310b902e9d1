"""Certified training with and without a spiking encoder in front, on MNIST.

    python benchmarks/encoder.py ROOT [--network encoder:.5+strided:16-32-128] [--epsilon .1] [--seed 0]

ROOT holds MNIST. It trains on the first 10,000 images for 6 epochs with bounds "prefix", proves all 10,000 test
images with "trains", and prints one line of JSON. About two minutes of one core. The control is the same line
without "encoder:.5+".
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import torch

from spikecert import LIF, CertifiedLoss, LInf, architecture, dataset, fit, verify
from spikecert.training import start_firing

AT_ONCE = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--network", default="encoder:.5+strided:16-32-128")
    parser.add_argument("--epsilon", type=float, default=0.1)
    parser.add_argument("--num-steps", type=int, default=4)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    data = dataset("mnist", asked.root)
    data = replace(data, train=data.train.take(torch.arange(min(asked.samples, len(data.train)))))
    torch.manual_seed(asked.seed)
    fresh = architecture(asked.network, data.shape, data.classes, asked.num_steps, LIF(1.0, reset="subtract"))
    start_firing(fresh, data.train.inputs[:512])
    aim = CertifiedLoss(asked.epsilon, bounds="prefix", weight=0.7)
    how = {"optimizer": "adam", "learning_rate": 0.01, "batch_size": 128, "weight_decay": 0.0, "seed": asked.seed}
    network = fit(fresh, data, aim, epochs=asked.epochs, folder=asked.out, **how).network
    right = proved = 0
    for start in range(0, len(data.test), AT_ONCE):
        part = data.test.take(torch.arange(start, min(start + AT_ONCE, len(data.test))))
        with torch.no_grad():
            right += int((network(part.inputs).argmax(1) == part.labels).sum())
        found = verify(network, part.inputs, part.labels, LInf(asked.epsilon), "trains")
        proved += sum(verdict.status == "verified" for verdict in found)
    told = {name: str(value) for name, value in vars(asked).items() if name != "root"}
    print(json.dumps({**told, "clean": right / len(data.test), "certified": proved / len(data.test)}))


if __name__ == "__main__":
    main()
