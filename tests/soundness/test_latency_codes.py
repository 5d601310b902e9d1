"""Networks that code brightness as latency: moves of their events, against all images that make them."""

import itertools
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert import (
    L2,
    LIF,
    MSMPPD,
    CrossEntropy,
    LInf,
    OneSpikeLIF,
    SpikeFlip,
    SpikeShift,
    SpikingNetwork,
    attack,
    certified_radius,
    dataset,
    fit,
    gain,
    load,
    save,
    verify,
)
from spikecert.certify import inputs as pixels
from spikecert.certify import output, output_range, sample
from spikecert.certify.posed import coded
from spikecert.certify.proofs.proving import Prover
from spikecert.certify.replay import margins
from spikecert.certify.verification import bounds
from spikecert.formats.onnx.writing import write_onnx
from spikecert.models import latency_code, network_hash
from spikecert.models.circuit import UnknownNode
from spikecert.runs.building import normalised
from spikecert.training.bounds.interval_bounds import worst_logits
from support.examples import examples

SEEDS = st.integers(0, 2**31)


@st.composite
def networks(draw: st.DrawFn, most_steps: int = 4, once: bool | None = None) -> SpikingNetwork:
    """Return a small network whose weights and thresholds lie on a grid: potentials meet thresholds exactly."""
    steps, size, hidden = draw(st.integers(1, most_steps)), draw(st.integers(1, 3)), draw(st.integers(1, 4))
    alone = draw(st.booleans()) if once is None else once
    decay, theta = draw(st.sampled_from([0.5, 1.0])), draw(st.sampled_from([0.25, 0.5, 1.0]))
    fires = draw(st.sampled_from([">=", ">"]))

    def neuron() -> LIF:
        return OneSpikeLIF(decay, theta, fires) if alone else LIF(decay, theta, fires_at=fires)

    readout = draw(st.sampled_from(["first", "spikes", "mean"]))
    layers = [nn.Linear(size, hidden), neuron(), nn.Linear(hidden, 3), *([] if readout == "mean" else [neuron()])]
    network = SpikingNetwork(*layers, num_steps=steps, encoding="latency", readout=readout)
    generator = torch.Generator().manual_seed(draw(SEEDS))
    for parameter in network.parameters():
        parameter.data = (torch.randn(parameter.shape, generator=generator) * 4).round() / 4
    return network.to(draw(st.sampled_from([torch.float32, torch.float64]))).eval()


def images_of(network: SpikingNetwork, seed: int, batch: int = 2) -> tuple[Tensor, Tensor]:
    """Return images, and the network's own answers."""
    first = network.layers[0]
    assert isinstance(first, nn.Linear)
    drawn = torch.rand(batch, first.in_features, generator=torch.Generator().manual_seed(seed))
    images = drawn.to(network.dtype)
    with torch.no_grad():
        return images, network(images).argmax(1)


def every_image(network: SpikingNetwork, image: Tensor, threat: SpikeShift) -> Tensor:
    """Return an image for each assignment of steps to inputs within the budgets, written out one by one."""
    steps, far = network.num_steps, 10**6
    limits = [far if limit is None else limit for limit in (threat.jitter, threat.count, threat.total)]
    before = [int((1 - float(x)) * (steps - 1) + 0.5) for x in image]
    found = []
    for after in itertools.product(range(steps), repeat=len(before)):
        moves = [abs(one - other) for one, other in zip(before, after, strict=True)]
        if max(moves) <= limits[0] and sum(m > 0 for m in moves) <= limits[1] and sum(moves) <= limits[2]:
            found.append(
                [1 - step / (steps - 1) if steps > 1 else float(x) for step, x in zip(after, image, strict=True)]
            )
    return torch.tensor(found, dtype=network.dtype)


@st.composite
def shifts(draw: st.DrawFn) -> SpikeShift:
    """Return moves within one budget or several; none at all, too."""
    count, total = draw(st.sampled_from([None, 0, 1, 2])), draw(st.sampled_from([None, 0, 1, 2, 3]))
    return SpikeShift(draw(st.sampled_from([None, 0])), count, total, draw(st.sampled_from(["or", "add"])))


