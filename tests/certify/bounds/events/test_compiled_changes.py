"""Sums of what events may change: by the kernel and by torch, and windows of a set of moves against rows."""

import pytest
import torch
from torch import Tensor, nn

from spikecert import LIF, SpikeShift, SpikingNetwork
from spikecert.certify.bounds.events.compiled_changes import _pooled, rises
from spikecert.certify.bounds.events.retimings import Retimings
from spikecert.certify.bounds.propagation import input_signal
from spikecert.certify.bounds.signals.affine import affine_map
from spikecert.certify.bounds.signals.signals import AffineSignal
from spikecert.certify.bounds.signals.windows import Spans
from spikecert.certify.rounding import Rounding
from spikecert.models.circuit import Mapped, circuit
from spikecert.models.rules import Leaky


def pairs_of(decay: float, jitter: int, each: int) -> list[tuple[Tensor, Tensor]]:
    """Return changes of 70 outputs, some steps empty, and the gains of all windows of 12 steps, either way."""
    generator = torch.Generator().manual_seed(int(100 * decay) + jitter)
    rows = Spans.of(Leaky(decay), 12).rows(range(1, 13))
    changes = [torch.rand(12, 2, 35, each, generator=generator).double() for _ in range(2)]
    changes[0][::3] = 0
    gains = [Retimings.of(sign * rows, jitter, False, sign < 0).gains for sign in (1.0, -1.0)]
    return list(zip(changes, gains, strict=True))


@pytest.mark.parametrize("most", [None, 1, 2, 5, 16, 17])
@pytest.mark.parametrize(("decay", "jitter"), [(1.0, 1), (0.9, 1), (0.9, 3), (0.0, 2)])
def test_rows_that_share_gains_have_the_sums_of_torch(decay: float, jitter: int, most: int | None):
    pairs = pairs_of(decay, jitter, 3)
    pooled = torch.cat([_pooled(*pair) for pair in pairs], -1)
    expected = pooled.sum(-1) if most is None else pooled.topk(most).values.sum(-1)
    torch.testing.assert_close(rises(pairs, most), expected, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("count", [None, 1, 3])
@pytest.mark.parametrize("decay", [1.0, 0.9])
def test_windows_are_those_of_rows(count: int | None, decay: float):
    torch.manual_seed(4)
    layers = nn.Flatten(), nn.Linear(12, 5), LIF(decay), nn.Linear(5, 2)
    network = SpikingNetwork(*layers, num_steps=7, encoding="none")
    made, rounding = circuit(network), Rounding(torch.float32)
    events = (torch.rand(2, 7, 3, 4) < 0.3).float()
    signal = input_signal(made, SpikeShift(2, count).enclosure(events))
    for node in made.nodes[1:3]:
        assert isinstance(node, Mapped)
        signal = AffineSignal(signal, affine_map(node.map), rounding)
    asked, ends = Spans.of(Leaky(decay), 7, 5), range(2, 8)
    found, expected = signal.windowed(asked, ends), signal.combine(asked.rows(ends))
    torch.testing.assert_close(found.lower, expected.lower, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found.upper, expected.upper, rtol=1e-12, atol=1e-12)
