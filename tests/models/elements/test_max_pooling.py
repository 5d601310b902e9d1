"""Which entries the windows of a max pool hold, one by one, and what is made of them."""

import itertools

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn

from spikecert.models.elements.max_pooling import MaxWindows
from support.examples import examples

Sides = tuple[int, ...]


@st.composite
def windows(draw: st.DrawFn) -> tuple[MaxWindows, Sides]:
    """Windows along one axis or two, and the shape of signals with one axis more: channels, then unequal sides."""
    axes = draw(st.integers(1, 2))

    def each(low: int, high: int) -> Sides:
        return tuple(draw(st.integers(low, high)) for _ in range(axes))

    size = each(1, 3)
    padding = tuple(draw(st.integers(0, side // 2)) for side in size)
    made = MaxWindows(size, each(1, 3), padding, each(1, 2), draw(st.booleans()))
    return made, (draw(st.integers(1, 3)), *each(2, 6))


def held(made: MaxWindows, features: Sides, output: Sides) -> list[int]:
    """Return the flattened entries of one window, the first place first, without those in the padding."""
    channel, *window = output
    found = []
    for inside in itertools.product(*map(range, made.size)):
        steps = zip(window, made.stride, made.padding, inside, made.dilation, strict=True)
        at = [place * stride - padding + k * dilation for place, stride, padding, k, dilation in steps]
        if all(0 <= entry < side for entry, side in zip(at, features[1:], strict=True)):
            index = channel
            for entry, side in zip(at, features[1:], strict=True):
                index = index * side + entry
            found.append(index)
    return found


@given(windows())
@examples(150)
def test_places_totals_and_sharing_are_those_of_each_window(case: tuple[MaxWindows, Sides]):
    made, features = case
    signal = torch.rand(1, *features, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    try:
        largest = made.largest(signal)[0]
    except ValueError:
        assume(False)
        raise
    places, total = made.places(features), made.total(signal).view(largest.shape)
    assert places.shape[:-1] == largest.shape
    assert places.shape[-1] <= made.count  # less where no window is whole
    flat, outside, counts = signal.flatten(), signal.numel(), [0] * signal.numel()
    for output in itertools.product(*map(range, largest.shape)):
        entries = held(made, features, output)
        assert sorted(entry for entry in places[output].tolist() if entry != outside) == sorted(entries)
        assert float(largest[output]) == float(flat[entries].max())
        assert float(total[output]) == pytest.approx(float(flat[entries].sum()))
        for entry in entries:
            counts[entry] += 1
    assert made.shared(features) == max(counts)


def test_windows_of_padding_alone_are_refused():
    made = MaxWindows((2,), (1,), (1,), (4,), False)
    with pytest.raises(ValueError, match="has a window that holds padding alone"):
        made.largest(torch.ones(1, 1, 3))
    assert nn.MaxPool1d(2, 1, 1, dilation=2)(torch.ones(1, 1, 3)).shape == (1, 1, 3)
