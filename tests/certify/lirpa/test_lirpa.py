"""auto_LiRPA behind the interface: sound, no looser than it should be, and plain about what it can't do."""

import logging
import subprocess
import sys
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert.certify import L2, LInf, attack, reconcile, verify
from spikecert.certify.lirpa.graph import BoundedCircuit
from spikecert.certify.problem import Problem
from spikecert.certify.replay import margins
from spikecert.certify.verifiers import INTERVAL, VERIFIERS, Lirpa
from spikecert.certify.verifiers.lirpa import METHODS
from spikecert.models import DLIF, LIF, Residual, SpikingNetwork, deadline, mlp
from spikecert.models.circuit import circuit
from spikecert.testing import Case, cases, points
from support.examples import examples

NAMES = METHODS[1:]
QUICK = 3
SOME = st.sampled_from(NAMES)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def assert_holds(verifier: Lirpa, case: Case, count: int = 60) -> None:
    """Compare margins and logits with those of sampled inputs, run in the network's own dtype."""
    threat = LInf(case.epsilon)
    lower = verifier.margins(case.network, case.inputs, case.labels, threat)
    ends = verifier.logits(case.network, case.inputs, threat)
    with torch.no_grad():
        for candidates in points(case, count, generator()):
            logits = case.network(candidates)
            assert bool((margins(logits, case.labels).double() >= lower).all())
            assert bool((logits.double() >= ends.lower).all())
            assert bool((logits.double() <= ends.upper).all())


class TestSoundness:
    @examples(48)
    @given(cases(most_steps=4), SOME)
    def test_no_sample_escapes(self, case: Case, method: str):
        assert_holds(Lirpa(method=method, iterations=QUICK), case)

    @pytest.mark.slow
    @settings(max_examples=1500, deadline=None)
    @given(cases(), SOME)
    def test_no_sample_escapes_from_many_networks(self, case: Case, method: str):
        assert_holds(Lirpa(method=method, iterations=QUICK), case, 200)

    @pytest.mark.parametrize("method", NAMES)
    @pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
    @pytest.mark.parametrize("fires_at", [">=", ">"])
    def test_a_tie_counts_as_both(self, method: str, reset: str, fires_at: str):
        """The current is exactly θ: one ulp in the run decides the spike, so neither class may be proven."""
        net = SpikingNetwork(
            nn.Linear(1, 1), LIF(0.5, reset=reset, fires_at=fires_at), nn.Linear(1, 2), num_steps=1
        )
        fill(net, [[1.0]], [0.0], [[1.0], [-1.0]], [-0.5, 0.5])
        inputs = torch.ones(1, 1)
        for label in (0, 1):
            lower = Lirpa(method=method, iterations=QUICK).margins(net, inputs, torch.tensor([label]), LInf(0.0))
            assert float(lower) == pytest.approx(-1.0, abs=1e-5)

    @pytest.mark.parametrize("method", NAMES)
    def test_rounding_that_accumulates_to_the_threshold_is_undecided(self, method: str):
        """0.1 added ten times is 1 in real numbers and 1.0000001 in float32: no proof of either."""
        net = SpikingNetwork(nn.Linear(1, 1), LIF(1.0, reset="none"), nn.Linear(1, 2), num_steps=10)
        fill(net, [[0.1]], [0.0], [[1.0], [-1.0]], [-0.05, 0.05])
        inputs = torch.ones(1, 1)
        for label in (0, 1):
            problem = Problem(net, inputs, torch.tensor([label]), LInf(0.0))
            assert Lirpa(method=method, iterations=QUICK).decide(problem)[0].status == "unknown"

    @pytest.mark.parametrize("method", NAMES)
    def test_a_sum_that_cancels_is_undecided_near_the_threshold(self, method: str):
        """2100 − 2100 + 1.00005: float32 resolves 2100 to 2e-4, so the order of summation decides the spike."""
        net = SpikingNetwork(nn.Linear(3, 1), LIF(0.5), nn.Linear(1, 2), num_steps=1)
        fill(net, [[3000.0, -3000.0, 2.0001]], [0.0], [[1.0], [-1.0]], [-0.5, 0.5])
        inputs = torch.tensor([[0.7, 0.7, 0.5]])
        for label in (0, 1):
            problem = Problem(net, inputs, torch.tensor([label]), LInf(0.0))
            assert Lirpa(method=method, iterations=QUICK).decide(problem)[0].status == "unknown"

    @pytest.mark.parametrize("method", [*NAMES, "best"])
    def test_never_verified_where_an_attack_succeeds(self, method: str):
        net, inputs, labels = small(width=12)
        verdicts = verify(net, inputs, labels, LInf(0.04), Lirpa(method=method, iterations=QUICK))
        assert {verdict.status for verdict in verdicts} == {"verified", "unknown"}
        reconcile(verdicts, attack(net, inputs, labels, LInf(0.04), "pgd"))


