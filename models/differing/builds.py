"""What `differ` may be given: networks, files, NIR graphs and modules, each as something that runs."""

import copy
import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..conversion.converting import Conversion
from ..conversion.refusal import ConversionRefused
from ..conversion.sources import Source
from ..networks import SpikingNetwork
from ..validation import check_finite, check_inputs, one_line
from .recorded import Recorded, firing_names, record_module, record_network

SAMPLE = 64
"""Inputs on which a module is converted."""
NIR_SUFFIXES = (".nir", ".h5", ".hdf5")


@dataclass(frozen=True, eq=False)
class Build:
    """One of the two.

    Attributes:
        name: "a" or "b".
        network: whose settings may be exchanged; None for a module that only runs as it is.
        source: the module; None for a network.
        layers: the names of what fires.
        num_steps: T.
        notes: how it was read.
    """

    name: str
    network: SpikingNetwork | None
    source: Source | None
    layers: tuple[str, ...]
    num_steps: int
    notes: tuple[str, ...] = ()

    def record(self, inputs: Tensor) -> Recorded:
        """Return what a run on some inputs showed."""
        if self.network is not None:
            return record_network(self.network, inputs)
        assert self.source is not None
        module = self.source.module
        return record_module(self.source, inputs.to(_dtype(module, inputs)), self.num_steps)[0]

    @property
    def words(self) -> str:
        """Return what it is."""
        if self.network is None:
            return "a module that runs as it is"
        return "a network" if self.source is None else "a module, by its conversion"


def opened(
    a: Any, b: Any, inputs: Tensor, num_steps: int | None, dt: float | None, reset: str | None
) -> tuple[Build, Build]:
    """Return both builds; what one does not say of itself is taken from the other.

    Raises:
        TypeError, ValueError: for what is no build, inputs that one can't take, and builds of other T, encoding,
            readout or classes, in one line.
    """
    _check(inputs)
    given = {"a": _loaded(a), "b": _loaded(b)}
    known = {name: each for name, each in given.items() if isinstance(each, SpikingNetwork)}
    like = next(iter(known.values()), None)
    made = {name: _of_network(name, each) for name, each in known.items()}
    for name, each in given.items():
        if name not in made:
            made[name] = _of_source(name, each, inputs, like, num_steps, dt, reset)
            like = like or made[name].network
    _check_alike(made["a"], made["b"], inputs)
    return made["a"], made["b"]


def _check(inputs: Any) -> None:
    if not isinstance(inputs, Tensor) or not inputs.is_floating_point():
        raise TypeError(
            f"inputs: got {getattr(inputs, 'dtype', type(inputs).__name__)}, expected a tensor of floats"
        )
    if inputs.dim() < 2 or len(inputs) == 0:
        raise ValueError(f"inputs: got shape {tuple(inputs.shape)}, expected (batch, ...) with a batch above 0")
    check_finite("inputs", inputs)


def _loaded(given: Any) -> Any:
    """Return a network, a graph or a module of what was given, files read."""
    if isinstance(given, Conversion):
        return given.network
    if isinstance(given, str | Path):
        path = Path(given)
        if path.suffix in NIR_SUFFIXES:
            return path
        from ..files.storage import load

        return load(path)
    return given


def _of_network(name: str, network: SpikingNetwork) -> Build:
    if network.training:
        network = copy.deepcopy(network).eval()
    return Build(name, network, None, firing_names(network), network.num_steps)


def _of_source(
    name: str,
    given: Any,
    inputs: Tensor,
    like: SpikingNetwork | None,
    num_steps: int | None,
    dt: float | None,
    reset: str | None,
) -> Build:
    encoding = None if like is None else ("none" if like.encoding == "none" else "direct")
    readout = None if like is None else like.readout
    steps = num_steps if num_steps is not None or like is None else like.num_steps
    if isinstance(given, Path) or hasattr(given, "nodes"):
        return _of_graph(name, given, inputs, steps, dt, reset, encoding, readout)
    if not isinstance(given, nn.Module) and not inspect.isroutine(given):
        raise TypeError(
            f"{name}: got {type(given).__name__}, expected a SpikingNetwork, a file, a NIR graph or a torch module"
        )
    source = Source.of(given, encoding or "direct", num_steps)
    return _of_module(name, source, inputs, readout, steps)


