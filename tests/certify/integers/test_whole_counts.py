"""The conservation law of whole neurons that subtract: every run obeys it, and more is proved by it."""

import random

import pytest
import torch
from torch import Tensor, nn

from spikecert import LIF, IntegerLIF, LInf, SpikingNetwork, WholeInput, verify
from spikecert.certify.bounds.automata import whole as whole_counts
from spikecert.certify.bounds.automata import whole as whole_table
from spikecert.certify.bounds.automata.paths import path_trains
from spikecert.certify.bounds.automata.whole import BalancedCounts, LawfulPaths, law_of, whole_trains
from spikecert.certify.bounds.signals.affine import affine_map
from spikecert.certify.bounds.signals.signals import AffineSignal, InputSignal, filter_rows
from spikecert.certify.bounds.signals.windows import Box
from spikecert.certify.rounding import Rounding
from spikecert.models import WholeDecay
from spikecert.models.linear_maps import DenseMap
from support.examples import THOROUGH

WHOLE = Rounding(torch.float64, whole=True)
DECAYS = (
    WholeDecay("truncate", 12, 3686),
    WholeDecay("truncate", 4, 9),
    WholeDecay("floor", 3, 7),
    WholeDecay("floor", 5, 0),
    WholeDecay("nearest", 4, 13),
    WholeDecay("nearest", 1, 1),
    WholeDecay("shift", 1),
    WholeDecay("shift", 3),
    WholeDecay("dash", 2),
    WholeDecay("dash", 15),
    WholeDecay("truncate", 0, 1),
)
SEEDS = 24 if THOROUGH else 4


def currents(seed: int, steps: int, constant: bool, neurons: int = 5) -> tuple[AffineSignal, Tensor]:
    """Return what is known of currents, and many members, (T, members, neurons)."""
    generator = torch.Generator().manual_seed(seed)
    count = 1 if constant else steps
    low = torch.randint(-40, 60, (count, 1, neurons), generator=generator).double()
    high = low + torch.randint(0, 25, low.shape, generator=generator)
    weight = torch.eye(neurons, dtype=torch.float64)
    layer = affine_map(DenseMap(weight, None), torch.float64)
    drawn = low + (torch.rand(count, 400, neurons, generator=generator).double() * (high - low + 1)).floor()
    return AffineSignal(InputSignal(Box(low, high), steps), layer, WHOLE), drawn.expand(steps, -1, -1)


