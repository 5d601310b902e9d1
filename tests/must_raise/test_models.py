"""Everything that models must refuse: one clear error each, naming the argument."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from spikecert.analysis import mppd
from spikecert.certify import LInf, verify
from spikecert.models import (
    DLIF,
    LIF,
    Normalize,
    RateDraws,
    Residual,
    Sigmoid,
    SpikingNetwork,
    Triangle,
    architecture,
    load,
    mlp,
    save,
    vgg5,
    vgg11,
    wrn16_4,
)
from spikecert.models.validation import check_labels, check_weights


def network() -> SpikingNetwork:
    return mlp((4, 3, 2), num_steps=3)


def convolutional() -> SpikingNetwork:
    return SpikingNetwork(nn.Conv2d(2, 3, 3), LIF(), nn.Flatten(), nn.Linear(12, 2), num_steps=3)


def with_nan() -> SpikingNetwork:
    broken = network()
    next(broken.parameters()).data[0] = torch.nan
    return broken


def linear(*modules: nn.Module, **settings: object) -> SpikingNetwork:
    return SpikingNetwork(nn.Linear(4, 3), *modules, **{"num_steps": 3, **settings})  # type: ignore[arg-type]


def given(draws: torch.Tensor) -> SpikingNetwork:
    return linear(encoding="rate", draws=RateDraws(draws)).eval()


Case = tuple[Callable[[], object], type[Exception], str]

CASES: dict[str, Case] = {
    "inputs: list": (lambda: network()([[0.0] * 4]), TypeError, "inputs: got list"),  # type: ignore[arg-type]
    "inputs: dtype": (lambda: network()(torch.rand(1, 4).double()), TypeError, "inputs: got torch.float64"),
    "inputs: integers": (lambda: network()(torch.ones(1, 4, dtype=torch.long)), TypeError, "inputs: got"),
    "inputs: width": (lambda: network()(torch.rand(1, 5)), ValueError, r"inputs: got features \(5,\)"),
    "inputs: no batch": (lambda: network()(torch.rand(4)), ValueError, "inputs: got shape"),
    "inputs: empty batch": (lambda: network()(torch.rand(0, 4)), ValueError, "inputs: got shape"),
    "inputs: NaN": (lambda: network()(torch.full((1, 4), torch.nan)), ValueError, "inputs: got NaN or inf"),
    "inputs: inf": (lambda: network()(torch.full((1, 4), torch.inf)), ValueError, "inputs: got NaN or inf"),
    "inputs: image for dense": (lambda: network()(torch.rand(1, 2, 4)), ValueError, "inputs: got features"),
    "inputs: channels": (lambda: convolutional()(torch.rand(1, 3, 4, 4)), ValueError, "inputs: got features"),
    "inputs: no channels": (lambda: convolutional()(torch.rand(2, 4, 4)), ValueError, "inputs: got features"),
    "inputs: image size": (lambda: convolutional()(torch.rand(1, 2, 9, 9)), ValueError, "inputs: "),
    "inputs: trace too": (lambda: network().trace(torch.rand(0, 4)), ValueError, "inputs: got shape"),
    "inputs: steps": (
        lambda: mlp((4, 3, 2), 3, encoding="none")(torch.rand(1, 2, 4)),
        ValueError,
        "inputs: got shape",
    ),
    "inputs: one scalar a step": (
        lambda: mlp((4, 3, 2), 3, encoding="none")(torch.rand(1, 3)),
        ValueError,
        "inputs: got features",
    ),
    "weights: NaN": (lambda: check_weights(with_nan()), ValueError, "network: layers.0.weight: got NaN"),
    "modules: none": (lambda: SpikingNetwork(num_steps=3), ValueError, "modules: got no Linear or Conv2d"),
    "modules: no affine": (lambda: SpikingNetwork(LIF(), num_steps=3), ValueError, "modules: got no Linear"),
    "modules: unknown": (lambda: linear(nn.ReLU()), TypeError, "modules: got ReLU"),
    "modules: unknown inside": (lambda: linear(Residual([nn.ReLU()])), TypeError, "modules: got ReLU"),
    "num_steps: zero": (lambda: linear(num_steps=0), ValueError, "num_steps: got 0"),
    "num_steps: unlike DLIF": (lambda: linear(DLIF(4)), ValueError, "num_steps: got 3"),
    "num_steps: DLIF of none": (lambda: DLIF(0), ValueError, "num_steps: got 0"),
    "encoding: unknown": (lambda: linear(encoding="morse"), ValueError, "encoding: got 'morse'"),
    "draws: none needed": (
        lambda: linear(draws=RateDraws()),
        ValueError,
        "draws: got some with encoding 'direct'",
    ),
    "generator: none needed": (
        lambda: mlp((4, 3, 2), 3)(torch.rand(1, 4), torch.Generator()),
        ValueError,
        "generator: got one with encoding 'direct'",
    ),
    "seed: negative": (lambda: RateDraws(-1), ValueError, "seed: got -1"),
    "draws: booleans": (
        lambda: RateDraws(torch.ones(3, 4) > 0),
        TypeError,
        "seed: got torch.bool, expected a torch.Tensor of real numbers",
    ),
    "draws: NaN": (lambda: RateDraws(torch.full((3, 4), torch.nan)), ValueError, "seed: got NaN or inf"),
    "draws: one number": (lambda: RateDraws(torch.ones(3)), ValueError, r"seed: got shape \(3,\), expected \(T"),
    "draws: a parameter": (
        lambda: RateDraws(torch.nn.Parameter(torch.ones(3, 4))),
        TypeError,
        "seed: got Parameter, expected a torch.Tensor",
    ),
    "draws: steps": (
        lambda: given(torch.ones(2, 4))(torch.rand(1, 4)),
        ValueError,
        r"draws: got shape \(2, 4\), expected \(3, 4\)",
    ),
    "draws: of other samples": (
        lambda: given(torch.ones(3, 5, 4))(torch.rand(2, 4)),
        ValueError,
        "draws: got those of 5 samples, expected 2, one for each input",
    ),
    "draws: verify, of other samples": (
        lambda: verify(given(torch.ones(3, 5, 4)), torch.rand(2, 4), torch.tensor([0, 0]), LInf(0.1)),
        ValueError,
        "draws: got those of 5 samples, expected 2, one for each input",
    ),
    "draws: verify, labels": (
        lambda: verify(given(torch.ones(3, 2, 4)), torch.rand(2, 4), torch.tensor([0, 0, 1]), LInf(0.1)),
        ValueError,
        r"labels: got shape \(3,\), expected \(2,\)",
    ),
    "seed: float": (lambda: RateDraws(1.5), TypeError, "seed: got float"),  # type: ignore[arg-type]
    "rate: scalars": (
        lambda: mlp((4, 3, 2), 3, encoding="rate")(torch.rand(1, 3)),
        ValueError,
        "inputs: got features",
    ),
    "rate: training": (
        lambda: mppd(mlp((4, 3, 2), 3, encoding="rate"), torch.rand(1, 4), torch.rand(1, 4)),
        ValueError,
        "network: got training mode with encoding",
    ),
    "readout: unknown": (lambda: linear(readout="median"), ValueError, "readout: got 'median'"),
    "readout: spikes": (lambda: linear(readout="spikes"), ValueError, "readout: got 'spikes'"),
    "readout: mean": (lambda: linear(LIF(), readout="mean"), ValueError, "readout: got 'mean'"),
    "readout: potential": (lambda: linear(LIF(), readout="potential"), ValueError, "readout: "),
    "decay: negative": (lambda: LIF(decay=-0.1), ValueError, "decay: got -0.1"),
    "decay: above one": (lambda: LIF(decay=1.5), ValueError, "decay: got 1.5"),
    "decay: NaN": (lambda: LIF(decay=float("nan")), ValueError, "decay: got nan"),
    "threshold: zero": (lambda: LIF(threshold=0.0), ValueError, "threshold: got 0.0"),
    "threshold: inf": (lambda: LIF(threshold=float("inf")), ValueError, "threshold: got inf"),
    "reset: unknown": (lambda: LIF(reset="hard"), ValueError, "reset: got 'hard'"),
    "reset_amount: zero": (lambda: LIF(reset="subtract", reset_amount=0.0), ValueError, "reset_amount: got 0.0"),
    "reset_amount: NaN": (
        lambda: LIF(reset="subtract", reset_amount=float("nan")),
        ValueError,
        "reset_amount: got nan",
    ),
    "reset_amount: hard reset": (
        lambda: LIF(reset_amount=1.0),
        ValueError,
        "reset_amount: got one with reset 'zero'",
    ),
    "fires_at: unknown": (lambda: LIF(fires_at="<"), ValueError, "fires_at: got '<'"),
    "surrogate: none": (lambda: LIF(surrogate=1.0), TypeError, "surrogate: got float"),  # type: ignore
    "width: zero": (lambda: Triangle(0.0), ValueError, "width: got 0.0"),
    "width: NaN": (lambda: Sigmoid(float("nan")), ValueError, "width: got nan"),
    "sizes: one": (lambda: mlp((3,)), ValueError, r"sizes: got \(3,\)"),
    "sizes: zero": (lambda: mlp((3, 0, 2)), ValueError, r"sizes: got \(3, 0, 2\)"),
    "architecture: unknown": (lambda: architecture("alexnet", (4,), 2), ValueError, "architecture: got 'alexnet'"),
    "architecture: widths": (lambda: architecture("mlp:8-x", (4,), 2), ValueError, "architecture: got"),
    "architecture: factor": (
        lambda: architecture("vgg5:x", (3, 8, 8), 2),
        ValueError,
        "architecture: got the detail 'x'",
    ),
    "vgg: width": (lambda: vgg11(width=0.0), ValueError, "width: got 0.0"),
    "vgg: small image": (lambda: vgg11((3, 7, 8)), ValueError, "input_shape: got .* at least 8×8"),
    "vgg: vector": (lambda: vgg5((64,)), ValueError, r"input_shape: got \(64,\)"),
    "wrn: small image": (lambda: wrn16_4((3, 3, 3)), ValueError, "input_shape: got .* at least 4×4"),
    "normalize: channels": (
        lambda: vgg5((1, 8, 8), normalize=Normalize((0.5,) * 3, (1.0,) * 3)),
        ValueError,
        "normalize: got one for 3",
    ),
    "normalize: std": (lambda: Normalize((0.5,), (0.0,)), ValueError, r"std: got \(0.0,\)"),
    "normalize: mean": (lambda: Normalize((float("nan"),), (1.0,)), ValueError, "mean: got"),
    "normalize: lengths": (lambda: Normalize((0.5,), (1.0, 1.0)), ValueError, "std: got 2 values"),
    "normalize: image": (lambda: vgg5((3, 8, 8), width=1 / 32)(torch.rand(1, 1, 8, 8)), ValueError, "inputs: "),
    "architecture: zero": (lambda: architecture("mlp:0", (4,), 2), ValueError, "sizes: got"),
    "labels: floats": (lambda: check_labels(torch.ones(2), 2, 3), TypeError, "labels: got torch.float32"),
    "labels: list": (lambda: check_labels([1, 2], 2, 3), TypeError, "labels: got list"),  # type: ignore[arg-type]
    "labels: shape": (lambda: check_labels(torch.ones(3).long(), 2, 3), ValueError, "labels: got shape"),
    "labels: range": (lambda: check_labels(torch.tensor([0, 3]), 2, 3), ValueError, "labels: got values"),
    "labels: negative": (lambda: check_labels(torch.tensor([-1, 0]), 2, 3), ValueError, "labels: got values"),
    "path: missing": (lambda: load("no-such-file.safetensors"), FileNotFoundError, "path: got no-such-file"),
}


@pytest.mark.parametrize(("call", "error", "message"), CASES.values(), ids=CASES.keys())
def test_it_raises_and_names_the_argument(
    call: Callable[[], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_saving_an_unknown_layer_raises_and_writes_nothing(tmp_path: object) -> None:
    changed = network()
    changed.layers.append(nn.ReLU())
    with pytest.raises(TypeError, match="network: got a layer of type ReLU"):
        save(changed, f"{tmp_path}/n")
