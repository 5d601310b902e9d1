"""Run files and protocols: TOML whose tokens are changed, or whose tables are."""

import json
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spikecert.asking import Threat
from spikecert.asking.trained_on import read_trained_on
from spikecert.certify.loops import ClosedLoop, controller
from spikecert.files.texts import read_toml
from spikecert.protocols import planning as objectives
from spikecert.protocols import protocol
from spikecert.protocols.configuration import parse
from spikecert.runs import building
from spikecert.runs.configuration import load_configuration
from spikecert.runs.plants import load_plant
from spikecert.runs.running import plan_of

from .mutators import mutate_json, mutate_text

RUN = b"""title = "a run"
seed = 3
device = "cpu"
threads = 2

[data]
name = "digits"
samples = 4

[train]
network = "mlp:8-8"
neuron = "dlif"
objective = "ms-mppd+gain-penalty"
rho = "1/2"
epochs = 1

[threat]
norm = "linf"
epsilon = ["8/255", 0.5]

[attack]
methods = ["pgd", "fgsm"]

[certify]
verifiers = ["trains"]
timeout = 2.5
require = 0.5

[radius]
verifier = "trains"
tolerance = "1/100"
"""
ODD = (
    *('"1e30000000"', '"1e30000000/3"', '"9/0"', '"nan"', "1e999", "nan", "-inf", "9" * 500, "0x" + "f" * 500),
    *("1979-05-27", "a.b.c.d", ".".join("a" * 70), "[" * 300, "{a=" * 70, '"""', "'''", '"\\u0000"', '"\x1b[2J"'),
    *('"mlp:999999999999"', '"vgg11:1e999"', '"meta"', '"cuda:9"', '"' + "x" * 5000 + '"', "true", "[[a]]", "-0"),
)
CONTROLLER = controller([[1.0]], hidden=2)
WORDS = tuple(word.encode() for word in ODD)


def runs() -> list[bytes]:
    """Return a run file that trains and one that loads."""
    return [RUN, b'[model]\npath = "network.safetensors"\n[certify]\n']


def read_run(data: bytes) -> None:
    """Read a run file, and make all that comes before the data of it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.toml"
        path.write_bytes(data)
        found, _ = load_configuration(path)
    plan_of(found)
    if (step := found.train) is not None:
        building.template(step)
        building.objective(step)
        building.settings(step, found.seed)


def protocols() -> list[bytes]:
    """Return protocols of this project."""
    names = ("certified-digits", "vgg11-cifar10-at")
    return [toml(protocol(name).model_dump(exclude={"name"}, exclude_none=True)) for name in names]


def read_protocol(data: bytes) -> None:
    """Read a protocol and make the objectives of its first rows: an array stands for several."""
    found = parse("mine", read_toml(data.decode()))
    for variant in found.variants:
        terms = [
            {key: value[0] if _several(value) else value for key, value in term.items()} for term in variant.terms
        ]
        objectives.objective(terms)


PLANT = b"""A = [[1.0, 0.125], [0.0, 1.0]]
B = [[0.0078125], ["1/8"]]
C = [[-1.0, -1.75]]
G = [[1.0]]
scale = 2.75
gain = [2.75]
box = [1.0, 1.0]
disturbance = [0, 1e-3]
membranes = "reset"
names = ["position", "speed"]
dt = 0.125
"""


def plants() -> list[bytes]:
    """Return a plant with all that it may say, and one with what it must."""
    return [PLANT, b"A = [[0.5]]\nB = [[1]]\nbox = [2]\n"]


FEATURES = b"""[temperature]
unit = "degC"
range = [-10.0, 40.0]
epsilon = 2.0
[humidity]
"""


def feature_files() -> list[bytes]:
    """Return a file of features with all that one may say."""
    return [FEATURES, b"[a]\nepsilon = 1\n"]


def read_features(data: bytes) -> None:
    """Read features, and make their threat model."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "features.toml"
        path.write_bytes(data)
        Threat.of("box", 1, features=str(path)).scale.around(1.0)


def descriptions() -> list[bytes]:
    """Return descriptions of data with all that one may say."""
    return [
        b'data = "./x.csv"\nlabel = "a,b"\ntask = "classes"\n'
        b'class-names = "c,d"\nfeatures = "f.toml"\nrange = "0,2"\n',
        b'data = "mnist"\nroot = "../d"\nnorm = "flips"\nepsilon = "1"\nduration = "3"\n',
    ]


def read_description(data: bytes) -> None:
    """Read the description of a network's data."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.toml"
        path.write_bytes(data)
        read_trained_on(path)


def read_plant(data: bytes) -> None:
    """Read a plant, and make its loop under a controller of one input, so far as it is one."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plant.toml"
        path.write_bytes(data)
        found = load_plant(path)
    ClosedLoop(CONTROLLER, **found.loop)


def _several(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) > 0


def toml(content: dict[str, Any]) -> bytes:
    """Return JSON-ready data as TOML: each key of the top on a line, with an inline value."""
    return "".join(f"{json.dumps(str(key))} = {_inline(value)}\n" for key, value in content.items()).encode(
        errors="replace"
    )


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(str(key))} = {_inline(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_inline, value)) + "]"
    if isinstance(value, float):
        return repr(value)
    return '""' if value is None else json.dumps(value)


def mutate(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Return a file whose tables were changed, or its tokens where it can't be read."""
    try:
        changed = mutate_json(rng, read_toml(data.decode()))
    except (ValueError, RecursionError):
        changed = None
    return toml(changed) if isinstance(changed, dict) else mutate_tokens(rng, data, others)


def mutate_tokens(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Return a file of which words and values were changed."""
    return mutate_text(rng, data, others, WORDS)
