"""Each library's neurons, one variant at a time: how each is expressed, and what is refused."""

from typing import Any

import norse.torch as norse
import pytest
import torch
from spikingjelly.activation_based import layer as sj
from spikingjelly.activation_based import neuron as sj_neurons
from torch import nn

from spikecert import (
    DLIF,
    LIF,
    ConversionRefused,
    LInf,
    from_norse,
    from_snntorch,
    from_spikingjelly,
    gain,
    load,
    save,
    verify,
)
from spikecert.models import check_conversion
from spikecert.models.tracing.building import with_bias
from support.foreign import snntorch


def constants(network: Any) -> tuple[Any, ...]:
    d = network.neurons[0].dynamics
    return d.decay, d.threshold, d.reset, d.drop if d.reset == "subtract" else None, d.fires_at


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (0.5, 1.0, "subtract", 2.0, ">")),
        ({"threshold": 0.25}, (0.5, 0.25, "subtract", 0.5, ">")),
        ({"reset_mechanism": "zero"}, (0.5, 1.0, "zero", None, ">")),
        ({"reset_mechanism": "zero", "reset_delay": False}, (0.5, 1.0, "zero", None, ">")),
        ({"reset_mechanism": "none"}, (0.5, 1.0, "none", None, ">")),
    ],
)
def test_snntorch_leaky(strong, sample, options, expected):
    module: Any = nn.Sequential(
        strong(16, 12), snntorch.Leaky(beta=0.5, init_hidden=True, **options), strong(12, 3)
    )
    network = from_snntorch(module, sample, num_steps=8)
    assert constants(network) == expected
    assert network.readout == "mean"


def test_a_delayed_reset_takes_what_is_left_after_the_decay():
    """v = 1.2, then 0.5·1.2 + 1.2 − 1 = 0.8: one spike in two steps, and mem as snnTorch has it."""
    module: Any = nn.Sequential(nn.Linear(1, 1, bias=False), snntorch.Leaky(beta=0.5, init_hidden=True))
    module[0].weight.data.fill_(1.2)
    network = from_snntorch(module, torch.ones(1, 1), num_steps=2)
    trace = network.trace(torch.ones(1, 1))
    torch.testing.assert_close(trace.potentials[0].flatten(), torch.tensor([1.2, 0.8]))
    assert trace.spikes[0].flatten().tolist() == [1.0, 0.0]


def test_snntorch_potential_readout(strong, sample):
    class Regression(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.hidden = strong(16, 12), snntorch.Leaky(beta=0.9)
            self.last, self.out = strong(12, 3), snntorch.Leaky(beta=0.8, reset_mechanism="none")

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            hidden, out = self.hidden.reset_mem(), self.out.reset_mem()
            for _ in range(6):
                spikes, hidden = self.hidden(self.first(x), hidden)
                _, out = self.out(self.last(spikes), out)
            return out

    module = Regression()
    network = from_snntorch(module, sample)
    assert (network.readout, network.num_steps) == ("potential", 6)
    torch.testing.assert_close(network(sample), module(sample))


@pytest.mark.parametrize("mode", ["s", "m"])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (0.5, 2.0, "zero", None, ">=")),
        ({"decay_input": False}, (0.5, 1.0, "zero", None, ">=")),
        ({"v_reset": None}, (0.5, 2.0, "subtract", 2.0, ">=")),
        ({"decay_input": False, "v_reset": None, "tau": 4.0}, (0.75, 1.0, "subtract", 1.0, ">=")),
        ({"v_reset": -0.5}, (0.5, 3.0, "zero", None, ">=")),
    ],
)
def test_spikingjelly_lif(strong, sample, mode, options, expected):
    node = sj_neurons.LIFNode(step_mode=mode, **options)
    module: Any = nn.Sequential(strong(16, 12), node, strong(12, 3))
    assert constants(from_spikingjelly(module, sample, num_steps=8)) == expected