def _of_graph(
    name: str,
    graph: Any,
    inputs: Tensor,
    steps: int | None,
    dt: float | None,
    reset: str | None,
    encoding: str | None,
    readout: str | None,
) -> Build:
    from ..conversion.nir.nir_reading import convert_nir

    timing = {"num_steps": steps, "dt": dt, "encoding": encoding, "reset": reset}
    found = convert_nir(graph, inputs[:SAMPLE], readout, 0, silent=True, **timing)
    network = found.network
    return Build(name, network, None, firing_names(network), network.num_steps, found.notes)


def _of_module(name: str, source: Source, inputs: Tensor, readout: str | None, steps: int | None) -> Build:
    """Return a module by its conversion where that has the same trains on all inputs, else as it is."""
    from ..tracing.converting import check_by_trace, converted_by_trace

    try:
        found = converted_by_trace(source, inputs[:SAMPLE], readout)
        check = check_by_trace(source, found.network, inputs)
        if check.matches:
            network, told = found.network, f"converted: it spikes as its conversion on all {len(inputs)} inputs"
            return Build(name, network, source, firing_names(network), network.num_steps, (told, *found.notes))
        why = check.reason
    except (ConversionRefused, ValueError) as error:
        why = one_line(error)
    if steps is None:
        raise ValueError(f"num_steps: got None for {name}, which has no conversion ({why}), expected its T")
    inputs = inputs[:2].to(_dtype(source.module, inputs))
    try:
        runs = [_drawn_by(seed, source, inputs, steps) for seed in (1, 2)]
    except Exception as error:  # a stranger's code raises whatever it does
        raise ValueError(f"{name}: does not run on inputs {tuple(inputs.shape)}: {one_line(error)}") from error
    if not all(torch.equal(x, y) for x, y in zip(runs[0][0].outputs, runs[1][0].outputs, strict=True)):
        raise ValueError(f"{name}: gives two answers on the same inputs, expected a module that draws nothing")
    return Build(name, None, source, runs[0][1], steps, (f"runs as it is, without a conversion: {why}",))


def _drawn_by(seed: int, source: Source, inputs: Tensor, steps: int) -> tuple[Recorded, tuple[str, ...]]:
    """Return a run under a seed: what draws nothing gives the same under any."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return record_module(source, inputs, steps)


def _dtype(module: nn.Module, inputs: Tensor) -> torch.dtype:
    return next((each.dtype for each in module.parameters()), inputs.dtype)


def _check_alike(a: Build, b: Build, inputs: Tensor) -> None:
    """Raise ValueError, in one line that names both, where two builds do not answer one question."""
    if a.num_steps != b.num_steps:
        raise ValueError(f"num_steps: a runs {a.num_steps} steps and b {b.num_steps}, expected one T")
    classes = {}
    for build, other in ((a, b), (b, a)):
        if build.network is None:
            continue
        try:
            one = inputs[:1].to(build.network.dtype)
            check_inputs(build.network, one)
            with torch.no_grad():
                classes[build.name] = build.network(one.to(build.network.device)).shape[1]
        except (ValueError, IndexError) as error:
            raise ValueError(
                f"inputs: {build.name} can't take what {other.name} is given too: {one_line(error)}"
            ) from error
    if len(classes) < 2:
        return
    if classes["a"] != classes["b"]:
        raise ValueError(f"classes: a gives {classes['a']} outputs and b {classes['b']}, expected as many")
    assert a.network is not None
    assert b.network is not None
    for setting in ("encoding", "readout"):
        pair = getattr(a.network, setting), getattr(b.network, setting)
        if pair[0] != pair[1]:
            raise ValueError(f"{setting}: a has {pair[0]!r} and b {pair[1]!r}, expected the same")
    if a.network.encoding == "rate" and a.network.draws != b.network.draws:
        raise ValueError(f"draws: a has {a.network.draws.name} and b {b.network.draws.name}, expected the same")