@examples(60)
@given(network=networks(), seed=SEEDS, threat=shifts(), share=st.sampled_from([0.0, 0.5, 1.0]))
def test_properties_and_ranges_agree_with_all_images(
    network: SpikingNetwork, seed: int, threat: SpikeShift, share: float
):
    images, _ = images_of(network, seed, 1)

    @torch.no_grad()
    def values(changed: Tensor) -> Tensor:
        outputs, own = network(changed).double(), network(images).double()
        return outputs[:, 0] - outputs[:, 2] + 0.5 * own[0, 1]

    form, truth = output[0] - output[2] + 0.5 * sample[1], values(every_image(network, images[0], threat))
    least, most = float(truth.min()), float(truth.max())
    (found,) = output_range(network, images, threat, form)
    assert found.lower - 1e-5 <= least <= found.least + 1e-5
    assert found.greatest - 1e-5 <= most <= found.upper + 1e-5
    bound = least + share * (most - least) + (1e-3 if share == 1.0 else -1e-3)
    (verdict,) = verify(network, images, form <= bound, threat)
    assert verdict.status == ("verified" if share == 1.0 else "falsified")
    told = attack(network, images, form <= bound, threat, "random-events")
    assert told.ties == verdict.ties == "argmax"
    assert verdict.counterexample is None or float(values(verdict.counterexample[None])) > bound
    assert bool(told.success) == (float(values(told.inputs)) > bound)
    for ask in (verify, attack):
        with pytest.raises(ValueError, match="got inputs, expected outputs alone"):
            ask(network, images, pixels[0] <= 2.0, threat)


@examples(60)
@given(network=networks(), seed=SEEDS, threat=shifts(), ties=st.sampled_from(["argmax", "strict"]))
def test_verdicts_and_bounds_agree_with_all_images(
    network: SpikingNetwork, seed: int, threat: SpikeShift, ties: str
):
    images, labels = images_of(network, seed)
    ends = {name: bounds(network, images, threat, name) for name in ("interval", "trains")}
    verdicts = {
        name: verify(network, images, labels, threat, name, 2.0, ties=ties)
        for name in ("interval", "trains", "enumeration", "complete", "milp")
    }
    for place, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
        every = every_image(network, image, threat)
        with torch.no_grad():
            logits = network(every).double()
        least = float(margins(logits, labels[[place]].expand(len(every)), ties).min())
        for found in ends.values():
            assert bool(((logits >= found.lower[place]) & (logits <= found.upper[place])).all())
        for name, found in verdicts.items():
            verdict = found[place]
            assert verdict.status != "verified" or least > 0, name
            if verdict.counterexample is None:
                assert verdict.status != "falsified"
                continue
            allowed = latency_code(every, network.num_steps)
            code = latency_code(verdict.counterexample[None], network.num_steps)
            assert verdict.counterexample.shape == image.shape
            assert bool((allowed == code).flatten(1).all(1).any())
            with torch.no_grad():
                assert float(margins(network(verdict.counterexample[None]), labels[[place]], ties)) <= 0, label
        if network.readout == "first":  # logits are whole numbers: nothing is lost to rounding but at θ itself
            assert verdicts["enumeration"][place].status != "verified" or least > 0
            assert least > 0 or verdicts["enumeration"][place].status == "falsified"


@examples(12)
@given(network=networks(most_steps=3), seed=SEEDS)
def test_radii_and_attacks_agree_with_all_images(network: SpikingNetwork, seed: int):
    images, labels = images_of(network, seed)
    radii = certified_radius(network, images, labels, "shift", "enumeration")
    threat = SpikeShift(None, total=2)
    result = attack(network, images, labels, threat, "spike-shift")
    assert result.inputs.shape == images.shape
    for place, (image, radius) in enumerate(zip(images, radii, strict=True)):
        broken = [
            total
            for total in range(7)
            if bool(
                (
                    network(every_image(network, image, SpikeShift(None, total=total))).argmax(1) != labels[place]
                ).any()
            )
        ]
        exact = min(broken, default=99)
        assert radius.lower < exact
        assert radius.counterexample is None or radius.upper >= exact
        assert radius.counterexample is None or network(radius.counterexample[None]).argmax() != labels[place]
        allowed = latency_code(every_image(network, image, threat), network.num_steps)
        code = latency_code(result.inputs[[place]], network.num_steps)
        assert bool((allowed == code).flatten(1).all(1).any())
        assert bool(result.success[place]) == bool(network(result.inputs[[place]]).argmax() != labels[place])