@pytest.mark.parametrize("kind", ["IFNode", "ParametricLIFNode"])
def test_spikingjelly_sequences_of_images(kind):
    torch.manual_seed(0)
    modules = [sj.Conv2d(1, 4, 3), sj.BatchNorm2d(4), getattr(sj_neurons, kind)(), sj.AvgPool2d(2), sj.Flatten()]
    module: Any = nn.Sequential(*modules, sj.Linear(36, 3))
    module[0].weight.data.mul_(4.0)
    for part in module:
        part.step_mode = "m"
    module.train()
    network = from_spikingjelly(module, torch.rand(5, 7, 1, 8, 8).round(), num_steps=7, encoding="none")
    assert module.training
    assert module[1].training
    assert [type(layer).__name__ for layer in network.layers] == [
        *("Conv2d", "BatchNorm2d", "LIF", "AvgPool2d", "Flatten", "Linear")
    ]


def test_norse_box_with_a_resting_leak(strong, sample):
    number = torch.as_tensor
    cell = norse.LIFBoxCell(norse.LIFBoxParameters(v_leak=number(0.25), v_reset=number(0.25)))
    network = from_norse(norse.SequentialState(strong(16, 12), cell, strong(12, 3)), sample * 5, num_steps=9)
    assert constants(network) == pytest.approx((0.9, 7.5, "zero", None, ">"))


def test_norse_second_order_cells_become_input_scales(strong, sample):
    cells = norse.LIFCell(), norse.LICell()
    module = norse.SequentialState(strong(16, 12), cells[0], strong(12, 3), cells[1])
    network = from_norse(module, sample * 5, num_steps=6)
    first, last = network.neurons
    assert isinstance(first, DLIF)
    assert isinstance(last, DLIF)
    assert first.input_scale.tolist() == pytest.approx([1.0, 1.8, 2.44, 2.952, 3.3616, 3.68928])
    assert network.readout == "potential"
    assert check_conversion(module, network, sample * 4, num_steps=6).matches


def then(module: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(16, 4), snntorch.Leaky(beta=0.9, init_hidden=True), module)


def leaky() -> nn.Module:
    return snntorch.Leaky(beta=0.9, init_hidden=True)


def test_a_relu_of_spikes_changes_nothing(sample):
    assert from_snntorch(then(nn.ReLU()), sample, num_steps=3).readout == "spikes"


