"""What a proof is about: a network, a set of inputs, and a class with what a tie is, or a property; and the
statement of an accepted one.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import inf
from typing import Any

import numpy as np

from ..files.texts import printable
from .conclusions import STRICT, Conclusions, StatedProperty, read_ties
from .events.inputs import Inputs
from .events.recordings import NORMS as EVENT_NORMS
from .events.recordings import Rules
from .network.graph import Graph
from .network.model import Network
from .numbers.exact import Refused

FIELDS = {"network", "label", "norm", "events", "ties", "cells", "side", "note", "property", "own"}
"""What the text of a proof about events may say."""
TYPES = ("float32", "float64", "int32")
"""Of a claim's arrays."""
Text = Mapping[str, object]
Tensors = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Statement:
    """What an accepted proof proves of a network: class `label` for every input within `radius` of `sample`.

    Of events: class `label` for every recording that `rules` make of `sample`.

    Of a property: its rows, in the place of a class.

    Attributes:
        network: the SHA-256 of its description and weights.
        label: the class; None of a property.
        sample: of the inputs' shape; radius: (1,) or of that shape; the inputs also lie in [lower, upper].
        norm: in which they are within that radius, "linf" or "l2"; of events "l0", "shift" or "l0+shift".
        margin: logit_label exceeds every other by at least this; 0 where a tie falls to the label. Of a property:
            what the rows that hold are at least.
        leaves: how many leaves were checked.
        ties: "strict" (logit_label is the only greatest one) or "argmax" (of the greatest ones it has the lowest
            index, so that argmax is the label); of a property whether all its rows are strict.
        note: what the writer says of it, such as the sample's index, in a line that is safe to show; not checked.
        rules: of events: what may flip and move; `radius` is empty then, and the range is all numbers.
        prop: the property, where it is about one.
        whole: whether the network is one of whole numbers: the inputs are the whole ones, as a chip takes them.
    """

    network: str
    label: int | None
    sample: np.ndarray
    radius: np.ndarray
    norm: str
    lower: float
    upper: float
    margin: float
    leaves: int
    ties: str
    note: str
    rules: Rules | None = None
    prop: StatedProperty | None = None
    whole: bool = False

    @property
    def epsilon(self) -> float:
        """Return the least radius, NaN where there is none."""
        return float(self.radius.min()) if self.radius.size else float("nan")

    @property
    def point(self) -> str:
        """Return the SHA-256 of the sample's shape and numbers, whichever floats hold them: one for one sample."""
        return _hash(str(self.sample.shape), self.sample)

    @property
    def claim(self) -> str:
        """Return a SHA-256 of what is proven: copies of one proof, or two proofs of one ball, have the same."""
        return self._hashed(self.network, "" if self.ties == STRICT else f" {self.ties}")

    @property
    def question(self) -> str:
        """Return a SHA-256 of inputs and of class or property, whatever network has it, and however ties go."""
        return self._hashed("any", "")

    def _hashed(self, network: str, ties: str) -> str:
        about = self.label if self.prop is None else json.dumps(self.prop.described, sort_keys=True)
        told, numbers = f"{network} {self.point} {about} {self.norm}{ties}{' whole' * self.whole}", []
        if self.rules is not None:
            told += json.dumps([self.rules.described, [*self.rules.masks]], sort_keys=True)
            numbers = [*self.rules.masks.values()]
        else:
            radius = self.radius if self.norm == "l2" else np.broadcast_to(self.radius, self.sample.shape)
            numbers = [radius, np.array([self.lower, self.upper])]
        return _hash(told, np.concatenate([np.zeros(0), *(part.ravel() for part in numbers)]))


@dataclass(frozen=True)
class Claim:
    """What a file claims of a network: a text, and the arrays of a set of inputs, as it is read."""

    text: Text
    tensors: Tensors
    network: Network
    inputs: Inputs
    rules: Rules | None
    ties: str
    prop: StatedProperty | None

    def concluded(self, graph: Graph) -> Conclusions:
        """Return what is to be shown of the network's nodes.

        Raises:
            Refused: for a class or a property that it has not.
        """
        if self.prop is None:
            return Conclusions.of_class(graph, self._label(graph.widths[-1]), self.ties)
        inputs = 0 if self.network.draws is not None else self.tensors["sample"].size
        return self.prop.concluded(graph, inputs)

    def _label(self, classes: int) -> int:
        label = self.text["label"]
        if classes < 2:
            raise Refused("is about a network with one output: no other class could win, and nothing is proven")
        if not isinstance(label, int) or isinstance(label, bool) or not 0 <= label < classes:
            raise Refused(f"label: got {label!r}, expected a class below {classes}")
        return label

    def stated(self, margin: Fraction, leaves: int) -> Statement:
        """Return the statement, once all is checked."""
        text, rules = self.text, self.rules
        note = f"{'not confirmed by its source; ' * self.network.unconfirmed}{text.get('note', '')}"
        return Statement(
            network=self.network.digest,
            label=text.get("label"),  # pyright: ignore[reportArgumentType]
            sample=self.tensors["sample"],
            radius=self.tensors["radius"] if rules is None else np.zeros(0),
            norm=text.get("norm", "linf"),  # pyright: ignore[reportArgumentType]
            lower=float(text["lower"]) if rules is None else -inf,  # pyright: ignore[reportArgumentType]
            upper=float(text["upper"]) if rules is None else inf,  # pyright: ignore[reportArgumentType]
            margin=_below(max(margin, Fraction(0))),
            leaves=leaves,
            ties=self.ties,
            note=printable(" ".join(note.split())[:200]),
            rules=rules,
            prop=self.prop,
            whole=self.network.whole is not None,
        )


