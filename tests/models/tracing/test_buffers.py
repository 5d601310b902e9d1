"""Memory without values, and vectors in a frame of zeros: what is read as it was written comes in, else not."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from spikecert import ConversionRefused, convert
from support.traced_modules import Net, leaky

STEPS = 4


def sequences(net: Net, x: Tensor) -> Tensor:
    return net.fc1(x).expand(STEPS, len(x), 6)


def filled(
    made: Callable[[Tensor], Tensor], write: Callable[[Tensor, int, Tensor], Any], read: Callable[[Tensor], Tensor]
) -> Callable[[Net, Tensor], Tensor]:
    def run(net: Net, x: Tensor) -> Tensor:
        currents = sequences(net, x)
        out, v = made(currents), torch.zeros_like(currents[0])
        for t in range(STEPS):
            spike, v = leaky(v, currents[t])
            write(out, t, spike)
        return read(net.fc2(out) if out.dim() == 3 and out.is_floating_point() else out.float())

    return run


def at_step(out: Tensor, t: int, spike: Tensor) -> None:
    out[t] = spike


def by_copy(out: Tensor, t: int, spike: Tensor) -> None:
    out[t].copy_(spike)


def mean(x: Tensor) -> Tensor:
    return x.mean(0)


MADE: dict[str, Callable[[Tensor], Tensor]] = {
    "empty_like": torch.empty_like,
    "new_empty": lambda x: x.new_empty(x.shape),
    "empty": lambda x: torch.empty(x.shape),
    "zeros_like": torch.zeros_like,
}
WRITE = {"an item": at_step, "a copy": by_copy}


def but_one(step: int) -> Callable[[Tensor, int, Tensor], None]:
    return lambda out, t, spike: None if t == step else at_step(out, t, spike)


def all_at_the_first(out: Tensor, t: int, spike: Tensor) -> None:
    out[0] = spike


def a_step_late(out: Tensor, t: int, spike: Tensor) -> None:
    if t:
        out[t] = out[t - 1] * 1.0
    else:
        out[t] = spike


def before_it_is_there(out: Tensor, t: int, spike: Tensor) -> None:
    out[t] = spike + 0.0 * out[STEPS - 1 - t]


def half_of_it(out: Tensor, t: int, spike: Tensor) -> None:
    out[t, :, :3] = spike[:, :3]


def one_sample(out: Tensor, t: int, spike: Tensor) -> None:
    out[t, 0] = spike[0]


def added(out: Tensor, t: int, spike: Tensor) -> None:
    out[t] += spike


WRONG: dict[str, Callable[[Net, Tensor], Tensor]] = {
    **{f"{name} but step {step}": filled(MADE[name], but_one(step), mean) for name in MADE for step in (0, 2, 3)},
    **{f"{name}, all at the first": filled(MADE[name], all_at_the_first, mean) for name in MADE},
    "the first of all": filled(torch.empty_like, a_step_late, mean),
    "what is not there yet": filled(torch.empty_like, before_it_is_there, mean),
    "half": filled(torch.empty_like, half_of_it, mean),
    "half of zeros": filled(torch.zeros_like, half_of_it, mean),
    "one sample": filled(torch.empty_like, one_sample, mean),
    "added to what is not there": filled(torch.empty_like, added, mean),
    "whole numbers": filled(lambda x: torch.empty_like(x, dtype=torch.int64), at_step, lambda x: x.mean(0)),
    "spikes as bits": filled(lambda x: torch.empty_like(x, dtype=torch.bool), but_one(2), lambda x: x.mean(0)),
}
RIGHT = {
    f"{name}, {how}": filled(made, write, mean) for name, made in MADE.items() for how, write in WRITE.items()
}


@pytest.mark.parametrize("name", RIGHT)
def test_memory_that_is_written_to_comes_in(name: str):
    module, inputs = Net(RIGHT[name]), torch.rand(300, 5) * 3.0
    network = convert(module, torch.rand(6, 5)).network
    assert torch.allclose(network(inputs), module(inputs), atol=1e-5)


@pytest.mark.parametrize("name", WRONG)
def test_memory_that_is_not_written_to_as_it_is_read_is_refused_or_equal(name: str):
    """Zeros of which a step is left out weigh it by 0: a network of weighted steps, but for one factor."""
    module = Net(WRONG[name])
    if not name.startswith("zeros"):
        with pytest.raises(ConversionRefused):
            convert(module, torch.rand(6, 5))
        return
    inputs = (torch.rand(300, 5) - 0.3) * 30.0
    network = convert(module, torch.rand(6, 5)).network
    ours, theirs = (found - found.mean() for found in (network(inputs), module(inputs)))
    factor = (ours * theirs).sum() / ours.square().sum()
    assert factor > 0.0
    assert torch.allclose(ours * factor, theirs, atol=1e-4)


def padded(pad: Callable[[Tensor], Tensor], cut: Callable[[Tensor], Tensor]) -> Callable[[Net, Tensor], Tensor]:
    def run(net: Net, x: Tensor) -> Tensor:
        v, total = torch.zeros(len(x), 6), torch.zeros(len(x), 3)
        for _ in range(STEPS):
            spike, v = leaky(v, cut(pad(net.fc1(x))))
            total = total + net.fc2(spike)
        return total / STEPS

    return run


FRAMES = {
    "behind": padded(lambda x: F.pad(x[:, :4], (0, 2)), lambda x: x),
    "in front": padded(lambda x: F.pad(x[:, :4], (2, 0)), lambda x: x),
    "around": padded(lambda x: F.pad(x, (3, 2)), lambda x: x[:, 2:8]),
    "nothing": padded(lambda x: F.pad(x, (0, 0)), lambda x: x),
}
OTHERS = {
    "ones": padded(lambda x: F.pad(x[:, :4], (0, 2), value=1.0), lambda x: x),
    "fewer": padded(lambda x: F.pad(x, (-1, 1)), lambda x: x),
    "its ends": padded(lambda x: F.pad(x[:, None, :4], (1, 1), mode="replicate")[:, 0], lambda x: x),
    "samples": padded(lambda x: F.pad(x, (0, 0, 1, 0))[1:], lambda x: x),
    "a ring": padded(lambda x: F.pad(x[:, None, :4], (1, 1), mode="circular")[:, 0], lambda x: x),
}


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_of_zeros_comes_in(name: str):
    module, inputs = Net(FRAMES[name]), torch.rand(300, 5) * 3.0
    network = convert(module, torch.rand(6, 5)).network
    assert torch.allclose(network(inputs), module(inputs), atol=1e-5)


@pytest.mark.parametrize("name", OTHERS)
def test_other_frames_are_refused_or_the_same(name: str):
    module, inputs = Net(OTHERS[name]), (torch.rand(300, 5) - 0.3) * 30.0
    if name != "fewer":
        with pytest.raises(ConversionRefused):
            convert(module, torch.rand(6, 5))
        return
    network = convert(module, torch.rand(6, 5)).network
    assert torch.allclose(network(inputs), module(inputs), atol=1e-4)
