"""What was changed after a network was made is refused, or taken as it is now: no reader goes by what it was."""

import functools
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune

from spikecert import (
    DLIF,
    LIF,
    PLIF,
    LInf,
    RateDraws,
    RefractoryLIF,
    SpikingNetwork,
    VariedLIF,
    bounds,
    certified_radius,
    circuit,
    save,
    verify,
)
from spikecert.models import Dynamics, network_hash
from spikecert.models.elements.registry import ELEMENTS
from spikecert.models.linear_maps import averaging, convolution, normalizing
from spikecert.models.rules import Leaky
from spikecert.models.running import eager, membrane
from support.readers import check_one_line
from support.refractory import INPUTS, STEPS, THREAT, Delayed, labels_of, network


def _slip(name: str, value: object) -> Callable[[SpikingNetwork], object]:
    """Return what sets a network's attribute past what looks at it."""
    return lambda net: vars(net).__setitem__(name, value)


def _set(place: str, value: Any) -> Callable[[SpikingNetwork], None]:
    """Return what sets an attribute of a module that is named by its path, frozen or not."""
    path, _, name = place.rpartition(".")

    def change(net: SpikingNetwork) -> None:
        owner: Any = net
        for key in path.split(".") if path else []:
            owner = owner[int(key)] if key.isdigit() else getattr(owner, key)
        set_ = setattr if isinstance(owner, nn.Module) else object.__setattr__
        set_(owner, name, value)

    return change


def _call(change: Callable[[Any], object], index: int = 0) -> Callable[[SpikingNetwork], object]:
    """Return what calls `change` with a layer."""
    return lambda net: change(net.layers[index])


class Twice(nn.Module):
    """A parametrisation."""

    def forward(self, weight: Tensor) -> Tensor:
        return 2 * weight


class Odd(Tensor):
    """A tensor that might multiply in its own way."""


def convolving(**settings: Any) -> SpikingNetwork:
    """Return a network of images, with the layers that have most settings."""
    return network(
        nn.Conv2d(1, 2, 3, padding=1, padding_mode="circular"),
        nn.BatchNorm2d(2),
        LIF(0.9, 0.3),
        nn.Flatten(),
        nn.Linear(2 * 4, 6),
        DLIF(STEPS),
        **settings,
    )


def reading_potentials() -> SpikingNetwork:
    """Return a network whose last neuron's potential is read."""
    torch.manual_seed(0)
    layers = (nn.Linear(4, 6), LIF(), nn.Linear(6, 3), LIF(reset="none"))
    return SpikingNetwork(*layers, num_steps=STEPS, readout="potential")


def _like(dynamics: Dynamics) -> Any:
    names = ("decay", "threshold", "reset", "fires_at", "surrogate", "reset_amount", "drop", "span")
    return SimpleNamespace(**{name: getattr(dynamics, name) for name in names})


def _listed(net: SpikingNetwork) -> None:
    """Put a plain list in the place of the layers, which stay registered under another name."""
    layers = net.layers
    del net.layers
    net.kept = layers
    vars(net)["layers"] = list(layers)


def _nothing(*arguments: Any) -> None:
    return None


