"""What the library logs, and on the command line where it is asked for; and its errors' one base class."""

import ast
import logging
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from spikecert import LInf, SpikecertError, convert, dataset, fit, mlp, verify
from spikecert.asking.values import Mistake
from spikecert.certify import SoundnessError
from spikecert.checking.refusal import Refused
from spikecert.files import NotAFile, Unreadable
from spikecert.formats.deciding import QuestionError
from spikecert.models.conversion.refusal import ConversionRefused
from support.modules import modules

APART = {
    "NotBuilt": "setup.py runs its file by itself",
    "Refuted": "an AssertionError of tests",
    "NoSuchNeuron": "caught where it is raised",
    "NotPlain": "caught where it is raised",
}
"""Error classes that are no `SpikecertError`, and why."""


class Plain(nn.Module):
    """A network of anyone's code: two steps of a leaky neuron."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 3), nn.Linear(3, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        potential, total = torch.zeros(len(inputs), 3), torch.zeros(len(inputs), 2)
        for _ in range(2):
            potential = 0.5 * potential + 4 * self.first(inputs)
            spikes = (potential >= 1.0).float()
            potential = potential * (1 - spikes)
            total = total + self.second(spikes)
        return total


def test_what_is_done_is_logged(caplog: pytest.LogCaptureFixture):
    network, data = mlp((64, 8, 10), num_steps=2).eval(), dataset("digits")
    inputs = data.test.inputs[:3]
    with caplog.at_level(logging.DEBUG, "spikecert"):
        found = verify(network, inputs, network(inputs).argmax(1), LInf(0.01))
        fit(network, data, epochs=1)
        convert(Plain(), torch.rand(2, 4))
    texts = [record.getMessage() for record in caplog.records if record.name.startswith("spikecert.")]
    for place, verdict in enumerate(found):
        assert any(text.startswith(f"sample {place}: {verdict.status} by {verdict.verifier} in") for text in texts)
    assert any(text.startswith("auto: trains leaves ") and text.endswith(" of 3 samples open") for text in texts)
    assert any(text.startswith("epoch 1 of 1: loss ") for text in texts)
    assert any("come in" in text for text in texts)


def test_the_command_line_logs_where_it_is_asked_to(run, model: Path):
    asked = ("certify", model, "--data", "digits", "--samples", 2, "--epsilon", 0.001, "--verifier", "interval")
    assert "sample 0: " not in run(*asked).err
    told = run("--log", "info", *asked)
    assert "spikecert.certify.answering: sample 1: " in told.err
    assert "sample 0: " not in run(*asked).err, "it ends with the command"
    assert not logging.getLogger("spikecert").handlers
    assert "--log" in run("--log", "loud", *asked).err


@pytest.mark.parametrize(
    "error", [Mistake, SoundnessError, Refused, NotAFile, Unreadable, QuestionError, ConversionRefused]
)
def test_errors_have_one_base(error: type[Exception]):
    assert issubclass(error, SpikecertError)
    assert issubclass(error, ValueError) or error is SoundnessError


def test_no_error_class_stands_apart():
    """Each class of errors that leaves the library is a `SpikecertError`; what is private to a search is not."""
    bases = {
        node.name: {base.id for base in node.bases if isinstance(base, ast.Name)}
        for module in modules().values()
        for node in module.nodes
        if isinstance(node, ast.ClassDef)
    }
    python = {"ValueError", "TypeError", "RuntimeError", "ArithmeticError", "ImportError", "AssertionError"}
    apart = {name for name, of in bases.items() if of & python and "SpikecertError" not in of}
    assert apart == APART.keys()
