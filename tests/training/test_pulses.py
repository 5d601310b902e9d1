"""Tasks where memory is needed: what recordings hold, that they repeat, that a bag of steps is not enough.

Training of rate codes: its bounds hold all runs of the same draws, and a run is its seed's alone.
"""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikecert import dataset
from spikecert.models import LIF, RateDraws, SpikingNetwork, mlp, network_hash
from spikecert.training import (
    MSMPPD,
    SIBP,
    CertifiedLoss,
    CrossEntropy,
    Dataset,
    Objective,
    fit,
    pulses,
    start_firing,
)
from spikecert.training.bounds.interval_bounds import worst_logits
from spikecert.training.data.temporal.pulses import TASKS
from support.examples import examples


@pytest.mark.parametrize("task", list(TASKS))
@pytest.mark.parametrize(("channels", "steps"), [(1, 8), (3, 10), (1, 25)])
def test_a_recording_holds_two_pulses(task: str, channels: int, steps: int) -> None:
    data = pulses(task, steps, channels, samples=200)
    assert data.shape == (TASKS[task].kinds * channels,)
    assert (len(data.train), len(data.validation), len(data.test)) == (200, 300, 300)
    for split in (data.train, data.validation, data.test):
        assert split.inputs.dtype == torch.uint8
        assert split.inputs.shape[1:] == (steps, *data.shape)
        assert bool((split.inputs.flatten(1).sum(1) == 2 * channels).all())
        assert bool((split.inputs.amax(2).sum(1) == 2).all())
        assert set(split.labels.tolist()) == set(range(data.classes))


