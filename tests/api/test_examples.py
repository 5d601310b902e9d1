"""The example scripts run as they stand.

From the wheel in a new environment to a report on an snnTorch model of one's own, as docs/quick.md says.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from docs.snippets import blocks

from support.examples import by_night
from support.scripts import printed
from support.wheels import ROOT, built, installed

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.slow
def test_certify_digits_proves_most_of_what_is_not_broken():
    command = [sys.executable, str(EXAMPLES / "certify_digits.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    broken, proved = (int(part.split()[-2]) for part in done.stdout.splitlines()[-1].split(":")[1].split(","))
    assert 100 - broken >= proved > 60


@pytest.mark.parametrize("library", ["nir", *by_night("snntorch", "spikingjelly", "norse")])
def test_networks_of_other_libraries_go_from_training_to_a_report(library: str, tmp_path: Path):
    told = printed(EXAMPLES / f"from_{library}.py", folder=tmp_path)
    counts = re.search(r"of (\d+): (\d+) right, (\d+) certified", told)
    assert counts is not None, told
    total, right, certified = map(int, counts.groups())
    assert 0.7 * total < right <= total
    assert 0.5 * total < certified <= right
    assert "certified" in (tmp_path / f"runs/{library}.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_an_event_file_becomes_a_report(tmp_path: Path):
    command = [sys.executable, str(EXAMPLES / "from_events.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    counts = [
        tuple(map(int, line)) for line in re.findall(r"(\d+) right, (\d+) proved, (\d+) broken", done.stdout)
    ]
    assert len(counts) == 3
    assert all(right > 16 and proved + broken <= right for right, proved, broken in counts)
    assert counts[0][1] > 12
    assert "drifting bars" in (tmp_path / "runs/events.html").read_text(encoding="utf-8")


PUBLISHED = (
    "spikingjelly_lif_fc_mnist",
    *by_night(
        "snntorch_tutorial_3",
        "snntorch_tutorial_5",
        "snntorch_tutorial_6",
        "snntorch_tutorial_7",
        "spikingjelly_csnn",
        "norse_mnist",
    ),
)


@pytest.mark.parametrize("script", PUBLISHED)
def test_published_networks_go_the_whole_way(script: str, tmp_path: Path):
    """Smaller than published, on digits; the sizes of the tutorials are run by hand, as their first lines say."""
    smaller = ("--small", "--train", 300, "--epochs", 1, "--samples", 2, "--seconds", 1)
    told = printed(EXAMPLES / "published" / f"{script}.py", *smaller, folder=tmp_path)
    counts = re.search(r"of 2: (\d) right, (\d) certified .*; (runs/\S+)", told)
    assert counts is not None, told
    assert int(counts[1]) >= int(counts[2])
    report = (tmp_path / counts[3]).read_text(encoding="utf-8")
    assert all(word in report for word in ("Gain", "certified", "radius"))


__all__ = ["built"]

MINE = """
import snntorch
import torch
from torch import nn


class Mine(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(64, 32), nn.Linear(32, 10)
        self.spikes = snntorch.Leaky(beta=0.9)

    def forward(self, images):
        potential, outputs = self.spikes.init_leaky(), []
        for _ in range(6):
            spikes, potential = self.spikes(self.first(images), potential)
            outputs.append(self.last(spikes))
        return torch.stack(outputs).mean(0)


torch.manual_seed(0)
network = Mine()
"""


def quick() -> tuple[str, str]:
    """Return the Python and the shell block of the tutorial's last section."""
    python, shell = blocks(ROOT / "docs" / "quick.md")
    assert (python[0], shell[0]) == ("python", "sh")
    return python[1], shell[1]


def test_it_is_as_short_as_promised() -> None:
    python, shell = quick()
    assert len([line for line in python.splitlines() if line.strip()]) < 10
    assert len([line for line in shell.splitlines() if line.strip()]) == 3
    assert shell.startswith("pip install ")


@pytest.mark.slow
def test_a_report_on_ones_own_model(built: Path, tmp_path: Path) -> None:
    fresh = installed(built, tmp_path / "venv")
    (tmp_path / "mine.py").write_text(MINE, encoding="utf-8")
    python, shell = quick()
    done = fresh.run("python", "-c", python, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "mine" in (tmp_path / "report.html").read_text(encoding="utf-8")
    for line in shell.splitlines()[1:]:
        done = fresh.run(*line.split(), cwd=tmp_path)
        assert done.returncode in (0, 1), done.stderr
        assert "Traceback" not in done.stderr
    assert (tmp_path / "report" / "report.html").is_file()
