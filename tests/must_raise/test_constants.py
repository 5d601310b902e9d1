"""Every number that the library takes is kept as a plain Python float or int, or refused in one line."""

import inspect
import re
from collections.abc import Callable

import numpy as np
import pytest
import torch

import spikecert
from spikecert import L2, LIF, CrossEntropy, LInf, mlp, neuron_gain, verify
from spikecert.analysis import constant_gain, neuron_bias
from spikecert.certify import PixelBox
from spikecert.certify.smoothing import rate_radius, total_variation
from spikecert.models.linear_neuron import AXES
from support.constant_table import EVERYTHING, INPUTS, LABELS
from support.constants import REAL, WHOLE, Row, Value

SLOW = {
    "fit",
    "dataset",
    "digit_events",
    "verify in batches",
    "certified_radius",
    "chain_gain",
    "surrogate_gain",
    "attack",
}
"""Refusals are quick; what these do with a good number takes long, so it is given in one odd type only."""


@pytest.mark.parametrize("row", EVERYTHING, ids=str)
def test_what_is_no_number_is_refused_in_one_line_that_names_the_argument(row: Row) -> None:
    for what, value in row.refused():
        with pytest.raises((TypeError, ValueError)) as caught:
            row.give(value)
        message = str(caught.value)
        assert message.startswith(f"{row.name}: got "), (what, message)
        assert "\n" not in message
        assert type(caught.value) in (TypeError, ValueError)


@pytest.mark.parametrize("row", [row for row in EVERYTHING if row.keep is not None], ids=str)
def test_a_number_of_any_type_is_kept_as_a_plain_one(row: Row) -> None:
    assert row.keep is not None
    for value in row.accepted():
        found = row.keep(row.give(value))
        assert type(found) is type(row.good), value
        assert found == row.good


QUICK = [row for row in EVERYTHING if row.keep is None and row.owner not in SLOW]


@pytest.mark.parametrize("row", QUICK, ids=str)
def test_a_number_of_any_type_does_what_the_plain_one_does(row: Row) -> None:
    torch.manual_seed(0)
    for value in row.accepted():
        row.give(value)


@pytest.mark.parametrize("call", [neuron_gain, neuron_bias, constant_gain, total_variation, rate_radius])
def test_equal_numbers_give_equal_results(call: Callable[[Value, Value], float]) -> None:
    expected = call(0.75, 4)
    for kind in REAL:
        for count in WHOLE:
            assert call(kind(0.75), count(4)) == expected


def test_weights_multiply_objectives_whatever_their_type() -> None:
    for kind in REAL:
        scaled = kind(0.5) * CrossEntropy()
        assert type(scaled.weight) is float  # type: ignore[union-attr]
        assert scaled.weight == 0.5  # type: ignore[union-attr]
    for refused in (True, np.True_, torch.tensor(True)):
        with pytest.raises(TypeError, match=r"^weight: got|unsupported operand"):
            _ = refused * CrossEntropy()  # type: ignore[operator]


@pytest.mark.parametrize("name", ["reset", "fires_at"])
def test_a_choice_is_a_plain_string(name: str) -> None:
    class Text(str):
        """Equal to what it is made of, and free to say so of something else tomorrow."""

    for good in (getattr(LIF().dynamics, name),):
        assert type(getattr(LIF(**{name: good}).dynamics, name)) is str
        for refused in (Text(good), np.str_(good), good.encode(), None, True, 1):
            with pytest.raises(ValueError, match=rf"^{name}: got"):
                LIF(**{name: refused})  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", [LInf, L2])
def test_a_subnormal_radius_is_refused_where_the_inputs_are(kind: type[LInf | L2], dtype: torch.dtype) -> None:
    tiny, network = torch.finfo(dtype).tiny, mlp((3, 4, 2), num_steps=2).to(dtype)
    inputs = INPUTS.to(dtype)
    boxes = (PixelBox(torch.tensor([0.0, 0.1, r], dtype=torch.float64), -1.0) for r in (tiny / 2, tiny))
    for name, small, normal in (("epsilon", kind(tiny / 2, -1.0), kind(tiny, -1.0)), ("radius", *boxes)):
        with pytest.raises(ValueError, match=rf"^{name}: got [^\n]*, expected 0 or a modulus from [^\n]*$"):
            verify(network, inputs, LABELS, small)
        verify(network, inputs, LABELS, normal, "interval")


NUMERIC = re.compile(r"\b(int|float|Weight)\b")
RESULTS = {
    "AttackResult",
    "Circuit",
    "BuildComparison",
    "Conversion",
    "ConversionCheck",
    "Difference",
    "Equivalence",
    "GainReport",
    "LogitBounds",
    "OutputRange",
    "PracticalStability",
    "Quantization",
    "Radius",
    "Record",
    "SmoothedVerdict",
    "Theorem",
    "Trace",
    "TrainingRun",
    "Verdict",
    "ConversionRefused",
    "SpikecertError",
    "Surrogate",
}
FOREIGN = {"num_steps", "seed", "classes", "output"}
ELSEWHERE = {
    "check_conversion": {"num_steps", "dt"},
    "differ": {"num_steps", "dt", "timeout"},
    "from_lava": {"num_steps"},
    "from_xylo": {"num_steps"},
    "from_nir": {"num_steps", "dt", "seed", "classes"},
    "to_nir": {"dt"},
    **dict.fromkeys(("convert", "from_norse", "from_snntorch", "from_spikingjelly", "from_torch"), FOREIGN),
    "gain": {"input_shape"},
    "into": {"num_steps", "output"},
    "system": {"input_shape"},
    "record": {"seeds", "focus"},
    "VariedLIF": {"decay", "threshold", "reset_amount"},
    "CoupledLIF": {*AXES},
    "Neuron": {*AXES, "input_scale"},
    "Encoder": {"thresholds", "shape"},
    "ClosedLoop": {"spread", "vertices"},
}
"""Numbers of public functions that need a foreign library, or the shape of images, to be looked at, and arrays."""


@pytest.mark.parametrize(
    "name", sorted(set(spikecert.__all__) - RESULTS - {"__version__", "inputs", "output", "sample"})
)
def test_the_table_holds_every_number_of_the_public_interface(name: str) -> None:
    parameters = inspect.signature(getattr(spikecert, name)).parameters.values()
    parameters = [p for p in parameters if p.name not in ("progress", "figures", "settings")]
    numbers = {p.name for p in parameters if NUMERIC.search(inspect.formatannotation(p.annotation))}
    listed = {row.name for row in EVERYTHING if row.owner.split()[0] == name} | ELSEWHERE.get(name, set())
    assert numbers <= listed
