"""What an element says in its one file is all that files, circuits and checks of code know of it."""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert.models import LIF, AdaptiveLIF, RefractoryLIF, SpikingNetwork, circuit, network_hash
from spikecert.models.circuit import unchanged
from spikecert.models.elements import registry
from spikecert.models.elements.neuron import RESTING as REFRACTORY
from spikecert.models.elements.registry import ELEMENTS, Element, Extent, UpToOne, register
from spikecert.models.files.description import build, describe
from spikecert.models.files.storage import from_bytes, to_bytes
from spikecert.models.linear_maps import linear_map, lowers
from spikecert.models.linear_maps.averaging import SelectionMap
from spikecert.models.rules import Leaky
from spikecert.testing import registered
from support.examples import examples


class Turn(nn.Module):
    """Vectors, turned around by some places."""

    def __init__(self, places: int) -> None:
        super().__init__()
        self.places = places

    def forward(self, signal: Tensor) -> Tensor:
        return signal.roll(self.places, -1)


class Turned(SelectionMap):
    """Its map."""

    def linear(self, x: Tensor) -> Tensor:
        return x.roll(1, -1)


class Quiet(LIF):
    """Never fires, and says that it runs as a LIF."""

    def forward(self, current: Tensor, num_steps: int) -> Tensor:
        return torch.zeros_like(super().forward(current, num_steps))


@pytest.fixture(autouse=True)
def kept() -> Iterator[None]:
    """Leave the registry as it was."""
    before = dict(ELEMENTS)
    yield
    ELEMENTS.clear()
    ELEMENTS.update(before)


def network(layer: nn.Module) -> SpikingNetwork:
    torch.manual_seed(0)
    return SpikingNetwork(nn.Linear(2, 4), LIF(0.9, 0.3), layer, nn.Linear(4, 2), num_steps=3).eval()


def test_an_affine_layer_is_known_by_one_call() -> None:
    with pytest.raises(TypeError, match=r"^modules: got Turn, expected AdaptiveAverage, "):
        network(Turn(1))
    lowers(Turn, fields={"places": Extent})(lambda layer: Turned())
    net = network(Turn(1))
    assert type(circuit(net).nodes[3].map) is Turned  # type: ignore[attr-defined]
    assert describe(net)["layers"][2] == {"type": "Turn", "places": 1}
    again = from_bytes(to_bytes(net))
    assert network_hash(again) == network_hash(net)
    with pytest.raises(ValueError, match=r"^layers\.2\.places: got 0, expected greater than or equal to 1$"):
        build({**describe(net), "layers": [*describe(net)["layers"][:2], {"type": "Turn", "places": 0}]})


def test_what_says_no_fields_is_in_no_file() -> None:
    """Else a file would leave out what its constructor takes."""
    lowers(Turn)(lambda layer: Turned())
    net = network(Turn(1))
    assert circuit(net).nodes[3].kind == "mapped"
    with pytest.raises(TypeError, match=r"^network: got a layer of type Turn, expected one of "):
        to_bytes(net)
    with pytest.raises(ValueError, match=r"^layers\.0: unknown layer type 'Turn'$"):
        build({"num_steps": 2, "encoding": "direct", "readout": "mean", "layers": [{"type": "Turn"}]})


def test_only_an_affine_layer_has_a_linear_map() -> None:
    with pytest.raises(TypeError, match=r"^network: got a layer of type MaxPool2d, expected one of "):
        linear_map(nn.MaxPool2d(2))


def test_a_name_is_given_once() -> None:
    with pytest.raises(TypeError, match=r"^element: LIF is registered already$"):
        register(Element(LIF, rules=(Leaky,)))


def test_an_element_that_is_not_registered_does_not_run_by_a_rule() -> None:
    with pytest.raises(TypeError, match="Leaky knows nothing of its own forward"):
        circuit(network(Quiet()))


def test_all_files_of_elements_and_maps_are_watched() -> None:
    watched = {file.__name__ for file in unchanged.RUNS}
    own = {kind.__module__ for kind in ELEMENTS if kind.__module__.startswith(registry.__name__.split(".")[0])}
    assert own <= watched
    assert {element.lower.__module__ for element in ELEMENTS.values() if element.lower} <= watched


def test_a_layer_may_run_in_its_own_way_on_all_steps_at_once() -> None:
    """What runs layers asks the registry how, and names none."""
    seen: list[Tensor] = []

    def run(layer: nn.Module, signal: Tensor) -> Tensor:
        """Note the signal over time."""
        seen.append(signal)
        return signal.roll(1, -1)

    register(Element(Turn, "mapped", lambda layer: Turned(), run))
    assert network(Turn(1))(torch.rand(5, 2)).shape == (5, 2)
    assert [signal.shape[1:] for signal in seen] == [(5, 4)]


class Lazy(RefractoryLIF):
    """Has a constant of its own."""

    def __init__(self, decay: float, threshold: float, fires_at: str, rest: int, laziness: float) -> None:
        super().__init__(decay, threshold, rest, fires_at)
        self.laziness = laziness


@examples(80)
@given(st.data())
def test_the_testing_kit_draws_a_neuron_by_the_fields_it_says(data: st.DataObject) -> None:
    ELEMENTS.pop(Lazy, None)
    fields = {name: REFRACTORY[name] for name in ("decay", "threshold", "fires_at", "rest")}
    register(Element(Lazy, fields={**fields, "laziness": UpToOne}))
    for kind in (LIF, RefractoryLIF, AdaptiveLIF, Lazy):
        drawn = data.draw(registered(kind, st.sampled_from(["zero", "subtract"])))
        assert type(drawn) is kind
        assert 0.0 <= getattr(drawn, "laziness", 0.0) <= 1.0
