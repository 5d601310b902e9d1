"""NIR's two resets: said by the caller or the metadata, or warned of; both as a simulation written apart."""

import itertools
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from spikecert import (
    DLIF,
    LIF,
    PLIF,
    ConversionRefused,
    RefractoryLIF,
    SpikingNetwork,
    Synapse,
    convert,
    from_nir,
    to_nir,
)
from spikecert.models import Recurrent, check_conversion
from support.foreign import nir

DT, STEPS, BATCH = 1e-4, 7, 12
KINDS = ("LIF", "IF", "CubaLIF", "LIF in a loop", "IF in a loop", "CubaLIF in a loop")


@pytest.fixture(autouse=True)
def without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def neuron(rng: Any, kind: str, width: int, alike: bool, **told: Any) -> Any:
    """Return a node whose entries differ, unless they are `alike`."""

    def drawn(low: float, high: float) -> np.ndarray:
        return np.full(width, rng.uniform(low, high)) if alike else rng.uniform(low, high, width)

    ends = {"v_threshold": drawn(0.6, 1.4), "v_reset": np.zeros(width), "metadata": told}
    if kind == "IF":
        return nir.IF(r=drawn(0.3, 2.0) / DT, **ends)
    share, leak = drawn(0.1, 0.9), drawn(-0.2, 0.2)
    if kind == "LIF":
        leak = leak if rng.random() < 0.5 else np.zeros(width)
        return nir.LIF(tau=DT / share, r=drawn(0.5, 2.0) / share, v_leak=leak, **ends)
    slow = {"tau_syn": np.full(width, DT / rng.uniform(0.3, 1.0)), "w_in": drawn(0.5, 2.0)}
    return nir.CubaLIF(tau_mem=DT / share, r=drawn(1.0, 3.0) / share, v_leak=0.0 * leak, **slow, **ends)


def drawn_graph(kind: str, seed: int, **told: Any) -> tuple[Any, list[tuple[Any, Any, Any]], torch.Tensor]:
    """Return a graph of two layers, their maps, neurons and feedback, and inputs over time."""
    rng, nodes, edges, layers = np.random.default_rng(seed), {}, [], []
    sizes, before = [4, 6, 5], "input"
    plain, loops = kind.split(" ")[0], "loop" in kind
    for index, (given, width) in enumerate(itertools.pairwise(sizes)):
        dense = nir.Affine(rng.normal(size=(width, given)) * 1.2, rng.normal(size=width) * 0.2)
        node = neuron(rng, plain, width, loops, **told)
        back = nir.Linear(rng.normal(size=(width, width))) if loops else None
        names = f"dense{index}", f"fires{index}", f"back{index}"
        nodes |= {names[0]: dense, names[1]: node} | ({} if back is None else {names[2]: back})
        edges += [(before, names[0]), (names[0], names[1])]
        edges += [] if back is None else [(names[1], names[2]), (names[2], names[1])]
        layers.append((dense, node, back))
        before = names[1]
    ends = {"input": nir.Input(np.array([sizes[0]])), "output": nir.Output(np.array([sizes[-1]]))}
    graph = nir.NIRGraph({**ends, **nodes}, [*edges, (before, "output")], type_check=False)
    events = torch.tensor(rng.random((BATCH, STEPS, sizes[0])) < 0.6).double()
    return graph, layers, events


