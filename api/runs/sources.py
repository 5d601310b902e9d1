"""Networks named on the command line: files, and Python objects whose code the user wants run.

Commands that run beside each other, each in a process of its own that ends with this one.
"""

import importlib
import importlib.util
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import typer

from spikecert.files.plugged import Plugged, failure, reader_of
from spikecert.processes import command, environment

from ..telling import say

HOW = {
    ".nir": "a NIR graph, expected the file that `spikecert convert {0} --out {1}.safetensors` makes of it",
    ".net": 'a network of lava-dl, expected the file of spikecert.save(from_lava("{0}"), "{1}.safetensors")',
    ".json": 'expected a network, of Xylo that of spikecert.save(from_xylo("{0}"), "{1}.safetensors")',
    **dict.fromkeys(
        (".pt", ".pth", ".pkl"),
        "a pickle, which runs code when it is opened, expected what `spikecert convert file.py:function --out"
        " FILE` makes of the module with these weights",
    ),
}
"""What to do with files that are no networks of spikecert's, by suffix."""
ZOO = "zoo:"
"""What stands before the name of a network that comes with the package."""

if TYPE_CHECKING:
    from spikecert.asking.boxes import Feature
    from spikecert.asking.question import Samples
    from spikecert.models import SpikingNetwork
    from spikecert.training import Dataset


def loaded(source: str) -> tuple[Any, Any]:
    """Return what `source` names, and the sample inputs that come with it, or None.

    A path without a colon is a NIR file. "package.module:name" is imported, with the current folder on the path;
    "file.py:name" is run. A function is called; it may return a pair of module and sample.

    Raises:
        ValueError: for a text of no such form, or code that fails.
        FileNotFoundError: where there is no such file.
    """
    place, colon, name = source.rpartition(":")
    if source.endswith(".py"):
        raise ValueError(f"source: got {source}, expected {source}:name, the name of a module or function in it")
    if not colon or not name.isidentifier():
        return Path(source), None
    found = _called(_attribute(_module(place), source, name), source)
    return found if isinstance(found, tuple) and len(found) == 2 else (found, None)


def is_code(model: Path) -> bool:
    """Return whether a model is named as Python code: file.py:name or package.module:name."""
    return ":" in str(model) and _in_zoo(model) is None and not model.exists()


def function_of(source: str) -> Any:
    """Return the function that "package.module:name" or "file.py:name" names.

    Raises:
        ValueError: for a text of no such form, or what is no function.
    """
    place, colon, name = source.rpartition(":")
    if not colon or not name.isidentifier():
        raise ValueError(f"reset: got {source}, expected package.module:function or file.py:function")
    found = _attribute(_module(place), source, name)
    if not callable(found):
        raise ValueError(f"reset: got {source}, which is {type(found).__name__}, expected a function")
    return found


def network_of(model: Path) -> "SpikingNetwork":
    """Return the network in a file that `train` wrote, or, for zoo:NAME, one that comes with the package.

    An ONNX file stands for the network beside it, if it was written of that: see `formats.read_onnx`.
    """
    from spikecert.certified_networks import load_zoo
    from spikecert.models import load
    from spikecert.models.source import UNCONFIRMED

    kept = _in_zoo(model)
    if kept is None and model.name.endswith((".onnx", ".onnx.gz")):
        from spikecert.formats import read_onnx

        return read_onnx(model)
    if kept is None and model.suffix != ".safetensors":
        if (added := reader_of(model.suffix)) is not None:
            return _read_by(added, model)
        if model.suffix in HOW:
            raise ValueError(f"model: got {model}, {HOW[model.suffix].format(model.name, model.stem)}")
    network = load(model) if kept is None else load_zoo(kept)
    if network.unconfirmed:
        say(f"{shlex.quote(str(model))}: {UNCONFIRMED}")
    return network


def _read_by(added: Plugged, model: Path) -> "SpikingNetwork":
    """Return what another package reads of a file: nothing of its source was run here, and it says so.

    Raises:
        TypeError: for what is no network.
    """
    from spikecert.models import SpikingNetwork

    found = guarded(f"{added.name} on {model}", lambda: added.value(model))
    if not isinstance(found, SpikingNetwork):
        raise TypeError(f"path: {added.name} made {type(found).__name__} of {model}, expected a SpikingNetwork")
    found.unconfirmed = True
    say(f"{shlex.quote(str(model))}: read by {added.does}")
    return found.eval()


def kept_file(text: str) -> bool:
    """Return whether a text names a network that is there: a file of spikecert's, or zoo:NAME."""
    return text.startswith(ZOO) or Path(text).suffix in (".safetensors", ".onnx")


def label_of(model: Path) -> str:
    """Return what reports call the network: its file's name without the suffix, or its name in the zoo."""
    return _in_zoo(model) or model.stem


def _in_zoo(model: Path) -> str | None:
    text = str(model)
    return text.removeprefix(ZOO) if text.startswith(ZOO) else None


