"""Gain penalty and margin over gain: what they compute, and that training with them grows what they promise."""

import math
import pickle
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from spikecert.analysis import gain, layer_operators, pattern_radius, stability
from spikecert.asking import Numeral
from spikecert.asking.run_files import TrainStep
from spikecert.asking.values import read
from spikecert.certify import L2, verify
from spikecert.models import LIF, SpikingNetwork, load, mlp, network_hash
from spikecert.protocols.planning import objective as protocol_objective
from spikecert.runs import building
from spikecert.training import (
    MSMPPD,
    SIBP,
    CrossEntropy,
    Dataset,
    GainPenalty,
    GaussianNoise,
    MarginOverGain,
    Objective,
    Ramp,
    dataset,
    fit,
)

STEPS = 6


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return dataset("digits")


def network(*hidden: int) -> SpikingNetwork:
    torch.manual_seed(0)
    return mlp((64, *(hidden or (64,)), 10), STEPS, LIF(0.9))


def weight(network: SpikingNetwork, index: int) -> Tensor:
    layer = network.layers[index]
    assert isinstance(layer, nn.Linear)
    return layer.weight


def trained(digits: Dataset, objective: Objective, epochs: int = 15) -> SpikingNetwork:
    settings = {"optimizer": "adam", "learning_rate": 0.005, "weight_decay": 0.0}
    return fit(network(), digits, objective, epochs=epochs, **settings).network


@pytest.fixture(scope="module")
def plain(digits: Dataset) -> SpikingNetwork:
    return trained(digits, CrossEntropy())


def accuracy(network: SpikingNetwork, digits: Dataset) -> float:
    return float((network(digits.test.inputs).argmax(1) == digits.test.labels).double().mean())


def test_the_penalty_is_the_mean_of_log_gains() -> None:
    built, inputs = network(20, 12).double(), torch.rand(2, 64, dtype=torch.float64)
    logs = torch.tensor([layer.gain for layer in gain(built).layers], dtype=torch.float64).log()
    for layers, expected in (("all", logs.mean()), ("last", logs[-1])):
        loss = GainPenalty(0.5, layers=layers, iterations=300).loss(built, inputs, torch.zeros(2), None)
        torch.testing.assert_close(loss.terms["gain"], expected, rtol=1e-4, atol=0.0)
        torch.testing.assert_close(loss.total.detach(), 0.5 * expected, rtol=1e-4, atol=0.0)
    plain = GainPenalty(0.5, log=False, iterations=300).loss(built, inputs, torch.zeros(2), None)
    torch.testing.assert_close(plain.terms["gain"], logs.exp().mean(), rtol=1e-4, atol=0.0)
    report = gain(built)
    assert report.readout is not None
    whole = GainPenalty(1.0, layers="end-to-end", iterations=300).loss(built, inputs, torch.zeros(2), None)
    product = logs.sum() + math.log(report.readout.upper)
    torch.testing.assert_close(whole.terms["gain"], product, rtol=1e-4, atol=0.0)


def test_gains_below_the_target_cost_nothing() -> None:
    built, inputs = network(20, 12).double(), torch.rand(2, 64, dtype=torch.float64)
    first, second = (layer.gain for layer in gain(built, "linf", "linf").layers)
    target = (first * second) ** 0.5
    excess = math.log(max(first, second) / target) / 2
    penalty = GainPenalty(1.0, input_norm="linf", output_norm="linf", target=target)
    loss = penalty.loss(built, inputs, torch.zeros(2), None)
    assert float(loss.terms["gain"]) == pytest.approx(excess, rel=1e-9)
    loss.total.backward()
    silent, moved = (weight(built, k).grad for k in ((2, 0) if first > second else (0, 2)))
    assert silent is not None
    assert moved is not None
    assert not silent.any()
    assert bool(moved.any())


@pytest.mark.parametrize("pair", [("l2", "l2"), ("linf", "linf")])
def test_training_with_it_lowers_the_proven_gain(
    digits: Dataset, plain: SpikingNetwork, pair: tuple[str, str]
) -> None:
    found = trained(digits, CrossEntropy() + GainPenalty(0.3, input_norm=pair[0], output_norm=pair[1]))
    before, after = (gain(item, *pair) for item in (plain, found))
    assert after.check()
    assert after.layers[0].gain < 0.75 * before.layers[0].gain
    assert accuracy(found, digits) > accuracy(plain, digits) - 0.03


