"""`measure` against the library called by hand, on small networks."""

from importlib.metadata import version

import pytest
import torch

from spikecert import LInf, SpikeFlip, attack, gain, mlp, record, verify
from spikecert.certify import PixelBox, SoundnessError
from spikecert.models import LIF, RateDraws, network_hash
from spikecert.reports import Data, Plan, Threat, measure
from spikecert.reports.making import measuring as module
from spikecert.reports.pages.wording import assumptions, sketch, verdict

THREAT = Threat.of("linf", (0.02, 0.3))


@pytest.fixture(scope="module")
def samples():
    torch.manual_seed(0)
    network = mlp((6, 12, 3), num_steps=4, neuron=LIF(0.9)).eval()
    inputs = torch.rand(12, 6)
    labels = network(inputs).argmax(1)
    labels[0] = (labels[0] + 1) % 3
    return network, inputs, labels


def test_rows_say_what_the_library_says(samples):
    network, inputs, labels = samples
    found = measure("net", network, inputs, labels, Plan(THREAT, ("pgd",), ("interval", "trains")))
    for epsilon in THREAT.epsilons:
        rows = [row for row in found.rows if row.epsilon == epsilon]
        for verifier in ("interval", "trains"):
            answers = verify(network, inputs, labels, LInf(epsilon), verifier)
            assert [row.verdicts[verifier].status for row in rows] == [answer.status for answer in answers]
    assert found.architecture.sha256 == network_hash(network)
    assert found.points[0].clean <= 11


def test_what_an_attack_broke_stays_broken_at_larger_epsilon(samples):
    network, inputs, labels = samples
    found = measure("net", network, inputs, labels, Plan(THREAT, ("fgsm",), ()))
    small, large = ([row.attacks["fgsm"] for row in found.rows if row.epsilon == e] for e in THREAT.epsilons)
    assert all(later for before, later in zip(small, large, strict=True) if before)
    broken = attack(network, inputs, labels, LInf(0.02), "fgsm").success
    assert small == broken.tolist()


def test_counterexamples_replay(samples):
    network, inputs, labels = samples
    found = measure("net", network, inputs, labels, Plan(THREAT, ("pgd",), ()))
    assert found.counterexamples
    for case in found.counterexamples:
        perturbed = torch.tensor(case.perturbed).reshape(1, *case.shape)
        logits = network(perturbed)[0]
        assert logits[case.predicted] >= logits[case.label]
        assert float((perturbed[0] - inputs[case.index]).abs().max()) <= case.epsilon + 1e-7


def test_flipped_events_are_measured_and_rendered():
    torch.manual_seed(0)
    network = mlp((5, 8, 3), num_steps=3, neuron=LIF(0.9, threshold=0.3), encoding="none").eval()
    events = (torch.rand(8, 3, 5) > 0.6).float()
    labels = network(events).argmax(1)
    threat = Threat.of("flips", (1.0, 2.0))
    found = measure("net", network, events, labels, Plan(threat, ("ensemble-fast",), ("trains", "auto")))
    for row in found.rows:
        answer = verify(network, events[[row.index]], labels[[row.index]], SpikeFlip(int(row.epsilon)), "trains")
        assert row.verdicts["trains"].status == answer[0].status
    assert found.counterexamples
    for case in found.counterexamples:
        assert sum(a != b for a, b in zip(case.clean, case.perturbed, strict=True)) <= case.epsilon
    data = Data(name="random events", split="test", samples=8, classes=3, shape=(3, 5))
    whole = record([found], data, threat)
    assert "ε = 2 in flipped events" in verdict(whole)
    assert any("inserted or deleted" in line for line in assumptions(whole))


def test_a_report_names_the_draws_of_a_rate_code(samples):
    _, inputs, labels = samples
    torch.manual_seed(0)
    network = mlp((6, 12, 3), num_steps=4, neuron=LIF(0.9), encoding="rate").eval()
    network.draws = RateDraws(seed=7)
    found = measure("net", network, inputs, labels, Plan(THREAT, (), ("trains",)))
    assert sketch(found).startswith("rate coding with the draws of seed 7")
    reasons = [row.verdicts["trains"].reason for row in found.rows]
    assert all(reason.endswith("for the given draws (seed 7)") for reason in reasons)


def test_a_set_without_one_radius_is_refused_in_one_line():
    with pytest.raises(TypeError, match=r"^threat: got PixelBox, expected a Threat"):
        Plan(PixelBox(torch.full((6,), 0.1)))  # pyright: ignore[reportArgumentType]


def test_progress_reaches_the_end(samples):
    network, inputs, labels = samples
    told = []
    measure(
        "net", network, inputs, labels, Plan(THREAT, ("fgsm",), ("interval",)),
        progress=lambda label, done, total: told.append((label, done, total)),
    )  # fmt: skip
    assert told[-1] == ("certify net", 48, 48)
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)


def test_a_verifier_that_lies_is_not_recorded(samples, monkeypatch):
    network, inputs, labels = samples
    honest = verify

    def lying(*arguments, **options):
        answers = honest(*arguments, **options)
        good = next(answer for answer in answers if answer.status != "falsified")
        return [type(good)("verified", 1.0, None, "liar", 0.0, "trust me") for _ in answers]

    monkeypatch.setattr(module, "verify", lying)
    with pytest.raises(SoundnessError):
        measure("net", network, inputs, labels, Plan(THREAT, ("pgd",), ("interval",)))


def test_a_record_of_measured_models(samples):
    network, inputs, labels = samples
    found = measure("net", network, inputs, labels, Plan(THREAT, ("fgsm",), ("trains",)), gains=gain(network))
    data = Data(name="random", split="test", samples=12, classes=3, shape=(6,))
    whole = record([found], data, THREAT, seeds={"seed": 0}, command="made here")
    assert whole.focus == 0.3
    assert whole.environment.packages["torch"] == version("torch")
    assert whole.models[0].gains is not None
    assert whole.models[0].gains.layers[0].gain == gain(network).layers[0].gain


@pytest.mark.parametrize(
    ("inputs", "labels", "message"),
    [
        (torch.zeros(0, 6), torch.zeros(0, dtype=torch.long), "inputs: got shape"),
        (torch.full((2, 6), torch.nan), torch.zeros(2, dtype=torch.long), "inputs: got NaN or inf"),
        (torch.zeros(2, 6), torch.tensor([0, 9]), "labels: got values"),
        (torch.full((2, 6), 1.5), torch.zeros(2, dtype=torch.long), "inputs"),
    ],
)
def test_bad_samples_are_one_clear_error(samples, inputs, labels, message):
    with pytest.raises(ValueError, match=message):
        measure("net", samples[0], inputs, labels, Plan(THREAT, ("fgsm",), ("interval",)))
