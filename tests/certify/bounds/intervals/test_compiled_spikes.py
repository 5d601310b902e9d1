"""The compiled bounds: bitwise what torch's operations compute, for every reset, and only where they agree."""

import ctypes
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from spikecert.certify import LInf
from spikecert.certify.bounds.intervals.compiled_spikes import SpikesKernel, kernel_for, spikes_kernel
from spikecert.certify.bounds.intervals.interval import StepSpikes, interval_spikes
from spikecert.certify.bounds.propagation import logit_bounds, margin_bounds
from spikecert.certify.bounds.signals.box import Box, Spread
from spikecert.certify.bounds.signals.membrane import Pull
from spikecert.certify.bounds.signals.signals import InputSignal
from spikecert.certify.bounds.trains.step_trains import StepTable, StepTrains
from spikecert.certify.bounds.trains.train_table import table_like
from spikecert.certify.bounds.trains.trains import step_spikes
from spikecert.certify.rounding import Rounding
from spikecert.kernels import CompiledSpikes, loading
from spikecert.models import LIF, mlp
from spikecert.models.circuit import circuit, leaky_rule
from spikecert.models.kernels import use_kernel
from spikecert.models.rules import Leaky
from spikecert.testing import Case, cases, neurons
from support.examples import examples

DTYPES = (torch.float32, torch.float64)