@examples(60)
@given(
    steps=st.integers(1, 4096), seed=SEEDS, dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16])
)
def test_each_code_has_an_image(steps: int, seed: int, dtype: torch.dtype):
    network = SpikingNetwork(nn.Linear(5, 2), num_steps=steps, encoding="latency").to(dtype).eval()
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(2, 5, generator=generator).to(dtype)
    if 2 * steps * torch.finfo(dtype).eps > 1:
        with pytest.raises(ValueError, match="num_steps: got"):
            coded(network, images, SpikeShift(None, total=1))
        return
    codes = coded(network, images, SpikeShift(None, total=1))
    assert codes is not None
    places = torch.randint(steps, (2, 5), generator=generator)
    places[0] = codes.events[0].argmax(0)
    events = torch.zeros_like(codes.events).scatter(1, places.unsqueeze(1), 1.0)
    found = codes.decoded(events, images)
    assert torch.equal(latency_code(found, steps), events)
    assert torch.equal(found[0], images[0])


def test_networks_are_those_of_their_events():
    torch.manual_seed(0)
    network = SpikingNetwork(
        nn.Conv2d(1, 2, 3), OneSpikeLIF(1.0, 0.1), nn.Flatten(), nn.Linear(8, 3), num_steps=6, encoding="latency"
    ).eval()
    images = torch.rand(3, 1, 4, 4)
    timed = SpikingNetwork(*network.layers, num_steps=6, encoding="none").eval()
    assert torch.equal(network(images), timed(latency_code(images, 6)))
    assert torch.equal(network.encode(images), latency_code(images, 6).transpose(0, 1))
    assert network.trace(images).spikes[0].sum(0).max() == 1


def silent(threshold: float) -> SpikingNetwork:
    """Return a network of one input, whose outputs' potentials are 1 from the step of its event on."""
    layers = nn.Linear(1, 3, bias=False), OneSpikeLIF(1.0, threshold)
    layers[0].weight.data.fill_(1.0)
    return SpikingNetwork(*layers, num_steps=3, encoding="latency", readout="first").eval()


def test_ties_of_outputs_that_fire_at_once_or_never():
    """All fire at once, exactly at θ, or none does: the lowest class by argmax, and nothing holds strictly."""
    image, threat = torch.tensor([[0.5]]), SpikeShift(None, total=1)
    for threshold, latest in ((1.0, -2.0), (1.5, -4.0)):
        network = silent(threshold)
        assert network(image).tolist() == [[latest] * 3]
        (one,) = verify(network, image, torch.tensor([0]), threat, "enumeration", ties="argmax")
        assert one.status == ("verified" if threshold > 1 else "unknown")  # at θ itself rounding may tell
        (other,) = verify(network, image, torch.tensor([0]), threat, "auto", ties="strict")
        assert other.status == "falsified"
        (wrong,) = verify(network, image, torch.tensor([1]), threat, "trains")
        assert wrong.status == "falsified"


def test_one_step_moves_nothing():
    torch.manual_seed(1)
    layers = nn.Linear(4, 3), OneSpikeLIF(1.0, 0.1)
    network = SpikingNetwork(*layers, num_steps=1, encoding="latency", readout="first").eval()
    images = torch.rand(5, 4)
    labels = network(images).argmax(1)
    for verdict in verify(network, images, labels, SpikeShift(None, total=9), "trains"):
        assert verdict.status == "verified"


def test_files_hold_codes_and_neurons_that_fire_once(tmp_path: Path):
    torch.manual_seed(0)
    layers = nn.Linear(4, 3), OneSpikeLIF(0.5, 0.3, start=0.125)
    network = SpikingNetwork(*layers, num_steps=7, encoding="latency", readout="first").eval()
    save(network, tmp_path / "network.safetensors")
    again = load(tmp_path / "network.safetensors").eval()
    images = torch.rand(6, 4)
    assert again.encoding == "latency"
    assert network_hash(again) == network_hash(network)
    assert torch.equal(again(images), network(images))
    assert again.layers[1].rest is None


