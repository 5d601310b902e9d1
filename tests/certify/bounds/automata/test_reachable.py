"""The trains of a declared automaton: every run is in them, and no accelerator is wider than they are."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from spikecert.certify.bounds.automata import paths as reachable
from spikecert.certify.bounds.automata.paths import PathTrains, path_trains
from spikecert.certify.bounds.cells.automaton import cell_trains
from spikecert.certify.bounds.propagation import Propagation
from spikecert.certify.bounds.signals.signals import InputSignal, Signal
from spikecert.certify.bounds.signals.windows import Box
from spikecert.certify.bounds.trains.resting import many_spikes, once_spikes, refractory_spikes, varied_spikes
from spikecert.certify.bounds.trains.train_graph import graph_trains
from spikecert.certify.bounds.trains.trains import conserved_spikes, step_spikes, train_spikes
from spikecert.certify.rounding import Rounding
from spikecert.models import DLIF, LIF, AdaptiveLIF, OneSpikeLIF, RefractoryLIF, VariedLIF
from spikecert.models.circuit import Fired
from spikecert.models.linear_neuron import LinearNeuron
from spikecert.models.rules import RESTS, DeclaredRule, Label, Leaky, Number, Recursion
from support.drawn_networks import adaptive, resting
from support.examples import examples

STEPS, NEURONS = 5, 6
SEEDS = st.integers(0, 2**31)
EXACT = Rounding(torch.float64)


class LastSpike(Leaky):
    """Leaky neurons whose states are told apart by their last spike, whatever the reset: as graphs do."""

    def label(self, label: Label, spike: int, t: int) -> Label:
        return (0, t) if spike else label


def currents(generator: torch.Generator, steps: int, grid: bool, width: float = 0.5) -> Box:
    """Return a box of currents, (steps, 3, NEURONS), which float32 holds."""
    lower = torch.randn(steps, 3, NEURONS, generator=generator)
    size = torch.rand(lower.shape, generator=generator) * width
    lower, size = ((x * 4).round() / 4 if grid else x for x in (lower, size))
    return Box(lower.double(), (lower + size).double())


def differing(reset: str, seed: int) -> LinearNeuron:
    """Return neurons of as many kinds as there are."""
    drawn = torch.rand(3, NEURONS, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    decay, threshold, drop = ((x * 8).ceil() / 8 for x in drawn)
    decay, threshold, drop = (tuple(x.tolist()) for x in (decay, threshold, drop))
    return LinearNeuron(decay, threshold, drop, (NEURONS,), reset)


Find = Callable[[Signal, Any], Signal]


@dataclass(frozen=True)
class Accelerator:
    """What finds trains faster than their declaration does.

    Attributes:
        find: the trains of neurons of a rule under a current.
        rule: that is declared.
        steps: 1 for a constant current, else T.
        equal: whether both know the same.
        used: the rule that `find` is given, where its states are told apart otherwise.
    """

    find: Find
    rule: DeclaredRule
    steps: int = STEPS
    equal: bool = True
    used: DeclaredRule | None = None

    def compared(self, current: Signal, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the accelerator and the declaration say."""
        found = self.find(current, self.used or self.rule)
        return ends(found, rows), ends(path_trains(current, self.rule, EXACT), rows)


def by_table(find: Find, rule: DeclaredRule) -> Accelerator:
    return Accelerator(find, rule, steps=1, equal=False)


LEAKY = {f"{d} {r}": (d, 0.75, r) for d in (0.0, 0.5, 0.9, 1.0) for r in ("zero", "subtract", "none")}
SUBTRACTING = {name: rule for name, rule in LEAKY.items() if rule[2] == "subtract"}
RESTING = {f"rest {rest}": resting(Leaky(0.9, 0.75), rest) for rest in (0, 1, 3)}
DIFFERING = {reset: differing(reset, 1) for reset in ("zero", "none")}


def rested(x: Signal, rule: Any) -> Signal:
    return refractory_spikes(x, rule, EXACT)


def of_kinds(x: Signal, rule: Any) -> Signal:
    return varied_spikes(x, rule, conserved_spikes, EXACT)


