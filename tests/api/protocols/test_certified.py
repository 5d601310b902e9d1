"""The certified protocols: variants with networks of their own, local fields, and what they must reach."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from spikecert import load, protocols
from spikecert.protocols import Options, reproduce
from spikecert.protocols.configuration import parse
from spikecert.protocols.planning import cells
from spikecert.training import LocalFields

FIELDS = {"height": 8, "width": 8, "largest": 1.0}
CONTENT: dict[str, Any] = {
    "title": "A small certified table",
    "data": "digits",
    "architecture": "mlp:16",
    "num_steps": 2,
    "decay": 0.9,
    "training": {"epochs": 1, "optimizer": "adam"},
    "evaluation": {"epsilons": [0.01], "samples": 5, "verifiers": ["trains"]},
    "variants": [
        {"name": "as it is", "terms": [{"kind": "CrossEntropy"}]},
        {
            "name": "its own",
            "terms": [{"kind": "CertifiedLoss", "epsilon": 0.01}],
            "start": {"num_steps": 3, "decay": 0.25, "threshold": 0.5, "local_fields": FIELDS},
        },
    ],
}


def test_a_variant_may_differ_in_its_network(tmp_path: Path) -> None:
    results = reproduce(parse("p", CONTENT), tmp_path, Options(train_samples=200))
    networks = [load(folder / "network.safetensors") for folder in sorted((tmp_path / "runs").iterdir())]
    constants = [(n.num_steps, n.neurons[0].dynamics.decay, n.neurons[0].dynamics.threshold) for n in networks]
    assert constants == [(2, 0.9, 1.0), (3, 0.25, 0.5)]
    inside = LocalFields(**FIELDS)
    for network, local in zip(networks, (False, True), strict=True):
        layer = network.layers[0]
        assert isinstance(layer, nn.Linear)
        kept = layer.weight.detach().clone()
        inside(network)
        assert torch.equal(layer.weight, kept) is local
    assert len({run.key for run in results.runs}) == 2


def test_constants_and_precision_decide_the_key(tmp_path: Path) -> None:
    keys = set()
    for start in (
        {},
        {"num_steps": 1},
        {"decay": 0.5},
        {"threshold": 0.5},
        {"reset": "none"},
        {"firing": {}},
        {"local_fields": FIELDS},
    ):
        variant = {"name": "v", "terms": [{"kind": "CrossEntropy"}], "start": start}
        (run,) = reproduce(
            parse("p", {**CONTENT, "variants": [variant]}), tmp_path, Options(train_samples=50)
        ).runs
        keys.add(run.key)
    assert len(keys) == 7


def test_networks_may_be_rate_coded(tmp_path: Path) -> None:
    content = {**CONTENT, "encoding": "rate", "variants": CONTENT["variants"][:1]}
    (run,) = reproduce(parse("p", content), tmp_path, Options(train_samples=50)).runs
    (folder,) = (tmp_path / "runs").iterdir()
    assert load(folder / "network.safetensors").encoding == "rate"
    assert run.points[0].samples == 5


def test_fields_and_a_retraction_do_not_go_together(tmp_path: Path) -> None:
    training = {**CONTENT["training"], "retraction": {"beta": 0.1}}
    with pytest.raises(ValueError, match="local_fields: got them with a retraction in 'its own'"):
        reproduce(parse("p", {**CONTENT, "training": training}), tmp_path, Options(only="its own"))


@pytest.mark.slow
def test_digits_reach_what_they_claim(tmp_path: Path) -> None:
    """A fifth of the epochs, one seed: well above the published loss already."""
    chosen = protocols.protocol("certified-digits")
    quick = chosen.evaluation.model_copy(update={"verifiers": ("trains",), "attacks": ()})
    chosen = chosen.model_copy(update={"evaluation": quick})
    (run,) = reproduce(chosen, tmp_path, Options(epochs=20, seeds=(0,), only="trains")).runs
    (point,) = run.points
    assert point.samples == 300
    assert point.clean >= 0.96 * 300
    assert point.certified["trains"] >= 0.88 * 300


def test_fashion_mnist_is_the_architecture_that_is_claimed() -> None:
    found = protocols.protocol("certified-fashion-mnist")
    assert (found.data, found.architecture) == ("fashion-mnist", "mlp:512-256")
    assert found.evaluation.epsilons == (0.02, 0.06, 0.08)
    assert found.evaluation.samples is None
    assert all((cell.start.num_steps or found.num_steps) <= 10 for cell in cells(found))
