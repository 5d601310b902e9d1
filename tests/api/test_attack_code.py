"""`spikecert attack` on code that no converter takes: figures, signs, and refusals in one line with status 2."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from spikecert.certify import LInf
from spikecert.certify.attacks import PGD, attack_module
from spikecert.training import dataset
from support.command_line import run

__all__ = ["run"]

CODE = """
import torch
from torch import nn

class Linear(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.left = nn.Linear(64, 10), 0.0

    def forward(self, x):
        return self.inner(x)

class Held(Linear):
    def forward(self, x):
        self.left = 0.5 * self.left + self.inner(x)
        return self.left

def forget(module):
    module.left = 0.0

class Cut(Linear):
    def forward(self, x):
        return self.inner(x).detach()

class Lost(Linear):
    def forward(self, x):
        out = self.inner(x)
        if out.requires_grad:
            out.register_hook(lambda gradient: gradient * float("nan"))
        return out

class Unfinite(Linear):
    def forward(self, x):
        return self.inner(x) / 0.0

class Constant(Linear):
    def forward(self, x):
        return 0.0 * self.inner(x) - torch.arange(10.0)

class Narrow(Linear):
    def forward(self, x):
        return self.inner(x[:, :5])

def number():
    return 3
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the code, and weights that classify digits."""
    folder = tmp_path_factory.mktemp("code")
    (folder / "mine.py").write_text(CODE, encoding="utf-8")
    data = dataset("digits").train
    inner = torch.nn.Linear(64, 10)
    optimizer = torch.optim.Adam(inner.parameters(), 0.05)
    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(inner(data.inputs), data.labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    save_file({f"inner.{name}": value for name, value in inner.state_dict().items()}, folder / "w.safetensors")
    return folder


def asked(folder: Path, name: str, *more: str) -> list[str]:
    weights = ["--weights", str(folder / "w.safetensors")]
    return ["attack", f"{folder}/mine.py:{name}", *weights, "--samples", "20", "--json", *more]


def test_figures_are_those_of_the_attack_on_the_module(run, folder):
    found = run(*asked(folder, "Linear", "--method", "pgd", "--epsilon", "0.05,0.1", "--out", str(folder / "out")))
    assert found.status == 0, found.err
    told = json.loads(found.out)
    split = dataset("digits").test
    module = torch.nn.Linear(64, 10)
    from safetensors.torch import load_file

    state = load_file(folder / "w.safetensors")
    module.load_state_dict({name.removeprefix("inner."): value for name, value in state.items()})
    inputs, labels = split.inputs[:20], split.labels[:20]
    first = attack_module(module, inputs, labels, LInf(0.05), PGD())
    left = ~first.success
    second = attack_module(module, inputs[left], labels[left], LInf(0.1), PGD())
    expected = int(left.sum()), int((~second.success).sum())
    assert [point["robust"]["pgd"] for point in told["points"]] == list(expected)
    assert told["clean"] == int((module(inputs).argmax(1) == labels).sum())
    sizes = told["broken_at"]["pgd"]
    assert (sizes.count(0.05), sizes.count(0.1)) == (20 - expected[0], expected[0] - expected[1])
    assert json.loads((folder / "out" / "attack.json").read_text()) == told


def test_the_standard_attack_is_the_default_and_no_weaker(run, folder):
    for more in ((), ("--standard",)):
        found = run(*asked(folder, "Linear", *more, "--epsilon", "0.1", "--samples", "6"))
        told = json.loads(found.out)
        assert list(told["broken_at"]) == ["standard"]
    both = run(*asked(folder, "Linear", "--standard", "--method", "pgd", "--epsilon", "0.1", "--samples", "6"))
    left = json.loads(both.out)["points"][0]["robust"]
    assert left["standard"] <= left["pgd"]


def test_a_module_with_a_state_of_its_own_needs_a_reset(run, folder):
    more = "--method", "pgd", "--epsilon", "0.05"
    without = run(*asked(folder, "Held", *more))
    assert without.status == 2
    assert without.err.strip() == (
        "spikecert: module: gave other logits on the second run, expected the same: pass `reset`"
    )
    held, plain = (
        json.loads(run(*asked(folder, name, *more, *extra)).out)["points"]
        for name, extra in (("Held", ("--reset", f"{folder}/mine.py:forget")), ("Linear", ()))
    )
    assert held == plain


SIGNS = {
    "Cut": "the gradient is exactly 0 at 20 of 20 samples",
    "Lost": "the gradient is NaN or infinite at 20 of 20 samples",
    "Constant": "the output is the same at all",
}


@pytest.mark.parametrize("name", SIGNS)
def test_what_says_little_is_told(run, folder, name):
    found = run(*asked(folder, name, "--method", "pgd", "--epsilon", "0.01"))
    assert found.status == 0, found.err
    (point,) = json.loads(found.out)["points"]
    assert any(line.startswith(SIGNS[name]) for line in point["warnings"]["pgd"])
    arguments = [part for part in asked(folder, name, "--method", "pgd", "--epsilon", "0.01") if part != "--json"]
    assert f"Attack pgd, ε = 0.01: {SIGNS[name]}" in run(*arguments).out


def test_samples_that_fail_as_they_are_and_budgets_below_the_resolution_are_told(run, folder):
    found = run(*asked(folder, "Constant", "--method", "square", "--epsilon", "1e-12"))
    (point,) = json.loads(found.out)["points"]
    failing, *rest = point["warnings"]["square"]
    assert "samples fail as they are: they count as broken" in failing
    assert any(line.startswith("no other input lies in the sets of") for line in rest)


REFUSED = {
    ("Unfinite",): "module: gave NaN or inf, expected finite logits",
    ("Narrow",): "on inputs of shape (2, 64) failed: RuntimeError: mat1 and mat2 shapes cannot be multiplied",
    ("number",): "is int, expected a torch module, or what makes one",
    ("nothing",): "but there is no nothing in it",
    ("Linear", "--norm", "flips", "--epsilon", "1"): "norm: got flips, expected linf or l2 for a module",
    ("Linear", "--method", "ensemble"): "method: got ensemble, expected one of a module's own gradients",
    ("Linear", "--method", "guided"): "method: got guided, expected one of a module's own gradients",
    ("Linear", "--method", "spike-flip"): "method: got spike-flip, expected one of a module's own gradients",
    ("Linear", "--epsilon", "0"): "epsilon: got '0', expected a number above 0",
    ("Linear", "--mean", "0.5", "--std", "0.5"): "expected the module to normalise its inputs",
    ("Linear", "--reset", "forget"): "reset: got forget, expected package.module:function or file.py:function",
    ("Linear", "--samples", "5000"): "samples: got 5000, expected at most",
}


@pytest.mark.parametrize("more", REFUSED, ids=lambda more: " ".join(more))
def test_what_can_not_be_attacked_is_refused_in_one_line(run, folder, more):
    arguments = asked(folder, more[0], *more[1:])
    if more[0] == "number":
        arguments = [part for part in arguments if part != "--weights" and not part.endswith("w.safetensors")]
    found = run(*arguments)
    assert found.status == 2
    assert REFUSED[more] in found.err
    assert len(found.err.strip().splitlines()) == 1


def test_weights_of_another_module_or_of_no_safetensors_are_refused(run, folder, tmp_path):
    other, torn = tmp_path / "other.safetensors", tmp_path / "torn.pt"
    save_file({"inner.weight": torch.zeros(3, 4)}, other)
    torn.write_bytes(b"\x80\x02pickled")
    for path, told in (
        (other, "failed: RuntimeError: Error(s) in loading state_dict"),
        (torn, "nothing is unpickled"),
    ):
        found = run("attack", f"{folder}/mine.py:Linear", "--weights", path, "--samples", "2")
        assert found.status == 2
        assert told in found.err
        assert len(found.err.strip().splitlines()) == 1


def test_weights_and_reset_are_for_code_alone(run, folder):
    for option in ("--weights", "--reset"):
        found = run("attack", "zoo:mnist-linf-0.1", option, "mine")
        assert found.status == 2
        assert "expected it for code alone, as file.py:name" in found.err