def settings_of_the_process() -> tuple:
    filters, handlers = list(warnings.filters), list(logging.getLogger().handlers)
    return filters, handlers, torch.get_default_dtype(), sys.getrecursionlimit()


def fill(net: SpikingNetwork, *values: list) -> None:
    for parameter, value in zip(net.parameters(), values, strict=True):
        parameter.data = torch.tensor(value)
    net.eval()


def small(
    width: int = 8, reset: str = "zero", steps: int = 4, count: int = 16
) -> tuple[SpikingNetwork, Tensor, Tensor]:
    torch.manual_seed(3)
    net = mlp((6, width, width, 3), steps, LIF(0.9, 0.3, reset)).eval()
    inputs = torch.rand(count, 6, generator=generator())
    with torch.no_grad():
        return net, inputs, net(inputs).argmax(1)


class TestAgainstOwnBounds:
    def test_without_room_every_method_is_exact(self):
        net, inputs, labels = small()
        with torch.no_grad():
            exact = margins(net(inputs), labels).double()
        for method in NAMES:
            lower = Lirpa(method=method, iterations=QUICK).margins(net, inputs, labels, LInf(0.0))
            assert torch.allclose(lower, exact, atol=1e-3)

    def test_relaxing_beats_intervals_and_searching_beats_not_searching(self):
        net, inputs, labels = small(width=16, count=32)
        found = {method: Lirpa(method=method).margins(net, inputs, labels, LInf(0.03)).mean() for method in NAMES}
        assert INTERVAL.margins(net, inputs, labels, LInf(0.03)).mean() < found["crown-ibp"]
        assert found["crown"] < found["alpha-crown"]

    def test_best_is_the_better_of_two(self):
        net, inputs, labels = small(width=16)
        parts = [Lirpa(method=m).margins(net, inputs, labels, LInf(0.03)) for m in ("crown", "crown-ibp")]
        best = Lirpa().margins(net, inputs, labels, LInf(0.03))
        assert torch.equal(best, torch.stack(parts).amax(0))

    def test_searching_starts_at_crown_and_stays_sound(self):
        net, inputs, labels = small(width=12, count=4, steps=3)
        search = Lirpa(method="alpha-crown", iterations=4)
        found = search.margins(net, inputs, labels, LInf(0.05))
        start = Lirpa(method="crown").margins(net, inputs, labels, LInf(0.05))
        assert bool((found >= start - 1e-9).all())
        assert found.mean() > start.mean() + 1e-3
        assert_holds(search, Case(net, inputs, labels, 0.05))

    def test_a_ball_is_used(self):
        net, inputs, labels = small(width=16)
        ball, box = L2(0.05), LInf(0.05)
        assert bool(
            (Lirpa().margins(net, inputs, labels, ball) >= Lirpa().margins(net, inputs, labels, box)).all()
        )
        crown = Lirpa(method="crown").margins(net, inputs, labels, ball)
        assert crown.mean() > Lirpa(method="crown").margins(net, inputs, labels, box).mean() + 0.01
        for seed in range(60):
            with torch.no_grad():
                assert bool((margins(net(ball.sample(inputs, generator(seed))), labels).double() >= crown).all())


def conv_net(encoding: str = "direct") -> SpikingNetwork:
    torch.manual_seed(5)
    layers = [
        nn.Conv2d(1, 3, 3, padding=1),
        nn.BatchNorm2d(3),
        DLIF(3, 0.8, 0.2),
        nn.AvgPool2d(3, stride=2),
        Residual([nn.Conv2d(3, 3, 1), LIF(0.5, 0.1, "subtract")], [nn.BatchNorm2d(3, affine=False)]),
        nn.Flatten(),
        nn.Linear(12, 5),
        nn.BatchNorm1d(5),
        LIF(0.9, 0.2),
        nn.Linear(5, 3),
    ]
    net = SpikingNetwork(*layers, num_steps=3, encoding=encoding)
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean, std=0.1)  # pyright: ignore[reportArgumentType]
            nn.init.uniform_(layer.running_var, 0.5, 1.5)  # pyright: ignore[reportArgumentType]
    net.layers[2].input_scale.data = torch.tensor([1.0, -0.5, 0.7])
    return net.eval()


