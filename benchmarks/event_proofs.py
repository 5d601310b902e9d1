"""Proofs of sets of events: how many of what "trains", or another verifier, verifies get one, and what these take.

    python -m benchmarks.event_proofs --root FOLDER [--data nmnist] [--samples 20] [--trainings plain,certified]
                                      [--flips 1,2,5] [--moves 1,2] [--limit 60] [--cache FOLDER]
                                      [--verifier trains]

The dense networks of benchmarks/events.py (T = 6, hard reset), the test recordings that are right among the first
`--samples` ones drawn from seed 0; flips of any kind, and moves by one step of so many events. One thread, CPU
seconds a recording; `--limit` is what a proof may take.
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.events import Case, Threat
from spikecert import SpikeFlip, SpikeShift, dataset, save, verify
from spikecert.certify.proofs import Prover, Unproven
from spikecert.checking import check, read_network


def row(
    prover: Prover,
    case: tuple[torch.Tensor, torch.Tensor],
    threat: Threat,
    folder: Path,
    limit: float,
    verifier: str,
) -> str:
    """Return how many are verified, written and accepted, and what it took."""
    inputs, labels = case
    known = read_network(folder / "network.safetensors")
    verdicts = verify(prover.network, inputs, labels, threat, verifier, timeout=limit)
    verified = [index for index, verdict in enumerate(verdicts) if verdict.status == "verified"]
    written, leaves, sizes, finding, checking = 0, 0, 0, 0.0, 0.0
    for index in verified:
        path, started = folder / "sample.proof", time.process_time()
        try:
            prover.prove(inputs[index], int(labels[index]), threat, timeout=limit).save(path)
        except Unproven as error:
            print(f"recording {index}: {error}", flush=True)
            continue
        finally:
            finding += time.process_time() - started
        started = time.process_time()
        leaves += check(path, known).leaves
        checking += time.process_time() - started
        written, sizes = written + 1, sizes + path.stat().st_size
    each = max(1, written)
    seconds = f"{finding / max(1, len(verified)):.1f} | {checking / each:.2f}"
    counts = f"{len(verified)} of {len(labels)} | {written}"
    return f"{counts} | {seconds} | {leaves / each:.1f} | {sizes / each / 1024:.0f}"


def main() -> None:
    """Train, or read what was trained, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, help="folder with N-MNIST's Train and Test")
    parser.add_argument("--data", default="nmnist", choices=("nmnist", "digit-events"))
    parser.add_argument("--cache", type=Path, help="where networks are kept")
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--trainings", default="plain,certified")
    parser.add_argument("--flips", default="1,2,5")
    parser.add_argument("--moves", default="1,2")
    parser.add_argument("--limit", type=float, default=60.0)
    parser.add_argument("--verifier", default="trains")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cache = arguments.cache or Path(tempfile.mkdtemp())
    cache.mkdir(parents=True, exist_ok=True)
    samples = dataset(arguments.data, arguments.root, num_steps=6)
    chosen = torch.randperm(len(samples.test), generator=torch.Generator().manual_seed(0))[: arguments.samples]
    inputs, labels = samples.test.inputs[chosen].float(), samples.test.labels[chosen]
    threats: dict[str, Threat] = {f"{count} flips": SpikeFlip(int(count)) for count in _numbers(arguments.flips)}
    threats |= {f"±1, {count} events": SpikeShift(1, int(count)) for count in _numbers(arguments.moves)}
    print(
        "| network | set | verified | proofs | found in, s | checked in, s | leaves | KiB |\n" + "|---" * 8 + "|"
    )
    for training in arguments.trainings.split(","):
        network, _ = Case(arguments.data, "dense", 6, "zero", training).trained(samples, cache)
        network = network.eval()
        right = network(inputs).argmax(1) == labels
        folder = Path(tempfile.mkdtemp())
        save(network, folder / "network.safetensors")
        for told, threat in threats.items():
            case = inputs[right], labels[right]
            found = row(Prover.of(network), case, threat, folder, arguments.limit, arguments.verifier)
            print(f"| {training} | {told} | {found} |", flush=True)


def _numbers(text: str) -> list[str]:
    return text.split(",") if text else []


if __name__ == "__main__":
    main()
