"""Put a trained network into the zoo: rounded to eight bits, and certified as it is stored.

    python -m benchmarks.zoo runs/.../network.safetensors mnist-linf-0.1 --data mnist --root mnist --epsilon 0.1 \
        --title "..." --trained "spikecert run certified-mnist --only 0.1"
    python -m benchmarks.zoo runs/.../network.safetensors order-shift-1 --data order --norm shift --events \
        '{"budget": "jitter", "merge": "add"}' --epsilon 1 --attack standard --title "..." --trained "..."

`benchmarks.zoo_ablation` adds what is left of it without its time.
"""

import argparse
import json
from pathlib import Path

import torch

from spikecert import SpikingNetwork, attack, dataset, load, verify
from spikecert.certified_networks import Entry, Proven, load_zoo, pack
from spikecert.certify import Perturbation
from spikecert.training import Split

CHUNK = 500


def main() -> None:
    """Write the file, measure the network that it holds, and write the file again with the figures."""
    asked = _arguments()
    data = dataset(asked.data, asked.root)
    test = data.test if asked.samples is None else data.test.take(torch.arange(asked.samples))
    told = {"name": asked.name, "title": asked.title, "data": asked.data, "trained": asked.trained}
    told |= {"verifier": asked.verifier, "attack": asked.attack, "samples": len(test), "norm": asked.norm}
    network = load(asked.network)
    told |= {"num_steps": network.num_steps, "events": asked.events and json.loads(asked.events)}
    entry = Entry(**told, clean=0, points=(), spikes=())
    pack(network, entry)
    stored = load_zoo(asked.name)
    points = tuple(_measured(stored, test, entry.around(epsilon), epsilon, asked) for epsilon in asked.epsilon)
    path = pack(stored, Entry(**told, clean=_right(stored, test), points=points, spikes=_spikes(stored, test)))
    print(path, path.stat().st_size, *points, sep="\n")


def _measured(
    network: SpikingNetwork, test: Split, threat: Perturbation, epsilon: float, asked: argparse.Namespace
) -> Proven:
    certified = attacked = 0
    for indices in torch.arange(len(test)).split(CHUNK):
        part = test.take(indices)
        part = Split(part.inputs.float(), part.labels)
        verdicts = verify(network, part.inputs, part.labels, threat, asked.verifier, timeout=asked.timeout)
        certified += sum(verdict.status == "verified" for verdict in verdicts)
        found = attack(network, part.inputs, part.labels, threat, asked.attack)
        attacked += int((~found.success).sum())
        print(epsilon, int(indices[-1]) + 1, certified, attacked, flush=True)
    return Proven(epsilon=epsilon, certified=certified, attacked=attacked)


@torch.no_grad()
def _right(network: SpikingNetwork, test: Split) -> int:
    parts = (test.take(indices) for indices in torch.arange(len(test)).split(CHUNK))
    return sum(int((network(part.inputs.float()).argmax(1) == part.labels).sum()) for part in parts)


@torch.no_grad()
def _spikes(network: SpikingNetwork, test: Split) -> tuple[float, ...]:
    return tuple(round(float(spikes.mean()), 4) for spikes in network.trace(test.inputs[:CHUNK].float()).spikes)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path)
    parser.add_argument("name")
    for name in ("title", "data", "trained"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--epsilon", type=float, nargs="+", required=True)
    parser.add_argument("--norm", default="linf")
    parser.add_argument("--events", help="JSON: what stands beside ε, as in [threat] of run files.")
    parser.add_argument("--verifier", default="trains")
    parser.add_argument("--attack", default="pgd")
    parser.add_argument("--timeout", type=float)
    parser.add_argument("--samples", type=int)
    return parser.parse_args()


if __name__ == "__main__":
    main()