ACCELERATORS: dict[str, Accelerator] = {
    **{f"table {n}": by_table(lambda x, rule: train_spikes(x, rule, EXACT), Leaky(*r)) for n, r in LEAKY.items()},
    **{
        f"{name} {n}": Accelerator(find, LastSpike(*r), used=Leaky(*r))
        for n, r in LEAKY.items()
        for name, find in {
            "graph": lambda x, rule: graph_trains(x, rule, EXACT),
            "steps": lambda x, rule: step_spikes(x, rule, EXACT),
        }.items()
    },
    **{
        f"cells {n}": Accelerator(lambda x, rule: cell_trains(x, rule, EXACT, 2**STEPS), Leaky(*r), equal=False)
        for n, r in SUBTRACTING.items()
    },
    **{name: Accelerator(rested, rule) for name, rule in RESTING.items()},
    **{f"table {name}": by_table(rested, rule) for name, rule in RESTING.items()},
    "once": Accelerator(lambda x, rule: once_spikes(x, rule, EXACT), resting(Leaky(0.9, 0.75), STEPS, 0.25)),
    **{f"kinds {reset}": Accelerator(of_kinds, rule) for reset, rule in DIFFERING.items()},
    **{f"table kinds {reset}": by_table(of_kinds, rule) for reset, rule in DIFFERING.items()},
    "many kinds": Accelerator(lambda x, rule: many_spikes(x, rule, EXACT), DIFFERING["zero"]),
    "table many kinds": by_table(lambda x, rule: many_spikes(x, rule, EXACT), DIFFERING["zero"]),
}


def ends(signal: Signal, rows: Tensor) -> Tensor:
    """Return the lower ends, and the upper ends' negatives, of steps and sums, (2·(T + rows), batch, neurons)."""
    parts = [(box.lower, -box.upper) for box in (signal.steps(), signal.combine(rows))]
    return torch.cat([end.double() for part in parts for end in part])


@pytest.mark.parametrize("name", ACCELERATORS)
def test_an_accelerator_is_never_wider_than_the_declaration(name: str):
    """With independent currents most of them know the same, and no more: the declaration is exact there."""
    accelerator, generator = ACCELERATORS[name], torch.Generator().manual_seed(len(name))
    rows = torch.randn(4, STEPS, generator=generator, dtype=torch.float64)
    rows[3] = 0.7
    current = InputSignal(currents(generator, accelerator.steps, grid=False), STEPS)
    own, declared = accelerator.compared(current, rows)
    assert bool((own >= declared - 1e-9).all())
    assert not accelerator.equal or bool((own <= declared + 1e-9).all())


LAYERS: dict[str, Callable[[str], LIF]] = {
    "LIF": lambda reset: LIF(0.9, 0.75, reset),
    "LIF, to a grid": lambda reset: LIF(0.5, 0.75, reset, ">"),
    "DLIF": lambda reset: DLIF(STEPS, 1.0, 0.5, reset),
    "VariedLIF": lambda reset: VariedLIF([0.0, 0.25, 0.5, 0.9, 0.99, 1.0], [0.5, 0.75, 1, 1.25, 1.5, 2], reset),
    "RefractoryLIF": lambda reset: RefractoryLIF(0.9, 0.75, 1, start=0.25),
    "OneSpikeLIF": lambda reset: OneSpikeLIF(0.5, 0.75),
    "AdaptiveLIF": lambda reset: AdaptiveLIF(0.9, 0.5, 0.7, 0.8, reset),
    "AdaptiveLIF, to a grid": lambda reset: AdaptiveLIF(0.5, 0.5, 0.25, 1.0, reset, ">"),
}
RESETS = {"RefractoryLIF": ("zero",), "OneSpikeLIF": ("zero",)} | {
    name: ("zero", "subtract") for name in LAYERS if name.startswith("Adaptive")
}
CASES = [(name, reset) for name in LAYERS for reset in RESETS.get(name, ("zero", "subtract", "none"))]


