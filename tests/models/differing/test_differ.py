"""Where two builds part, by an oracle; builds that are the same; what is refused; modules, graphs and files."""

import copy
import json
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert import (
    PLIF,
    AdaptiveLIF,
    Delay,
    OneSpikeLIF,
    Recurrent,
    Residual,
    SpikingNetwork,
    Synapse,
    VariedLIF,
    circuit,
    convert,
    differ,
    save,
    to_nir,
)
from spikecert.models import LIF
from spikecert.models.differing.builds import Build
from spikecert.models.differing.dialects import DIALECTS, Dialect, fitting, spoken
from spikecert.models.differing.explaining import Judge, by_dialect
from spikecert.models.differing.parting import corresponding
from spikecert.models.differing.recorded import firing_names
from spikecert.models.differing.settings.exchanges import KINDS
from spikecert.reports.comparing.difference_record import BuildSide, difference_record
from support.builds import PlainNetwork, loop, maps, network, samples, trained
from support.examples import examples

ONE, TWO, LAST = maps()


def first_by_hand(a: SpikingNetwork, b: SpikingNetwork, inputs: Tensor) -> tuple[int, int, int] | None:
    """Return (layer, neuron, step) of the first parting, by one loop over all that there is."""
    one, other = a.trace(inputs).spikes, b.trace(inputs).spikes
    for step in range(a.num_steps):
        for layer, (x, y) in enumerate(zip(one, other, strict=True)):
            for sample in range(len(inputs)):
                for neuron in range(x.shape[2]):
                    if x[step, sample, neuron] != y[step, sample, neuron]:
                        return layer, neuron, step + 1
    return None


CHANGES: dict[str, Any] = {
    "weight": lambda n, k: n.layers[2 * k].weight[1, 2].add_(0.9),
    "bias": lambda n, k: n.layers[2 * k].bias[0].add_(0.4),
    "decay": lambda n, k: n.layers.__setitem__(2 * k + 1, LIF(0.4)),
    "threshold": lambda n, k: n.layers.__setitem__(2 * k + 1, LIF(n.layers[2 * k + 1].dynamics.decay, 1.4)),
    "reset": lambda n, k: n.layers.__setitem__(2 * k + 1, LIF(n.layers[2 * k + 1].dynamics.decay, reset="none")),
}


@examples(240)
@given(
    changes=st.lists(
        st.tuples(st.sampled_from(sorted(CHANGES)), st.integers(0, 1)), min_size=1, max_size=3, unique=True
    ),
    seed=st.integers(0, 1000),
)
def test_several_differences_are_found_and_each_is_needed(changes: list[tuple[str, int]], seed: int) -> None:
    a, inputs = trained(), samples(12, seed)
    b = copy.deepcopy(a)
    with torch.no_grad():
        for kind, layer in changes:
            CHANGES[kind](b, layer)
    found = differ(a, b, inputs)
    expected = first_by_hand(a, b, inputs)
    if expected is None:
        assert found.first is None or found.first.layer == "outputs"
        return
    assert found.first == (f"layers.{2 * expected[0] + 1}", *expected[1:])
    assert found.mended
    assert found.repaired is not None
    assert all(map(torch.equal, a.trace(inputs).spikes, found.repaired.trace(inputs).spikes))
    needed = [one for one in found.declared if one.needed]
    assert needed
    assert all(f"{one.kind}: " in found.cause for one in needed)
    assert found.parted == int(_parted(a, b, inputs).sum())
    assert sum(found.steps) == sum(layer.wrong for layer in found.layers) == _wrong(a, b, inputs)


def _parted(a: SpikingNetwork, b: SpikingNetwork, inputs: Tensor) -> Tensor:
    spikes = [(x != y).any(2).any(0) for x, y in zip(a.trace(inputs).spikes, b.trace(inputs).spikes, strict=True)]
    return torch.stack([*spikes, ~torch.isclose(a(inputs), b(inputs)).all(1)]).any(0)


def _wrong(a: SpikingNetwork, b: SpikingNetwork, inputs: Tensor) -> int:
    return sum(int((x != y).sum()) for x, y in zip(a.trace(inputs).spikes, b.trace(inputs).spikes, strict=True))


