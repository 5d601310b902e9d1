"""Long runs: hundreds of steps, thousands of samples, two threads, and a worker without memory."""

import gc
import itertools
import resource
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import Tensor

from spikecert import LIF, ConversionRefused, LInf, SpikingNetwork, convert, mlp, save, verify
from spikecert.certify import Verdict
from spikecert.certify.replay import misclassified
from spikecert.certify.ties import settled_ties
from support.foreign import FOREIGN, Foreign

STEPS = (254, 255, 256, 257, 300)
CASES = {1: (("trains", 1e-4), ("linear", 1e-4), ("auto", 0.02)), 300: (("interval", 1e-4), ("gain", 1e-4))}
"""By the number of samples: verifiers, and how far inputs may move."""
SAMPLED = 400
"""Inputs that are drawn for each sample that was verified."""


def of_length(made: Foreign, steps: int, count: int) -> Tensor:
    """Return `count` inputs of a source, over `steps` where each step has an input of its own."""
    shape = made.sample.shape[2:] if made.encoding == "none" else made.sample.shape[1:]
    drawn = torch.rand(count, steps if made.encoding == "none" else 1, *shape)
    return (drawn < 0.5).float() if made.encoding == "none" else drawn[:, 0]


def contradicted(network: SpikingNetwork, inputs: Tensor, verdicts: list[Verdict], ball: LInf) -> list[int]:
    """Return the samples whose verdict is wrong: one verified that a drawn input breaks, or falsified by none."""
    return [
        index
        for index, (sample, verdict) in enumerate(zip(inputs, verdicts, strict=True))
        if verdict.status != "unknown"
        and broken(network, sample, verdict, ball) != (verdict.status == "falsified")
    ]


@torch.no_grad()
def broken(network: SpikingNetwork, sample: Tensor, verdict: Verdict, ball: LInf) -> bool:
    """Return whether the counterexample, or one of many drawn inputs, is misclassified, as verdicts take ties."""
    if verdict.counterexample is not None:
        tried = verdict.counterexample[None]
    else:
        size = torch.rand(SAMPLED, *[1] * sample.dim()) * ball.epsilon
        tried = (sample + size * torch.randn(SAMPLED, *sample.shape).sign()).clamp(0, 1)
    label = network(sample[None]).argmax(1)
    return bool(misclassified(network, tried, label.expand(len(tried)), settled_ties(network, None)).any())


def converted(library: str, seed: int, steps: int, count: int) -> tuple[SpikingNetwork, Tensor] | str:
    """Return a source's network over so many steps, with the inputs on which both agree; or why it is refused."""
    torch.manual_seed(seed)
    made = FOREIGN[library](seed)
    inputs = of_length(made, steps, count)
    try:
        found = convert(made.source, inputs, steps, made.encoding)
    except ConversionRefused as error:
        return str(error)
    assert made.refusal is None
    assert sum(found.check.mismatches) == 0
    assert found.network.num_steps == steps
    return found.network.eval(), inputs


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("library", ["spikingjelly", "norse"])
def test_conversions_of_hundreds_of_steps_match_and_their_verdicts_hold(library: str) -> None:
    matched, statuses = 0, Counter[str]()
    for seed, count in itertools.product(range(10), CASES):
        found = converted(library, seed, STEPS[seed % len(STEPS)], count)
        if isinstance(found, str):
            assert "\n" not in found
            assert FOREIGN[library](seed).refusal is not None or "within rounding" in found, (seed, found)
            continue
        network, tried = found
        matched += 1
        with torch.no_grad():
            labels = network(tried).argmax(1)
        for verifier, epsilon in CASES[count]:
            verdicts = verify(network, tried, labels, LInf(epsilon), verifier, timeout=2.0)
            assert contradicted(network, tried, verdicts, LInf(epsilon)) == [], (seed, verifier)
            statuses += Counter(verdict.status for verdict in verdicts)
    assert matched >= 10
    assert statuses["verified"] >= 10
    assert statuses["falsified"] >= 10


def resident() -> int:
    """Return the resident memory of this process, in bytes."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.slow
@pytest.mark.parametrize("verifier", ["trains", "linear", "auto"])
@pytest.mark.timeout(1800)
def test_ten_thousand_samples_take_no_more_memory_than_the_first_thousands(verifier: str) -> None:
    torch.manual_seed(0)
    network = mlp((8, 16, 3), num_steps=4, neuron=LIF(0.9)).eval()
    inputs = torch.rand(10_000, 8)
    with torch.no_grad():
        labels = network(inputs).argmax(1)
    sizes, seen = [], set[str]()
    for part, expected in zip(inputs.split(250), labels.split(250), strict=True):
        verdicts = verify(network, part, expected, LInf(0.05), verifier)
        seen |= {verdict.status for verdict in verdicts}
        sizes.append(resident())
    assert "verified" in seen
    assert sizes[-1] - sizes[11] < 30 * 2**20  # what 3,000 samples took is all that is kept


@pytest.mark.slow
def test_two_threads_find_what_one_finds() -> None:
    torch.manual_seed(0)
    jobs = []
    for reset, size in (("zero", 12), ("subtract", 20)):
        network = mlp((8, size, 3), num_steps=6, neuron=LIF(0.9, reset=reset)).eval()
        inputs = torch.rand(40, 8)
        with torch.no_grad():
            jobs.append((network, inputs, network(inputs).argmax(1)))
    alone = [told(*job) for job in jobs]
    together: dict[int, list[tuple[str, float | None]]] = {}

    def run(place: int) -> None:
        for _ in range(3):
            together[place] = told(*jobs[place % 2])

    threads = [threading.Thread(target=run, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [together[place] for place in range(4)] == alone * 2
    for network, inputs, labels in jobs:
        verdicts = verify(network, inputs, labels, LInf(0.03), "auto")
        assert contradicted(network, inputs, verdicts, LInf(0.03)) == []


def told(network: SpikingNetwork, inputs: Tensor, labels: Tensor) -> list[tuple[str, float | None]]:
    """Return statuses and margins."""
    verdicts = verify(network, inputs, labels, LInf(0.03), "auto")
    return [(verdict.status, verdict.margin) for verdict in verdicts]


SCRIPT = """
import resource, sys
from spikecert.cli import main
import spikecert.certify, spikecert.reports, spikecert.training

if __name__ == "__main__":
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    most = used + (150 << 20)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))  # workers inherit it
    sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("workers", [(), ("--workers", "1")])
def test_too_little_memory_is_one_line(workers: tuple[str, ...], tmp_path: Path) -> None:
    torch.manual_seed(0)
    save(mlp((64, 6000, 10), num_steps=96, neuron=LIF(0.9)), tmp_path / "large.safetensors")
    script, model = tmp_path / "script.py", tmp_path / "large.safetensors"
    script.write_text(SCRIPT, encoding="utf-8")
    command = [sys.executable, str(script), "certify", str(model), "--verifier", "linear", "--epsilon", "0.1"]
    command += ["--samples", "32", *workers]
    found = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
    assert found.returncode == 2, found.stderr
    assert "Traceback" not in found.stderr
    assert found.stderr.splitlines()[-1].startswith("spikecert: memory: there is too little for what is asked")
