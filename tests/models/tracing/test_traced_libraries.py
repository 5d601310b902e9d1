"""Modules of libraries, traced: networks that spike as they do, or refused; nothing of them is changed."""

import copy
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikecert import ConversionRefused, convert, from_torch
from spikecert.models import check_conversion
from support.escapes import ASKING, KEPT, NARROW, READ, THREADED, WRITE, Change, Hosted, Kept, branching
from support.foreign import FOREIGN, snntorch
from support.foreign_loops import LOOPS
from support.state_loops import from_states
from support.traced_modules import RIGHT, Net, two_layers

SOURCES = {**FOREIGN, **LOOPS, "states by hand": from_states}
LIBRARIES = [name for name in SOURCES if not name.startswith("nir")]
pytestmark = pytest.mark.filterwarnings("ignore:__array", "ignore:TypedStorage is deprecated", "ignore:Inhibition")
SAME = {"narrows by bool", "narrows by long", "narrows by type by name"}
"""What changes no spike."""
ESCAPES: dict[str, Change] = {
    **{f"branches by {name}": branching(read) for name, read in READ.items()},
    **{f"writes by {name}": change for name, change in WRITE.items()},
    **{f"narrows by {name}": change for name, change in NARROW.items()},
    **{f"asks for {name}": change for name, change in ASKING.items()},
    **{f"in a thread {name}": change for name, change in THREADED.items()},
    **{f"into memory by {name}": Kept(change) for name, change in KEPT.items()},
}


def fresh(sample: Tensor, seed: int) -> Tensor:
    """Return other inputs of a sample's shape and range, half of them at its ends; events for events."""
    draws = torch.rand(16, *sample.shape[1:], generator=torch.Generator().manual_seed(seed))
    if set(sample.unique().tolist()) <= {0.0, 1.0}:
        return (draws < 0.5).to(sample)
    draws[8:] = draws[8:].round()
    return (sample.min() + (sample.max() - sample.min()) * draws).to(sample)


def outcomes(library: str, seeds: range) -> Counter[str]:
    """Return how many networks of a library come in, and how many spikes differ on inputs that none has seen."""
    found: Counter[str] = Counter()
    for seed in seeds:
        made = SOURCES[library](seed)
        try:
            network = convert(made.source, made.sample, made.num_steps, made.encoding).network
        except ConversionRefused:
            found["refused"] += 1
            continue
        found["came in"] += 1
        for scale in (1.0, 10.0):
            check = check_conversion(made.source, network, scale * fresh(made.sample, seed), made.num_steps)
            found["spikes"] += check.spikes
            found["differ"] += sum(check.mismatches)
            assert sum(check.mismatches) > 0 or check.matches, (seed, scale, check.reason)
    return found


@pytest.mark.parametrize("library", LIBRARIES)
def test_what_comes_in_spikes_as_its_source_on_other_inputs(library: str):
    found = outcomes(library, range(12 if library == "states by hand" else 4))
    assert found["came in"] > 0
    assert found["spikes"] > 0
    assert found["differ"] == 0


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("library", LIBRARIES)
def test_all_that_come_in_spike_as_their_sources(library: str, record_property: Callable[[str, object], None]):
    """Of millions of spikes a few are decided by rounding, which a verdict pays for."""
    found = outcomes(library, range(300))
    record_property("outcomes", dict(found))
    assert found["came in"] > 100
    assert found["differ"] <= 1e-6 * found["spikes"]


def traced(change: Change, place: str) -> None:
    module = Hosted("torch", place, change, timed=False)
    sample = torch.rand(6, 6, generator=torch.Generator().manual_seed(1))
    convert(module, sample)


@pytest.mark.parametrize("name", ["in a thread at most 1", "asks for strides", "writes by a pointer"])
def test_what_is_done_past_the_dispatcher_is_refused(name: str):
    with pytest.raises(ConversionRefused):
        traced(ESCAPES[name], "spikes")


@pytest.mark.slow
@pytest.mark.parametrize("name", ESCAPES)
def test_all_that_is_done_past_the_dispatcher_is_refused(name: str):
    for place in ("current", "spikes"):
        if place == "spikes" and name in SAME:
            traced(ESCAPES[name], place)
            continue
        with pytest.raises(ConversionRefused):
            traced(ESCAPES[name], place)


def test_nothing_of_the_users_process_is_changed():
    """snnTorch lists all neurons there are, and resets them at once."""
    other = snntorch.Leaky(0.9, init_hidden=True)
    other(torch.ones(2, 3))
    kept, listed = other.mem.clone(), len(snntorch.Leaky.instances)
    module = nn.Sequential(nn.Linear(5, 6), snntorch.Leaky(0.8, init_hidden=True), nn.ReLU(), nn.Linear(6, 3))
    module.train()
    before, states = copy.deepcopy(module.state_dict()), torch.random.get_rng_state()
    convert(module, torch.full((4, 5), 2.0), 3)
    assert torch.equal(other.mem, kept)
    assert len(snntorch.Leaky.instances) == listed + 1
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), states)
    assert module.training


def test_a_module_that_a_function_reads_keeps_its_state():
    case, net = RIGHT["attributes"], RIGHT["attributes"].make()
    from_torch(lambda x: net(x), case.sample, case.num_steps)
    assert net.v is None


def test_a_parameter_may_be_read_as_a_number():
    def run(net: Any, x: Tensor) -> Tensor:
        potential, total = torch.zeros(len(x), 6), torch.zeros(())
        for _ in range(3):
            potential = float(net.threshold) * 0.25 * potential + net.fc1(x)
            spike = (potential >= net.threshold.item()).float()
            potential = potential * (1.0 - spike)
            total = total + net.fc2(spike)
        return total / 3

    net = Net(run)
    net.threshold = nn.Parameter(torch.tensor(2.0))
    (neuron,) = from_torch(net, torch.rand(5, 5)).neurons
    assert (neuron.dynamics.decay, neuron.dynamics.threshold) == (0.5, 2.0)


def test_a_softmax_at_each_step_is_refused():
    net = Net(lambda net, x: torch.stack([two_layers(net, x).softmax(-1)] * 4))
    with pytest.raises(ConversionRefused, match=r"F\.softmax: a softmax of each step is no readout"):
        from_torch(net, torch.rand(5, 5))