def test_equal_builds_are_the_same() -> None:
    a = trained()
    found = differ(a, copy.deepcopy(a), samples())
    assert (found.same, found.first, found.cause, found.declared, found.repaired) == (True, None, "", (), None)
    assert found.report.startswith("same: all trains and outputs on 40 inputs")


def test_a_difference_that_never_shows_is_said() -> None:
    """Neurons that never fire may have any reset."""
    a = network(ONE, LIF(0.5, 1e6), TWO, LIF(0.8), LAST)
    b = network(ONE, LIF(0.5, 1e6, "subtract"), TWO, LIF(0.8), LAST)
    found = differ(a, b, samples())
    assert found.same
    assert found.cause == ""
    assert [(one.kind, one.needed) for one in found.declared] == [("reset", False)]
    assert "though 1 settings differ" in found.verdict


def test_only_what_shows_is_a_cause() -> None:
    silent = [1.0] * 11 + [1e6]
    a = network(ONE, VariedLIF(0.9, silent), TWO, LIF(0.8), LAST)
    b = network(ONE, VariedLIF([0.9] * 11 + [0.5], silent), TWO, LIF(0.7), LAST)
    found = differ(a, b, samples())
    assert found.cause == "decay: layers.3: λ = 0.8 against 0.7"
    assert [one.needed for one in found.declared] == [False, True]


def test_a_setting_of_all_layers_is_told_once() -> None:
    found = differ(trained(), trained("subtract"), samples())
    assert found.cause == "reset: layers.1, layers.3: to zero against by subtraction"


def test_one_step_and_one_neuron() -> None:
    one = nn.Linear(1, 1)
    with torch.no_grad():
        one.weight.fill_(1.0)
        one.bias.zero_()
    a = network(one, LIF(0.9, 1.0), num_steps=1)
    b = network(one, LIF(0.9, 2.0), num_steps=1)
    found = differ(a, b, torch.tensor([[0.5], [1.5], [2.5]]))
    assert found.first == ("layers.1", 0, 1)
    assert found.cause == "threshold: layers.1: θ = 1 against 2"
    assert found.moment is not None
    assert found.moment.sample == 1
    assert [float(each) for each in found.moment.potentials] == [1.5, 1.5]  # type: ignore[arg-type]
    assert (found.parted, found.samples, found.steps) == (1, 3, (1,))


def test_potentials_on_a_threshold_are_called_ties() -> None:
    """Settings are the same; .1 + .1 + .1 is .3 in float32, and above it in float64."""
    one = nn.Linear(3, 1, bias=False)
    with torch.no_grad():
        one.weight.fill_(0.1)
    a = network(one, LIF(0.0, 0.3, fires_at=">"), num_steps=3)
    b = copy.deepcopy(a).double()
    with torch.no_grad():
        b.get_parameter("layers.0.weight").fill_(0.1)
    inputs = torch.tensor([[1.0, 1.0, 1.0], [0.5, 0.5, 0.5], [2.0, 2.0, 2.0], [1.0, 2.0, 0.0]])
    found = differ(a, b, inputs)
    assert found.cause.startswith("ties: ")
    assert not found.mended


def test_weights_that_differ_by_roundings_are_ties_where_potentials_lie_on_thresholds() -> None:
    one = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        one.weight.fill_(0.5)
    a = network(one, LIF(0.0, 1.0), num_steps=2)
    b = copy.deepcopy(a)
    with torch.no_grad():
        weight = b.get_parameter("layers.0.weight")
        weight.copy_(torch.nextafter(weight, torch.zeros(1, 2)))
    found = differ(a, b, torch.tensor([[1.0, 1.0], [0.2, 0.1]]))
    assert found.cause.startswith("ties: ")
    assert found.parted == 1


SHAPES: dict[str, tuple[list[nn.Module], dict[str, Any]]] = {
    "a residual sum": ([nn.Linear(6, 8), LIF(0.9), Residual([nn.Linear(8, 8), LIF(0.8)], [nn.Linear(8, 8)])], {}),
    "potentials": ([nn.Linear(6, 8), LIF(0.9), nn.Linear(8, 3), LIF(0.9, reset="none")], {"readout": "potential"}),
    "a synapse and a delay": ([nn.Linear(6, 8), Synapse(0.7, 1), LIF(0.9)], {}),
    "a loop": ([nn.Linear(6, 8), Recurrent(LIF(0.9), nn.Linear(8, 8), Synapse(0.5))], {}),
    "once": ([nn.Linear(6, 8), OneSpikeLIF(0.9)], {"readout": "first"}),
    "adaptive": ([nn.Linear(6, 8), AdaptiveLIF(0.9)], {}),
    "learned decay": ([nn.Linear(6, 8), PLIF(0.9)], {}),
    "rate": ([nn.Linear(6, 8), LIF(0.9)], {"encoding": "rate"}),
    "events": ([nn.Linear(6, 8), LIF(0.9)], {"encoding": "none"}),
    "latency": ([nn.Linear(6, 8), LIF(0.9)], {"encoding": "latency"}),
}