def test_training_lowers_the_surrogate_networks_gain(digits: Dataset, plain: SpikingNetwork) -> None:
    found = trained(digits, CrossEntropy() + GainPenalty(0.2, layers="end-to-end"))
    before, after = (stability(item, digits.test.inputs[:2]).surrogate_product for item in (plain, found))
    assert before is not None
    assert after is not None
    assert after < 0.5 * before
    assert accuracy(found, digits) > accuracy(plain, digits) - 0.05


def test_the_first_layers_radius_is_the_term() -> None:
    built, inputs = network().double(), torch.rand(5, 64, dtype=torch.float64)
    for norm in ("l2", "linf"):
        objective = MarginOverGain(2.0, epsilon=0.3, norm=norm)
        loss = objective.loss(built, inputs, torch.zeros(5), None)
        torch.testing.assert_close(loss.terms["radius"], pattern_radius(built, inputs, norm).mean())
        (margins,) = objective.margins(built, inputs)
        expected = (1 - margins / 0.3).clamp_min(0).mean()
        torch.testing.assert_close(loss.terms["margin"], expected.detach())
        torch.testing.assert_close(loss.total, 2 * expected)
        assert 0 < float(expected.detach()) < 1


def test_margins_keep_the_vectors_of_their_norms() -> None:
    built, inputs, objective = network(16, 12), torch.rand(5, 64), MarginOverGain(layers="all")
    objective.margins(built, inputs)
    kept = dict(objective.memory.of(built))
    assert kept
    objective.margins(built, inputs)
    assert objective.memory.of(built).keys() == kept.keys()
    assert any(not torch.equal(objective.memory.of(built)[name], vector) for name, vector in kept.items())


def test_the_hinge_is_the_mean_over_layers() -> None:
    built, inputs = network(16, 12).double(), torch.rand(5, 64, dtype=torch.float64)
    objective = MarginOverGain(epsilon=0.3, layers="all")
    margins = objective.margins(built, inputs)
    assert [layer.shape[-1] for layer in margins] == [16, 12]
    first, second = ((1 - layer / 0.3).clamp_min(0).mean() for layer in margins)
    assert abs(float((first - second).detach())) > 0.01
    found = objective.loss(built, inputs, torch.zeros(5), None).total  # of norms that each call refines
    torch.testing.assert_close(found, (first + second) / 2, rtol=1e-3, atol=0.0)


def test_margins_use_running_statistics_and_leave_them_alone() -> None:
    torch.manual_seed(0)
    layers = (nn.Linear(6, 8), nn.BatchNorm1d(8), LIF(0.9, 0.3), nn.Linear(8, 3))
    built, inputs = SpikingNetwork(*layers, num_steps=4).train(), torch.rand(9, 6)
    before = {name: tensor.clone() for name, tensor in built.state_dict().items()}
    (margins,) = MarginOverGain().margins(built, inputs)
    assert all(torch.equal(tensor, before[name]) for name, tensor in built.state_dict().items())
    assert built.layers[1].training
    torch.testing.assert_close(margins.amin((0, 2)), pattern_radius(built.eval(), inputs, "l2").float())


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_training_with_it_grows_radii_and_gain_certificates(
    digits: Dataset, plain: SpikingNetwork, norm: str
) -> None:
    found = trained(digits, CrossEntropy() + MarginOverGain(2.0, epsilon=0.2 if norm == "l2" else 0.03, norm=norm))
    inputs, labels = digits.test.inputs[:150], digits.test.labels[:150]
    before, after = (float(pattern_radius(item, inputs, norm).mean()) for item in (plain, found))
    assert after > 2 * before
    verified = [
        sum(verdict.status == "verified" for verdict in verify(item, inputs, labels, L2(0.2), verifier="gain"))
        for item in (plain, found)
    ]
    assert verified[1] > verified[0] + 10
    assert accuracy(found, digits) > accuracy(plain, digits) - 0.03


def test_all_layers_reach_the_gradient_through_the_chain() -> None:
    built, inputs = network(20, 12), torch.rand(4, 64)
    loss = MarginOverGain(1.0, epsilon=0.3, layers="all").loss(built, inputs, torch.zeros(4), None)
    first, second, readout = torch.autograd.grad(
        loss.total, [weight(built, k) for k in (0, 2, 4)], allow_unused=True
    )
    assert bool(first.any())
    assert bool(second.any())
    assert readout is None