@pytest.mark.parametrize("constant", [False, True], ids=["varying", "constant"])
@pytest.mark.parametrize("decay", DECAYS, ids=lambda each: f"{each.cut}-{each.shift}-{each.factor}")
@pytest.mark.parametrize("fires_at", [">=", ">"])
@torch.no_grad()
def test_runs_obey_the_law(decay: WholeDecay, fires_at: str, constant: bool):
    """S, u = L − θ·S, and each row of trains lie within what is said of them, which is no wider than the paths."""
    changing = 0
    for seed in range(SEEDS):
        steps = 1 + seed % 2 * 9
        layer = IntegerLIF(decay, 30 + 3 * (seed % 3), reset="subtract", fires_at=fires_at, bits=16)
        known, drawn = currents(seed, steps, constant)
        rule, spikes = layer.stepped, layer(drawn, steps)
        found = whole_trains(known, rule, WHOLE)
        assert isinstance(found, BalancedCounts if constant or steps == 1 else LawfulPaths)
        rows = torch.randn(5, steps, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        box, true = found.combine(rows), torch.einsum("kt,tbn->kbn", rows, spikes)
        assert bool(((box.lower - 1e-9 <= true) & (true <= box.upper + 1e-9)).all())
        wide = path_trains(known, rule, WHOLE).combine(rows)
        assert bool(((wide.lower <= box.lower + 1e-9) & (box.upper <= wide.upper + 1e-9)).all())
        law = law_of(known, rule)
        assert law is not None
        balance = found.balance(law.rule)
        assert balance is not None
        train = torch.einsum("kt,tbn->kbn", filter_rows(steps, law.rule), spikes)
        left, residue = [], torch.zeros(3, *drawn.shape[1:], dtype=torch.float64)
        for current in drawn:
            _, _, residue = rule.step(residue, current)
            left.append(residue[0])
        for ends, values in ((balance.train, train), (balance.potential, torch.stack(left))):
            assert bool(((ends.lower - 1e-9 <= values) & (values <= ends.upper + 1e-9)).all())
        changing += int((spikes != spikes[:, :1]).any())
    assert changing


def test_no_law_where_a_width_or_a_rule_breaks_it():
    known, _ = currents(0, 10, constant=False)
    keeps = WholeDecay("truncate", 0, 1)
    fits = IntegerLIF(keeps, 30, reset="subtract", bits=12)
    assert law_of(known, fits.stepped) is not None
    assert law_of(known, IntegerLIF(keeps, 30, reset="subtract", bits=9).stepped) is None
    for changed in ({"reset": "zero"}, {"reset": "none"}, {"towards": True}, {"synapse": keeps}):
        assert law_of(known, IntegerLIF(keeps, 30, bits=24, **({"reset": "subtract"} | changed)).stepped) is None


@torch.no_grad()
def test_several_spikes_a_step_stay_paths_unless_none_may_happen():
    known, _ = currents(3, 6, constant=False)
    many = {
        theta: IntegerLIF(WholeDecay("shift", 1), theta, reset="subtract", most=31, bits=16).stepped
        for theta in (7, 400)
    }
    assert not isinstance(whole_trains(known, many[7], WHOLE), LawfulPaths)
    assert isinstance(whole_trains(known, many[400], WHOLE), LawfulPaths)


def counting(seed: int) -> SpikingNetwork:
    """Return a network of two layers that subtract, and few enough inputs to list all members of a set."""
    draw = random.Random(seed)
    decay, theta = draw.choice(DECAYS), draw.randint(8, 20)

    def neuron() -> IntegerLIF:
        return IntegerLIF(decay, theta, reset="subtract", fires_at=draw.choice((">=", ">")), bits=16)

    layers: list[nn.Module] = [WholeInput(0, 5), nn.Linear(4, 6), neuron(), nn.Linear(6, 5), neuron()]
    layers += [nn.Linear(5, 2), neuron() if seed % 2 else LIF(1.0, reset="none")]
    made = SpikingNetwork(*layers, num_steps=8, readout="spikes" if seed % 2 else "potential").double().eval()
    for name, parameter in made.named_parameters():
        ends = 4 if name.endswith("weight") else 1
        if seed % 4 == 2 and name == "6.weight":
            ends = 1
        numbers = [float(draw.randint(-ends // 2, ends)) for _ in range(parameter.numel())]
        parameter.data = torch.tensor(numbers, dtype=torch.float64).view_as(parameter)
    return made


@torch.no_grad()
def test_the_law_proves_more(monkeypatch: pytest.MonkeyPatch):
    found: dict[bool, list[float]] = {}
    for law in (True, False):
        if not law:
            monkeypatch.setattr(whole_table, "law_of", lambda current, rule: None)
            monkeypatch.setattr(whole_counts, "law_of", lambda current, rule: None)
        margins: list[float] = []
        for seed in range(12):
            made, generator = counting(seed), torch.Generator().manual_seed(seed)
            inputs = torch.randint(0, 6, (4, 4), generator=generator).double()
            answers = verify(made, inputs, made(inputs).argmax(1), LInf(1.0), "trains", ties="strict")
            margins += [answer.margin for answer in answers if answer.margin is not None]
        found[law] = margins
    with_law, without = torch.tensor(found[True]), torch.tensor(found[False])
    assert len(with_law) == len(without)
    assert bool((with_law >= without - 1e-9).all())
    assert int((with_law > without + 0.5).sum()) > 3


@torch.no_grad()
def test_verdicts_hold_for_all_members():
    proved, moving = 0, 0
    for seed in range(600 if THOROUGH else 32):
        made, generator = counting(seed), torch.Generator().manual_seed(seed)
        inputs = torch.randint(0, 6, (4, 4), generator=generator).double()
        labels = made(inputs).argmax(1)
        for sample, label, verdict in zip(
            inputs, labels, verify(made, inputs, labels, LInf(1.0), "trains"), strict=True
        ):
            ends = [range(max(0, int(x) - 1), min(5, int(x) + 1) + 1) for x in sample]
            members = torch.cartesian_prod(*(torch.tensor(list(each)).double() for each in ends))
            outputs = made(members)
            lead = outputs.gather(1, label.expand(len(outputs), 1))[:, 0] - outputs.scatter(
                1, label.expand(len(outputs), 1), -torch.inf
            ).amax(1)
            if verdict.status == "verified":
                assert float(lead.min()) >= (verdict.margin or 0.0) - 1e-9
                assert bool((outputs.argmax(1) == label).all())
                proved += 1
                moving += len(outputs.unique(dim=0)) > 1
    assert proved > 20
    assert moving > 5