class TestLayers:
    @pytest.mark.parametrize("encoding", ["direct", "none"])
    @pytest.mark.parametrize("method", NAMES)
    def test_images_residual_sums_and_scales(self, encoding: str, method: str):
        net = conv_net(encoding)
        shape = (5, 1, 5, 5) if encoding == "direct" else (5, 3, 1, 5, 5)
        inputs = torch.rand(shape, generator=generator(1))
        with torch.no_grad():
            case = Case(net, inputs, net(inputs).argmax(1), 0.02)
        assert_holds(Lirpa(method=method, iterations=QUICK), case)
        lower = Lirpa(method=method, iterations=QUICK).margins(net, inputs, case.labels, LInf(0.0))
        with torch.no_grad():
            assert torch.allclose(lower, margins(net(inputs), case.labels).double(), atol=1e-3)

    @pytest.mark.parametrize("readout", ["spikes", "potential"])
    @pytest.mark.parametrize("method", ["crown-ibp", "crown"])
    def test_other_readouts(self, readout: str, method: str):
        torch.manual_seed(2)
        last = LIF(0.9, 0.3, "none" if readout == "potential" else "zero")
        layers = (nn.Linear(6, 8), LIF(0.9, 0.3), nn.Linear(8, 3), last)
        net = SpikingNetwork(*layers, num_steps=4, readout=readout).eval()
        inputs = torch.rand(6, 6, generator=generator())
        with torch.no_grad():
            case = Case(net, inputs, net(inputs).argmax(1), 0.02)
        assert_holds(Lirpa(method=method), case)
        ends = Lirpa(method=method).logits(net, inputs, LInf(0.0))
        with torch.no_grad():
            assert torch.allclose(ends.lower, net(inputs).double(), atol=1e-4)

    def test_a_negative_scale_turns_intervals_around(self):
        """v[2] = x[1] − x[2] reaches θ = .5 for x[1] = .8, x[2] = .2, where v[1] does, too."""
        neuron = DLIF(2, 1.0, 0.5, "none")
        net = SpikingNetwork(nn.Linear(1, 1), neuron, nn.Linear(1, 2), num_steps=2, encoding="none")
        fill(net, [[1.0]], [0.0], [1.0, -1.0], [[1.0], [-1.0]], [0.0, 0.0])
        ends = Lirpa(method="crown-ibp").logits(net, torch.full((1, 2, 1), 0.5), LInf(0.3))
        assert ends.upper[0, 0] >= net(torch.tensor([[[0.8], [0.2]]]))[0, 0] == 1.0

    def test_a_network_without_neurons(self):
        net = SpikingNetwork(nn.Linear(4, 3), num_steps=2).eval()
        inputs = torch.rand(4, 4, generator=generator())
        ours = INTERVAL.logits(net, inputs, LInf(0.1))
        theirs = Lirpa().logits(net, inputs, LInf(0.1))
        assert torch.allclose(theirs.lower, ours.lower, atol=1e-5)
        assert torch.allclose(theirs.upper, ours.upper, atol=1e-5)