REFUSED = {
    "ReLU": (nn.Sequential(nn.Linear(16, 4), nn.ReLU(), leaky()), "^module: relu: a ReLU of what is no spike"),
    "gates": (
        nn.Sequential(snntorch.SLSTM(16, 4, init_hidden=True)),
        r"slstm\.py:\d+: chunk or split: gates that are graded signals \(LSTM, GRU\)",
    ),
    "no neuron": (nn.Sequential(nn.Linear(16, 4)), "^module: nothing in it fires; expected a comparison"),
    "not running": (
        then(nn.Linear(3, 2)),
        r"^module: can't run on inputs of shape \(\d+, 16\): mat1 and mat2 shapes",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_says_why_in_one_line(name, sample):
    module, reason = REFUSED[name]
    with pytest.raises(ConversionRefused, match=reason) as caught:
        from_snntorch(module, sample, num_steps=3)
    assert "\n" not in str(caught.value)


def test_a_module_on_another_device_is_refused(sample):
    with pytest.raises(ConversionRefused, match="module: is on meta, expected on cpu"):
        from_snntorch(then(nn.Linear(4, 2)).to("meta"), sample, num_steps=3)


def pooled(neuron: nn.Module, pool: nn.Module, spikes: bool, layers: Any = nn) -> Any:
    """Return a network that pools spikes, or currents."""
    torch.manual_seed(0)
    conv = layers.Conv2d(1, 2, 3)
    conv.weight.data.mul_(20.0)
    order = (neuron, pool) if spikes else (pool, neuron)
    return nn.Sequential(conv, *order, layers.Flatten(), layers.Linear(8, 3))


@pytest.mark.parametrize("spikes", [True, False], ids=["spikes", "currents"])
@pytest.mark.parametrize("library", ["snntorch", "spikingjelly", "multi-step", "norse"])
def test_max_pools_come_in(library: str, spikes: bool):
    sample = torch.rand(16, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    if library == "snntorch":
        module = pooled(snntorch.Leaky(beta=0.9, init_hidden=True), nn.MaxPool2d(2), spikes)
        network = from_snntorch(module, sample, num_steps=4)
    elif library == "norse":
        module = pooled(norse.LIFBoxCell(), nn.MaxPool2d(3, 2, padding=1), spikes)
        network = from_norse(norse.SequentialState(*module), sample, num_steps=9)
    else:
        module = pooled(sj_neurons.LIFNode(), sj.MaxPool2d(2), spikes, sj)
        for part in module:
            part.step_mode = "m" if library == "multi-step" else "s"
        network = from_spikingjelly(module, sample, num_steps=4)
    kinds = [type(layer) for layer in network.layers]
    assert kinds == [nn.Conv2d, *((LIF, nn.MaxPool2d) if spikes else (nn.MaxPool2d, LIF)), nn.Flatten, nn.Linear]
    with torch.no_grad():
        assert bool(network.trace(sample).spikes[0].any())


def test_a_leak_goes_through_a_max_pool_into_the_bias():
    """Norse's neurons that leak to another potential: max(x + b) is max(x) + b."""
    number = torch.as_tensor
    cell = norse.LIFBoxCell(norse.LIFBoxParameters(v_leak=number(0.25), v_reset=number(0.25)))
    module = pooled(cell, nn.MaxPool2d(2), spikes=False)
    sample = torch.rand(16, 1, 6, 6, generator=torch.Generator().manual_seed(0)) * 5
    network = from_norse(norse.SequentialState(*module), sample, num_steps=6)
    assert [type(layer) for layer in network.layers][:3] == [nn.Conv2d, nn.MaxPool2d, LIF]


@pytest.mark.parametrize("reads", [False, True])
def test_indices_of_a_max_pool_are_of_no_use(reads: bool):
    class Indexed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.pool = nn.Conv2d(1, 2, 3), nn.MaxPool2d(2, return_indices=True)
            self.leaky, self.dense = snntorch.Leaky(beta=0.9, init_hidden=True), nn.Linear(8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            largest, places = self.pool(self.conv(x))
            return self.dense(self.leaky(largest + places if reads else largest).flatten(1))

    sample = torch.rand(4, 1, 6, 6)
    if not reads:
        assert any(isinstance(layer, nn.MaxPool2d) for layer in from_snntorch(Indexed(), sample, 3).layers)
        return
    with pytest.raises(ConversionRefused, match=r"test_libraries\.py:\d+: .*places of maxima are no signal"):
        from_snntorch(Indexed(), sample, num_steps=3)


@pytest.mark.parametrize("make", [torch.int64, None, "time", "steps", "encoding"])
def test_bad_arguments_name_themselves(make, strong, sample):
    module: Any = nn.Sequential(strong(16, 4), snntorch.Leaky(beta=0.9, init_hidden=True))
    calls = {
        torch.int64: (lambda: from_snntorch(module, sample.long(), 3), TypeError, "sample: got torch.int64"),
        None: (lambda: from_snntorch(None, sample, 3), TypeError, "module: got NoneType"),  # type: ignore[arg-type]
        "time": (lambda: from_snntorch(module, sample, 3, "none"), ValueError, "sample: got shape"),
        "steps": (lambda: from_snntorch(module, sample, 0), ValueError, "num_steps: got 0"),
        "encoding": (lambda: from_snntorch(module, sample, 3, "rate"), ValueError, "encoding: got 'rate'"),
    }
    call, kind, message = calls[make]
    with pytest.raises(kind, match=message):
        call()


def test_the_source_is_left_as_it_was(strong, sample):
    module: Any = nn.Sequential(strong(16, 4), nn.Dropout(0.5), snntorch.Leaky(beta=0.9, init_hidden=True)).train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    network = from_snntorch(module, sample, num_steps=3)
    assert module.training
    assert module[1].training
    assert not module[2]._forward_hooks
    network.layers[0].weight.data.zero_()  # type: ignore[union-attr, operator]
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_a_changed_network_is_told_from_its_source(strong, sample):
    module: Any = nn.Sequential(strong(16, 12), snntorch.Leaky(beta=0.9, init_hidden=True), strong(12, 3))
    network = from_snntorch(module, sample, num_steps=8)
    assert check_conversion(module, network, sample, num_steps=8).matches
    network.layers[2].bias.data[0] += 1e-2  # type: ignore[union-attr, operator]
    assert check_conversion(module, network, sample, num_steps=8).reason.startswith("output: the module returns")
    network.layers[0].weight.data *= 1.01  # type: ignore[union-attr, operator]
    found = check_conversion(module, network, sample, num_steps=8)
    assert not found.matches
    assert found.mismatches[0] > 0
    assert "which no rounding explains" in found.reason
    deeper = nn.Sequential(*module, snntorch.Leaky(beta=0.9, init_hidden=True))
    assert "layers and steps" in check_conversion(deeper, network, sample, num_steps=8).reason


def test_ties_are_decided_as_the_source_decides_them():
    """Weights and inputs on a grid of 1/4, β = 1/2: many potentials lie exactly on θ, above which Leaky fires."""
    generator = torch.Generator().manual_seed(0)
    module: Any = nn.Sequential(nn.Linear(6, 20), snntorch.Leaky(beta=0.5, init_hidden=True))
    for parameter in module.parameters():
        parameter.data = (torch.randn(parameter.shape, generator=generator) * 4).round() / 4
    sample = (torch.rand(64, 6, generator=generator) * 4).round() / 4
    network = from_snntorch(module, sample, num_steps=6)
    assert bool((network.trace(sample).potentials[0] == 1.0).any())
    network.neurons[0].dynamics = type(network.neurons[0].dynamics)(0.5, 1.0, "subtract", ">=", reset_amount=2.0)
    assert "within rounding" in check_conversion(module, network, sample, num_steps=6).reason


def test_a_converted_network_goes_all_the_way(strong, sample, tmp_path):
    module: Any = nn.Sequential(strong(16, 12), snntorch.Leaky(beta=0.9, init_hidden=True), strong(12, 3))
    network = from_snntorch(module, sample, num_steps=4)
    save(network, tmp_path / "network.safetensors")
    loaded = load(tmp_path / "network.safetensors")
    assert check_conversion(module, loaded, sample, num_steps=4).matches
    assert gain(loaded).layers[0].gain > 0
    labels = loaded(sample).argmax(1)
    assert {verdict.status for verdict in verify(loaded, sample, labels, LInf(1e-4), "complete")} == {"verified"}


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("kind", [nn.Conv1d, nn.Conv2d])
def test_a_constant_current_goes_into_a_convolution(kind: type[nn.Conv1d | nn.Conv2d], biased: bool) -> None:
    layer, inputs = kind(2, 3, 2, bias=biased), torch.rand(4, 2, *[5] * (1 if kind is nn.Conv1d else 2))
    before = layer(inputs)
    assert with_bias(layer, 0.25)
    torch.testing.assert_close(layer(inputs), before + 0.25)


def multistep(*modules: Any) -> nn.Sequential:
    torch.manual_seed(0)
    module: Any = nn.Sequential(*modules)
    parts: list[Any] = list(module.modules())
    for part in parts:
        if hasattr(part, "step_mode"):
            part.step_mode = "m"
        if isinstance(part, nn.Conv2d | nn.Linear):
            part.weight.data.mul_(4.0)
        elif "BatchNorm" in type(part).__name__:
            part.running_mean.uniform_(-0.5, 0.5)
            part.running_var.uniform_(0.5, 2.0)
    return module


def test_spikingjelly_votes_and_threshold_norms_and_pools_of_a_fixed_size():
    norm = sj.ThresholdDependentBatchNorm2d(1.0, 1.0, 4)
    spikes = [sj_neurons.IFNode() for _ in range(2)]
    pool = sj.AdaptiveAvgPool2d((3, None))
    last = sj.Flatten(), sj.Linear(4 * 18, 13), spikes[1], sj.VotingLayer(4)
    module = multistep(sj.Conv2d(1, 4, 3), norm, spikes[0], pool, *last)
    network = from_spikingjelly(module, torch.rand(5, 1, 8, 8), num_steps=6)
    assert [type(layer).__name__ for layer in network.layers] == [
        *("Conv2d", "BatchNorm2d", "LIF", "AvgPool2d", "Flatten", "Linear", "LIF", "Linear")
    ]
    found = check_conversion(module, network, torch.rand(30, 1, 8, 8), num_steps=6)
    assert found.matches
    assert min(found.rates) > 0


def test_a_pool_of_windows_of_several_sizes_comes_in():
    module = multistep(
        sj.Conv2d(1, 4, 3), sj_neurons.IFNode(), sj.AdaptiveAvgPool2d(4), sj.Flatten(), sj.Linear(64, 3)
    )
    network = from_spikingjelly(module, torch.rand(4, 1, 8, 8), num_steps=3)
    assert type(network.layers[2]).__name__ == "AdaptiveAverage"
