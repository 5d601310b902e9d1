"""NIR graphs, in memory or as files, become networks by forward Euler steps of length dt.

    λ = 1 − dt/τ,   g = R·dt/τ  (IF: λ = 1, g = R·dt;  CubaLIF: times w_in·dt/τ_syn, and κ = 1 − dt/τ_syn).

NIR has no time step of its own, and no word for a soft reset: `reset`, or the metadata, say it (nir_neurons.py).
What else its exporter lost on the way into it (snnTorch's delay, sinabs's several spikes a step) can't be seen in
a graph: give outputs that were `recorded` in its source, or the module that it came from as `origin`, and the
conversion is compared with that, too. A network that was compared with neither is `unconfirmed`.

NIR files from anyone: their HDF5 is read by a process of its own, with limits.

What a graph's run would take, found without running it: a file of a few bytes may ask for any size.
"""

import math
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from ....files import FileKind, Unreadable, read_tree
from ...constants import positive, unless_none, whole
from ...networks import SpikingNetwork
from ...source import UNCONFIRMED
from ...validation import check_choice, one_line
from ..checking import check_recorded
from ..converting import Conversion, random_like
from ..refusal import ConversionRefused
from ..sources import Source, restart
from .nir_modules import executable
from .nir_neurons import EulerNeuron

NIR = FileKind("graph", "a NIR file", most=2**28)


def read_file(path: Path) -> dict[str, Any]:
    """Return the content of a NIR file as nested dictionaries of arrays and text.

    Raises:
        ConversionRefused: for a file that is no NIR graph, that is too large, or that takes too long.
        FileNotFoundError: where there is no such file.
    """
    try:
        return read_tree(NIR.content(path), "nir")
    except Unreadable as error:
        raise ConversionRefused(f"graph: {path} is no NIR graph: {error}") from error
    except ValueError as error:
        raise ConversionRefused(str(error)) from error


LEAST_VALUES = 2**18
"""Numbers that one sample's run may compute, of all nodes and steps, however small the file is."""
VALUES_A_BYTE = 16
"""How many more for each byte of the file: of dense layers each needs more bytes than that makes up for."""
VALUES_AN_INPUT = 4096
"""How many more for each number of a sample that the caller gives."""
MOST_CALLS = 2**12
"""Nodes times steps, where the file says how many steps."""


def check_calls(source: Source) -> None:
    """Raise ConversionRefused where a graph asks for so many steps that its run is none of a moment."""
    nodes = max(1, sum(1 for _ in source.module.modules()))
    if nodes * (source.num_steps or 1) > MOST_CALLS:
        told = f"{source.num_steps} steps of {nodes} modules"
        raise ConversionRefused(f"graph: asks for {told}, expected a product up to {MOST_CALLS}; give num_steps")


def check_values(source: Source, shape: tuple[int, ...], most: int) -> None:
    """Raise ConversionRefused where one sample's run computes too many numbers, or can't be run.

    Args:
        source: a graph.
        shape: of one sample.
        most: how many numbers, of all nodes and steps.
    """
    features = shape[1:] if source.timed else shape
    counts = [math.prod(features)]

    def count(node: nn.Module, given: object, gave: Tensor) -> None:
        counts.append(gave.numel())

    hooks = [node.register_forward_hook(count) for node in source.module.modules() if node is not source.module]
    try:
        _run_without_numbers(source, features)
    except (RuntimeError, ValueError, TypeError, IndexError, OverflowError) as error:
        raise ConversionRefused(f"module: can't run on inputs of shape {features}: {one_line(error)}") from error
    finally:
        for hook in hooks:
            hook.remove()
        restart(source.module)
    values = sum(counts) * (source.num_steps or 1)
    if values > most:
        told = f"computes {values} numbers for one sample"
        raise ConversionRefused(f"graph: {told}, expected at most {most}, or more inputs as a sample")