class TestInterface:
    def test_is_registered_and_names_its_method(self):
        net, inputs, labels = small(count=2)
        assert {v.verifier for v in verify(net, inputs, labels, LInf(0.0), "lirpa")} == {"lirpa"}
        crown = Lirpa(method="crown")
        assert {v.verifier for v in verify(net, inputs, labels, LInf(0.0), crown)} == {"lirpa (crown)"}
        assert VERIFIERS["lirpa"]() == Lirpa(method="best")

    def test_verdicts_do_not_depend_on_the_batch(self, monkeypatch: pytest.MonkeyPatch):
        net, inputs, labels = small(count=5)
        whole = Lirpa().margins(net, inputs, labels, LInf(0.02))
        monkeypatch.setattr("spikecert.certify.verifiers.lirpa.MOST_COEFFICIENTS", 2 * 8**2)
        assert torch.allclose(Lirpa().margins(net, inputs, labels, LInf(0.02)), whole, rtol=0, atol=1e-12)

    def test_leaves_warnings_precision_and_logging_alone(self):
        net, inputs, labels = small(count=2)
        before = settings_of_the_process()
        Lirpa(method="alpha-crown", iterations=QUICK).margins(net, inputs, labels, LInf(0.02))
        assert settings_of_the_process() == before

    def test_prints_nothing(self, capfd: pytest.CaptureFixture[str]):
        net, inputs, labels = small(count=2)
        for method in NAMES:
            Lirpa(method=method).margins(net, inputs, labels, LInf(0.02))
        assert capfd.readouterr() == ("", "")

    def test_leaves_the_network_alone(self):
        net, inputs, labels = small(count=2)
        before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
        Lirpa(method="alpha-crown", iterations=QUICK).margins(net, inputs, labels, LInf(0.02))
        assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
        assert net.dtype == torch.float32
        assert all(parameter.requires_grad for parameter in net.parameters())

    @pytest.mark.parametrize(
        "layer",
        [
            nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular"),
            nn.AvgPool2d(2, ceil_mode=True),
            nn.AvgPool2d(3, 1, padding=1, count_include_pad=False),
            nn.ConvTranspose2d(1, 1, 2),
        ],
        ids=lambda layer: type(layer).__name__,
    )
    def test_takes_any_affine_layer(self, layer: nn.Module):
        torch.manual_seed(1)
        net = SpikingNetwork(layer, nn.Conv2d(1, 2, 1), LIF(0.9, 0.2), nn.Flatten(), nn.LazyLinear(2), num_steps=2)
        inputs = torch.rand(2, 1, 4, 4)
        with torch.no_grad():
            assert_holds(Lirpa(), Case(net.eval(), inputs, net(inputs).argmax(1), 0.02))
            lower = Lirpa().margins(net, inputs, net(inputs).argmax(1), LInf(0.0))
            assert torch.allclose(lower, margins(net(inputs), net(inputs).argmax(1)).double(), atol=1e-4)

    def test_weights_of_a_readout_may_cancel(self):
        last = DLIF(2, 1.0, reset="none")
        last.input_scale.data = torch.tensor([1.0, -1.0])
        net = SpikingNetwork(nn.Linear(2, 2), last, num_steps=2, readout="potential").eval()
        ends = Lirpa().logits(net, torch.ones(1, 2), LInf(0.0))
        assert torch.allclose(torch.stack([ends.lower, ends.upper]), torch.zeros(()).double(), atol=1e-5)

    def test_says_unknown_when_the_time_is_up(self, monkeypatch: pytest.MonkeyPatch):
        net, inputs, labels = small(count=3)
        monkeypatch.setattr(deadline, "GRACE", 0.0)
        verdicts = verify(net, inputs, labels, LInf(0.0), Lirpa(), timeout=1e-9)
        assert [v.status for v in verdicts] == ["unknown"] * 3
        assert "time" in verdicts[0].reason

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: Lirpa(method="forward"), "method: got 'forward'"),
            (lambda: Lirpa(iterations=0), "iterations: got 0"),
        ],
    )
    def test_bad_arguments(self, make, message: str):
        with pytest.raises(ValueError, match=message):
            make()

    def test_coefficients_that_are_not_finite_are_refused(self):
        net, inputs, _ = small(count=2)
        bounded = BoundedCircuit(circuit(net), LInf(0.02).enclosure(inputs))
        matrix = torch.full((2, 1, 3), torch.inf, dtype=torch.float64)
        with pytest.raises(OverflowError, match=r"finite|float64"):
            bounded.least(matrix, "crown")


def test_says_what_to_install_when_it_is_missing():
    """In a process of its own, where the import is blocked."""
    program = """
import sys
sys.modules["auto_LiRPA"] = None
import torch, spikecert
from spikecert.certify import LInf, verify
net = spikecert.mlp((2, 2, 2), 2)
inputs = torch.rand(1, 2)
print(verify(net, inputs, net(inputs).argmax(1), LInf(0.0), "trains")[0].status)
verify(net, inputs, net(inputs).argmax(1), LInf(0.0), "lirpa")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout.strip() in {"verified", "unknown"}
    last = done.stderr.strip().splitlines()[-1]
    assert "pip install --no-deps auto_LiRPA==0.3" in last
    assert "appdirs" in last


def test_nothing_is_imported_before_a_bound_is_asked_for():
    program = "import sys, spikecert; sys.exit('auto_LiRPA' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