def test_the_vectors_stay_with_their_network_and_cost_one_iteration(monkeypatch: pytest.MonkeyPatch) -> None:
    penalty, inputs = GainPenalty(), torch.rand(1, 64)
    one, other = network(20, 12), network(20, 12)
    penalty.loss(one, inputs, torch.zeros(1), None)
    assert list(penalty.remembered(one)) == ["layers.1", "layers.3"]
    assert penalty.remembered(other) == {}
    calls = []
    operator = type(layer_operators(one)[0])
    adjoint = operator.adjoint
    monkeypatch.setattr(operator, "adjoint", lambda self, output: calls.append(self.name) or adjoint(self, output))
    penalty.at(0.5).loss(one, inputs, torch.zeros(1), None)
    assert calls == ["layers.1", "layers.3"]
    assert pickle.loads(pickle.dumps(penalty)) == penalty == GainPenalty()
    assert pickle.loads(pickle.dumps(penalty)).remembered(one) == {}


def test_mixed_precision_leaves_gains_and_norms_alone() -> None:
    built, inputs = network(20, 12), torch.rand(4, 64)
    for objective in (GainPenalty(), MarginOverGain(layers="all")):
        full = objective.loss(built, inputs, torch.zeros(4), None)
        with torch.autocast("cpu", torch.bfloat16):
            mixed = objective.loss(built, inputs, torch.zeros(4), None)
        assert mixed.total.dtype == torch.float32
        torch.testing.assert_close(mixed.total, full.total, rtol=2e-2, atol=0.0)
    gains = GainPenalty().loss(network(20, 12), inputs, torch.zeros(4), None).total
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(GainPenalty().loss(network(20, 12), inputs, torch.zeros(4), None).total, gains)


def test_the_command_line_adds_them_up() -> None:
    told = {"objective": "ms-mppd+gain-penalty+margin-over-gain", "noise": "gaussian", "size": 0.02}
    told |= {"rho": "1/2", "gain_weight": 0.3, "margin_weight": 2}
    assert building.objective(read(TrainStep, told)) == (
        MSMPPD(0.5, perturbation=GaussianNoise(0.02))
        + GainPenalty(0.3)
        + MarginOverGain(2.0, epsilon=0.02, norm="linf")
    )
    assert building.objective(TrainStep(objective="s-ibp", size=Numeral(0.03))) == SIBP(0.03)
    with pytest.raises(ValueError, match="objective: got 'gain-penalty', which learns no labels"):
        building.objective(TrainStep(objective="gain-penalty"))


def test_protocols_know_them_and_their_schedules() -> None:
    ramp = {"kind": "Ramp", "start": 0, "stop": "1/2", "end": 0.5}
    terms = [{"kind": "SIBP", "epsilon": 0.05}, {"kind": "GainPenalty", "weight": ramp, "layers": "end-to-end"}]
    expected = SIBP(0.05) + GainPenalty(Ramp(0, 0.5, end=0.5), layers="end-to-end")
    assert protocol_objective(terms) == expected


def test_a_stopped_run_goes_on_bitwise(digits: Dataset, tmp_path: Path) -> None:
    objective = CrossEntropy() + Ramp(0.0, 1.0, end=0.5) * (GainPenalty() + MarginOverGain(0.5, layers="all"))

    class Stop(RuntimeError):
        pass

    def stop(name: str, done: int, total: int) -> None:
        if done > total // 2:
            raise Stop

    start = network(20, 12)
    whole = fit(start, digits, objective, epochs=4, optimizer="adam", batch_size=400)
    with pytest.raises(Stop):
        fit(start, digits, objective, epochs=4, optimizer="adam", batch_size=400, folder=tmp_path, progress=stop)
    again = CrossEntropy() + Ramp(0.0, 1.0, end=0.5) * (GainPenalty() + MarginOverGain(0.5, layers="all"))
    run = fit(start, digits, again, epochs=4, optimizer="adam", batch_size=400, folder=tmp_path)
    assert network_hash(run.network) == network_hash(whole.network)
    assert [epoch.loss for epoch in run.history] == [epoch.loss for epoch in whole.history]
    assert network_hash(load(tmp_path / "network.safetensors")) == network_hash(whole.network)
