"""The files of the zoo: one a network, with its entry and its description in the header.

What is said of a network in the zoo.

Weights in eight bits: whole numbers times a power of two for each row, exact in float32 both ways.
"""

import json
import re
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field, ValidationError
from torch import Tensor

from spikecert.asking import Threat
from spikecert.certify import Perturbation
from spikecert.models import SpikingNetwork
from spikecert.models.files.storage import built, described, read_tensors, write_tensors
from spikecert.models.validation import check_choice, one_line
from spikecert.reports.records.rows import Part


class Proven(Part):
    """What was proved of a network at one ε.

    Attributes:
        epsilon: the radius.
        certified: samples that are proved.
        attacked: samples that are right under the attack.
    """

    epsilon: float = Field(ge=0)
    certified: int = Field(ge=0)
    attacked: int | None = Field(None, ge=0)


class Ablated(Part):
    """What is left of a network without a part of its time.

    Attributes:
        name: what was taken away, as `temporal_ablation` and `spikecert ablate` call it.
        right: samples that are still right.
    """

    name: str
    right: int = Field(ge=0)


class Entry(Part):
    """A network in the zoo, with figures of the file as it is stored: all test samples, none chosen.

    Attributes:
        name: as in `load_zoo(name)`.
        title: one line.
        data: the data set.
        norm: of the balls, or the kind of the sets of events, as `spikecert certify --norm` names them.
        events: which events change, and how, of such sets.
        num_steps: T.
        samples, clean: test samples, and those that are right without a perturbation.
        verifier: by which `points` are certified.
        attack: what `attacked` was found by, or None.
        points: by rising ε.
        spikes: mean spikes of a neuron and step, layer by layer, on test samples.
        trained: the command that trained it.
        bits: of each stored weight.
        ablation: what is left of it on all test samples without parts of its time and its memory; empty for T = 1.
        ablated: the command that gives these figures.
    """

    name: str
    title: str
    data: str
    norm: Literal["linf", "l2", "flips", "shift", "flips+shift"] = "linf"
    events: dict[str, Any] | None = None
    num_steps: int = Field(ge=1)
    samples: int = Field(ge=1)
    clean: int = Field(ge=0)
    verifier: str
    attack: str | None = None
    points: tuple[Proven, ...]
    spikes: tuple[float, ...]
    trained: str
    bits: int = 8
    ablation: tuple[Ablated, ...] = ()
    ablated: str | None = None

    @property
    def shares(self) -> dict[float, float]:
        """Return the share of test samples that is certified at each ε, by rising ε."""
        return {point.epsilon: point.certified / self.samples for point in self.points}

    def around(self, epsilon: float) -> Perturbation:
        """Return the ball, or the set of events, of a size.

        Raises:
            ValueError: for a budget of events that is no whole number.
        """
        threat = Threat.of(self.norm, **(self.events or {}))
        if threat.of_events and not float(epsilon).is_integer():
            raise ValueError(f"epsilon: got {epsilon}, expected a whole number of {threat.counts}")
        return threat.scale.around(epsilon)

    def without(self, part: str) -> float | None:
        """Return the share of samples that is right without a part of its time; None where not measured."""
        return next((one.right / self.samples for one in self.ablation if one.name == part), None)


EXPONENTS = ".exponents"
MOST = 127
"""The greatest modulus of an int8 that has its negative."""
LEAST = -100
"""The least exponent: smaller weights are 0."""


def to_bits(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors of at least two axes as int8 with the rows' exponents beside them, and others as they are.

    Row i of W becomes q_i·2^e_i with the least e_i ≥ −100 for which all |q_ij| ≤ 127; q is the nearest.
    """
    found: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if tensor.dim() < 2:
            found[name] = tensor
            continue
        exponents = _exponents(tensor)
        found[name + EXPONENTS] = exponents.to(torch.int8)
        found[name] = torch.ldexp(tensor, -_along(exponents, tensor)).round().to(torch.int8)
    return found


def from_bits(stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the float32 weights that `to_bits` stands for, exactly."""
    exponents = {name: tensor for name, tensor in stored.items() if name.endswith(EXPONENTS)}
    found = {name: tensor for name, tensor in stored.items() if name not in exponents}
    for name, tensor in exponents.items():
        whole = found[name.removesuffix(EXPONENTS)].float()
        found[name.removesuffix(EXPONENTS)] = torch.ldexp(whole, _along(tensor.int(), whole))
    return found


def _exponents(tensor: Tensor) -> Tensor:
    """Return each row's least e with |W_i| ≤ 127·2^e; at least −100, for rows of zeros or near to them."""
    mantissa, exponent = torch.frexp(tensor.detach().abs().flatten(1).amax(1))  # in [½, 1) times 2^exponent
    return torch.where(mantissa > MOST / 128, exponent - 6, exponent - 7).clamp_min(LEAST)


def _along(exponents: Tensor, like: Tensor) -> Tensor:
    return exponents.view(-1, *[1] * (like.dim() - 1))


FORMAT = "spikecert.zoo/1"
FOLDER = Path(__file__).parent / "networks"


def names() -> tuple[str, ...]:
    """Return the names of all networks."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.safetensors")))


def zoo() -> tuple[Entry, ...]:
    """Return what is known of each certified network of the package, which `load_zoo` loads by its name.

    >>> [(entry.data, entry.norm, min(entry.shares)) for entry in zoo() if entry.name == "mnist-linf-0.1"]
    [('mnist', 'linf', 0.1)]
    """
    return tuple(_read(_path(name))[0] for name in names())


def load_zoo(name: str) -> SpikingNetwork:
    """Return a certified network of the package, in evaluation mode.

    Args:
        name: such as "mnist-linf-0.1"; `zoo` lists them.

    Raises:
        ValueError: for an unknown name.

    >>> load_zoo("mnist-linf-0.1").num_steps
    4
    """
    check_choice("name", name, names())
    return _read(_path(name))[1]


def pack(network: SpikingNetwork, entry: Entry, folder: Path = FOLDER) -> Path:
    """Write a network to the zoo with its weights rounded to eight bits, and return the path.

    Raises:
        ValueError: for a name that is none of a file.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", entry.name):
        raise ValueError(f"name: got {entry.name!r}, expected small letters, digits, points and hyphens")
    text = json.dumps({"entry": entry.model_dump(), "network": json.loads(described(network))}, sort_keys=True)
    path = folder / f"{entry.name}.safetensors"
    write_tensors(path, FORMAT, text, to_bits(network.state_dict()))
    return path


def unpacked(path: Path) -> SpikingNetwork:
    """Return the network in a file that `pack` wrote."""
    return _read(path)[1]


def _path(name: str) -> Path:
    return FOLDER / f"{name}.safetensors"


def _read(path: Path) -> tuple[Entry, SpikingNetwork]:
    text, tensors = read_tensors(path, FORMAT)
    content = json.loads(text)
    try:
        entry = Entry.model_validate(content["entry"])
    except ValidationError as error:
        raise ValueError(f"path: {path} says nothing of its network: {one_line(str(error))}") from error
    return entry, built(json.dumps(content["network"]), from_bits(tensors), str(path))
