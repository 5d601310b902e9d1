"""What a budget keeps for further rows: the reach of all products row by row, from those of events alone."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert.certify.bounds.events.budgets import Budget, Heaviest
from spikecert.certify.bounds.events.flips import Flips
from spikecert.certify.bounds.events.shifts import Shifts
from spikecert.certify.bounds.events.summed import Summed
from spikecert.models.linear_maps import linear_map
from support.examples import examples

STEPS, BATCH, FEATURES, OUTPUTS = 5, 3, 24, 4


def recordings(generator: torch.Generator, share: float) -> Tensor:
    """Return events, (T, batch, features)."""
    return (torch.rand(STEPS, BATCH, FEATURES, generator=generator) < share).double()


def budgets(events: Tensor, count: int | None, total: int | None, jitter: int) -> dict[str, Budget]:
    """Return one of each kind."""
    shifts = Shifts(STEPS, jitter, count, total, False, (events,), (True,))
    flips = Flips(count or 3, 1.0 - 2.0 * events)
    few = Flips(count or 3, -events)
    return {"moves": shifts, "flips": flips, "fewer": few, "both": Summed(shifts, few)}


@pytest.mark.parametrize("kind", ["moves", "flips", "fewer", "both"])
@examples(30)
@given(
    seed=st.integers(0, 10**6),
    share=st.sampled_from((0.0, 0.05, 0.3, 1.0)),
    limits=st.sampled_from(((None, None), (1, None), (2, 3), (None, 2), (500, None))),
    jitter=st.integers(1, 4),
)
def test_what_is_kept_gives_the_reach_of_all_products_row_by_row(
    kind: str, seed: int, share: float, limits: tuple[int | None, int | None], jitter: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    layer = nn.Linear(FEATURES, OUTPUTS).double()
    nn.init.normal_(layer.weight, generator=generator)
    budget = budgets(recordings(generator, share), *limits, jitter)[kind]
    rows = torch.randn(7, STEPS, generator=generator, dtype=torch.float64)
    rows[::2, 2:] = 0.0
    products, kept = linear_map(layer).products, dict[int, Heaviest]()
    assert products is not None
    found = budget.of_rows(rows).reach(products, kept)
    again = budget.of_rows(rows).reach(products, kept)
    assert kept
    assert all(map(torch.equal, found, again))
    for k, row in enumerate(rows):
        dense = budget.of_rows(row[None])
        plain = dense.reach_of(dense.heaviest(lambda marks: marks.unsqueeze(-2) * layer.weight.detach()))
        for one, other in zip(found, plain, strict=True):
            torch.testing.assert_close(one[k], other[0], rtol=1e-12, atol=1e-12)


def test_products_of_few_entries_are_theirs_alone() -> None:
    layer = nn.Linear(FEATURES, OUTPUTS)
    products = linear_map(layer).products
    assert products is not None
    inputs = torch.zeros(2, FEATURES)
    inputs[0, 3], inputs[1, 5], inputs[1, 7] = 1.0, -2.0, 1.0
    assert products(inputs).shape == (2, OUTPUTS, 2)
    torch.testing.assert_close(products(inputs).sum(-1), inputs @ layer.weight.T)
    assert products(torch.ones(2, FEATURES)).shape == (2, OUTPUTS, FEATURES)
    assert products(torch.zeros(2, FEATURES)).abs().sum() == 0
