"""A family of trains that says nothing but where its spikes lie: readers bound it, or refuse it in one line."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from spikecert import LIF, LInf, mlp
from spikecert.certify.bounds.prices.gain_rows import gain_rows
from spikecert.certify.bounds.prices.priced_layer import priced
from spikecert.certify.bounds.prices.stages import staged
from spikecert.certify.bounds.propagation import margin_bounds
from spikecert.certify.bounds.signals.box import Box
from spikecert.certify.bounds.signals.signals import Signal
from spikecert.certify.bounds.trains.base import Trains
from spikecert.certify.bounds.trains.trains import window_spikes
from spikecert.certify.branching.nodes.decisions import root
from spikecert.certify.milp.encoding import EncodingError, tight_spikes
from spikecert.certify.milp.layer import EncodedLayer
from spikecert.certify.milp.program import Closing, Program
from spikecert.certify.rounding import Rounding
from spikecert.models.circuit import circuit
from spikecert.models.rules import Leaky


@dataclass(frozen=True)
class AnyTrains(Trains):
    """Whatever a layer spikes."""

    like: Tensor
    num_steps: int

    def steps(self) -> Box:
        """Return [0, 1] for each step."""
        ones = torch.ones(self.num_steps, *self.like.shape, dtype=torch.float64)
        return Box(0 * ones, ones)

    def combine(self, rows: Tensor) -> Box:
        """Return the sums of each sign."""
        ones = torch.ones_like(self.like, dtype=torch.float64)
        lower, upper = (end.sum(1).view(-1, 1, 1) * ones for end in (rows.clamp_max(0), rows.clamp_min(0)))
        return Box(lower, upper)

    def magnitude(self) -> Tensor:
        """Return 1."""
        return torch.ones_like(self.like[:1], dtype=torch.float64)


def any_spikes(current: Signal, rule: Leaky, rounding: Rounding) -> AnyTrains:
    return AnyTrains(current.steps().lower[0], current.num_steps)


def test_a_family_without_prices_has_no_stages_and_sound_bounds():
    torch.manual_seed(0)
    network, inputs = mlp((3, 4, 3), num_steps=3, neuron=LIF(0.9)).eval(), torch.rand(2, 3)
    made, box, labels = circuit(network), LInf(0.1).enclosure(inputs), network(inputs).argmax(1)
    assert staged(made, box, any_spikes) is None
    assert staged(made, box, window_spikes) is not None
    free, known = (margin_bounds(made, box, labels, spikes) for spikes in (any_spikes, window_spikes))
    assert bool((free <= known).all())
    assert not bool((free == known).all())


def test_readers_that_do_not_know_a_family_refuse_it_by_name():
    found = AnyTrains(torch.zeros(1, 2), 3)
    assert (found.rows, found.paths, found.priced, found.priceable(1.0)) == (None, None, False, False)
    known = torch.zeros(1, 2)
    assert found.margins(torch.zeros(1, dtype=torch.long), known, Rounding(torch.float32)) is known
    layer = EncodedLayer(Leaky(0.9), found, found, (), np.zeros(2), Rounding(torch.float32))
    with pytest.raises(EncodingError, match="AnyTrains"):
        tight_spikes(Program(), layer, Closing(True))
    for refusal in (
        lambda: root(found, 1),
        lambda: priced(found, None, None),
        lambda: gain_rows(found, None, None),
    ):
        with pytest.raises(TypeError, match="trains: got AnyTrains"):
            refusal()
