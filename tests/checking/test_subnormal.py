"""Constants without a relative precision are refused: no bound of the run's rounding holds for them."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from spikecert import DLIF, SpikingNetwork, save
from spikecert.checking import Refused, check, read_network
from spikecert.checking.maps.layers import read_layer
from spikecert.checking.network.model import FORMAT as NETWORK
from spikecert.checking.numbers.exact import ARITHMETIC
from spikecert.checking.short import FORMAT as PROOF
from spikecert.models.files.storage import digest_of, read_tensors, write_tensors

UNIT = 2.0**-149
"""The least positive number of float32, where 1.6·UNIT becomes 2·UNIT."""


def written(path, change, dtype=torch.float32, **options):
    """Write a network whose neuron fires at step 2 iff λ·2¹⁰⁰·x ≥ 1.1·2⁻⁴⁹, which makes it class 0, changed."""
    neuron = DLIF(2, decay=0.5, threshold=1.1 * 2.0**-49, **{"reset": "none", **options})
    network = SpikingNetwork(nn.Linear(1, 1), neuron, nn.Linear(1, 2), num_steps=2).to(dtype)
    states = [2.0**100], [0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 0.75]
    for parameter, state in zip(network.parameters(), states, strict=True):
        parameter.data = torch.tensor(state, dtype=dtype).view(parameter.shape)
    save(network, path)
    text, tensors = read_tensors(path, NETWORK)
    description = json.loads(text)
    change(description["layers"][1], tensors)
    write_tensors(path, NETWORK, json.dumps(description), tensors)


def test_a_decay_that_a_run_rounds_up_by_a_quarter_proves_nothing(tmp_path):
    """In exact arithmetic x ≤ .6 never fires at step 2; the run, with λ = 2·UNIT, does so from x = .55 on.

    The network's hash in this proof is right, and before this constant was refused the proof was accepted.
    """
    run = torch.tensor(2.0**100) * torch.tensor([0.5, 0.58]) * torch.tensor(1.6 * UNIT)
    assert (run >= 1.1 * 2.0**-49).tolist() == [False, True]
    model = tmp_path / "network.safetensors"
    written(model, lambda neuron, tensors: neuron.update(decay=1.6 * UNIT))
    text = {"label": 1, "lower": 0.0, "upper": 1.0, "norm": "linf", "note": ""}
    text["network"] = digest_of(*read_tensors(model, NETWORK))
    tree = {"0.neuron": torch.tensor([-1]), "0.current": torch.zeros(1), "0.prices.0": torch.zeros(1, 1)}
    ball = {"sample": torch.tensor([0.5]), "radius": torch.tensor([0.1], dtype=torch.float64)}
    write_tensors(tmp_path / "false.proof", PROOF, json.dumps(text), tree | ball)
    with pytest.raises(Refused, match=r"layers\.1\.decay: got 2.24e-45, expected 0 or a modulus from 1.18e-38 on"):
        check(tmp_path / "false.proof", model)


def _scaled(neuron, tensors):
    tensors["layers.1.input_scale"][1] = 1e-40


CHANGES = {
    "decay": lambda neuron, tensors: neuron.update(decay=1e-38),
    "threshold": lambda neuron, tensors: neuron.update(threshold=1e-40),
    "reset_amount": lambda neuron, tensors: neuron.update(reset_amount=1e-45, reset="subtract"),
    "input_scale": _scaled,
}


@pytest.mark.parametrize("field", CHANGES)
def test_a_subnormal_constant_is_refused_by_name(field, tmp_path):
    written(tmp_path / "network.safetensors", CHANGES[field])
    with pytest.raises(Refused, match=rf"^network.safetensors: layers\.1\.{field}: got "):
        read_network(tmp_path / "network.safetensors")


@pytest.mark.parametrize("field", CHANGES)
def test_the_dtype_of_the_run_decides_what_is_subnormal(field, tmp_path):
    written(tmp_path / "network.safetensors", CHANGES[field], torch.float64)
    assert read_network(tmp_path / "network.safetensors").layers
    written(tmp_path / "least.safetensors", lambda neuron, tensors: neuron.update(decay=5e-324), torch.float64)
    with pytest.raises(Refused, match=r"layers\.1\.decay: got 4.94e-324, expected 0 or a modulus from 2.23e-308"):
        read_network(tmp_path / "least.safetensors")


@pytest.mark.parametrize("decay", [0.0, 2.0**-126])
def test_zero_and_the_least_normal_number_are_accepted(decay, tmp_path):
    written(tmp_path / "network.safetensors", lambda neuron, tensors: neuron.update(decay=decay))
    assert read_network(tmp_path / "network.safetensors").layers[1].decay == decay  # pyright: ignore


def normalised(weight: float, variance: float, mean: float = 1e38):
    """Return the checker's batch norm of one channel, over one feature, in float32."""
    parts = {"weight": weight, "bias": 0.0, "running_mean": mean, "running_var": variance}
    tensors = {f"0.{name}": np.array([value], dtype="<f4") for name, value in parts.items()}
    text = {"type": "BatchNorm1d", "num_features": 1, "eps": 0.0, "momentum": 0.1, "affine": True}
    return read_layer(tensors, "0", text).over((1,), ARITHMETIC[np.dtype("<f4")])


def test_a_run_of_a_batch_norm_that_underflows_is_far_from_exact():
    """The run's weight/√var is UNIT, not UNIT/√2: times a mean of 1e38 that is nearly half of what comes out."""
    layer = nn.BatchNorm1d(1, eps=0.0).eval()
    for part, value in ((layer.weight, UNIT), (layer.running_mean, -1e38), (layer.running_var, 2.0)):
        assert part is not None
        part.data.fill_(value)
    assert layer(torch.zeros(2, 1))[0].item() == pytest.approx(UNIT * 1e38)
    with pytest.raises(Refused, match=r"a batch norm's weight: got 1.4e-45, expected 0 or a modulus from"):
        normalised(UNIT, 2.0)


def test_a_batch_norm_whose_factor_underflows_is_refused():
    with pytest.raises(
        Refused, match=r"a batch norm's weight/√\(var \+ eps\): got 9.9.e-39, expected 0 or a modulus"
    ):
        normalised(1e-30, 1.01e16)
    with pytest.raises(Refused, match=r"a batch norm's weight: got "):
        normalised(1e-39, 1e-16)
    with pytest.raises(Refused, match="no proof form for a batch norm with such a variance"):
        normalised(1.0, 1e-39)


@pytest.mark.parametrize("mean", [1.0, 1e38])
def test_a_channel_that_is_switched_off_is_none_that_underflows(mean):
    affine, _ = normalised(0.0, 1e-3, mean)
    assert affine is not None
    assert not affine.matrix.ints.any()
    assert not affine.bias.ints.any()


def test_underflow_is_paid_for_times_the_mean_too():
    """What a run loses of a factor it multiplies by the mean: the check does not depend on the refusal alone."""
    affine, _ = normalised(1e-30, 1.0, 1e20)
    assert affine is not None
    assert affine.floor >= 2.0**-126 * 1e20