@pytest.mark.parametrize("name", SHAPES)
def test_each_kind_of_network_is_compared(name: str) -> None:
    torch.manual_seed(3)
    modules, own = SHAPES[name]
    a = network(*modules, num_steps=6, **own).eval()
    with torch.no_grad():
        a.get_parameter("layers.0.weight").mul_(4)
    b = copy.deepcopy(a)
    with torch.no_grad():
        b.get_parameter("layers.0.bias").add_(0.7)
    inputs = samples(10) if name != "events" else torch.rand(10, 6, 6).round()
    found = differ(a, b, inputs)
    assert found.cause.startswith("bias: layers.0: 8 of 8 entries")
    assert found.mended
    assert found.repaired is not None
    assert torch.equal(found.repaired(inputs), a(inputs))


def test_layers_that_stand_for_none_are_said() -> None:
    torch.manual_seed(0)
    more = network(ONE, LIF(0.9), nn.Linear(12, 5), LIF(0.5), nn.Linear(5, 8), LIF(0.8), LAST)
    found = differ(trained(), more, samples())
    assert found.alone == ("b: layers.3",)
    assert [(layer.a, layer.b) for layer in found.layers] == [("layers.1", "layers.1"), ("layers.3", "layers.5")]
    assert found.cause.partition(":")[0] in KINDS
    assert found.mended


