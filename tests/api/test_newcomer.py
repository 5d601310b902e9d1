"""From the wheel in a new environment to a report on an snnTorch model of one's own, as docs/quick.md says."""

from pathlib import Path

import pytest
from docs.snippets import blocks

from support.wheels import ROOT, built, installed

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