def _run_without_numbers(source: Source, features: tuple[int, ...]) -> None:
    kind = next((weight.dtype for weight in source.module.parameters()), torch.float32)
    held = {name: torch.empty_like(weight, device="meta") for name, weight in source.module.state_dict().items()}
    with torch.no_grad():
        functional_call(source.module, held, (torch.empty(1, *features, dtype=kind, device="meta"),))


DT = 1e-4
"""The time step of snnTorch's and SpikingJelly's exports; Norse's is 1e-3."""
MOST_STEPS = 2**16
"""The longest simulation that a graph may ask for."""


def from_nir(
    graph: Any,
    sample: Tensor | None = None,
    num_steps: int | None = None,
    dt: float | None = None,
    encoding: str | None = None,
    readout: str | None = None,
    seed: int = 0,
    origin: nn.Module | None = None,
    classes: int | None = None,
    reset: str | None = None,
    recorded: tuple[Tensor, Tensor] | None = None,
    silent: bool = False,
) -> SpikingNetwork:
    """Return the `SpikingNetwork` that spikes as a NIR graph does under forward Euler steps; refuse what can't.

    Args:
        graph: a `nir.NIRGraph`, or the path of a file of one.
        sample: inputs, (batch, ...), or (batch, T, ...) with encoding "none"; None: random ones in [0, 1].
        num_steps, dt: T and the time step; None: those that `to_nir` left in the graph, else T of a sample that
            has it, and dt = 1e-4.
        encoding: "direct" or "none"; None: "none" where the sample has one axis more than the graph's input.
        readout, seed, classes: as in `from_snntorch`.
        origin: the module that was exported, to be compared with as well; it is run for `num_steps`.
        reset: what a spike leaves of v: "zero", v_reset, or "subtract", v − θ; None: what the metadata say.
        recorded: inputs, as of `sample`, and the outputs that its source gave for them, (batch, classes) as the
            readout has them (sums for means, too), or (batch, T, classes), compared step by step. Without these
            and `origin` the network is `unconfirmed`: its verdicts, records and pages say so.
        silent: take a network in which a layer never fires on what it was compared on, as by a `dt` that is too
            short; it is `unconfirmed`, whatever is given.

    Warns:
        UserWarning: where neither `reset` nor the graph says how neurons reset, and no `origin` shows it: they
            reset to zero, as NIR defines them.

    Raises:
        ConversionRefused: with the reason, for what has no equal here or does not match spike for spike, gives
            other outputs than were recorded, or has a layer that never fires.
        ImportError: for a path, without nir.

    References: pedersen2024neuromorphic
    """
    timing = {"num_steps": num_steps, "dt": dt, "encoding": encoding, "reset": reset}
    return convert_nir(graph, sample, readout, seed, origin, classes, recorded, silent, **timing).network


def convert_nir(
    graph: Any,
    sample: Tensor | None,
    readout: str | None,
    seed: int,
    origin: nn.Module | None = None,
    classes: int | None = None,
    recorded: tuple[Tensor, Tensor] | None = None,
    silent: bool = False,
    **timing: Any,
) -> Conversion:
    """Return what `from_nir` does, with its comparison and its notes; `timing` is what `graph_source` takes."""
    if recorded is not None:
        _check_pair(recorded)
        sample = recorded[0][:64] if sample is None else sample  # all of them are run, below
    path = Path(graph) if isinstance(graph, str | Path) else None
    graph = graph if path is None else read_graph(path)
    source = graph_source(graph, sample=sample, **timing)
    if path is not None:
        told = timing.get("num_steps") is None and _told(graph, "num_steps") is not None
        _check_work(graph, source, path.stat().st_size, sample, told)
    if sample is None:
        sample = _drawn(graph, source, seed)
    from ...tracing.converting import converted_by_trace  # torch's own takes long to import

    found = converted_by_trace(source, sample, readout or _told(graph, "readout"), seed, classes)
    network = found.network
    if origin is not None:
        _compare_with_origin(found, origin, sample, source, seed)
    else:
        warn_of_reset(source)
    if recorded is not None:
        check_recorded(network, *recorded)
    if not silent:
        _check_fires(network, sample if recorded is None else recorded[0], source)
    network.unconfirmed = silent or (origin is None and recorded is None)
    told = (f"{UNCONFIRMED}: give outputs recorded in it",) if network.unconfirmed else ()
    return replace(found, notes=(*found.notes, *told))


