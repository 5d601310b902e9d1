"""What users put around layers: past the dispatcher, narrower, or by how a module is called; each in many spellings."""

import pytest
import torch
from torch import Tensor

from spikecert import ConversionRefused
from support.escapes import ASKING, CONVERTING, KEPT, NARROW, PLACES, READ, RIGHT, WRITE, Hosted, Kept, branching

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
    for timed in (False, True):
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
    for place in PLACES:
        for timed in (False, True):
            come_in(library, Hosted(library, place, RIGHT[name], timed))