def read_claim(text: Text, tensors: Tensors, network: Network) -> Claim:
    """Return what a file claims.

    Raises:
        Refused: where it is about another network, or no set of inputs that is known.
    """
    if text["network"] != network.digest:
        raise Refused("is about another network: its hash is not that of the model")
    norm = text.get("norm", "linf")
    rules = _rules(text, tensors) if isinstance(norm, str) and norm in EVENT_NORMS else None
    inputs = _ball(text, tensors, network) if rules is None else rules.around(tensors["sample"], network.recorded)
    network.check_reach(_reach(tensors, rules is None))
    prop = StatedProperty.read(text)
    ties = read_ties(text) if prop is None else prop.ties
    return Claim(text, tensors, network, inputs, rules, ties, prop)


def _reach(tensors: Tensors, ball: bool) -> float:
    """Return a modulus that no input of a set has more of; events that meet add up to all of them at most."""
    sample = np.abs(np.asarray(tensors["sample"], np.float64))
    if ball:
        return float((sample + np.abs(np.asarray(tensors["radius"], np.float64))).max()) * (1.0 + 2.0**-40)
    return 2.0 * (float(sample.sum()) + sample.size)


def read_array(given: Mapping[str, Any]) -> np.ndarray:
    """Return an array of a claim, its numbers exactly.

    Raises:
        Refused: for one of another type, or with numbers that are none of it.
    """
    if given["type"] not in TYPES:
        raise Refused(f"got numbers of type {str(given['type'])[:20]!r}, expected one of {', '.join(TYPES)}")
    values, shape = given["values"], given["shape"]
    if given["type"] != "int32":
        values = [float.fromhex(value) for value in values]
    elif not all(type(value) is int for value in values):
        raise Refused("got other numbers than int32 of 0 and 1")
    with np.errstate(over="ignore"):
        array = np.array(values, dtype=given["type"])
    if array.tolist() != values or not all(type(size) is int and size >= 0 for size in shape):
        raise Refused(f"got a shape or a number that is none of {given['type']}")
    return array.reshape(shape)


def described(array: np.ndarray) -> dict[str, Any]:
    """Return an array as a claim holds it."""
    whole = array.dtype == np.int32
    values = array.ravel().tolist()
    return {
        "type": str(array.dtype),
        "shape": list(array.shape),
        "values": values if whole else [value.hex() for value in values],
    }


def _ball(text: Text, tensors: Tensors, network: Network) -> Inputs:
    """Return the inputs within a radius, and in a range."""
    if "events" in text:
        raise Refused("events: has some, and a norm of no events")
    if any(tensors[part].dtype.kind != "f" for part in ("sample", "radius")):
        raise Refused("sample, radius: hold other numbers than floats")
    ends = text["lower"], text["upper"]
    return network.inputs(tensors["sample"], tensors["radius"], *ends, text.get("norm", "linf"))


def _rules(text: Text, tensors: Tensors) -> Rules:
    """Return what may change of a recording.

    Raises:
        Refused: for what is not known, or belongs to balls.
    """
    other = text.keys() - FIELDS | tensors.keys() & {"radius"}
    if other:
        raise Refused(f"{min(other)[:40]}: belongs to no proof about events")
    if tensors["sample"].dtype.kind != "f":
        raise Refused("sample: holds other numbers than floats")
    rules = Rules.read(str(text["norm"]), text["events"], lambda name: _mask(tensors.get(name), name))
    parts = {name for name in tensors if name.startswith(("flips.", "shifts."))}
    if parts != rules.masks.keys():
        raise Refused(f"{min(parts ^ rules.masks.keys())[:40]}: belongs to no rule of events")
    return rules


def _mask(values: np.ndarray | None, name: str) -> np.ndarray | None:
    """Return a mask, which a file holds as int32 of 0 and 1."""
    if values is not None and (values.dtype != np.dtype("<i4") or not ((values == 0) | (values == 1)).all()):
        raise Refused(f"{name}: holds other numbers than int32 of 0 and 1")
    return None if values is None else values == 1


def _hash(text: str, numbers: np.ndarray) -> str:
    """Return the SHA-256 of a text and of numbers as float64, −0 as 0."""
    return hashlib.sha256(text.encode() + (numbers.astype("<f8") + 0.0).tobytes()).hexdigest()


def _below(value: Fraction) -> float:
    """Return a float at or below a fraction that is not negative."""
    found = float(value)
    return found if Fraction(found) <= value else float(np.nextafter(found, 0.0))