@pytest.fixture(scope="module", autouse=True)
def as_before() -> Iterator[None]:
    """Give torch its threads back."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_machine_of_these_tests_has_a_compiler(dtype: torch.dtype):
    assert isinstance(spikes_kernel(dtype), SpikesKernel), spikes_kernel(dtype)


def equal(found: Box, expected: Box) -> bool:
    return torch.equal(found.lower, expected.lower) and torch.equal(found.upper, expected.upper)


@st.composite
def currents(draw: st.DrawFn, constant: bool | None = None) -> tuple[Spread, int]:
    """Boxes of currents of any shape, half of them such that potentials meet a threshold exactly, some points."""
    steps, width = draw(st.integers(1, 7)), draw(st.sampled_from((1, 3, 31, 128, 389)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    same = draw(st.booleans()) if constant is None else constant
    middle, radius = torch.randn(2, 1 if same else steps, 3, width, generator=generator).double()
    if draw(st.booleans()):
        middle, radius = (middle * 4).round() / 8, (radius * 4).round() / 8
    dtype = draw(st.sampled_from(DTYPES))
    return Spread(middle.to(dtype), radius.abs().to(dtype)), steps


@examples(60)
@given(data=st.data(), known=currents())
def test_steps_and_sums_are_bitwise_those_of_torch(data: st.DataObject, known: tuple[Spread, int]):
    spread, steps = known
    dynamics = data.draw(neurons(steps, scaled=False)).dynamics
    tie = data.draw(st.sampled_from((0.0, 1e-6)))
    pull = Pull(spread, steps, dynamics.threshold + tie, dynamics.threshold - tie)
    row = torch.randn(steps, generator=torch.Generator().manual_seed(steps)).to(spread.middle)
    for kind in (StepSpikes, StepTrains):
        eager, compiled = (kind(pull, Leaky.of(dynamics, kernel=kernel)) for kernel in ("eager", "compiled"))
        assert kernel_for("compiled", pull) is not None
        asked = (row[None], torch.stack((row, -row)), row.new_full((1, steps), 0.25))
        torch.set_num_threads(2)  # the kernel's work in two parts
        found = [compiled.spread().box, *map(compiled.combine, asked)]
        torch.set_num_threads(1)
        assert all(map(equal, found, [eager.spread().box, *map(eager.combine, asked)]))


@examples(60)
@given(data=st.data(), known=currents(constant=True))
def test_steps_of_a_table_are_bitwise_those_of_torch(data: st.DataObject, known: tuple[Spread, int]):
    spread, steps = known
    neuron, rounding = data.draw(neurons(steps)), Rounding(torch.float32, spread.middle.dtype)
    signal = InputSignal(spread.box, steps)
    found = []
    for kernel in ("eager", "compiled"):
        neuron.kernel = kernel
        found.append(step_spikes(signal, leaky_rule(neuron, steps), rounding))
    eager, compiled = found
    assert isinstance(eager, StepTable)
    assert equal(compiled.spread().box, eager.spread().box)
    assert equal(eager.spread().box, eager._trains.steps())


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_current_at_the_very_end_of_a_row_has_the_same_steps(dtype: torch.dtype):
    neuron, rounding = LIF(0.9), Rounding(torch.float32, dtype)
    table = table_like(leaky_rule(neuron, 6), 6, rounding, dtype, torch.device("cpu"))
    assert table is not None
    ends = torch.cat((table.lower[1:], table.upper[:-1]))[None, None]
    pull = Pull(Spread(ends, torch.zeros_like(ends)), 6)
    eager, compiled = (
        StepTable(pull, replace(leaky_rule(neuron, 6), kernel=kernel), table) for kernel in ("eager", "compiled")
    )
    assert equal(compiled.spread().box, eager.spread().box)
    assert len(eager._trains.last.unique()) > 3


@examples(30)
@given(case=cases())
def test_a_network_has_the_same_margins_by_either_kernel(case: Case):
    box = LInf(case.epsilon).enclosure(case.inputs)
    for spikes in (interval_spikes, step_spikes):
        found = []
        for kernel in ("eager", "compiled"):
            assert use_kernel(case.network, kernel).name == kernel
            margins = [
                margin_bounds(circuit(case.network), box, case.labels, spikes, quick) for quick in (True, False)
            ]
            found.append([*margins, logit_bounds(circuit(case.network), box, spikes).lower])
        assert all(torch.equal(*pair) for pair in zip(*found, strict=True))


def test_the_compiled_kernel_serves_a_whole_network(monkeypatch: pytest.MonkeyPatch):
    called: list[str] = []
    assert not [kernel for kernel in map(spikes_kernel, loading.REALS) if isinstance(kernel, str)]  # probed by now
    for name in ("interval_steps", "interval_counts", "graph_steps", "graph_paths", "table_steps"):
        right = getattr(SpikesKernel, name)
        monkeypatch.setattr(
            SpikesKernel, name, lambda *a, name=name, right=right: called.append(name) or right(*a)
        )
    torch.manual_seed(0)
    network, inputs = mlp((9, 20, 20, 20, 3), num_steps=5, neuron=LIF(0.9)).eval(), torch.rand(4, 9)
    use_kernel(network, "compiled")
    labels, box = network(inputs).argmax(1), LInf(0.05).enclosure(inputs)
    for spikes in (interval_spikes, step_spikes):
        with torch.no_grad():
            margin_bounds(circuit(network), box, labels, spikes, quick=True)
    first, second = called[:3], called[3:]
    assert first == ["interval_steps", "interval_steps", "interval_counts"]
    assert second == ["table_steps", "graph_steps", "graph_paths"]


def test_other_currents_are_left_to_torch():
    def pull(middle: Tensor, radius: Tensor) -> Pull:
        return Pull(Spread(middle, radius), len(middle), 1.0, 1.0)

    whole = torch.rand(2, 3, 4)
    assert kernel_for("compiled", pull(whole, whole)) is not None
    assert kernel_for("eager", pull(whole, whole)) is None
    assert kernel_for("compiled", pull(whole.mT, whole.mT)) is None
    assert kernel_for("compiled", pull(whole, whole[:1])) is None
    assert kernel_for("compiled", pull(whole[:, :0], whole[:, :0])) is None
    assert kernel_for("compiled", pull(whole.half(), whole.half())) is None


@pytest.fixture
def fresh() -> Iterator[None]:
    """Let kernels be looked for anew, and forget afterwards what was found."""
    spikes_kernel.cache_clear()
    yield
    spikes_kernel.cache_clear()


@pytest.mark.usefixtures("fresh")
def test_without_a_compiler_torch_bounds_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CC", "nowhere-cc")
    middle = torch.randn(3, 2, 40, generator=torch.Generator().manual_seed(0))
    pull = Pull(Spread(middle, middle.abs()), 3, 1.0, 1.0)
    assert "no C compiler found" in str(spikes_kernel(torch.float32))
    compiled, eager = (StepSpikes(pull, Leaky(0.9, kernel=kernel)).spread() for kernel in ("compiled", "eager"))
    assert equal(compiled.box, eager.box)


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("function", ["interval_spikes", "graph_spikes"])
def test_a_kernel_that_computes_otherwise_is_not_used(monkeypatch: pytest.MonkeyPatch, function: str):
    right = loading.compiled_source

    def wrong(compiler: str, source: str, dtype: torch.dtype, fused: int, parallel: bool) -> ctypes.CDLL:
        """Return functions one of which sees a lower threshold."""
        functions = right(compiler, source, dtype, fused, parallel)
        assert isinstance(functions, ctypes.CDLL)
        called = getattr(CompiledSpikes.of(functions).functions, function)

        def shifted(layer, *others):
            layer._obj.surely *= 0.875
            return called(layer, *others)

        monkeypatch.setattr(functions, function, shifted)
        return functions

    monkeypatch.setattr(loading, "compiled_source", wrong)
    assert spikes_kernel(torch.float32) == "the compiled kernel rounds otherwise than torch does here"