CHANGES: dict[str, tuple[Callable[[SpikingNetwork], object], str]] = {
    "hook": (_call(lambda layer: layer.register_forward_hook(_nothing)), r"layers\.0 has a hook"),
    "pre-hook": (_call(lambda layer: layer.register_forward_pre_hook(_nothing), 1), r"layers\.1 has a hook"),
    "network's hook": (lambda net: net.register_forward_hook(_nothing), r"a hook"),
    "forward of a layer": (_set("layers.0.forward", lambda x: x), r"Linear: forward"),
    "scale of a neuron": (_set("layers.1.scale", lambda steps: torch.full((steps,), 2.0)), r"LIF: scale"),
    "rule of a neuron": (_set("layers.1.rule", lambda steps: Leaky(0.5)), r"LIF: rule"),
    "encode of a network": (_set("encode", lambda x, generator=None: x[None]), r"SpikingNetwork: encode"),
    "mode of a network": (_set("train", lambda mode=True: None), r"SpikingNetwork: train"),
    "parametrisation": (
        _call(lambda layer: parametrize.register_parametrization(layer, "weight", Twice())),
        r"ParametrizedLinear \(layers\.0\)",
    ),
    "weight norm": (_call(parametrizations.weight_norm), r"ParametrizedLinear"),
    "spectral norm": (_call(parametrizations.spectral_norm), r"ParametrizedLinear"),
    "pruning": (_call(lambda layer: prune.l1_unstructured(layer, "weight", 0.5)), r"layers\.0 has a hook"),
    "compile of a layer": (_set("layers.1._compiled_call_impl", _nothing), r"LIF: compile"),
    "compile of a network": (_set("_compiled_call_impl", _nothing), r"SpikingNetwork: compile"),
    "dtype of a layer": (_call(lambda layer: layer.double(), 2), r"layers\.2 is torch\.float64"),
    "dtype of a bias": (
        _call(lambda layer: layer.register_parameter("bias", nn.Parameter(layer.bias.half()))),
        "16",
    ),
    "device": (_call(lambda layer: layer.to("meta"), 2), r"layers\.2 is torch\.float32 on meta"),
    "type of a tensor": (_set("layers.0.weight", nn.Parameter(torch.ones(6, 4).as_subclass(Odd))), "holds a Odd"),
    "layout": (_set("layers.0.weight", nn.Parameter(torch.ones(6, 4).to_sparse())), r"sparse_coo"),
    "class of a layer": (_set("layers.0.__class__", Delayed), r"type Delayed \(layers\.0\)"),
    "class of the layers": (
        lambda net: setattr(net, "layers", nn.Sequential(*net.layers)),
        r"layers is Sequential",
    ),
    "layers as a list": (_listed, r"layers is list"),
    "readout": (_slip("readout", "spikes"), r"^readout: got 'spikes'"),
    "readout of no neuron": (_slip("readout", "potential"), r"^readout: got 'potential'"),
    "unknown readout": (_slip("readout", "median"), r"^readout: got 'median'"),
    "readout's type": (_slip("readout", np.str_("mean")), r"^readout: got"),
    "unknown encoding": (_slip("encoding", "phase"), r"^encoding: got 'phase'"),
    "steps below 1": (_slip("num_steps", 0), r"^num_steps: got 0, expected at least 1"),
    "negative steps": (_slip("num_steps", -2), r"^num_steps: got -2"),
    "steps' type": (_slip("num_steps", 6.0), r"^num_steps: got float"),
    "a truth value of steps": (_slip("num_steps", True), r"^num_steps: got bool"),
    "no draws": (_set("draws", None), r"^draws: got NoneType"),
    "other draws": (_set("draws", type("Mine", (RateDraws,), {})(3)), r"^draws: got Mine"),
    "a look-alike": (_set("layers.1.dynamics", _like(Dynamics())), r"^dynamics: got SimpleNamespace"),
    "a threshold that wraps": (_set("layers.1.dynamics.threshold", np.uint8(1)), r"^threshold: got uint8"),
    "a threshold of NaN": (_set("layers.1.dynamics.threshold", float("nan")), r"^threshold: got nan"),
    "a decay above 1": (_set("layers.1.dynamics.decay", 1.5), r"^decay: got 1\.5"),
    "a tensor's decay": (_set("layers.1.dynamics.decay", torch.tensor(0.5)), r"^decay: got Tensor"),
    "another reset": (_set("layers.1.dynamics.reset", "soft"), r"^reset: got 'soft'"),
    "another comparison": (_set("layers.1.dynamics.fires_at", ">>"), r"^fires_at: got '>>'"),
}
"""By name: what changes a network after it was made, and what the refusal says."""


