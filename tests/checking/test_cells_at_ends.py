"""Both ends of what cells and pairs know of a neuron count, however near each other they are in a real network."""

from fractions import Fraction

import numpy as np
import pytest

from spikecert.checking.network.neurons import Neuron
from spikecert.checking.numbers.arithmetic import ARITHMETIC
from spikecert.checking.numbers.exact import Dyadic, whole
from spikecert.checking.numbers.fixed import Decay, unfixed
from spikecert.checking.trains.cells import ExactDrive, paths
from spikecert.checking.trains.pairs import fewest_ahead
from spikecert.checking.trains.subtracting import Subtracting, _divided
from support.exact_numbers import values


@pytest.mark.parametrize("seed", range(12))
def test_each_end_of_what_is_known_of_a_neuron_counts(seed):
    """Whole numbers, in which θ and what a spike takes are far from known: runs that take any of both."""
    generator, steps, runs = np.random.default_rng(seed), 6, 4000
    perhaps, surely, drop = 20, 29, (9, 17)
    low = generator.integers(-5, 25, (2, steps, 1))
    current = generator.integers(low, low + 25, (2, steps, runs))
    left, inflow, made = np.zeros((2, runs), dtype=int), np.zeros((2, runs), dtype=int), []
    for now in current.swapaxes(0, 1):
        inflow, potential = inflow + now, left + now
        spike = np.where(
            potential > surely, 1, np.where(potential < perhaps, 0, generator.integers(0, 2, (2, runs)))
        )
        left = potential - spike * generator.choice(drop, (2, runs))
        made.append((spike, left, inflow))
    spikes, lefts, inflows = (np.stack(part, 1) for part in zip(*made, strict=True))
    for kept in (runs, 30, 3, 2, 1):
        ends = (part[..., :kept] for part in (inflows, current))
        box = [end for part in ends for end in (part.min(2), part.max(2))]
        drive = ExactDrive(box[0], box[1], box[2], box[3], surely, perhaps, drop, Decay.of(Fraction(1)), 0)
        apart = inflows[0, :, :kept] - inflows[1, :, :kept]
        least = (spikes[0, :, :kept] - spikes[1, :, :kept]).sum(0).min()
        for count in (2, 40):
            found = paths(drive, count)
            low_left, high_left = map(values, found.left())
            assert np.all((low_left <= lefts[..., :kept].min(2)) & (lefts[..., :kept].max(2) <= high_left))
            certain, possible = found.spikes()
            assert np.all((certain <= spikes[..., :kept].min(2)) & (spikes[..., :kept].max(2) <= possible))
            ahead = fewest_ahead(drive, (0, 1), (apart.min(1), apart.max(1)), count)
            assert ahead is not None
            assert ahead <= least


@pytest.mark.parametrize("drop", [0.7, 1 / 0.95])
def test_what_drives_cells_is_rounded_outward(drop):
    """Ends of currents and of what they sum up to, of θ and d, and of what spikes took over d: one by one."""
    neuron = Neuron(Fraction(0.9), Fraction(1 / 3), "subtract", Fraction(drop), (Fraction(1), Fraction(-0.3)))
    layer = Subtracting.of(Dyadic.of([[9.0]]), Dyadic.of([[1e-3]]), neuron, 4, ARITHMETIC[np.dtype("<f4")])
    low, high = Dyadic.of([[0.1, 0.2]]), Dyadic.of([[0.7, 1.1]])
    drive = layer.drive((low, high), (low, high), None)
    fixed_ends = (drive.low, drive.high, drive.lower, drive.upper)
    least, most, lowest, highest = (values(unfixed(end, drive.shift)) for end in fixed_ends)
    scaled = np.sort(np.stack((values(low) * neuron.scale, values(high) * neuron.scale)), 0)
    assert np.all(least <= scaled[0] - values(layer.slack))
    assert np.all(most >= scaled[1] + values(layer.slack))
    assert np.all(lowest <= values(low) - values(layer.filtered_slack))
    assert np.all(highest >= values(high) + values(layer.filtered_slack))
    unit = Fraction(2) ** -drive.shift
    assert drive.perhaps * unit <= neuron.threshold - layer.loose
    assert drive.surely * unit >= neuron.threshold + layer.loose
    assert drive.drop[0] * unit <= neuron.drop <= drive.drop[1] * unit
    one = whole([[1, 2]])
    below, above = map(values, _divided((one, one), neuron.drop))
    assert np.all((below * neuron.drop <= values(one)) & (values(one) <= above * neuron.drop))
