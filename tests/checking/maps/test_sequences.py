# pyright: reportOptionalMemberAccess=false
"""Networks of sequences (channels, length) from end to end: proofs of Conv1d, AvgPool1d and BatchNorm1d check."""

import pytest
import torch
from torch import nn

from spikecert import LIF, LInf, SpikingNetwork, save, verify
from spikecert.certify.proofs import Prover, Unproven
from spikecert.checking import Refused, check
from spikecert.models.files.storage import read_tensors, write_tensors

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same'")

NETWORKS = {
    "a convolution": lambda: (nn.Conv1d(2, 4, 3, padding=1), LIF(0.9), nn.Flatten(), nn.Linear(32, 3)),
    "strides, groups, a pool": lambda: (
        nn.Conv1d(2, 4, 3, stride=2, padding=2, groups=2),
        LIF(0.9),
        nn.AvgPool1d(2, ceil_mode=True),
        nn.Conv1d(4, 3, 2, padding="same"),
        LIF(0.8),
        nn.Flatten(),
        nn.Linear(9, 3),
    ),
    "a batch norm, circular padding": lambda: (
        nn.Conv1d(2, 3, 3, padding=1, padding_mode="circular", bias=False),
        nn.BatchNorm1d(3),
        LIF(0.9, reset="subtract"),
        nn.AvgPool1d(3, 2, padding=1, count_include_pad=False),
        nn.Flatten(),
        nn.Linear(12, 3),
    ),
    "a pool before the first convolution": lambda: (
        nn.AvgPool1d(2),
        nn.Conv1d(2, 4, 2, dilation=2),
        LIF(0.9),
        nn.Flatten(),
        nn.Linear(8, 3),
    ),
}


def made(name: str, encoding: str = "direct") -> SpikingNetwork:
    """Return a network over sequences (2, 8) with larger weights than torch's."""
    torch.manual_seed(0)
    network = SpikingNetwork(*NETWORKS[name](), num_steps=4, encoding=encoding).eval()
    for layer in network.modules():
        if isinstance(layer, nn.Conv1d | nn.Linear):
            layer.weight.data *= 2
        if isinstance(layer, nn.BatchNorm1d):
            layer.running_mean.normal_(0.0, 0.2)
            layer.running_var.uniform_(0.3, 2.0)
    return network


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_verified_has_a_proof_that_checks(name, tmp_path):
    network, ball = made(name), LInf(0.01)
    save(network, tmp_path / "network.safetensors")
    inputs = torch.rand(6, 2, 8)
    labels = network(inputs).argmax(1)
    verdicts, prover, proven = (
        verify(network, inputs, labels, ball, "complete", timeout=10.0),
        Prover.of(network),
        0,
    )
    for sample, label, verdict in zip(inputs, labels.tolist(), verdicts, strict=True):
        if verdict.status != "verified":
            continue
        prover.prove(sample, label, ball, 10.0).save(tmp_path / "sample.proof")
        found = check(tmp_path / "sample.proof", tmp_path / "network.safetensors")
        assert found.label == label
        assert found.sample.shape == (2, 8)
        moved = (sample + 0.01 * (2 * torch.rand(200, 2, 8) - 1)).clamp(0, 1)
        logits = network(moved).detach().double()
        others = logits.clone()
        others[:, label] = -torch.inf
        assert float((logits[:, label] - others.amax(1)).min()) >= found.margin - 1e-5
        proven += 1
    assert proven >= 3


@pytest.mark.parametrize("name", ["a convolution", "a batch norm, circular padding"])
def test_sequences_at_each_step_have_proofs(name, tmp_path):
    network, ball = made(name, "none"), LInf(0.002)
    save(network, tmp_path / "network.safetensors")
    proven = 0
    for sample in torch.rand(6, 4, 2, 8):
        label = int(network(sample[None]).argmax())
        try:
            Prover.of(network).prove(sample, label, ball, 5.0).save(tmp_path / "sample.proof")
        except Unproven:
            continue
        proven += check(tmp_path / "sample.proof", tmp_path / "network.safetensors").label == label
    assert proven >= 2


def test_a_proof_of_a_larger_ball_of_sequences_is_refused(tmp_path):
    network = made("a convolution")
    save(network, tmp_path / "network.safetensors")
    inputs = torch.rand(20, 2, 8)
    best = network(inputs).topk(2).values
    sample = inputs[int((best[:, 0] - best[:, 1]).argmax())]
    label = int(network(sample[None]).argmax())
    Prover.of(network).prove(sample, label, LInf(1e-3), 10.0).save(tmp_path / "sample.proof")
    text, tensors = read_tensors(tmp_path / "sample.proof", "spikecert.proof/1")
    write_tensors(
        tmp_path / "sample.proof", "spikecert.proof/1", text, tensors | {"radius": tensors["radius"] * 500}
    )
    with pytest.raises(Refused, match=r"^sample.proof: class \d: a leaf's margin is only proven to be at least"):
        check(tmp_path / "sample.proof", tmp_path / "network.safetensors")
