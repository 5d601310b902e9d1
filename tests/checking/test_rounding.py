"""The allowances for rounding hold for real runs, in float32 and float64, and are not idle."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from spikecert import LIF, mlp, save
from spikecert.checking import read_network
from spikecert.checking.bound import Question
from spikecert.checking.exact import Dyadic
from spikecert.checking.paths import Boxes
from spikecert.checking.proof import input_box
from spikecert.testing import Case, cases, points


def values(numbers: Dyadic) -> np.ndarray:
    """Return fractions."""
    return np.array([Fraction(int(x), 1 << numbers.shift) for x in numbers.ints.flat]).reshape(numbers.shape)


def exact(tensor: torch.Tensor) -> np.ndarray:
    """Return a tensor's numbers as fractions."""
    return np.array([Fraction(x) for x in tensor.double().flatten().tolist()]).reshape(tuple(tensor.shape))


def asked(case: Case, folder) -> Question:
    """Return the checker's question about the first sample."""
    save(case.network, folder / "network.safetensors")
    radius = np.array([case.epsilon])
    sample = case.inputs[0].numpy()
    return Question(read_network(folder / "network.safetensors"), *input_box(sample, radius, 0.0, 1.0))


@given(cases(encodings=("direct",)), st.integers(0, 2**31))
def test_runs_stay_within_the_allowances(tmp_path_factory, case, seed):
    later = [neuron.dynamics for neuron in case.network.neurons[1:]]
    assume(all(d.reset == "zero" and d.decay ** (case.network.num_steps - 1) >= 2**-20 for d in later))
    question = asked(case, tmp_path_factory.mktemp("rounding"))
    inputs = points(case, 12, torch.Generator().manual_seed(seed))[:, 0]
    with torch.no_grad():
        trace = case.network.trace(inputs)
    affine, steps = question.network.affine, case.network.num_steps
    boxes = question.boxes(question.rows[2])
    for index, x in enumerate(inputs):
        weight, bias = values(affine[0].weight), values(affine[0].bias)
        run = exact(trace.currents[0][0, index])
        assert np.all(abs(run - (weight @ exact(x) + bias)) <= values(question.slack))
        low, high = map(values, question.currents)
        assert np.all((low <= run) & (run <= high))
        for depth, layer in enumerate(question.later, start=1):
            weight, bias = values(affine[depth].weight), values(affine[depth].bias)
            before, spikes = exact(trace.spikes[depth - 1][:, index]), exact(trace.spikes[depth][:, index])
            potentials = exact(trace.potentials[depth][:, index])
            left = np.vstack([np.full_like(potentials[:1], Fraction(0)), (potentials * (1 - spikes))[:-1]])
            added = potentials - question.network.neurons[depth].decay * left
            scale, slack = values(layer.scale), values(layer.slack)
            assert np.all(abs(added.T - scale * (weight @ before.T + bias[:, None])) <= slack)
            powers = values(layer.powers)[:, None]
            check_boxes(*boxes[depth - 1], added * powers)
            assert np.all((potentials * powers >= values(layer.perhaps)[:, None]) | (spikes == 0))
            assert np.all((potentials * powers <= values(layer.surely)[:, None]) | (spikes == 1))
        last = exact(trace.spikes[-1][:, index]).sum(0) / Fraction(steps)
        logits = values(affine[-1].weight) @ last + values(affine[-1].bias)
        errors = abs(exact(trace.logits[index]) - logits)
        assert all(error <= question.readout_slack(k).fraction() for k, error in enumerate(errors))


def check_boxes(boxes: list[Boxes], shift: int, added: np.ndarray) -> None:
    """Check Λ·c of a run, (T, n), against each step's box and each window's."""
    for box, run in zip(boxes, added.T * 2**shift, strict=True):
        assert all(low <= c <= high for low, c, high in zip(box.low, run, box.high, strict=True))
        for end, windows in enumerate(box.windows):
            for start, (floor, ceiling) in enumerate(windows):
                assert floor <= run[start : end + 1].sum() <= ceiling


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_allowances_are_of_the_size_of_the_rounding(tmp_path, dtype):
    """Not so wide that nothing could be proven: some runs use up a hundredth of them."""
    torch.manual_seed(0)
    network = mlp((8, 16, 16, 3), num_steps=4, neuron=LIF(0.9)).to(dtype).eval()
    inputs = torch.rand(200, 8, dtype=dtype)
    question = asked(Case(network, inputs, torch.zeros(200), 1.0), tmp_path)
    with torch.no_grad():
        trace = network.trace(inputs)
    weight, bias = values(question.network.affine[0].weight), values(question.network.affine[0].bias)
    errors = abs(exact(trace.currents[0][0]) - (exact(inputs) @ weight.T + bias))
    assert 0.01 < float((errors / values(question.slack)).max()) <= 1.0


@pytest.mark.parametrize("threshold", [0.7, 0.1, 0.3])
def test_a_threshold_is_rounded_as_the_run_rounds_it(tmp_path, threshold):
    network = mlp((1, 2, 2, 2), num_steps=1, neuron=LIF(0.5, threshold=threshold))
    question = asked(Case(network, torch.zeros(1, 1), torch.zeros(1), 0.0), tmp_path)
    rounded = Fraction(float(np.float32(threshold)))
    (layer,) = question.later
    assert values(layer.perhaps)[0] <= rounded <= values(layer.surely)[0]
    assert values(layer.perhaps)[0] < Fraction(threshold) < values(layer.surely)[0]


def test_the_box_is_exact():
    """0.1 + 0.2 is above 0.3 in float64; here it is what it is."""
    low, high = input_box(np.array([0.1, 0.95], dtype=np.float32), np.array([0.2]), 0.0, 1.0)
    middle = Fraction(float(np.float32(0.1)))
    assert low[0].fraction() == 0
    assert high[0].fraction() == middle + Fraction(0.2)
    assert low[1].fraction() == Fraction(float(np.float32(0.95))) - Fraction(0.2)
    assert high[1].fraction() == 1
