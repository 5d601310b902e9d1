"""Whole networks by hand come in, spike for spike; what is no network here is refused by the user's line."""

import random
import re

import numpy as np
import pytest
import torch

from spikecert import ConversionRefused, convert, from_torch
from support.traced_modules import RIGHT, STEPS, WRONG


@pytest.mark.parametrize("name", RIGHT)
def test_networks_by_hand_come_in(name: str):
    case = RIGHT[name]
    sample = case.sample.double() if name == "float64" else case.sample
    made = convert(case.make(), sample, case.num_steps, case.encoding)
    assert made.check.matches
    assert min(made.check.rates) > 0.0
    assert made.network.num_steps == STEPS


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_network_is_refused_with_its_line(name: str):
    case = WRONG[name]
    random.seed(1)  # what Python and numpy draw decides which of two refusals comes first
    np.random.seed(1)
    with pytest.raises(ConversionRefused, match=case.says) as caught:
        from_torch(case.make(), case.sample, case.num_steps, case.encoding)
    told = str(caught.value)
    assert re.match(r"(traced_\w+\.py:\d+|module|output): ", told)
    assert "\n" not in told


def test_constants_are_those_of_the_modules_own_precision():
    case = RIGHT["float64"]
    (neuron,) = from_torch(case.make(), case.sample.double()).neurons
    assert neuron.dynamics.decay == 0.9
    assert abs(neuron.dynamics.threshold - 0.2) < 1e-15
    (single,) = from_torch(case.make().float(), case.sample).neurons
    assert single.dynamics.decay == float(torch.tensor(0.9))