def check_refused(net: SpikingNetwork, told: str, features: tuple[int, ...] = (4,)) -> None:
    """Check that bounds, verdicts and gains of a network are refused in one line."""
    inputs, labels = torch.rand(2, *features), torch.tensor([0, 1])
    readers: tuple[Callable[[], object], ...] = (
        lambda: circuit(net),
        lambda: verify(net, inputs, labels, THREAT),
        lambda: bounds(net, inputs, THREAT),
        lambda: certified_radius(net, inputs, labels),
    )
    for read in readers:
        with pytest.raises((TypeError, ValueError), match=told) as caught:
            read()
        check_one_line(caught)


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_changed_afterwards_is_refused(change: str) -> None:
    apply, told = CHANGES[change]
    net = network()
    apply(net)
    check_refused(net, told)


IMAGES: dict[str, tuple[Callable[[SpikingNetwork], object], str]] = {
    "padding": (_set("layers.0.padding", (0, 0)), r"whose padding was changed"),
    "no statistics": (
        lambda net: net.layers.__setitem__(1, nn.BatchNorm2d(2, track_running_stats=False).eval()),
        r"track_running_stats=True",
    ),
    "scale's length": (_set("layers.5.input_scale", nn.Parameter(torch.ones(4))), r"^num_steps: got 6"),
    "scale's shape": (_set("layers.5.input_scale", nn.Parameter(torch.ones(6, 1))), r"^input_scale: got list"),
    "scale of NaN": (
        _set("layers.5.input_scale", nn.Parameter(torch.full((6,), torch.nan))),
        r"^input_scale: got",
    ),
    "scale's dtype": (
        _set("layers.5.input_scale", nn.Parameter(torch.ones(6).double())),
        r"layers\.5 is torch\.f",
    ),
    "steps": (_slip("num_steps", 5), r"^num_steps: got 5, expected this DLIF's 6"),
}


@pytest.mark.parametrize("change", IMAGES)
def test_settings_of_layers_are_looked_at_again(change: str) -> None:
    apply, told = IMAGES[change]
    net = convolving()
    apply(net)
    check_refused(net, told, (1, 2, 2))


@pytest.mark.parametrize("name", ["run", "forward", "scale"])
def test_the_neuron_whose_potential_is_read_is_looked_at_too(name: str) -> None:
    net = reading_potentials()
    setattr(net.layers[3], name, _nothing)
    check_refused(net, rf"layers\.3 has .*\(LIF: {name}\)")


@pytest.fixture
def hooked() -> Iterator[None]:
    """Hook all modules for one test."""
    handle = nn.modules.module.register_module_forward_hook(_nothing)
    yield
    handle.remove()


