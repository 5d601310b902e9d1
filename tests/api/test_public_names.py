"""What `import spikecert` gives, and what it costs.

What a type checker of a user's program knows of this package.
"""

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

import spikecert
from spikecert import (
    LInf,
    attack,
    bounds,
    certified_radius,
    dataset,
    equivalent,
    fit,
    gain,
    mlp,
    mppd,
    output,
    output_range,
    verify,
)

HEAVY = ("torch", "cvxpy", "sympy", "matplotlib", "sklearn", "scipy")


@pytest.mark.parametrize("name", spikecert.__all__)
def test_each_public_name_is_there(name):
    found = getattr(spikecert, name)
    assert not isinstance(found, ModuleType), "a folder of that name hides the function"
    assert name in dir(spikecert)


def test_a_hundred_names_are_enough():
    assert len(spikecert.__all__) <= 100


def test_a_star_imports_all_of_them():
    found: dict[str, object] = {}
    exec("from spikecert import *", found)
    assert found.keys() - {"__builtins__"} == set(spikecert.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        spikecert.nonsense  # noqa: B018


def test_type_checkers_see_the_same_names():
    tree = ast.parse(Path(spikecert.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    seen = {alias.name: str(node.module) for node in imports for alias in node.names}
    assert set(seen) == set(spikecert.__all__) - {"__version__"}
    for name, module in seen.items():
        assert getattr(spikecert, name) is getattr(import_module(module), name)


def test_import_and_help_need_no_heavy_package():
    code = f"import sys, spikecert, spikecert.cli; print([n for n in {HEAVY!r} if n in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_the_library_does_not_load_what_only_some_calls_need():
    names = [name for name in HEAVY if name != "torch"]
    code = (
        "import sys; from spikecert import verify, attack, bounds, certified_radius, convert, fit, gain, load;"
        f"print([n for n in {names!r} if n in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.slow
def test_types_of_what_is_public_are_known(tmp_path: Path) -> None:
    tools = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    paths = {"PATH": tools, "PYTHONPATH": str(Path(spikecert.__file__).parents[1])}
    told = subprocess.run(
        [sys.executable, "-m", "pyright", "--verifytypes", "spikecert", "--ignoreexternal", "--outputjson"],
        cwd=tmp_path,
        env={**os.environ, **paths},
        capture_output=True,
        text=True,
    )
    found = json.loads(told.stdout)["typeCompleteness"]
    assert found["exportedSymbolCounts"]["withKnownType"] > 9000
    unknown = [symbol["name"] for symbol in found["symbols"] if not symbol["isTypeKnown"]]
    assert found["completenessScore"] >= 0.98, unknown


FUNCTIONS: dict[str, Callable[[Any, Any, Any], object]] = {
    "verify": lambda net, x, y: verify(net, x, y, LInf(0.1)),
    "bounds": lambda net, x, _: bounds(net, x, LInf(0.1)),
    "attack": lambda net, x, y: attack(net, x, y, LInf(0.1)),
    "certified_radius": certified_radius,
    "verify in batches": lambda net, x, y: verify(net, x, y, LInf(0.1), engine="local"),
    "output_range": lambda net, x, _: output_range(net, x, LInf(0.1), output[0]),
    "equivalent": lambda net, x, _: equivalent(net, net, x, LInf(0.1)),
    "gain": lambda net, x, y: gain(net),
    "mppd": lambda net, x, y: mppd(net, torch.as_tensor(x), torch.as_tensor(x)),
    "fit": lambda net, x, y: fit(net, dataset("digits"), epochs=1),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_another_module_is_told_how_it_is_read(name: str):
    told = "got Sequential, expected a SpikingNetwork: from_torch(module, sample, num_steps) reads other modules"
    with pytest.raises(TypeError, match=re.escape(told)):
        FUNCTIONS[name](nn.Sequential(nn.Linear(2, 2)), torch.rand(3, 2), torch.zeros(3, dtype=torch.long))
    with pytest.raises(TypeError, match=r"got str, expected a SpikingNetwork$"):
        FUNCTIONS[name]("network.safetensors", torch.rand(3, 2), torch.zeros(3, dtype=torch.long))


@pytest.mark.parametrize("name", [*FUNCTIONS][:7])
def test_arrays_are_taken_as_tensors_are(name: str):
    torch.manual_seed(0)
    network, x = mlp((2, 4, 2), num_steps=3).eval(), torch.rand(3, 2)
    labels = network(x).argmax(1)
    found = (FUNCTIONS[name](network, *given) for given in ((x, labels), (x.numpy(), labels.numpy())))
    assert len({re.sub(r"seconds=[0-9.e-]+", "", str(each)) for each in found}) == 1
