"""What every set of changed events promises, against the list of all its members."""

from typing import Protocol

import torch
from torch import Tensor

from spikecert.certify.perturbations.base import EventSet
from spikecert.certify.perturbations.events.event_change import EventChange


class EventCase(Protocol):
    """A sample (T, features), how its events may change, and all inputs that this makes."""

    @property
    def events(self) -> Tensor:
        """Return the sample."""
        ...

    @property
    def threat(self) -> EventSet | EventChange:
        """Return how its events may change."""
        ...

    @property
    def every(self) -> Tensor:
        """Return all inputs that this makes, found by other means than the set's own."""
        ...


def rows(inputs: Tensor) -> set[tuple[float, ...]]:
    """Return the inputs as a set."""
    return set(map(tuple, inputs.double().flatten(1).tolist()))


def check_members(case: EventCase) -> None:
    """Assert that the set lists its members, each once, and that its enclosure holds them."""
    threat, sample = case.threat, case.events[None]
    threat.check(sample)
    members = threat.members(case.events)
    assert members is not None
    listed = list(members.batches(7))
    assert members.count == sum(map(len, listed))
    assert rows(torch.cat(listed)) == rows(case.every)
    box = threat.enclosure(sample)
    assert bool(((case.every >= box.lower) & (case.every <= box.upper)).all())
    if box.ball is not None:
        assert float((case.every - sample).flatten(1).norm(dim=1).max()) <= float(box.ball)


def check_membership(case: EventCase, tried: Tensor) -> None:
    """Assert that the set holds those of `tried`, (n, T, features), that are listed, and no others."""
    every = rows(case.every)
    expected = [row in every for row in map(tuple, tried.flatten(1).tolist())]
    assert case.threat.contains(tried, case.events.expand(len(tried), -1, -1)).tolist() == expected


def check_made(case: EventCase, count: int, generator: torch.Generator) -> None:
    """Assert that what is projected, from far away, and what is drawn are members, `count` of each."""
    batch = case.events.expand(count, -1, -1)
    far = batch + 2 * torch.randn(batch.shape, generator=generator, dtype=batch.dtype)
    assert rows(case.threat.project(far, batch)) | rows(case.threat.sample(batch, generator)) <= rows(case.every)
