"""What every verifier must do, whichever it is."""

from functools import cache

import pytest
import torch

from spikecert.certify import LInf, SoundnessError, SpikeFlip, Verdict, attack, reconcile, verify
from spikecert.certify.attacks import AttackResult
from spikecert.certify.replay import margins
from spikecert.certify.verifiers import VERIFIERS
from spikecert.models import DLIF, LIF, RateDraws, Residual, SpikingNetwork, mlp
from support.oracles import every_flip, every_rate, least_margin, line_margin


@pytest.fixture(params=sorted(VERIFIERS))
def verifier(request: pytest.FixtureRequest) -> str:
    return request.param


def samples(network: SpikingNetwork, count: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    inputs = torch.rand(count, 5, generator=torch.Generator().manual_seed(0)).to(network.dtype)
    with torch.no_grad():
        return inputs, network(inputs).argmax(1)


def network(decay: float = 0.9, **settings: object) -> SpikingNetwork:
    torch.manual_seed(1)
    return mlp((5, 6, 6, 3), num_steps=4, neuron=LIF(decay=decay, threshold=0.2, **settings))  # pyright: ignore[reportArgumentType]


@cache
def broken() -> AttackResult:
    """Return what the ensemble leaves of 32 samples of `network()`, once for all verifiers."""
    net = network()
    inputs, labels = samples(net, 32)
    return attack(net, inputs, labels, LInf(0.05), "ensemble")


class TestVerifier:
    def test_gives_one_verdict_per_sample_in_order(self, verifier: str):
        net = network()
        inputs, labels = samples(net)
        wrong = (labels + 1) % 3
        mixed = torch.where(torch.arange(6) % 2 == 0, labels, wrong)
        verdicts = verify(net, inputs, mixed, LInf(0.001), verifier)
        assert [verdict.status == "falsified" for verdict in verdicts][1::2] == [True] * 3
        assert [verdict.status == "falsified" for verdict in verdicts][0::2] == [False] * 3

    def test_falsifies_only_with_a_replayed_counterexample_in_the_set(self, verifier: str):
        net, threat = network(), LInf(0.5)
        inputs, labels = samples(net)
        for index, verdict in enumerate(verify(net, inputs, labels, threat, verifier)):
            assert (verdict.status == "falsified") == (verdict.counterexample is not None)
            if verdict.counterexample is not None:
                candidate = verdict.counterexample[None]
                with torch.no_grad():
                    assert float(margins(net(candidate), labels[index : index + 1])) <= 0
                assert bool(threat.contains(candidate, inputs[index : index + 1]))

    def test_verifies_what_has_no_room_and_a_clear_margin(self, verifier: str):
        net = network()
        inputs, labels = samples(net)
        statuses = {verdict.status for verdict in verify(net, inputs, labels, LInf(0.0), verifier)}
        assert statuses == {"verified"}

    def test_never_verifies_a_tie(self, verifier: str):
        net = network()
        last = net.layers[-1]
        assert isinstance(last, torch.nn.Linear)
        last.weight.data[1] = last.weight.data[0]
        last.bias.data[1] = last.bias.data[0]
        last.bias.data[2] = -100.0
        inputs, labels = samples(net)
        verdicts = verify(net, inputs, labels, LInf(0.0), verifier)
        assert {verdict.status for verdict in verdicts} == {"falsified"}

    def test_does_not_verify_a_margin_below_rounding_error(self, verifier: str):
        """Logits that differ by less than float32 can resolve: whichever way this run falls, no proof."""
        net = network()
        last = net.layers[-1]
        assert isinstance(last, torch.nn.Linear)
        last.weight.data[1] = last.weight.data[0]
        last.bias.data[1] = torch.nextafter(last.bias.data[0], torch.tensor(torch.inf))
        last.bias.data[2] = -100.0
        inputs, _ = samples(net)
        labels = torch.ones(6, dtype=torch.long)
        assert all(v.status != "verified" for v in verify(net, inputs, labels, LInf(0.0), verifier))

    def test_says_unknown_where_the_run_may_overflow(self, verifier: str):
        net = network()
        first = net.layers[0]
        assert isinstance(first, torch.nn.Linear)
        first.weight.data.mul_(1e38)
        inputs, labels = samples(net)
        assert all(v.status != "verified" for v in verify(net, inputs, labels, LInf(0.01), verifier))

    def test_never_contradicts_the_ensemble(self, verifier: str):
        net = network()
        inputs, labels = samples(net, 32)
        reconcile(verify(net, inputs, labels, LInf(0.05), verifier), broken())

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_keeps_the_networks_mode_and_dtype(self, verifier: str, dtype: torch.dtype):
        net = network().to(dtype).train()
        inputs, labels = samples(net)
        verify(net, inputs, labels, LInf(0.01), verifier)
        assert net.training
        assert net.dtype == dtype

    def test_works_with_one_neuron_one_step_and_negative_scales(self, verifier: str):
        neuron = DLIF(1, decay=0.0, threshold=0.1)
        neuron.input_scale.data = torch.tensor([-1.0])
        net = mlp((5, 1, 2), num_steps=1, neuron=neuron)
        inputs, labels = samples(net)
        verdicts = verify(net, inputs, labels, LInf(0.0), verifier)
        assert {verdict.status for verdict in verdicts} <= {"verified", "unknown"}


def events() -> tuple[SpikingNetwork, torch.Tensor, torch.Tensor]:
    """Return a network fed events (T = 4, 5 features), samples and the network's own answers."""
    net = network()
    net.encoding = "none"
    inputs = (torch.rand(12, 4, 5, generator=torch.Generator().manual_seed(2)) > 0.6).float()
    with torch.no_grad():
        return net, inputs, net(inputs).argmax(1)


def agrees(verdicts: list[Verdict], exact: list[float]) -> None:
    """Compare verdicts with the exact margins: no false proof, margins below, no false alarm."""
    for found, least in zip(verdicts, exact, strict=True):
        assert found.status != "verified" or least > 0
        assert found.status != "falsified" or least <= 0
        assert found.margin is None or found.margin <= least + 1e-6


class TestResidualSums:
    def test_verdicts_agree_with_the_pieces_of_the_input(self, verifier: str):
        """With one input the network is constant on pieces, and the oracle runs each of them."""
        torch.manual_seed(20)
        inner = Residual([torch.nn.Linear(6, 6), LIF(0.9, 0.4), torch.nn.Linear(6, 6)])
        layers = [torch.nn.Linear(1, 6), LIF(0.9, 0.4), inner, LIF(0.8, 0.4), torch.nn.Linear(6, 3)]
        net = SpikingNetwork(*layers, num_steps=4).double().eval()
        for parameter in net.parameters():
            parameter.data *= 3.0
        inputs = torch.linspace(0, 1, 12, dtype=torch.float64)[:, None]
        with torch.no_grad():
            labels = net(inputs).argmax(1)
        verdicts = verify(net, inputs, labels, LInf(0.04), verifier)
        ends = zip((inputs[:, 0] - 0.04).clamp_min(0), (inputs[:, 0] + 0.04).clamp_max(1), labels, strict=True)
        exact = [line_margin(net, float(low), float(high), int(label)) for low, high, label in ends]
        assert {least > 0 for least in exact} == {True, False}
        agrees(verdicts, exact)
        if verifier in ("auto", "complete", "milp"):
            assert "unknown" not in {found.status for found in verdicts}


class TestOtherInputs:
    @pytest.mark.parametrize("count", [0, 1, 2])
    def test_flipped_events_agree_with_the_list(self, verifier: str, count: int):
        net, inputs, labels = events()
        verdicts = verify(net, inputs, labels, SpikeFlip(count), verifier)
        pairs = zip(inputs, labels.tolist(), strict=True)
        agrees(verdicts, [least_margin(net, every_flip(sample, count), label) for sample, label in pairs])
        for sample, label, found in zip(inputs, labels, verdicts, strict=True):
            if found.counterexample is not None:
                assert bool(SpikeFlip(count).contains(found.counterexample[None], sample[None]))
                with torch.no_grad():
                    assert float(margins(net(found.counterexample[None]), label[None])) <= 0
        assert count > 0 or {found.status for found in verdicts} == {"verified"}

    def test_inputs_that_are_no_events_are_refused(self, verifier: str):
        net, inputs, labels = events()
        with pytest.raises(ValueError, match=r"^inputs: got 0\.25, expected events"):
            verify(net, inputs * 0.25, labels, SpikeFlip(1), verifier)

    @pytest.mark.parametrize("epsilon", [0.0, 0.03, 0.2])
    def test_rate_codes_agree_with_the_list_and_name_their_draws(self, verifier: str, epsilon: float):
        torch.manual_seed(1)
        net = mlp((2, 6, 3), num_steps=4, neuron=LIF(decay=0.9, threshold=0.2), encoding="rate").double().eval()
        net.draws = RateDraws(seed=3)
        inputs = torch.rand(12, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        with torch.no_grad():
            labels = net(inputs).argmax(1)
        verdicts = verify(net, inputs, labels, LInf(epsilon), verifier)
        assert all(found.reason.endswith("for the given draws (seed 3)") for found in verdicts)
        ends, draws = LInf(epsilon).enclosure(inputs), net.draws.thresholds(4, (2,))
        lists = [every_rate(low, high, draws) for low, high in zip(ends.lower, ends.upper, strict=True)]
        agrees(verdicts, [least_margin(net, *pair) for pair in zip(lists, labels.tolist(), strict=True)])
        if verifier == "lirpa":
            assert all("encoding 'rate', which lirpa does not know" in found.reason for found in verdicts)
        elif epsilon == 0:
            assert {found.status for found in verdicts} == {"verified"}


def verdict(status: str, margin: float | None = None, counterexample: torch.Tensor | None = None) -> Verdict:
    return Verdict(status, margin, counterexample, "test", 0.0, "")


def test_a_verified_sample_with_a_counterexample_is_an_error():
    with pytest.raises(SoundnessError, match="verified"):
        verdict("verified", 1.0, torch.zeros(1))


@pytest.mark.parametrize(
    ("status", "margin", "message"),
    [
        ("proved", 1.0, "status"),
        ("verified", None, "margin"),
        ("verified", -1.0, "margin"),
        ("falsified", None, "counter"),
    ],
)
def test_an_incomplete_verdict_is_refused(status: str, margin: float | None, message: str):
    with pytest.raises(ValueError, match=message):
        verdict(status, margin)


def test_reconcile_names_the_sample_the_verifier_and_the_attack():
    result = AttackResult(torch.zeros(2, 1), torch.tensor([False, True]), torch.zeros(2, 2), "pgd")
    with pytest.raises(SoundnessError, match=r"sample 1: test verified it, pgd found"):
        reconcile([verdict("verified", 1.0), verdict("verified", 1.0)], result)
    reconcile([verdict("verified", 1.0), verdict("unknown")], result)
    with pytest.raises(ValueError, match="verdicts"):
        reconcile([verdict("unknown")], result)