REFUSED: dict[str, tuple[Any, Any, Any, str]] = {
    "steps": (trained(), network(ONE, LIF(), num_steps=5), samples(), r"^num_steps: a runs 8 steps and b 5"),
    "classes": (
        trained(),
        network(ONE, LIF(), num_steps=8),
        samples(),
        r"^readout|^classes: a gives 3 outputs and b 12",
    ),
    "readout": (network(ONE, LIF()), network(ONE, LIF(), readout="first"), samples(), r"^readout: a has 'spikes'"),
    "input": (trained(), network(nn.Linear(5, 3), LIF()), samples(), r"^inputs: b can't take what a is given too"),
    "no build": (trained(), 3, samples(), r"^b: got int, expected a SpikingNetwork"),
    "NaN": (trained(), trained(), samples().fill_(float("nan")), r"^inputs: got NaN or inf"),
    "nothing": (trained(), trained(), samples()[:0], r"^inputs: got shape \(0, 6\)"),
    "integers": (trained(), trained(), torch.ones(3, 6, dtype=torch.int64), r"^inputs: got torch.int64"),
    "lists": (trained(), trained(), [[1.0] * 6], r"^inputs: got list"),
    "encoding": (
        trained(),
        network(ONE, LIF(0.9), TWO, LIF(), LAST, encoding="rate"),
        samples(),
        r"^encoding: a has 'direct' and b 'rate'",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_builds_that_answer_no_common_question_are_refused(name: str) -> None:
    a, b, inputs, message = REFUSED[name]
    with pytest.raises((TypeError, ValueError), match=message) as caught:
        differ(a, b, inputs)
    assert "\n" not in str(caught.value)


def test_files_are_read_as_networks_are(tmp_path: Any) -> None:
    a, path = trained(), tmp_path / "b.safetensors"
    save(network(ONE, LIF(0.9), TWO, LIF(0.7), LAST), path)
    assert differ(a, path, samples()).cause == "decay: layers.3: λ = 0.8 against 0.7"
    path.write_bytes(b"\x08\0\0\0\0\0\0\0not json")
    with pytest.raises(ValueError, match="safetensors"):
        differ(a, path, samples())
    with pytest.raises(FileNotFoundError):
        differ(tmp_path / "none.safetensors", a, samples())


def test_graphs_are_read_by_their_time_step(tmp_path: Any) -> None:
    """A NIR file of the same network, and of another dt."""
    nir = pytest.importorskip("nir")
    a = network(ONE, LIF(0.9, fires_at=">"), TWO, LIF(0.8, fires_at=">"))
    nir.write(tmp_path / "b.nir", to_nir(a, samples(), dt=1e-3))
    assert differ(a, tmp_path / "b.nir", samples()).same
    found = differ(a, tmp_path / "b.nir", samples(), dt=5e-4)
    assert not found.same
    assert "decay" in found.cause
    (tmp_path / "c.nir").write_bytes(b"no graph")
    with pytest.raises(ValueError, match=r"c\.nir"):
        differ(a, tmp_path / "c.nir", samples())


def test_a_module_that_only_runs_as_it_is_may_have_other_weights() -> None:
    module = PlainNetwork("subtract", floor=0.0)
    with torch.no_grad():
        module.two.weight[3, 4] += 1.5
    found = differ(trained("subtract"), module, samples())
    assert found.mended
    assert {part.partition(":")[0] for part in found.cause.split("; and ")} == {"weight", "saturation"}
    assert "[3, 4]" in found.cause
    last = PlainNetwork("subtract", floor=0.0)
    floored = spoken(trained("subtract"), {})
    assert floored is not None
    assert differ(floored, last, samples()).mended


def test_the_order_of_builds_does_not_matter_for_a_module() -> None:
    module, known = PlainNetwork("subtract", floor=0.0), trained("subtract")
    one, other = differ(known, module, samples()), differ(module, known, samples())
    assert one.cause.replace("B holds", "A holds") == other.cause
    assert (one.parted, one.steps, one.changed, other.changed) == (other.parted, other.steps, "a", "b")


def test_two_modules_that_only_run_as_they_are_are_compared() -> None:
    one, other = PlainNetwork("subtract", ceiling=1.1), PlainNetwork("subtract", ceiling=1.9)
    found = differ(Stepwise(one), Stepwise(other), samples(), num_steps=8)
    assert found.cause.startswith("order: both builds only run as they are")
    assert not found.mended
    assert found.first is not None
    assert found.first.layer in ("first", "second")


class Stepwise(nn.Module):
    """One layer of a network, a step a call."""

    def __init__(self, whole: PlainNetwork) -> None:
        super().__init__()
        self.one, self.first = whole.one, whole.first

    def forward(self, x: Tensor) -> Tensor:
        return self.first(self.one(x))


def test_what_draws_is_refused() -> None:
    class Drawing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            return (self.fc(x) + torch.rand(len(x), 3) > 0.5).to(x)

    with pytest.raises(ValueError, match=r"^b: gives two answers on the same inputs"):
        differ(trained(), Drawing(), samples(), num_steps=8)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda each: f"{each.kind}: {each.words}")
def test_a_dialect_that_shows_is_named(dialect: Dialect) -> None:
    """It is spoken by a copy that only runs, and found again by its trains; no reader proves anything of it."""
    bases = (trained(), trained("subtract"), trained(heard=loop()), DELAYED, FILTERED)
    fits = [
        (base, spoken(base, dict.fromkeys(layers, (dialect,))))
        for base in bases
        if (layers := fitting(base, dialect))
    ]
    made = [(base, other) for base, other in fits if other is not None]
    assert made
    for _, other in made:
        if any(type(layer).__name__ == "PlatformLIF" for layer in other.layers):
            with pytest.raises(TypeError, match="PlatformLIF"):
                circuit(other)
    shows = [(base, other) for base, other in made if first_by_hand(base, other, samples(12)) is not None]
    for base, other in shows[:1]:
        judge = _judge(base, other, samples(12))
        found = by_dialect(judge, "B", lambda *_: None)
        assert found.mended
        assert found.network is not None
        assert len({cause.key[-1] for cause in found.causes}) == 1
        assert first_by_hand(found.network, other, samples(12)) is None
        agreeing = {trial.words for trial in found.tried if trial.wrong == 0}
        assert any(dialect.words in words for words in agreeing)


def _judge(base: SpikingNetwork, other: SpikingNetwork, inputs: Tensor) -> Judge:
    """Return what changes a network until it spikes as another."""
    one, two = (
        Build(name, each, None, firing_names(each), each.num_steps) for name, each in (("a", base), ("b", other))
    )
    return Judge(two, one, inputs, corresponding(one.record(inputs), two.record(inputs)), 0)


@examples(100)
@given(
    first=st.sampled_from(DIALECTS),
    second=st.sampled_from(DIALECTS),
    base=st.sampled_from(("zero", "subtract")),
    seed=st.integers(0, 99),
)
def test_what_is_claimed_of_two_dialects_is_true(first: Dialect, second: Dialect, base: str, seed: int) -> None:
    """Where a search says that it mends, the changed network gives the other's trains; not all pairs are found."""
    network, inputs = trained(base), samples(6, seed)
    both = spoken(network, {"layers.1": (first,), "layers.3": (second,)})
    if both is None:
        return
    found = by_dialect(_judge(network, both, inputs), "B", lambda *_: None)
    assert found.mended == (found.network is not None)
    if found.network is not None:
        assert first_by_hand(found.network, both, inputs) is None


DELAYED = network(ONE, Delay(1), LIF(0.9), TWO, LIF(0.8), LAST)
FILTERED = network(ONE, Recurrent(LIF(0.9), loop(), Synapse(0.5)), TWO, LIF(0.8), LAST)


def test_neurons_of_a_platform_without_habits_are_the_elements() -> None:
    """The differ's own recursion, against this library's, bit by bit on a grid."""
    from spikecert.models.differing.settings.platform import PlatformLIF, PlatformSettings

    current = torch.randint(-8, 9, (20, 5, 7), generator=torch.Generator().manual_seed(0)) / 4
    for reset in ("zero", "subtract", "none"):
        for tie in (">=", ">"):
            plain = LIF(0.5, 1.0, reset, tie).run(current, 20)
            own = PlatformLIF(PlatformSettings(0.5, 1.0, 1.0, reset, tie == ">")).run(current, 20)
            assert torch.equal(own.spikes, plain.spikes)
            assert torch.equal(own.potentials, plain.potentials)


def test_progress_is_told() -> None:
    told: list[tuple[str, int, int]] = []
    differ(trained(), trained("subtract"), samples(130), progress=lambda *each: told.append(each))
    assert [each for each in told if each[0] == "runs"] == [
        ("runs", 64, 130),
        ("runs", 128, 130),
        ("runs", 130, 130),
    ]
    assert ("exchanged", 130, 130) in told
    assert ("settings", 1, 2) in told


def test_builds_are_left_as_they_were() -> None:
    a, b = trained(), trained("subtract")
    a.train()
    before = copy.deepcopy((a.state_dict(), b.state_dict()))
    differ(a, b, samples())
    assert a.training
    for old, new in zip(before, (a.state_dict(), b.state_dict()), strict=True):
        assert all(torch.equal(old[name], new[name]) for name in old)


def test_a_module_is_run_on_a_copy() -> None:
    module = PlainNetwork("subtract", floor=0.0)
    differ(trained("subtract"), module, samples())
    assert module.first.v is None


def test_a_varied_layer_is_exchanged_by_its_arrays() -> None:
    a = network(ONE, VariedLIF([0.9] * 12, [1.0] * 11 + [0.5]), TWO, LIF(0.8), LAST)
    b = network(ONE, VariedLIF([0.9] * 11 + [0.2], [1.0] * 12), TWO, LIF(0.8), LAST)
    found = differ(a, b, samples())
    assert found.mended
    assert found.repaired is not None
    assert all(map(torch.equal, a.trace(samples()).spikes, found.repaired.trace(samples()).spikes))


def test_a_conversion_is_its_network() -> None:
    converted = convert(PlainNetwork(), samples())
    assert differ(trained(), converted, samples()).same


def test_potentials_without_bounds_are_no_part_of_a_record() -> None:
    """JSON has no infinity."""
    one = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        one.weight.fill_(3e38)
    a = network(one, LIF(1.0, 1.0, "none"), num_steps=4)
    b = network(one, LIF(1.0, 1.0, "none"), num_steps=4)
    with torch.no_grad():
        b.get_parameter("layers.0.weight").neg_()
    found = differ(a, b, torch.tensor([[1.0]]))
    side = BuildSide(name="a")
    moment = difference_record(found, side, side, "digits").moment
    assert moment is not None
    assert json.loads(difference_record(found, side, side, "digits").to_json())["first"]["step"] == 1
