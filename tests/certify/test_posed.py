"""A question is posed once: all of its samples are checked before the first is decided, in every verb."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch

from spikecert import (
    LInf,
    RateDraws,
    SpikingNetwork,
    Tolerance,
    attack,
    certified_radius,
    equivalent,
    mlp,
    moves_at_most,
    output,
    output_range,
    verify,
)
from spikecert.certify.posed import posed


def own_draws() -> tuple[SpikingNetwork, torch.Tensor, torch.Tensor]:
    """Return a rate-coded network with draws of each of three samples, the samples, and their classes."""
    torch.manual_seed(0)
    layers, draws = mlp((4, 6, 3), num_steps=3).layers, RateDraws(torch.rand(3, 3, 4))
    network, inputs = SpikingNetwork(*layers, num_steps=3, encoding="rate", draws=draws).eval(), torch.rand(3, 4)
    return network, inputs, network(inputs).argmax(1)


@pytest.mark.parametrize("ask", [verify, attack, certified_radius], ids=lambda ask: ask.__name__)
def test_a_wrong_label_of_the_last_sample_is_told_before_the_first_is_decided(ask: Callable[..., Any]):
    network, inputs, labels = own_draws()
    labels[2], told = 3, list[tuple[Any, ...]]()
    last = "linf" if ask is certified_radius else LInf(0.01)
    with pytest.raises(ValueError, match="labels: ") as error:
        ask(network, inputs, labels, last, progress=lambda *done: told.append(done))
    assert "\n" not in str(error.value)
    assert told == []


WITHIN: dict[str, Callable[..., list[Any]]] = {
    "verify": lambda network, inputs, labels, **how: [
        one.status for one in verify(network, inputs, labels, LInf(0.5), "complete", 20, **how)
    ],
    "certified_radius": lambda network, inputs, labels, **how: [
        (one.lower, one.exact)
        for one in certified_radius(network, inputs, labels, "linf", "complete", 1e-3, timeout=20, **how)
    ],
    "output_range": lambda network, inputs, _, **how: [
        one.closed for one in output_range(network, inputs, LInf(0.2), output[0], 1e-3, 20, **how)
    ],
    "equivalent": lambda network, inputs, _, **how: [
        one.status for one in equivalent(network, network, inputs, LInf(0.5), "complete", 20, **how)
    ],
}
"""What each verb answers of samples that only a search decides."""


@pytest.mark.parametrize("verb", WITHIN)
def test_each_verb_keeps_to_memory_and_shares_hard_samples(verb):
    torch.manual_seed(3)
    network, inputs = mlp((6, 24, 12, 3), num_steps=6).eval(), torch.rand(2, 6)
    ask, asked = WITHIN[verb], (network, inputs, network(inputs).argmax(1))
    alone = ask(*asked)
    assert ask(*asked, workers=2) == alone
    assert ask(*asked, memory=1) != alone, "what waits takes more than a byte"
    for name in ("memory", "workers"):
        with pytest.raises((TypeError, ValueError), match=f"{name}: got 0"):
            ask(*asked, **{name: 0})


@pytest.mark.parametrize("name", ["memory", "workers"])
def test_of_sets_of_networks_no_search_keeps_to_limits(name):
    network, inputs = mlp((4, 6, 3), num_steps=3).eval(), torch.rand(2, 4)
    asks: list[Callable[..., Any]] = [verify, certified_radius]
    for ask in (*asks, *[partial(verify, engine="local")] * (name == "memory")):
        with pytest.raises(ValueError, match=f"{name}: got 2 beside a set of networks, expected none"):
            ask(network, inputs, network(inputs).argmax(1), Tolerance(0.01), **{name: 2})


def test_parts_are_the_samples_with_their_own_draws():
    network, inputs, labels = own_draws()
    parts = posed(network, inputs, labels, LInf(0.01))
    assert [len(part.inputs) for part in parts] == [1, 1, 1]
    for index, part in enumerate(parts):
        assert part.first.equal(network(inputs)[index : index + 1])
        assert part.network(inputs[index : index + 1]).equal(part.first)


def test_what_is_no_label_is_refused_where_classes_are_asked():
    """What stands in place of labels where outputs are asked is nothing that users have."""
    network, inputs, _ = own_draws()
    for ask in (verify, attack, certified_radius, partial(verify, engine="local")):
        with pytest.raises(TypeError, match="labels: ") as error:
            ask(network, inputs, None, "linf" if ask is certified_radius else LInf(0.01))  # type: ignore[arg-type]
        assert "\n" not in str(error.value)


def test_batches_refuse_draws_of_each_sample():
    network, inputs, labels = own_draws()
    with pytest.raises(ValueError, match="draws: got those of each sample's own, expected draws that all samples"):
        verify(network, inputs, labels, LInf(0.01), engine="local")


def test_a_property_that_is_none_of_classes_says_its_own_ties_in_each_part():
    network, inputs, _ = own_draws()
    for part in posed(network, inputs, moves_at_most(0.25), LInf(0.01)):
        rows = part.rows()
        assert part.prop is not None
        assert rows is not None
        assert part.labels.tolist() == [0]