def _check_pair(recorded: Any) -> None:
    """Raise TypeError or ValueError for what is no batch of inputs with its outputs."""
    pair = recorded if isinstance(recorded, tuple) else ()
    if len(pair) != 2 or not all(isinstance(each, Tensor) and each.dim() for each in pair):
        raise TypeError(f"recorded: got {type(recorded).__name__}, expected a pair of batches, inputs and outputs")
    if not pair[0].is_floating_point() or pair[1].is_complex() or not 0 < len(pair[0]) == len(pair[1]):
        kinds = " and ".join(f"{each.dtype} {tuple(each.shape)}" for each in pair)
        raise ValueError(f"recorded: got {kinds}, expected inputs of floats, and an output for each")


def warn_of_reset(source: Source) -> None:
    """Warn where nobody says how neurons of a graph reset."""
    assumed = [part.name for part in source.module.modules() if isinstance(part, EulerNeuron) and part.assumed]
    if assumed:
        told = f"graph: neither it nor reset says how neurons reset ({assumed[0]}), taken for 'zero' (to v_reset)"
        choices = "give reset='subtract' where its source subtracts the threshold, reset='zero' to settle it"
        warnings.warn(f"{told}; {choices}", stacklevel=4)


def _check_fires(network: SpikingNetwork, inputs: Tensor, source: Source) -> None:
    """Raise ConversionRefused where some layer that could fire never does: little is known of such a network."""
    with torch.no_grad():
        spikes = network.trace(inputs.to(network.dtype)).spikes
    fired = [bool(each.any()) for each in spikes[: len(spikes) - network.reads_potentials]]
    if not all(fired):
        steps = {f" of dt = {part.dt:g}" for part in source.module.modules() if isinstance(part, EulerNeuron)}
        told = f"graph: layer {fired.index(False)} of its neurons never fires on what it was compared on, in "
        choices = "give the dt that it was made for, inputs on which it does, or silent=True to take it as it is"
        raise ConversionRefused(f"{told}{network.num_steps} steps{''.join(steps)}; {choices}")


def graph_source(
    graph: Any,
    num_steps: int | None = None,
    dt: float | None = None,
    encoding: str | None = None,
    reset: str | None = None,
    sample: Tensor | None = None,
) -> Source:
    """Return the graph as something that can be run and observed; arguments as in `from_nir`."""
    if reset is not None:
        check_choice("reset", reset, ("zero", "subtract"))
    if not hasattr(graph, "nodes") or not hasattr(graph, "edges"):
        raise TypeError(f"graph: got {type(graph).__name__}, expected a nir.NIRGraph or the path of one")
    given = unless_none(whole)("num_steps", num_steps), unless_none(positive)("dt", dt)
    encoding = encoding or ("none" if _has_time(graph, sample) else "direct")
    steps = given[0] if num_steps is not None else _told(graph, "num_steps")
    if steps is None and encoding == "none" and isinstance(sample, Tensor) and sample.dim() > 2:
        steps = sample.shape[1]
    if steps is None:
        raise ValueError("num_steps: got None, and the graph names none, expected the number of time steps")
    step = given[1] if dt is not None else _told(graph, "dt")
    step = DT if step is None else _number("dt", step)
    count = _number("num_steps", steps)
    if not 0 < step < np.inf:
        raise ValueError(f"dt: got {step}, expected a positive number")
    if not (1 <= count <= MOST_STEPS and count.is_integer()):
        raise ValueError(f"num_steps: got {count:g}, expected at least 1, a whole number up to {MOST_STEPS}")
    module = executable(graph, step, reset)
    module.to(_dtype(module))
    return replace(Source.of(module, encoding, int(count)), own=True)