@pytest.mark.parametrize(("name", "reset"), CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@examples(6)
@given(seed=SEEDS, grid=st.booleans(), constant=st.booleans(), quick=st.booleans())
def test_no_run_escapes_the_declaration_nor_what_readers_use(
    name: str, reset: str, dtype: torch.dtype, seed: int, grid: bool, constant: bool, quick: bool
):
    layer, generator = LAYERS[name](reset), torch.Generator().manual_seed(seed)
    if isinstance(layer, DLIF):
        layer.input_scale.data = torch.randn(STEPS, generator=generator)
    rule = layer.to(dtype).rule(STEPS)
    assert isinstance(rule, DeclaredRule)
    bound = torch.float32 if quick and dtype == torch.float32 else torch.float64
    box, rounding = currents(generator, 1 if constant else STEPS, grid), Rounding(dtype, bound)
    current = InputSignal(Box(box.lower.to(bound), box.upper.to(bound)), STEPS)
    rows = torch.randn(4, STEPS, generator=generator, dtype=torch.float64).to(bound)
    declared = path_trains(current, rule, rounding)
    spikes = step_spikes if bound == torch.float32 else conserved_spikes
    used = Propagation(current, spikes, rounding).fired(Fired("", (0,), rule, layer), current)
    known = [ends(each, rows) for each in (declared, used)]
    for _ in range(6):
        share = torch.rand(box.lower.shape, generator=generator)
        share = share.round() if seed % 2 else share
        point = (
            (box.lower + share * (box.upper - box.lower)).to(dtype).clamp(box.lower.to(dtype), box.upper.to(dtype))
        )
        with torch.no_grad():
            spikes = layer(point, STEPS).double()
        summed = torch.tensordot(rows.double(), spikes, 1)
        seen = torch.cat((spikes, -spikes, summed, -summed))
        for each in known:
            assert bool((seen >= each - 1e-5 * (bound == torch.float32) - 1e-12).all())


def test_a_subclass_of_a_rule_is_read_by_its_own_declaration():
    """Not as the rule that it is a subclass of: what it declares may be something else."""
    current = InputSignal(currents(torch.Generator().manual_seed(0), STEPS, grid=False), STEPS)
    rules = LastSpike(0.9, 0.75, "subtract"), Leaky(0.9, 0.75, "subtract")
    reader = Propagation(current, conserved_spikes, EXACT)
    found = [reader.fired(Fired("", (0,), rule, LIF()), current) for rule in rules]
    assert [isinstance(each, PathTrains) for each in found] == [True, False]


JOINED: dict[str, DeclaredRule] = {
    "adaptive": adaptive(Leaky(0.9, 0.5), 0.5, 0.8),
    "adaptive, subtracting": adaptive(Leaky(0.9, 0.5, "subtract", drop=0.3), 0.5, 0.8),
    "resting": resting(Leaky(0.9, 0.5), 2),
}


@pytest.mark.parametrize("most", [1, 2, 3])
@pytest.mark.parametrize("name", JOINED)
def test_labels_above_the_limit_are_joined_where_they_move_alike(
    name: str, most: int, monkeypatch: pytest.MonkeyPatch
):
    """The bound is wider then, and holds the one that keeps all of them apart."""
    rule, generator = JOINED[name], torch.Generator().manual_seed(0)
    current = InputSignal(currents(generator, STEPS, grid=False), STEPS)
    rows = torch.randn(6, STEPS, generator=generator, dtype=torch.float64)
    whole = path_trains(current, rule, EXACT)
    monkeypatch.setattr(reachable, "MOST_LABELS", most)
    joined = path_trains(current, rule, EXACT)
    least = [max(step.count for step in found.moves) for found in (joined, whole)]
    assert least[0] < least[1]
    assert rule.features >= {RESTS} or least[0] <= most
    assert bool((ends(joined, rows) <= ends(whole, rows) + 1e-12).all())


LARGE: dict[str, LIF] = {
    **{reset: LIF(0.9, 0.5, reset) for reset in ("zero", "subtract", "none")},
    "at rest": RefractoryLIF(0.9, 0.5, 1),
    "from a start": RefractoryLIF(0.9, 0.5, 0, start=-(2.0**20)),
    "adaptive": AdaptiveLIF(0.9, 0.5, 0.7, 0.8),
}


@pytest.mark.parametrize("name", LARGE)
def test_large_potentials_that_cancel_pay_for_what_they_round(name: str):
    """In float32 −M·.9 + M·.9 + ½ is ½ up to the rounding of M, far more than that of the threshold."""
    layer, generator = LARGE[name], torch.Generator().manual_seed(0)
    first = torch.rand(1, 1, 400, generator=generator) * 2**20
    current = torch.cat((-first, 0.9 * first + 0.5, 0 * first))
    if name == "from a start":
        current = (0.9 * 2.0**20 + 0.5 + torch.rand(1, 1, 400, generator=generator) / 8).float()
    steps = len(current)
    with torch.no_grad():
        spikes, other = layer(current, steps).double(), layer(current.double(), steps)
    assert not torch.equal(spikes, other)
    rule = layer.rule(steps)
    assert isinstance(rule, DeclaredRule)
    box = path_trains(
        InputSignal(Box(current.double(), current.double()), steps), rule, Rounding(torch.float32)
    ).steps()
    assert bool(((spikes >= box.lower) & (spikes <= box.upper)).all())


@pytest.mark.parametrize("fading", [0.9, 0.99, 1 - 2.0**-26])
def test_what_a_threshold_was_raised_by_is_known_as_the_run_has_it(fading: float):
    """Whatever float32 makes of ρ and of its powers, and without any spike that is open."""
    layer, steps = AdaptiveLIF(0.0, 1.0, 0.01, fading), 40
    current = (torch.rand(steps, 1, 50, generator=torch.Generator().manual_seed(0)) < 0.7) * 9.0
    rule, residue = layer.rule(steps), None
    assert isinstance(rule, DeclaredRule)
    source = InputSignal(Box(current.double(), current.double()), steps)
    known = path_trains(source, rule, Rounding(torch.float32)).known
    for t in range(steps):
        raised = torch.zeros(1, 50).double() if residue is None else residue[1].double()
        assert bool(((raised >= known.lower[t, 1]) & (raised <= known.upper[t, 1])).all())
        assert float((known.upper[t, 1] - known.lower[t, 1]).max()) < 2e-3
        residue = layer.resume(current[t : t + 1], residue, t, 1, steps)[1]


class Many(Leaky):
    """A rule of more numbers than rounding is known of."""

    def recursion(self, like: Tensor) -> Recursion:
        return Recursion(1.0, (Number(0.5, 1.0),) * 5)


def test_more_numbers_than_their_proof_is_for_are_refused():
    current = InputSignal(currents(torch.Generator().manual_seed(0), STEPS, grid=False), STEPS)
    with pytest.raises(ValueError, match="recursion: got 5 numbers, expected at most 4"):
        path_trains(current, Many(0.5), EXACT)


def test_trains_of_one_history_are_exact():
    """λ = 0, ρ = 1, θ = 1, β = ½: currents of 1 to 1.5 reach 1, then 1½, and never 2."""
    rule = adaptive(Leaky(0.0, 1.0), 0.5, 1.0)
    low = torch.full((STEPS, 1, 1), 1.0, dtype=torch.float64) + 1e-6
    known = path_trains(InputSignal(Box(low, low + 0.5), STEPS), rule, EXACT)
    assert known.steps().lower.flatten().tolist() == [1, 0, 0, 0, 0]
    assert known.steps().upper.flatten().tolist() == [1, 1, 1, 1, 1]
    counts = known.combine(torch.ones(1, STEPS, dtype=torch.float64))
    assert (counts.lower.item(), counts.upper.item()) == (1, 2)


@pytest.mark.parametrize("largest", ["current", "adaptation"])
def test_what_may_overflow_is_refused(largest: str):
    size = {"current": 1.0, "adaptation": 1.0} | {largest: 1e38}
    current = InputSignal(Box(torch.zeros(4, 1, 1).double(), torch.full((4, 1, 1), size["current"]).double()), 4)
    with pytest.raises(OverflowError, match=r"a membrane potential|a threshold"):
        path_trains(current, adaptive(Leaky(1.0), size["adaptation"], 1.0), Rounding(torch.float32))
