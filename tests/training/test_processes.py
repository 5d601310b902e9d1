"""Data-parallel training: two processes under torchrun end where one does, and noise is the samples' own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikecert.cli import main
from spikecert.models import DLIF, LIF, SpikingNetwork, load, mlp, network_hash
from spikecert.training import (
    MSMPPD,
    CrossEntropy,
    Dataset,
    GainPenalty,
    GaussianNoise,
    MarginOverGain,
    Objective,
    SingleStep,
    Split,
    TrainingRun,
    dataset,
    fit,
)
from spikecert.training.generators import BatchGenerator, draw_like
from spikecert.training.journal import EpochMetrics
from spikecert.training.processes import Processes, joined

TOLERANCE = 1e-9
"""Of float64 runs: sums in another order, a dozen steps, no spike that flips (docs/runs.md)."""


def digits(count: int = 90) -> Dataset:
    data = dataset("digits")
    few = [Split(s.inputs[:count], s.labels[:count]) for s in (data.train, data.validation, data.test)]
    return Dataset("few digits", *few, data.shape, data.classes)  # type: ignore[arg-type]


def plain() -> SpikingNetwork:
    torch.manual_seed(0)
    return mlp((64, 24, 16, 10), 4, DLIF(4, decay=0.9)).double()


def normalised() -> SpikingNetwork:
    torch.manual_seed(0)
    layers = (nn.Linear(64, 24), nn.BatchNorm1d(24), LIF(0.9), nn.Linear(24, 16), LIF(0.9), nn.Linear(16, 10))
    return SpikingNetwork(*layers, num_steps=4).double()


COMMAND = ("--network", "mlp:8", "--epochs", "1", "--num-steps", "2", "--json")

GAINS = CrossEntropy() + GainPenalty(0.1) + MarginOverGain(0.5, layers="all")

RUNS: dict[str, tuple[Callable[[], SpikingNetwork], Objective, dict[str, Any]]] = {
    "noise": (plain, MSMPPD(perturbation=GaussianNoise(0.1)), {"optimizer": "adam"}),
    "step": (plain, MSMPPD(perturbation=SingleStep(0.05)), {}),
    "norm": (normalised, MSMPPD(perturbation=SingleStep(0.05)), {}),
    "gains": (plain, GAINS, {"optimizer": "adam"}),
}


def train(name: str, folder: Path | None, epochs: int = 3) -> TrainingRun:
    network, objective, settings = RUNS[name]
    # 90 samples in batches of 22 or 23: the parts of two processes differ in size
    return fit(network(), digits(), objective, epochs=epochs, batch_size=23, folder=folder, **settings)


def child(folder: Path) -> None:
    """What each of the processes does."""
    torch.set_num_threads(1)
    with joined():
        for name in RUNS:
            train(name, folder / name)
        assert main(["train", *COMMAND, "--out", str(folder / "command")]) == 0


if __name__ == "__main__":
    child(Path(sys.argv[1]))


COMPUTING = """
import hashlib
from spikecert.training.processes import joined
with joined():
    print("here", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)
"""


@pytest.mark.slow
def test_processes_end_with_the_torchrun_that_started_them(tmp_path: Path) -> None:
    (tmp_path / "computing.py").write_text(COMPUTING)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "SPIKECERT_MARK": str(tmp_path)}
    started = subprocess.Popen([*command, str(tmp_path / "computing.py")], stdout=subprocess.PIPE, env=environment)
    with started:
        assert started.stdout is not None
        assert [started.stdout.readline() for _ in range(2)] == [b"here\n", b"here\n"]
        from support.processes import marked, soon  # only here: torchrun runs this file, and has no such package

        assert len(marked(f"SPIKECERT_MARK={tmp_path}")) >= 3
        started.kill()
        assert soon(lambda: not marked(f"SPIKECERT_MARK={tmp_path}"), 1.0)


@dataclass(frozen=True)
class Together:
    """What two processes left: their folder, and all that they printed."""

    folder: Path
    printed: str


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Together:
    folder = tmp_path_factory.mktemp("together")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, __file__, str(folder)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return Together(folder, done.stdout)


def history(folder: Path, name: str) -> tuple[EpochMetrics, ...]:
    """Return the history of a finished run, by asking for it again."""
    return train(name, folder / name).history


@pytest.mark.parametrize("name", RUNS)
def test_two_processes_end_where_one_does(together: Together, name: str) -> None:
    alone, both = train(name, None), load(together.folder / name / "network.safetensors")
    expected, found = alone.network.state_dict(), both.state_dict()
    moved = max(float((expected[k] - v).abs().max()) for k, v in RUNS[name][0]().state_dict().items())
    assert moved > 1e-3
    for key, tensor in expected.items():
        torch.testing.assert_close(found[key], tensor, rtol=TOLERANCE, atol=TOLERANCE)
    for mine, theirs in zip(alone.history, history(together.folder, name), strict=True):
        assert theirs.loss == pytest.approx(mine.loss, rel=TOLERANCE)
        assert dict(theirs.terms) == pytest.approx(dict(mine.terms), rel=TOLERANCE)
        assert theirs.score == mine.score


def test_only_the_first_process_writes(together: Together) -> None:
    for name in RUNS:
        assert len(list((together.folder / name / "tensorboard").iterdir())) == 1
        assert (together.folder / name / "history.csv").read_text().count("\n") == 4


def test_the_command_line_trains_under_torchrun_and_one_process_speaks(together: Together) -> None:
    told = json.loads(together.printed)
    assert told["best_epoch"] == 1
    assert network_hash(load(together.folder / "command" / "network.safetensors")) == told["sha256"]


@pytest.mark.parametrize("draw", [torch.randn, torch.rand])
def test_noise_does_not_depend_on_the_number_of_processes(draw: Callable[..., Tensor]) -> None:
    inputs = torch.zeros(23, 5)
    for count in (1, 2, 3):
        parts, after = [], []
        for rank in range(count):
            generator = BatchGenerator()
            generator.manual_seed(3)
            generator.rows, generator.total = Processes(rank, count).rows(len(inputs)), len(inputs)
            own = inputs if generator.rows is None else inputs[generator.rows]
            parts.append(draw_like(draw, own, generator))
            after.append(generator.get_state())
        assert torch.equal(torch.cat(parts), draw((23, 5), generator=torch.Generator().manual_seed(3)))
        assert all(torch.equal(state, after[0]) for state in after)


def test_noise_for_other_rows_is_refused() -> None:
    generator = BatchGenerator()
    generator.rows, generator.total = slice(0, 2), 5
    with pytest.raises(ValueError, match="inputs: got 3 samples, expected the 2 of this process"):
        draw_like(torch.randn, torch.zeros(3, 1), generator)


def test_a_batch_smaller_than_the_processes_is_refused() -> None:
    with pytest.raises(ValueError, match="batch_size: got a batch of 2 for 3 processes"):
        Processes(0, 3).rows(2)