@pytest.mark.usefixtures("hooked")
def test_a_hook_on_all_modules_is_refused() -> None:
    check_refused(network(), "a forward hook on all modules")


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (LIF, "scale"),
        (LIF, "rule"),
        (nn.Linear, "forward"),
        (nn.Module, "_call_impl"),
        (nn.Module, "eval"),
        (SpikingNetwork, "encode"),
        (Dynamics, "drop"),
        (RateDraws, "thresholds"),
        (membrane.Membrane, "forward"),
        (membrane, "run_eager"),
        (averaging.AdaptiveAverage, "forward"),
        (normalizing.Normalize, "train"),
        (averaging.WindowsMap, "absolute"),
        (convolution, "paddings"),
        (eager, "_integrate"),
    ],
    ids=lambda part: getattr(part, "__name__", part),
)
@pytest.mark.parametrize(
    "callable_", [lambda *arguments: None, functools.partial(_nothing)], ids=["def", "partial"]
)
def test_code_that_is_replaced_is_refused(
    owner: Any, name: str, callable_: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    net = network()
    monkeypatch.setattr(owner, name, callable_)
    with pytest.raises(TypeError, match=rf"{name} was replaced") as caught:
        circuit(net)
    check_one_line(caught)


def reads(self: nn.Module, name: str) -> Any:
    """Hand out what is there, or anything."""
    return object.__getattribute__(self, name)


ADDED: list[tuple[Any, str]] = [
    (nn.Linear, "__call__"),
    (nn.Linear, "__getattribute__"),
    (nn.Linear, "weight"),
    (LIF, "__call__"),
    (LIF, "__getattr__"),
    (SpikingNetwork, "__getattribute__"),
    (eager, "len"),
    (eager, "slice"),
    (membrane, "getattr"),
]


@pytest.mark.parametrize("place", ADDED, ids=lambda place: f"{place[0].__name__}.{place[1]}")
def test_code_that_is_added_is_refused(place: tuple[Any, str], monkeypatch: pytest.MonkeyPatch) -> None:
    net = network()
    circuit(net)
    added = property(_nothing) if place[1] == "weight" else reads
    monkeypatch.setattr(*place, added, raising=False)
    with pytest.raises(TypeError, match=rf"{place[1]} was replaced") as caught:
        circuit(net)
    check_one_line(caught)
    monkeypatch.undo()
    circuit(net)


def test_what_was_looked_at_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A note on a class, or in a file, is of no account; a method that is replaced behind it is."""
    net = network()
    for place, name in ((RefractoryLIF, "forward"), (eager, "run_eager"), (nn.Linear, "forward")):
        with monkeypatch.context() as patch:
            for value in (1, 2):
                patch.setattr(place, "note", value, raising=False)
                circuit(net)
            patch.setattr(place, name, lambda *given: 0)
            with pytest.raises(TypeError, match=rf"{name} was replaced"):
                circuit(net)
        circuit(net)


def test_an_element_that_is_replaced_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    net, pool = network(), ELEMENTS[nn.MaxPool2d]
    monkeypatch.setitem(ELEMENTS, nn.MaxPool2d, replace(pool, run=lambda layer, signal: signal))
    with pytest.raises(TypeError, match="registry of elements was replaced"):
        circuit(net)


@pytest.mark.parametrize(
    "neuron", [PLIF(), DLIF(STEPS), VariedLIF([0.5] * 6)], ids=lambda neuron: type(neuron).__name__
)
def test_constants_that_may_compute_in_their_own_way_are_refused(neuron: LIF) -> None:
    held: dict[str, Any] = neuron._parameters or neuron._buffers  # pyright: ignore[reportAssignmentType]
    name = next(iter(held))
    plain = held[name]
    assert plain is not None
    held[name] = plain.detach().as_subclass(Odd)
    check_refused(network(nn.Linear(4, 6), neuron), "holds a Odd")


PATCHED_BEFORE = """
from torch import nn
forward = nn.Linear.forward
nn.Linear.forward = lambda self, x: -forward(self, x)
import spikecert
try:
    spikecert.circuit(spikecert.mlp((4, 3, 2)))
except TypeError as error:
    print(error)
"""


def test_a_method_of_torch_that_was_replaced_before_the_import_is_refused() -> None:
    ran = subprocess.run([sys.executable, "-c", PATCHED_BEFORE], capture_output=True, text=True, check=True)
    assert ran.stdout == "network: Linear.forward was replaced, expected the method as it was written\n"


def test_what_is_no_spiking_network_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^network: got Linear, expected a SpikingNetwork"):
        circuit(nn.Linear(4, 3))  # type: ignore[arg-type]


def test_a_lazy_layer_is_plain_once_it_has_run() -> None:
    net = network(nn.LazyLinear(6), LIF(0.9, 0.3))
    with pytest.raises(ValueError, match=r"layers\.0 has a hook or another forward \(LazyLinear"):
        circuit(net)
    net(INPUTS)
    assert [verdict.status for verdict in verify(net, INPUTS, labels_of(net), LInf(0.0))] == ["verified"] * 3


def test_a_file_may_be_written_while_a_hook_watches(tmp_path: Path) -> None:
    net = network()
    before = network_hash(net)
    net.layers[0].register_forward_hook(_nothing)
    assert save(net, tmp_path / "watched.safetensors") == before
