"""Proven ends hold every run, attained ends are runs, and both meet."""

import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikecert import LInf, SpikeFlip, inputs, mlp, output, output_range, sample
from spikecert.certify.perturbations import PixelBox
from spikecert.certify.ranges import OutputRange
from spikecert.models.circuit import circuit
from support.examples import examples
from support.properties import grid_network, grid_set, members


@given(seed=st.integers(0, 2**31))
@examples(24)
def test_no_run_lies_outside(seed: int):
    draw = random.Random(seed)
    network = grid_network(draw)
    x, threat = grid_set(network, draw)
    place = draw.randrange(x[0].numel())
    form = output[0] - draw.choice((0.0, 1.0)) * sample[0] + draw.choice((0.0, 0.5)) * inputs[place]
    (found,) = output_range(network, x, threat, form, 1 / 64, 20)
    points, whole = members(threat, x, draw)
    with torch.no_grad():
        own = network(x)[0, 0]
        runs = torch.cat([network(point[None]) for point in points])[:, 0].double()

        def value(y: torch.Tensor, point: torch.Tensor) -> torch.Tensor:
            """Return the form at runs."""
            terms = {"outputs": y, "own": own.double(), "inputs": point.double().flatten(1)[:, place]}
            return sum(c * terms[kind] for kind in terms for _, c in getattr(form, kind)) + 0.0 * y

        values = value(runs, points)
        ends = torch.stack([found.at_least, found.at_greatest])
        assert bool(threat.contains(ends, x.expand_as(ends)).all())
        attained = value(torch.cat([network(end[None]) for end in ends])[:, 0].double(), ends)
    slack = 1e-12 * (1 + values.abs().max())
    assert found.lower - slack <= values.min() <= values.max() <= found.upper + slack
    assert torch.allclose(attained, torch.tensor([found.least, found.greatest], dtype=torch.float64), atol=1e-12)
    if whole:
        assert found.closed
        assert found.least <= values.min() + 1 / 64
    assert not found.closed or found.width <= found.greatest - found.least + 2 / 64 + slack


def test_boxes_and_trees_agree():
    torch.manual_seed(1)
    network = mlp((2, 12, 1), num_steps=6).eval()
    x = torch.full((1, 2), 0.5)
    for form in (None, output[0] - [0.3, -0.2] @ inputs):
        (by_boxes,) = output_range(network, x, LInf(0.3), form, 5e-3)
        assert by_boxes.closed
        assert by_boxes.verifier == "inputs"
        wide = PixelBox(torch.tensor([0.3, 0.3]))
        assert output_range(network, x, wide, form, 5e-3)[0].lower == pytest.approx(by_boxes.lower, abs=1e-6)
    image = mlp((6, 8, 2), num_steps=4).eval()
    (by_trees,) = output_range(image, torch.full((1, 6), 0.5), LInf(0.1), output[1], 5e-3)
    assert by_trees.closed
    assert "complete" in by_trees.verifier or "trains" in by_trees.verifier


def test_time_ends_it_with_what_is_known():
    torch.manual_seed(0)
    network = mlp((20, 24, 24, 1), num_steps=8).eval()
    (found,) = output_range(network, torch.rand(1, 20), LInf(0.2), tolerance=1e-9, timeout=1.0)
    assert not found.closed
    assert found.lower < found.least <= found.greatest < found.upper


def test_each_sample_has_its_own_and_results_are_frozen():
    torch.manual_seed(0)
    network = mlp((3, 6, 2), num_steps=4).eval()
    x = torch.tensor([[0.2, 0.4, 0.6], [0.9, 0.1, 0.5]])
    both = output_range(network, x, LInf(0.1), output[0] - sample[0])
    alone = [output_range(network, x[k : k + 1], LInf(0.1), output[0] - sample[0])[0] for k in range(2)]
    assert [one.lower for one in both] == pytest.approx([one.lower for one in alone], abs=2e-3)
    assert both[0] == both[0]
    with pytest.raises(AttributeError):
        both[0].lower = 0.0  # type: ignore[misc]
    with pytest.raises(ValueError, match="ends: got"):
        OutputRange(1.0, 2.0, 0.5, 1.5, x[0], x[0], True, 0.0, "trains")


def test_what_does_not_fit_is_refused():
    torch.manual_seed(0)
    network = mlp((3, 6, 2), num_steps=4).eval()
    x = torch.full((1, 3), 0.5)
    for asked, told in (
        ({}, "form: got None for 2 outputs"),
        ({"form": output[2]}, "property: got outputs"),
        ({"form": output[0], "tolerance": 0.0}, "tolerance: got 0.0"),
        ({"form": output[0], "timeout": -1}, "timeout: got -1"),
        ({"form": output[0], "verifier": "gain"}, "verifier: got 'gain'"),
    ):
        with pytest.raises((TypeError, ValueError)) as error:
            output_range(network, x, LInf(0.1), **asked)  # type: ignore[arg-type]
        assert str(error.value).startswith(told)
    with pytest.raises(ValueError, match=r"SpikeFlip|encoding|events|inputs"):
        output_range(network, x, SpikeFlip(1), output[0])
    assert circuit(network).num_steps == 4