def data_of(
    asked: "Samples",
    num_steps: int | None = None,
    limits: tuple[float, float] | None = (0.0, 1.0),
    features: "Sequence[Feature] | None" = None,
) -> "Dataset":
    """Return the data set that is asked for: one with a name, a file's, or a Python object's named as in `loaded`.

    A function may return a `Dataset`, or what `own_dataset` takes for its train part.

    Raises:
        ValueError: also where a table's columns are other features, or of other units, than `features` tell.
    """
    from spikecert.training import Dataset, own_dataset

    name = asked.data
    if ":" not in name:
        if name.endswith(".py"):
            raise ValueError(f"data: got {name}, expected {name}:function, which returns a data set")
        names = [feature.name for feature in features or ()]
        return _checked(kept_data(asked, num_steps, limits, names), features)
    for option in ("label", "duration", "task", "class_names"):
        if getattr(asked, option) is not None:
            raise ValueError(f"{option}: got it for {name}, expected none: it is of tables and recordings")
    place, _, attribute = name.rpartition(":")
    found = _called(_attribute(_module(place), name, attribute), name)
    if not isinstance(found, Dataset):
        return own_dataset(name, found, limits=limits or (0.0, 1.0))
    if limits is not None and found.limits != limits:
        raise ValueError(f"range: got {limits}, and {name} says {found.limits}, expected the same")
    return found


def kept_data(
    asked: "Samples", num_steps: int | None, limits: tuple[float, float] | None, features: Sequence[str] = ()
) -> "Dataset":
    """Return the data set of a name or a file: no code is run."""
    from spikecert.training import dataset

    duration = None if asked.duration is None else float(asked.duration)
    chosen: dict[str, Any] = {"limits": limits, "duration": duration, "label": asked.label, "task": asked.task}
    chosen |= {"classes": asked.class_names, "features": features}
    chosen |= {} if num_steps is None else {"num_steps": num_steps}
    return dataset(asked.data, asked.root, **chosen)


def _checked(found: "Dataset", features: "Sequence[Feature] | None") -> "Dataset":
    told = [f"{one.name} [{one.unit}]" for one in features or ()]
    held = [f"{name} [{unit}]" for name, unit in found.features]
    if told and held and told != held:
        got, expected = next(
            (pair for pair in zip(told, held, strict=False) if pair[0] != pair[1]),
            (f"{len(told)} of them", f"{len(held)}"),
        )
        raise ValueError(f"features: got {got}, expected {expected}, as the table has")
    return found


def _module(place: str) -> ModuleType:
    path = Path(place)
    folder = path.parent.resolve() if path.suffix == ".py" else Path.cwd()
    if path.suffix == ".py" and not path.is_file():
        raise FileNotFoundError(f"source: got {place}, no such file, expected a Python file")
    with _importing_from(folder):
        return guarded(place, lambda: _run_file(path) if path.suffix == ".py" else importlib.import_module(place))


def _run_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def _importing_from(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _attribute(module: ModuleType, source: str, name: str) -> Any:
    if not hasattr(module, name):
        raise ValueError(f"source: got {source}, but there is no {name} in it")
    return getattr(module, name)


def _called(found: Any, source: str) -> Any:
    """Return a function's result, and anything else, a torch module, as it is."""
    if callable(found) and not hasattr(found, "named_modules"):
        return guarded(source, found)
    if isinstance(found, type):
        return guarded(source, found)
    return found


def guarded(source: str, run: Any) -> Any:
    """Return what a stranger's code returns; raise ValueError, in one line, for whatever it raises."""
    try:
        return run()
    except (Exception, SystemExit) as error:
        raise ValueError(f"source: {source} failed: {failure(error)}") from error


PATIENCE = 0.2
"""Seconds between two looks at how far they are."""


def again(context: typer.Context, **changes: Any) -> list[str]:
    """Return the arguments of the command that runs, with other values for some of its options.

    Args:
        context: of that command.
        changes: values by the name of the parameter; None leaves an option out.
    """
    values = context.params | changes
    told = [context.info_name or ""]
    for parameter in context.command.params:
        value = values.get(parameter.name or "")
        if parameter.param_type_name == "argument":
            told += [] if value is None else [str(value)]
        elif value is True:
            told.append(parameter.opts[0])
        elif value is not None and value is not False:
            told += [parameter.opts[0], str(value)]
    return told


def beside(commands: Sequence[Sequence[str]], workers: int, threads: int, look: Callable[[], None]) -> None:
    """Run commands of `spikecert`, at most `workers` at a time; what they write in their folders is what counts.

    What one of them says is not heard, and one that fails is not told: who calls goes through the folders
    afterwards, finishes what is not finished there, and raises what is to be raised.

    Args:
        commands: arguments, such as those of `again`.
        workers: processes at a time.
        threads: of torch in each.
        look: called again and again meanwhile, to show how far they are.
    """
    waiting, running = list(commands), list[subprocess.Popen[bytes]]()
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                running.append(_started(waiting.pop(0), threads))
            time.sleep(PATIENCE)
            running = [process for process in running if process.poll() is None]
            look()
    finally:
        for process in running:
            process.kill()
            process.wait()


def _started(arguments: Sequence[str], threads: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command("spikecert.cli", *arguments),
        env=environment() | {"OMP_NUM_THREADS": str(threads)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