def _number(name: str, value: Any) -> float:
    """Return a number that a graph's metadata or a caller gives."""
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: got {str(value)[:40]!r}, expected a number") from error


def read_graph(path: Path) -> Any:
    """Read a NIR file.

    Raises:
        ConversionRefused: for a file that is no NIR graph, is too large, or takes too long to read.
        FileNotFoundError, ImportError: where the file or nir is missing.
    """
    nir, content = import_nir(), read_file(path)
    try:
        return nir.dict2NIRNode({**content, "type_check": False})
    except Exception as error:  # nir raises whatever a broken file makes it meet
        reason = one_line(error) or type(error).__name__
        raise ConversionRefused(f"graph: {path} is no NIR graph: {reason}") from error


def import_nir() -> Any:
    """Return the nir package, or say what to install."""
    try:
        import nir
    except ImportError as error:
        raise ImportError("NIR graphs need a package: pip install nir nirtorch") from error
    return nir


def _dtype(module: nn.Module) -> torch.dtype:
    return torch.float64 if torch.float64 in {each.dtype for each in module.parameters()} else torch.float32


def _told(graph: Any, key: str) -> Any:
    """Return what `to_nir` left in the graph's metadata, None for nothing."""
    value = (graph.metadata or {}).get(key)
    if isinstance(value, bytes):
        return value.decode()
    return value.item() if isinstance(value, np.ndarray | np.generic) else value


def _check_work(graph: Any, source: Source, size: int, sample: Tensor | None, told: bool) -> None:
    """Raise ConversionRefused where a file of `size` bytes asks for a run out of proportion; `told`: of its T."""
    if told:
        check_calls(source)
    shape = tuple(sample.shape[1:]) if isinstance(sample, Tensor) else _shape(graph, source)
    given = VALUES_AN_INPUT * math.prod(shape) * (source.num_steps or 1) if isinstance(sample, Tensor) else 0
    check_values(source, shape, LEAST_VALUES + VALUES_A_BYTE * size + given)


def _has_time(graph: Any, sample: Tensor | None) -> bool:
    """Return whether a sample is (batch, T, ...) of inputs of a known shape."""
    if not isinstance(sample, Tensor):
        return False
    shapes = [np.atleast_1d(shape).tolist() for shape in (graph.input_type or {}).values() if shape is not None]
    return len(shapes) == 1 and list(sample.shape[2:]) == shapes[0]


def _drawn(graph: Any, source: Source, seed: int) -> Tensor:
    return random_like(torch.zeros(8, *_shape(graph, source), dtype=_dtype(source.module)), 8, seed)


def _shape(graph: Any, source: Source) -> tuple[int, ...]:
    """Return the shape of one sample as the graph says it."""
    shapes = [shape for shape in (graph.input_type or {}).values() if shape is not None]
    if len(shapes) != 1:
        raise ValueError("sample: got None, and the graph does not say the shape of its input, expected inputs")
    features = tuple(int(size) for size in shapes[0])
    timed = (source.num_steps,) if source.timed else ()
    return (*timed, *features)  # type: ignore[return-value]


def _compare_with_origin(found: Conversion, origin: nn.Module, sample: Tensor, source: Source, seed: int) -> None:
    inputs = torch.cat([sample, random_like(sample, 32, seed, source.timed)])
    from ...tracing.converting import check_by_trace

    origin_source = Source.of(origin, found.network.encoding, source.num_steps)
    check = check_by_trace(origin_source, found.network, inputs, outputs=False)
    if not check.matches:
        raise ConversionRefused(
            "origin: the graph does not spike as the module that it came from (NIR has no soft or delayed reset, "
            f"and exports drop them in silence; reset='subtract' is one without delay): {check.reason}"
        )
