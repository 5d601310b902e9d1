"""CONTRIBUTING's recipes are short and true: followed to the letter in a copy of the package, they work."""

import ast
import os
import re
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from spikecert import LInf, SpikeFlip, SpikingNetwork, attack, verify
from spikecert.testing import check_sound
from support.layout import ROOT, copy_package
from support.oracles import every_flip, least_margin
from support.recurrent import fill

CHECKS = Path(__file__).with_name("recipe_checks.py")
SECTION = re.compile(r"^### (.+)\n((?:(?!^### ).*\n)*)", re.MULTILINE)
BLOCK = re.compile(r"^ *```python\n( *# [^\n]+\n.*?)^ *```$", re.MULTILINE | re.DOTALL)
PLACE = re.compile(r"# (?P<file>[\w/]+\.py)(?:: add to (?P<table>.+))?")
IMPORTS = "the imports"
TOUCHED = {
    "Add a neuron that is other constants": ["models/elements/integrate_and_fire.py"],
    "Add a neuron with its own reset": ["models/elements/resting.py"],
    "Add an affine layer": [
        "models/linear_maps/channel_shuffle.py",
        "checking/maps/shuffling.py",
        "checking/maps/layers.py",
        "checking/maps/layers.py",
    ],
    "Add a reader": ["analysis/largest_logits.py"],
}
"""What each recipe writes, block by block: a new file, or a line in a table."""


@dataclass(frozen=True)
class Block:
    """A block of code of a recipe.

    Attributes:
        file: that it is, or is added to.
        table: the dictionary of that file that it is added to, or "the imports"; None for a new file.
        code: to be written.
    """

    file: str
    table: str | None
    code: str

    @staticmethod
    def of(text: str) -> "Block":
        first, _, code = textwrap.dedent(text).partition("\n")
        place = PLACE.fullmatch(first)
        assert place is not None, first
        return Block(place["file"], place["table"], code)

    def follow(self, package: Path) -> None:
        """Do to the copy what the recipe says, and nothing else."""
        path = package / self.file
        assert path.exists() == (self.table is not None), self.file
        path.write_text(self.code if self.table is None else self._added(path.read_text("utf-8")), "utf-8")

    def _added(self, source: str) -> str:
        if self.table == IMPORTS:
            lines = source.splitlines(keepends=True)
            held = [node for node in ast.parse(source).body if isinstance(node, ast.ImportFrom) and node.level]
            later = (node.lineno - 1 for node in held if lines[node.lineno - 1] > self.code)
            place = next(later, held[-1].end_lineno)
            return "".join((*lines[:place], self.code, *lines[place:]))
        (end,) = re.finditer(rf"^{self.table}\b[^\n]*= {{\n.*?^}}", source, re.MULTILINE | re.DOTALL)
        return source[: end.end() - 1] + textwrap.indent(self.code, "    ") + source[end.end() - 1 :]


def recipes() -> dict[str, list[Block]]:
    """Return the blocks of each recipe that has code."""
    found = {
        title: BLOCK.findall(text)
        for title, text in SECTION.findall((ROOT / "CONTRIBUTING.md").read_text("utf-8"))
    }
    return {title: [Block.of(text) for text in texts] for title, texts in found.items() if texts}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a copy of the package in which all recipes were followed."""
    folder = tmp_path_factory.mktemp("recipes")
    copy_package(folder)
    for block in (block for blocks in recipes().values() for block in blocks):
        block.follow(folder / "spikecert")
    return folder


def run(copy: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the copy in front of the installed package."""
    settings = {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    command = (sys.executable, "-m", *command)
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | settings, capture_output=True, text=True, check=False
    )


def test_a_recipe_writes_its_own_files_and_a_line_in_each_table() -> None:
    assert {title: [block.file for block in blocks] for title, blocks in recipes().items()} == TOUCHED
    lines = [
        block.code.count("\n") for blocks in recipes().values() for block in blocks if block.table is not None
    ]
    assert lines == [1, 1]


def own_reset(patch: pytest.MonkeyPatch) -> Any:
    """Return the one file of the recipe of a neuron with its own reset, as a module of the package that runs."""
    (block,) = recipes()["Add a neuron with its own reset"]
    module: Any = ModuleType("spikecert.models.elements.resting")
    module.__package__ = "spikecert.models.elements"
    patch.setitem(sys.modules, module.__name__, module)
    exec(block.code, vars(module))
    return module


@pytest.mark.parametrize("encoding", ["direct", "none"])
def test_a_neuron_with_its_own_reset_is_one_file_and_is_run_bounded_listed_and_attacked(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    neuron, generator = own_reset(monkeypatch).RestingLIF(0.9, 0.25), torch.Generator().manual_seed(0)
    layers = nn.Linear(3, 4), neuron, nn.Linear(4, 3)
    network = SpikingNetwork(*layers, num_steps=4, encoding=encoding)
    fill(network, True, generator)
    network.eval()
    shape = (4, 3) if encoding == "none" else (3,)
    inputs = (torch.rand(4, *shape, generator=generator) < 0.5).float()
    labels, spikes = network(inputs).argmax(1), network.trace(inputs).spikes[0]
    assert bool(spikes.any())
    assert not bool((spikes[1:] * spikes[:-1]).any())
    for verifier in ("interval", "trains", "auto"):
        assert check_sound(network, inputs, LInf(1e-4), verifier, timeout=2.0).verified > 0
    assert bool(attack(network, inputs, labels, LInf(0.9)).success.any())
    if encoding == "none":
        verdicts = verify(network, inputs, labels, SpikeFlip(1), "enumeration")
        for sample, label, verdict in zip(inputs, labels.tolist(), verdicts, strict=True):
            exact = least_margin(network, every_flip(sample, 1), label)
            assert verdict.status == (
                "verified" if exact > 1e-4 else "falsified" if exact <= 0 else verdict.status
            )


@pytest.mark.slow
def test_what_the_recipes_make_is_known_to_all_that_shall_know_it_and_refused_by_the_rest(copy: Path) -> None:
    done = run(copy, "pytest", "-q", "-p", "no:cacheprovider", "--tb=short", str(CHECKS))
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr
    assert "skipped" not in done.stdout


def test_the_code_of_the_recipes_is_clean(copy: Path) -> None:
    files = {str(copy / "spikecert" / block.file) for blocks in recipes().values() for block in blocks}
    done = run(copy, "ruff", "check", "--config", str(ROOT / "pyproject.toml"), *sorted(files))
    assert done.returncode == 0, done.stdout
    done = run(copy, "ruff", "format", "--check", "--config", str(ROOT / "pyproject.toml"), *sorted(files))
    assert done.returncode == 0, done.stdout