def test_it_learns_by_surrogate_gradients():
    torch.manual_seed(0)
    layers = nn.Linear(8, 16), OneSpikeLIF(1.0, 0.3), nn.Linear(16, 4), OneSpikeLIF(1.0, 0.3)
    network = SpikingNetwork(*layers, num_steps=5, encoding="latency", readout="first")
    images = torch.rand(80, 8)
    labels = images[:, :4].argmax(1)
    parameters, losses = list(network.parameters()), []
    for _ in range(60):
        loss = nn.functional.cross_entropy(network(images), labels)
        for parameter, slope in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            assert bool(slope.any())
            parameter.data -= 0.05 * slope
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 2


SMALL = SpikingNetwork(nn.Linear(2, 3), LIF(0.5), nn.Linear(3, 2), num_steps=3, encoding="latency").eval()
INPUTS, LABELS = torch.full((2, 2), 0.5), torch.tensor([0, 1])
MOVES = SpikeShift(None, total=1)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: verify(SMALL, INPUTS, LABELS, LInf(0.1)), ValueError, "perturbation: got LInf for encoding"),
        (lambda: bounds(SMALL, INPUTS, L2(0.1)), ValueError, "perturbation: got L2 for encoding"),
        (lambda: attack(SMALL, INPUTS, LABELS, SpikeFlip(1)), ValueError, "perturbation: got SpikeFlip for enc"),
        (lambda: certified_radius(SMALL, INPUTS, LABELS), ValueError, "perturbation: got LInf for encoding"),
        (
            lambda: verify(SMALL, INPUTS, LABELS, SpikeShift(1, border="leave")),
            ValueError,
            "border: got 'leave' for encoding",
        ),
        (lambda: verify(SMALL, INPUTS, LABELS, SpikeShift(3)), ValueError, "jitter: got 3, expected less than"),
        (lambda: verify(SMALL, INPUTS * 3, LABELS, MOVES), ValueError, "inputs: got values outside"),
        (lambda: verify(SMALL, INPUTS * torch.nan, LABELS, MOVES), ValueError, "inputs: got NaN or inf"),
        (
            lambda: verify(SMALL, INPUTS, LABELS, LInf(0.1), "trains", engine="local"),
            ValueError,
            "perturbation: got LInf",
        ),
        (lambda: SMALL(INPUTS - 1), ValueError, "inputs: got values outside"),
        (lambda: SMALL.encode(INPUTS, torch.Generator()), ValueError, "generator: got one with encoding"),
        (lambda: gain(SMALL), UnknownNode, "an input of encoding 'latency'"),
        (lambda: worst_logits(SMALL, INPUTS, INPUTS, LABELS), UnknownNode, "an input of encoding 'latency'"),
        (lambda: normalised(SMALL, (2,), (0.5,), (1.0,)), ValueError, "mean: got it for a latency-coded"),
        (
            lambda: fit(SMALL, dataset("digits"), CrossEntropy() + MSMPPD(), epochs=1),
            ValueError,
            'network: got encoding "latency", expected CrossEntropy',
        ),
    ],
)
def test_what_a_code_is_not_asked_is_refused(call, error, match):
    with pytest.raises(error, match=match):
        call()


def test_files_of_others_refuse_it(tmp_path: Path):
    save(SMALL, tmp_path / "network.safetensors")
    with pytest.raises((TypeError, ValueError), match="latency"):
        write_onnx(SMALL, (2,))
    with pytest.raises(Exception, match="latency"):
        Prover.of(SMALL)


def test_workers_answer_with_images():
    """The class of the brighter input: it falls when the event of step 0 comes as late as the one of step 2."""
    layers = nn.Linear(2, 2, bias=False), OneSpikeLIF(1.0, 0.5)
    layers[0].weight.data.copy_(torch.eye(2))
    network = SpikingNetwork(*layers, num_steps=4, encoding="latency", readout="first").eval()
    images, labels = torch.tensor([[1.0, 0.5], [1.0, 0.0]]), torch.tensor([0, 0])
    threat = SpikeShift(None, total=3)
    found = verify(network, images, labels, threat, "enumeration", workers=1, engine="local")
    assert found == verify(network, images, labels, threat, "enumeration")
    assert [verdict.status for verdict in found] == ["falsified", "verified"]
    assert found[0].counterexample is not None
    assert network(found[0].counterexample[None]).argmax() == 1


@examples(30)
@given(network=networks(once=True), seed=SEEDS)
def test_neurons_fire_once(network: SpikingNetwork, seed: int):
    images, _ = images_of(network, seed)
    for spikes in network.trace(images).spikes:
        assert bool((spikes.sum(0) <= 1).all())
