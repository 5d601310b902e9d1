"""What users put around layers, in many spellings: past the dispatcher, narrower, or by how a module is called."""

import pytest
import torch
from torch import Tensor

from spikecert import ConversionRefused
from spikecert.models.conversion.converting import beyond
from support.escapes import (
    ASKING,
    CONVERTING,
    KEPT,
    NARROW,
    PLACES,
    READ,
    RIGHT,
    THREADED,
    WRITE,
    Hosted,
    Kept,
    branching,
)
from support.examples import in_turn

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array", "ignore:TypedStorage is deprecated"),
]
LIBRARIES = tuple(CONVERTING)
WRONG = {
    **{f"branches by {name}": branching(read) for name, read in READ.items()},
    **{f"writes by {name}": change for name, change in WRITE.items()},
    **{f"narrows by {name}": change for name, change in NARROW.items()},
    **{f"asks for {name}": change for name, change in ASKING.items()},
}


SAME = {"narrows by bool", "narrows by long", "narrows by type by name"}
"""What changes no spike."""


def sample_of(timed: bool) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    drawn = torch.rand(6, *([Hosted.STEPS] if timed else []), 6, generator=generator)
    return (drawn < 0.5).float() if timed else drawn


def come_in(library: str, module: Hosted) -> None:
    CONVERTING[library](module, sample_of(module.timed), encoding="none" if module.timed else "direct")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", WRONG)
def test_what_is_done_past_the_dispatcher_is_refused(name: str, place: str):
    library = LIBRARIES[(len(name) + len(place)) % len(LIBRARIES)]
    for timed in in_turn(False, True, of=name + place):
        if place == "spikes" and name in SAME:
            come_in(library, Hosted(library, place, WRONG[name], timed))
            continue
        with pytest.raises(ConversionRefused) as caught:
            come_in(library, Hosted(library, place, WRONG[name], timed))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", KEPT)
def test_what_is_copied_to_memory_of_before_is_refused(name: str, place: str):
    library = LIBRARIES[(len(name) + len(place)) % len(LIBRARIES)]
    with pytest.raises(ConversionRefused):
        come_in(library, Hosted(library, place, Kept(KEPT[name]), False))


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("name", RIGHT)
def test_what_changes_nothing_comes_in(name: str, library: str):
    for timed in in_turn(False, True, of=name + library):
        come_in(library, Hosted(library, "everywhere", RIGHT[name], timed))


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("name", THREADED)
def test_what_nothing_sees_is_compared_beyond_the_sample(name: str, library: str):
    for timed in in_turn(False, True, of=name + library):
        with pytest.raises(ConversionRefused):
            come_in(library, Hosted(library, "input", THREADED[name], timed))


def test_other_inputs_lie_beyond_the_sample_and_events_are_counts_and_numbers():
    sample = sample_of(False) * 2.0 + 1.0
    found = beyond(sample, 50, 0)
    low, high = float(sample.min()), float(sample.max())
    assert low - (high - low) <= float(found.min()) < low
    assert high < float(found.max()) <= high + (high - low)
    events = beyond(sample_of(True), 50, 0, events=True)
    assert events[:25].unique().tolist() == [0.0, 1.0, 2.0, 3.0]
    assert float(events[25:].min()) < 0.0
    assert len(events[25:].unique()) > 100


class Counting(Hosted):
    """Counts its calls, and turns its output over after a while."""

    def __init__(self, library: str) -> None:
        super().__init__(library, "output", self.later, False)
        self.calls = 0

    def later(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x if self.calls < 10_000 else -x


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_number_that_changes_at_each_call_is_refused(library: str):
    with pytest.raises(ConversionRefused, match=r"^module: changes calls at each call"):
        come_in(library, Counting(library))
