"""Training of rate codes: its bounds hold all runs of the same draws, and a run is its seed's alone."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikecert.models import LIF, RateDraws, SpikingNetwork, mlp, network_hash
from spikecert.training import (
    MSMPPD,
    SIBP,
    CertifiedLoss,
    CrossEntropy,
    Dataset,
    Objective,
    dataset,
    fit,
    start_firing,
)
from spikecert.training.bounds.interval_bounds import worst_logits
from support.examples import examples


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
