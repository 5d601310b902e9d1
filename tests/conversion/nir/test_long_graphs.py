"""NIR graphs of many steps, read over few: the networks are those that a reading of all steps gives."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from spikecert import ConversionRefused, SpikingNetwork, from_nir
from spikecert.models import check_conversion
from spikecert.models.tracing import converting
from spikecert.models.tracing.traces import FEW, traces_of
from support.foreign import nir

DT, STEPS = 1e-4, 30


def graph(middle: list[tuple[str, Any]], loops: list[tuple[str, str]] = [], reset: str = "zero") -> Any:  # noqa: B006
    """Return a graph of nodes one behind the other, and other edges."""
    nodes = {"input": nir.Input({"input": np.array([3])}), **dict(middle)}
    nodes["output"] = nir.Output({"output": np.array([4])})
    chain = pairwise(name for name in nodes if name != "rec")
    return nir.NIRGraph(nodes, [*chain, *loops], metadata={"reset": reset})


def affine(inputs: int, seed: int, scale: float = 1.0) -> Any:
    draws = np.random.default_rng(seed)
    return nir.Affine(draws.normal(0, scale, (4, inputs)), draws.normal(0, 0.1, 4))


def cuba() -> Any:
    one = np.ones(4)
    taus = {"tau_mem": one * DT / 0.1, "tau_syn": one * DT / 0.3}
    return nir.CubaLIF(**taus, r=one / 0.1, w_in=one / 0.3, v_leak=0 * one, v_reset=0 * one, v_threshold=one)


def lif() -> Any:
    one = np.ones(4)
    return nir.LIF(tau=one * DT / 0.2, r=one / 0.2, v_leak=0 * one, v_reset=0 * one, v_threshold=one)


GRAPHS = {
    "plain": graph([("a", affine(3, 0)), ("b", lif()), ("c", affine(4, 1)), ("d", lif())]),
    "subtracting": graph(
        [("a", affine(3, 2)), ("b", lif()), ("c", affine(4, 3)), ("d", cuba())], reset="subtract"
    ),
    "loop": graph(
        [("a", affine(3, 4)), ("b", cuba()), ("rec", affine(4, 5, 0.3)), ("c", affine(4, 6)), ("d", cuba())],
        [("b", "rec"), ("rec", "b")],
    ),
    "delay": graph(
        [("a", affine(3, 7)), ("w", nir.Delay(np.full(4, DT))), ("b", lif()), ("c", affine(4, 8)), ("d", lif())]
    ),
    "affine last": graph([("a", affine(3, 9)), ("b", lif()), ("c", affine(4, 10))]),
}


def sample(steps: int = STEPS) -> torch.Tensor:
    draws = torch.rand(6, steps, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return (draws > 0.6).double()


def told(network: SpikingNetwork) -> tuple[str, dict[str, Any]]:
    return str(network), {name: value.tolist() for name, value in network.state_dict().items()}


@pytest.mark.parametrize("kind", GRAPHS)
def test_few_steps_tell_all(kind: str, monkeypatch: pytest.MonkeyPatch):
    read, own = [], traces_of
    monkeypatch.setattr(
        converting, "traces_of", lambda source, given: read.append(source.num_steps) or own(source, given)
    )
    found = from_nir(GRAPHS[kind], sample(), STEPS, DT, "none")
    assert max(read) == FEW + 2 * (kind == "delay")
    assert check_conversion(GRAPHS[kind], found, sample(), STEPS, DT).matches
    monkeypatch.setattr(converting, "few_steps", lambda source: None)
    assert told(from_nir(GRAPHS[kind], sample(), STEPS, DT, "none")) == told(found)
    assert read[-1] == STEPS


def test_what_few_steps_do_not_tell_is_read_whole(monkeypatch: pytest.MonkeyPatch):
    """An integrator at the end, steps that are few anyway, and what is refused."""
    read, own = [], traces_of
    monkeypatch.setattr(
        converting, "traces_of", lambda source, given: read.append(source.num_steps) or own(source, given)
    )
    one = np.ones(4)
    last = nir.LI(tau=one * DT / 0.2, r=one / 0.2, v_leak=0 * one)
    from_nir(
        graph([("a", affine(3, 0)), ("b", lif()), ("c", affine(4, 1)), ("d", last)]), sample(), STEPS, DT, "none"
    )
    from_nir(GRAPHS["plain"], sample(8), 8, DT, "none")
    assert read == [STEPS, 8]
    wrong = lif()
    wrong.tau = wrong.tau * 0.1
    with pytest.raises(ConversionRefused):
        from_nir(graph([("a", affine(3, 0)), ("b", wrong)]), sample(), STEPS, DT, "none")
    assert STEPS in read[2:]


def test_what_a_network_does_over_all_steps_is_compared(monkeypatch: pytest.MonkeyPatch):
    """A neuron that rests from step 21 on would show at no few steps."""
    from spikecert.models.conversion.nir.nir_neurons import EulerNeuron

    forward, count = EulerNeuron.forward, [0]

    def late(self: EulerNeuron, x: torch.Tensor) -> torch.Tensor:
        count[0] += 1
        gave = forward(self, x)
        return gave * (len(x) < 60 or count[0] % (2 * STEPS) < 40)

    monkeypatch.setattr(EulerNeuron, "forward", late)
    with pytest.raises(ConversionRefused):
        from_nir(GRAPHS["plain"], sample(), STEPS, DT, "none")