def simulated(
    layers: list[tuple[Any, Any, Any]], events: np.ndarray, reset: str, amount: float | None = None
) -> list:
    """Return the spikes of each layer, (T, batch, neurons), by NIR's equations in forward Euler steps."""
    found = []
    signal = events.transpose(1, 0, 2)
    for dense, node, back in layers:
        zeros = np.zeros((signal.shape[1], len(node.r)))
        v, i, last, made = zeros + getattr(node, "v_leak", 0.0), zeros, zeros, []
        for given in signal:
            x = given @ dense.weight.T + dense.bias + (0.0 if back is None else last @ back.weight.T)
            if hasattr(node, "tau_syn"):
                i = i + DT / node.tau_syn * (node.w_in * x - i)
                x = i
            if hasattr(node, "v_leak"):
                tau = node.tau if hasattr(node, "tau") else node.tau_mem
                v = v + DT / tau * (node.v_leak - v + node.r * x)
            else:
                v = v + DT * node.r * x
            last = (v > node.v_threshold) * 1.0
            drop = node.v_threshold if amount is None else amount
            v = np.where(last > 0, node.v_reset if reset == "zero" else v - drop, v)
            made.append(last)
        signal = np.stack(made)
        found.append(signal)
    return found


@pytest.mark.parametrize("reset", ["zero", "subtract"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_graph_spikes_as_its_equations_do_under_either_reset(kind: str, reset: str) -> None:
    apart = 0
    for seed in range(5):
        graph, layers, events = drawn_graph(kind, seed)
        leaking = any(getattr(node, "v_leak", np.zeros(1)).any() for _, node, _ in layers)
        if reset == "zero" and leaking and kind != "LIF in a loop":  # there the neuron begins elsewhere
            with pytest.raises(ConversionRefused, match="resets to another potential"):
                from_nir(graph, events, reset=reset)
            continue
        network = from_nir(graph, events, encoding="none", reset=reset)
        assert {neuron.reset for neuron in network.neurons} == {reset}
        ours = network.trace(events).spikes
        for told in ("zero", "subtract"):
            theirs = simulated(layers, events.numpy(), told)
            same = all(np.array_equal(one.numpy(), other) for one, other in zip(ours, theirs, strict=True))
            assert same or told != reset, seed
            apart += not same
        assert check_conversion(graph, network, events, reset=reset).matches
    assert apart > 0


@pytest.mark.parametrize("kind", ["LIF", "IF", "CubaLIF"])
def test_a_constant_input_is_no_other_case(kind: str) -> None:
    for seed in range(2):
        rng = np.random.default_rng(seed)
        node = neuron(rng, kind, 5, alike=True)
        dense = nir.Affine(rng.normal(size=(5, 4)) * 1.5, rng.normal(size=5) * 0.2)
        graph = nir.NIRGraph.from_list(dense, node, type_check=False)
        sample = torch.from_numpy(rng.random((BATCH, 4)))
        network = from_nir(graph, sample, num_steps=STEPS, reset="subtract")
        events = np.repeat(sample.numpy()[:, None], STEPS, 1)
        theirs = simulated([(dense, node, None)], events, "subtract")[0]
        assert np.array_equal(network.trace(sample).spikes[0].numpy(), theirs)


def of_words(word: Any, key: str = "reset") -> dict[str, Any]:
    return {key: word}


SAID = {
    "zero": [of_words("zero"), of_words("hard"), of_words(b"reset-to-zero", "reset_type"), of_words("Zero")],
    "subtract": [
        *(of_words("subtract"), of_words("soft"), of_words("Reset by subtraction"), of_words(b"subtract")),
        *(of_words("subtract", "reset_mechanism"), of_words("reset_subtract", "reset_method")),
    ],
}


@pytest.mark.parametrize("reset", SAID)
@pytest.mark.parametrize("place", ["node", "graph", "graph within", "file"])
def test_what_the_metadata_say_is_taken(reset: str, place: str, tmp_path: Any) -> None:
    for told in SAID[reset]:
        graph, layers, events = drawn_graph("LIF", 1, **(told if place in ("node", "file") else {}))
        if place.startswith("graph"):
            graph.metadata = told
        if place == "graph within":
            graph = nir.NIRGraph(
                {"input": nir.Input(np.array([4])), "all": graph, "output": nir.Output(np.array([5]))},
                [("input", "all"), ("all", "output")],
                type_check=False,
            )
        given: Any = graph
        if place == "file":
            given = tmp_path / "graph.nir"
            nir.write(given, graph)
        network = from_nir(given, events)
        theirs = simulated(layers, events.numpy(), reset)
        assert all(
            np.array_equal(one.numpy(), other)
            for one, other in zip(network.trace(events).spikes, theirs, strict=True)
        )


def test_a_node_says_more_than_the_graph_and_the_caller_more_than_both() -> None:
    graph, _, events = drawn_graph("LIF", 1)
    graph.metadata = {"reset": "subtract"}
    graph.nodes["fires1"].metadata = {"reset": "zero"}
    assert [neuron.reset for neuron in from_nir(graph, events).neurons] == ["subtract", "zero"]
    assert {neuron.reset for neuron in from_nir(graph, events, reset="zero").neurons} == {"zero"}
    graph.nodes["fires1"].metadata = {"reset": "who knows"}
    assert {neuron.reset for neuron in from_nir(graph, events, reset="subtract").neurons} == {"subtract"}


def test_an_amount_of_its_own_is_taken_away() -> None:
    graph, layers, events = drawn_graph("IF", 2, reset="subtract", reset_amount=0.45)
    theirs = simulated(layers, events.numpy(), "subtract", 0.45)
    ours = from_nir(graph, events).trace(events).spikes
    assert all(np.array_equal(one.numpy(), other) for one, other in zip(ours, theirs, strict=True))


ODD: dict[str, tuple[dict[str, Any], str | None, str]] = {
    "another word": (
        {"reset": "none"},
        None,
        r"^fires0: its metadata say {'reset': 'none'}, expected \"zero\" or",
    ),
    "two words": ({"reset": "zero", "reset_type": "soft"}, None, r"^fires0: its metadata say .*; give reset$"),
    "a number": ({"reset_mechanism": 3}, None, r"^fires0: its metadata say {'reset_mechanism': 3}"),
    "an array": ({"reset": np.ones(900)}, None, r"^fires0: its metadata say .{0,80}, expected"),
    "no amount": ({"reset": "subtract", "reset_amount": -1.0}, None, r"^fires0: reset_amount: got -1\.0"),
    "amounts": ({"reset": "subtract", "reset_amount": np.ones(4)}, None, r"^fires0: reset_amount: got ndarray"),
    "a bad amount that is asked for": ({"reset_amount": "x"}, "subtract", r"^fires0: reset_amount: got str"),
}


@pytest.mark.parametrize("name", ODD)
def test_metadata_that_are_not_understood_are_refused(name: str) -> None:
    told, reset, reason = ODD[name]
    graph, _, events = drawn_graph("LIF", 1, **told)
    with pytest.raises(ConversionRefused, match=reason) as refused:
        from_nir(graph, events, reset=reset)
    assert len(str(refused.value)) < 300
    if reset is None:
        from_nir(graph, events, reset="zero")


@pytest.mark.parametrize("level", [0.2, -0.1])
def test_a_level_to_return_to_and_a_subtraction_are_no_pair(level: float) -> None:
    graph, layers, events = drawn_graph("IF", 3)
    for _, node, _ in layers:
        node.v_reset = np.full_like(node.v_threshold, level)
        node.v_threshold = np.full_like(node.v_threshold, 1.0)
        node.r = np.full_like(node.v_threshold, 0.5 / DT)
    with pytest.raises(
        ConversionRefused, match=r"^fires0 \(nir IF\): subtracts, and has a v_reset of .*expected 0"
    ):
        from_nir(graph, events, reset="subtract")
    ours = from_nir(graph, events).trace(events).spikes  # no warning: the level says that it is returned to
    theirs = simulated(layers, events.numpy(), "zero")
    assert all(np.array_equal(one.numpy(), other) for one, other in zip(ours, theirs, strict=True))


def test_another_reset_is_refused() -> None:
    graph, _, events = drawn_graph("LIF", 1)
    for odd in ("none", "soft", 1):
        with pytest.raises(ValueError, match=r"^reset: got .*, expected one of zero, subtract$"):
            from_nir(graph, events, reset=odd)  # type: ignore[arg-type]
    graph.nodes["fires0"].v_threshold = -graph.nodes["fires0"].v_threshold
    with pytest.raises(
        ConversionRefused, match=r"^fires0 \(nir LIF\): subtracts a threshold that is not positive"
    ):
        from_nir(graph, events, reset="subtract")


def heard(call: Any) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    assert all(item.category is UserWarning and "\n" not in str(item.message) for item in caught)
    return [str(item.message) for item in caught]


def test_where_nobody_says_it_one_warning_names_the_choice(tmp_path: Any) -> None:
    graph, _, events = drawn_graph("LIF", 1)
    nir.write(tmp_path / "graph.nir", graph)
    network = from_nir(graph, events, reset="zero")
    calls = {
        "graph": lambda: from_nir(graph, events),
        "file": lambda: from_nir(tmp_path / "graph.nir", events),
        "convert": lambda: convert(graph, events),
        "check": lambda: check_conversion(graph, network, events),
    }
    for name, call in calls.items():
        (message,) = heard(call)
        assert "reset='subtract'" in message, name
        assert "reset='zero'" in message, name
        assert "fires0" in message, name
    for reset in ("zero", "subtract"):
        assert heard(lambda reset=reset: from_nir(graph, events, reset=reset)) == []
        assert heard(lambda reset=reset: convert(graph, events, reset=reset)) == []
    assert {neuron.reset for neuron in network.neurons} == {"zero"}


def test_nodes_that_never_fire_need_no_reset() -> None:
    graph = nir.NIRGraph.from_list(
        nir.Affine(np.ones((3, 2)), np.zeros(3)),
        nir.LI(np.full(3, 2e-4), np.full(3, 2.0), np.zeros(3)),
        type_check=False,
    )
    assert heard(lambda: from_nir(graph, num_steps=3)) == []


@pytest.mark.parametrize("dt", [None, 1e-9])
def test_a_time_step_that_silences_the_network_is_refused_unless_it_is_settled(dt: float | None) -> None:
    graph, layers, events = drawn_graph("IF", 1, reset="zero")
    for _, node, _ in layers:
        node.r = node.r * (1.0 if dt else 1e-6)
    told = (
        rf"^graph: layer 0 .* never fires on what it was compared on, in {STEPS} steps of dt = {dt or DT:g}; give"
    )
    with pytest.raises(ConversionRefused, match=told):
        from_nir(graph, events, dt=dt)
    assert from_nir(graph, events, dt=dt, silent=True).unconfirmed
    assert heard(lambda: from_nir(graph, events, dt=1e-4 if dt else 100.0)) == []


def several_a_step(graph: Any, inputs: torch.Tensor, steps: int) -> torch.Tensor:
    """Return the counts of neurons that fire as often in a step as θ fits into v, as sinabs's do."""
    current, potential, counts = inputs @ torch.from_numpy(graph.nodes["affine"].weight).T, torch.zeros(()), []
    for _ in range(steps):
        potential = potential + current
        counts.append(potential.floor().clamp(min=0.0))
        potential = potential - counts[-1]
    return torch.stack(counts, 1)


def fed(strength: float) -> tuple[Any, torch.Tensor]:
    """Return an affine layer of a strength behind IF neurons that subtract, and inputs."""
    draw = np.random.default_rng(0)
    node = nir.IF(np.full(3, 1e4), np.ones(3), metadata={"reset": "subtract"})
    first = nir.Affine(strength * draw.uniform(0.1, 1.0, (3, 4)), np.zeros(3))
    graph = nir.NIRGraph.from_list(first, node, type_check=False)
    return graph, torch.from_numpy(draw.uniform(0.0, 1.0, (40, 4)))


def test_outputs_that_the_source_recorded_confirm_a_graph_or_refuse_it() -> None:
    graph, inputs = fed(0.25)  # where θ fits into v once at most both are one network
    trains = several_a_step(graph, inputs, STEPS)
    for outputs in (trains, trains.sum(1), trains.mean(1), trains.sum(1).int()):
        assert not from_nir(graph, num_steps=STEPS, recorded=(inputs, outputs)).unconfirmed
    late = torch.cat([torch.zeros_like(trains[:, :1]), trains[:, :-1]], 1)
    for outputs in (late, trains.sum(1) + torch.eye(40, 3), trains.sum(1) * torch.nan):
        with pytest.raises(ConversionRefused, match=r"^recorded: outputs differ at \d+ of 40 inputs, first at"):
            from_nir(graph, num_steps=STEPS, recorded=(inputs, outputs))
    graph, inputs = fed(2.0)
    given: dict[str, Any] = {"num_steps": STEPS, "dt": 1e-4}
    assert from_nir(graph, inputs, **given).unconfirmed
    with pytest.raises(ConversionRefused, match=r"^recorded: outputs differ at \d+ of 40 inputs"):
        from_nir(graph, recorded=(inputs, several_a_step(graph, inputs, STEPS).sum(1)), **given)


RECORDED: dict[str, tuple[Any, str]] = {
    "one": ((torch.rand(2, 4),), "got tuple, expected a pair"),
    "text": ("inputs", "got str, expected a pair"),
    "whole inputs": ((torch.ones(2, 4).int(), torch.ones(2, 3)), "got torch.int32 .*, expected inputs of floats"),
    "complex": ((torch.rand(2, 4), torch.ones(2, 3, dtype=torch.complex64)), "got torch.float32 .* an output for"),
    "fewer": ((torch.rand(2, 4), torch.ones(1, 3)), r"\(2, 4\) and torch.float32 \(1, 3\), expected"),
    "none": ((torch.rand(0, 4), torch.ones(0, 3)), "expected inputs of floats, and an output for each"),
    "classes": (
        (torch.rand(2, 4), torch.ones(2, 5)),
        r"got outputs of shape \(2, 5\), expected \(2, 3\), or .* \(2, 7, 3\)",
    ),
    "features": ((torch.rand(2, 5), torch.ones(2, 3)), r"inputs: got features"),
    "silent": ((torch.zeros(2, 4), torch.zeros(2, 3)), "never fires on what it was compared on"),
}


@pytest.mark.parametrize("name", RECORDED)
def test_what_is_no_recording_of_the_source_is_refused_in_one_line(name: str) -> None:
    recorded, reason = RECORDED[name]
    graph, inputs = fed(0.25)
    with pytest.raises(
        (ConversionRefused, TypeError, ValueError), match=rf"^(recorded|graph): .*{reason}"
    ) as error:
        from_nir(graph, inputs, num_steps=STEPS, recorded=recorded)
    assert "\n" not in str(error.value)


def test_steps_are_read_from_a_sample_that_has_them() -> None:
    graph, _, events = drawn_graph("LIF", 1, reset="zero")
    for network in (from_nir(graph, events), from_nir(graph, events, encoding="none")):
        assert (network.num_steps, network.encoding) == (STEPS, "none")
    assert convert(graph, events).network.num_steps == STEPS
    still = from_nir(graph, events[:, 0], num_steps=3)
    assert (still.num_steps, still.encoding) == (3, "direct")
    with pytest.raises(ValueError, match=r"^num_steps: got None"):
        from_nir(graph, events[:, 0])
    with pytest.raises(ValueError, match=r"^sample: got 7 steps, expected num_steps = 5$"):
        from_nir(graph, events, num_steps=5)
    graph.metadata = {"num_steps": 9}
    with pytest.raises(ValueError, match=r"^sample: got 7 steps, expected num_steps = 9$"):
        from_nir(graph, events)


def test_a_module_has_neither_a_reset_to_be_chosen_nor_a_time_step() -> None:
    settings: dict[str, Any] = {"dt": 1e-3, "reset": "zero"}
    for name, value in settings.items():
        with pytest.raises(TypeError, match=rf"^{name}: got one for a module, expected it of a NIR graph only$"):
            convert(nn.Linear(2, 2), torch.rand(3, 2), **{name: value})


NEURONS = {
    "LIF": lambda reset, fires: LIF(0.8, 0.5, reset, fires),
    "integrating": lambda reset, fires: LIF(1.0, 0.5, reset, fires),
    "forgetful": lambda reset, fires: LIF(0.0, 0.5, reset, fires),
    "PLIF": lambda reset, fires: PLIF(0.8, 0.5, reset, fires),
    "amount": lambda reset, fires: LIF(0.8, 0.5, reset, fires, reset_amount=0.3 if reset == "subtract" else None),
    "loop": lambda reset, fires: Recurrent(LIF(0.8, 0.5, reset, fires), nn.Linear(4, 4)),
    "loop with a synapse": lambda reset, fires: Recurrent(
        LIF(0.8, 0.5, reset, fires), nn.Linear(4, 4), Synapse(0.5)
    ),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("fires", [">=", ">"])
@pytest.mark.parametrize("name", NEURONS)
def test_a_round_trip_keeps_the_reset(name: str, fires: str, dtype: torch.dtype, tmp_path: Any) -> None:
    for reset in ("zero", "subtract"):
        torch.manual_seed(2)
        layers = (
            nn.Linear(3, 4),
            NEURONS[name](reset, fires),
            *([] if name == "forgetful" else [Synapse(0.0, 1)]),  # spikes that are the same at each step, late
            nn.Linear(4, 4),
            LIF(0.9, 0.5, reset),
        )
        network = SpikingNetwork(*layers, nn.Linear(4, 2), num_steps=STEPS).to(dtype).eval()
        for weight in network.parameters():
            weight.data.mul_(2.0)
        sample = torch.rand(40, 3, dtype=dtype)
        nir.write(tmp_path / "network.nir", to_nir(network, sample))
        for given in (to_nir(network, sample), tmp_path / "network.nir")[: 1 + (fires == ">")]:
            back = from_nir(given, sample)
            found = {neuron.reset for neuron in back.neurons}  # what keeps nothing resets nothing
            assert found - ({"none"} if name == "forgetful" else set()) == {reset}
            spikes = zip(network.trace(sample).spikes, back.trace(sample).spikes, strict=True)
            assert all(one.equal(other) for one, other in spikes)


UNSAID = {
    "no reset": (LIF(reset="none"), r"^layer 1 \(LIF\): has reset 'none', and neurons of NIR that fire reset$"),
    "an input scale": (DLIF(STEPS, reset="subtract"), "has an input scale over time"),
    "a rest": (RefractoryLIF(), "expected plain leaky"),
}


@pytest.mark.parametrize("name", UNSAID)
def test_what_metadata_do_not_say_is_not_written(name: str) -> None:
    layer, reason = UNSAID[name]
    with pytest.raises((ConversionRefused, TypeError), match=reason):
        to_nir(SpikingNetwork(nn.Linear(3, 4), layer, nn.Linear(4, 2), num_steps=STEPS), torch.rand(2, 3))


def test_the_tables_of_random_graphs_hold_both_resets() -> None:
    """What `support.foreign` draws is compared elsewhere; here with the reset that its graphs do not have."""
    from support.foreign import from_nir as drawn

    accepted = 0
    for seed in range(16):
        made = drawn(seed)
        levels = [
            node.v_reset for node in made.source.nodes.values() if getattr(node, "v_reset", None) is not None
        ]
        if made.refusal or any(level.any() for level in levels):
            continue
        found = convert(made.source, made.sample, made.num_steps, made.encoding, reset="subtract")
        accepted += found.check.matches
    assert accepted > 6