def seen(task: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the steps and the kinds of both pulses, (samples, 2), and the labels."""
    split = pulses(task, 10).test
    where = split.inputs.nonzero().view(-1, 2, 3)
    return where[..., 1], where[..., 2], split.labels


def test_classes_are_what_they_are_called() -> None:
    for task, told in {
        "order": lambda steps, kinds: kinds[:, 0],
        "copying": lambda steps, kinds: kinds[:, 0],
        "delayed-xor": lambda steps, kinds: kinds[:, 0] ^ kinds[:, 1],
        "gap": lambda steps, kinds: steps.diff(dim=1).squeeze(1) == 1,
        "coincidence": lambda steps, kinds: steps.diff(dim=1).squeeze(1) == 1,
    }.items():
        steps, kinds, labels = seen(task)
        assert bool((told(steps, kinds) == labels).all()), task
        apart = steps.diff(dim=1).squeeze(1)
        assert set(apart.tolist()) == ({1, 6, 7} if task in ("gap", "coincidence") else {4, 5, 6})


@pytest.mark.parametrize("task", list(TASKS))
def test_what_single_steps_hold_does_not_tell_the_class(task: str) -> None:
    """The best guess from how often each kind came is what the docs say of it."""
    _, kinds, labels = seen(task)
    bags: dict[tuple[int, ...], list[int]] = {}
    for bag, label in zip(kinds.sort(1).values.tolist(), labels.tolist(), strict=True):
        bags.setdefault(tuple(bag), []).append(label)
    right = sum(max(found.count(label) for label in set(found)) for found in bags.values()) / len(labels)
    if task == "delayed-xor":  # bags tell it, and no sum of what kinds are worth does
        assert right == 1.0
        ones = kinds.sum(1)
        best = max(
            float((((ones * slope + shift) > 0).long() == labels).float().mean())
            for slope in (-1.0, 1.0)
            for shift in (-2.5, -1.5, -0.5, 0.5, 1.5, 2.5)
        )
        assert best < 0.85
    else:
        assert right < (0.7 if task == "copying" else 0.6)


def test_seeds_repeat_and_differ() -> None:
    first, again, other = (dataset("order", seed=seed).train.inputs for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(first, pulses("order", seed=1).train.inputs)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"num_steps": 1}, "num_steps: got 1, expected at least 7 for 'order'"),
        ({"num_steps": 7, "task": "gap"}, "num_steps: got 7, expected at least 8 for 'gap'"),
        ({"channels": 0}, "channels: got 0"),
        ({"samples": 0}, "samples: got 0"),
        ({"task": "xor"}, "task: got 'xor', expected one of order, delayed-xor, gap, coincidence, copying"),
    ],
)
def test_bad_settings_are_named(change: dict[str, int | str], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        pulses(**{"task": "order", **change})  # type: ignore[arg-type]


def test_digits_come_piece_by_piece() -> None:
    still = dataset("digits").test
    for name, steps, pixels in (("digit-rows", 8, 8), ("digit-blocks", 16, 4)):
        data = dataset(name, num_steps=3)
        assert (data.num_steps, data.shape, data.classes) == (steps, (pixels,), 10)
        assert torch.equal(data.test.labels, still.labels)
        assert torch.equal(data.test.inputs.flatten(1).sort(1).values, still.inputs.sort(1).values)
    assert torch.equal(dataset("digit-rows").test.inputs.flatten(1), still.inputs)
    second = dataset("digit-blocks").test.inputs[:, 1]
    assert torch.equal(second, still.inputs.view(-1, 8, 8)[:, :2, 2:4].flatten(1))


def test_the_first_of_two_digits_is_the_class() -> None:
    still, data, again = dataset("digits"), dataset("digit-recall"), dataset("digit-recall")
    assert (data.num_steps, data.shape, data.classes) == (4, (64,), 10)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [4 * 1197, 300, 300]
    assert torch.equal(data.test.inputs, again.test.inputs)
    for part, whole in ((data.train, still.train), (data.validation, still.validation), (data.test, still.test)):
        times = len(part) // len(whole)
        assert torch.equal(part.labels, whole.labels.repeat(times))
        assert torch.equal(part.inputs[:, 0], whole.inputs.repeat(times, 1))
        assert not bool(part.inputs[:, [1, 3]].any())
        known = {
            tuple(image): int(label) for image, label in zip(whole.inputs.tolist(), whole.labels, strict=True)
        }
        second = torch.tensor([known[tuple(image)] for image in part.inputs[:, 2].tolist()])
        assert bool((second != part.labels).all())
        assert len(second.unique()) == 10


def few(count: int = 200) -> Dataset:
    data = dataset("digits")
    return replace(data, train=data.train.take(torch.arange(count)))


def coded(sizes: tuple[int, ...], steps: int = 4, seed: int = 0) -> SpikingNetwork:
    torch.manual_seed(seed)
    layers = mlp(sizes, steps, LIF(1.0, 0.4, reset="subtract")).layers
    return SpikingNetwork(*layers, num_steps=steps, encoding="rate", draws=RateDraws(seed))


@examples(60)
@given(
    seed=st.integers(0, 10_000),
    steps=st.integers(1, 7),
    bounds=st.sampled_from(["prefix", "interval"]),
    radius=st.sampled_from([0.0, 0.05, 0.3]),
)
def test_no_run_of_the_same_draws_escapes(seed: int, steps: int, bounds: str, radius: float) -> None:
    network = coded((5, 8, 6, 3), steps, seed).eval().double()
    inputs, labels = torch.rand(6, 5, dtype=torch.float64), torch.arange(6) % 3
    lower, upper = (inputs - radius).clamp(0, 1), (inputs + radius).clamp(0, 1)
    worst = worst_logits(network, lower, upper, labels, bounds)
    for share in (0.0, 1.0, *torch.rand(9).tolist()):
        logits = network(lower + (upper - lower) * (torch.rand_like(inputs) < share))
        assert bool((logits - logits.gather(1, labels[:, None]) <= worst + 1e-9).all())
    if radius == 0.0 and bounds == "prefix":
        logits = network(inputs)
        torch.testing.assert_close(worst, logits - logits.gather(1, labels[:, None]))


@pytest.mark.parametrize("objective", [CrossEntropy(), SIBP(0.02), CertifiedLoss(0.02, "prefix")], ids=repr)
def test_the_seed_decides_and_a_stopped_run_goes_on(objective: Objective, tmp_path: Path) -> None:
    data, network = few(), coded((64, 12, 10))
    before = torch.get_rng_state()
    whole = fit(network, data, objective, epochs=2, seed=3)
    assert torch.equal(torch.get_rng_state(), before), "the caller's own draws were used"
    torch.rand(1)
    assert network_hash(fit(network, data, objective, epochs=2, seed=3, folder=tmp_path).network) == network_hash(
        whole.network
    )
    (tmp_path / "network.safetensors").unlink()
    assert network_hash(fit(network, data, objective, epochs=2, seed=3, folder=tmp_path).network) == network_hash(
        whole.network
    )
    other = fit(network, data, objective, epochs=2, seed=4)
    assert network_hash(other.last) != network_hash(whole.last)


def test_it_learns_what_its_own_draws_certify() -> None:
    data, network = dataset("digits"), coded((64, 64, 10), 6)
    start_firing(network, data.train.inputs)
    settings = {"optimizer": "adam", "learning_rate": 0.01, "weight_decay": 0.0}
    run = fit(network, data, CertifiedLoss(0.02, "prefix"), epochs=12, **settings)  # type: ignore[arg-type]
    clean = run.best.clean_accuracy or 0.0
    assert clean > 0.85
    assert not math.isclose(run.best.robust_accuracy or 0.0, clean)
    assert (run.best.robust_accuracy or 0.0) > 0.6


def test_objectives_that_compare_two_runs_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r'^network: got encoding "rate", expected an objective of CrossEntropy, '
    ):
        fit(coded((64, 12, 10)), few(), CrossEntropy() + 0.5 * MSMPPD(), epochs=1)
