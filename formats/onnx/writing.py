"""Write a network as an ONNX graph: each step of each layer by operators that every runtime has.

The graph does what the network's own run does, operation by operation, in float32. A runtime may add in another
order and fuse products: the bounds of verifiers cover that (`certify.rounding`), so what is proved of the
network is proved of the graph in IEEE float32. A counterexample with a potential within rounding of a threshold
may be one for the run and none for a runtime.

Tell whether an ONNX file is a network of ours: the one beside it, written again, must be the same bytes.

ONNX's messages as bytes, as far as unrolled networks need them: fields are integers, texts or messages.
"""

import math
import re
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ...files import FileKind, beginning, in_proportion, unpacked
from ...models.circuit import Added, Algebra, Circuit, Fired, Input, Mapped, Read, circuit, fold
from ...models.files.storage import load
from ...models.linear_maps.averaging import FlattenMap
from ...models.linear_maps.convolution import ConvolutionMap
from ...models.linear_maps.dense import DenseMap
from ...models.networks import SpikingNetwork
from ...models.rules import Leaky, plain
from ..onnx import writing as messages

Shape = tuple[int, ...]
IR_VERSION, OPSET = 8, 17
PRODUCER = "spikecert"
_FLOAT = 1
_KIND_INT, _KIND_INTS = 2, 7


def model(graph: bytes, version: str) -> bytes:
    """Return a whole file; its first bytes are the same but for `version`, which says what wrote it."""
    operators = _bytes(1, b"") + _integer(2, OPSET)
    head = _integer(1, IR_VERSION) + _text(2, PRODUCER) + _text(3, version)
    return head + _bytes(7, graph) + _bytes(8, operators)


def graph(nodes: Iterable[bytes], constants: Iterable[bytes], inputs: bytes, outputs: bytes) -> bytes:
    """Return a graph of one input and one output; nodes come behind what they read."""
    parts = [*(_bytes(1, node) for node in nodes), _text(2, "network")]
    parts += [_bytes(5, constant) for constant in constants]
    return b"".join((*parts, _bytes(11, inputs), _bytes(12, outputs)))


def node(operator: str, sources: Sequence[str], target: str, settings: Mapping[str, int | Shape]) -> bytes:
    """Return one operation; settings are integers, or several."""
    read = b"".join(_text(1, source) for source in sources)
    attributes = b"".join(_bytes(5, _attribute(name, value)) for name, value in settings.items())
    return read + _text(2, target) + _text(3, target) + _text(4, operator) + attributes


def constant(name: str, values: Tensor) -> bytes:
    """Return a float32 tensor."""
    dims = b"".join(_integer(1, size) for size in values.shape)
    flat = values.detach().cpu().flatten().tolist()
    return dims + _integer(2, _FLOAT) + _text(8, name) + _bytes(9, struct.pack(f"<{len(flat)}f", *flat))


def value(name: str, shape: Shape) -> bytes:
    """Return the name and the shape of an input or an output."""
    dims = b"".join(_bytes(1, _integer(1, size)) for size in shape)
    return _text(1, name) + _bytes(2, _bytes(1, _integer(1, _FLOAT) + _bytes(2, dims)))


def _attribute(name: str, value: int | Shape) -> bytes:
    if isinstance(value, int):
        return _text(1, name) + _integer(3, value) + _integer(20, _KIND_INT)
    return _text(1, name) + b"".join(_integer(8, number) for number in value) + _integer(20, _KIND_INTS)


def _integer(field: int, number: int) -> bytes:
    return _varint(field << 3) + _varint(number)


def _text(field: int, text: str) -> bytes:
    return _bytes(field, text.encode())


def _bytes(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    """Return a number of at least 0, seven bits a byte, the lowest first."""
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    found.append(number)
    return bytes(found)


Signal = tuple[str, ...]
"""The names of one tensor a step, or of one for all steps."""
INPUT, OUTPUT = "X", "Y"


def write_onnx(network: SpikingNetwork, features: Shape) -> bytes:
    """Return an ONNX file of the network's evaluation: input X, (1, *features), and output Y, (1, classes).

    Args:
        network: in float32, with encoding "direct" and readout "mean" or "spikes", of dense layers, convolutions
            that pad with zeros, Flatten of all but the batch, residual sums, and leaky neurons.
        features: the shape of one sample.

    Raises:
        TypeError, ValueError: for any other network, with the name of the layer, or features that do not fit it.

    >>> from spikecert.models import LIF
    >>> network = SpikingNetwork(torch.nn.Linear(2, 3), LIF(), torch.nn.Linear(3, 2), num_steps=2)
    >>> write_onnx(network, (2,))[4:13]
    b'spikecert'
    """
    return written(network, features, math.inf)


def written(network: SpikingNetwork, features: Shape, most: float) -> bytes:
    """Return what `write_onnx` does; raise ValueError where its graph alone takes more than `most` bytes.

    Nothing is run, whatever the features are, and no more nodes are made than that.
    """
    made = circuit(network)
    if made.dtype != torch.float32:
        raise ValueError(f"network: got {made.dtype}, expected torch.float32 to write it as ONNX")
    graph = _OnnxNodes(made, most)
    shapes = fold(made, _Shapes(features))
    fold(made, graph)
    inputs, outputs = messages.value(INPUT, (1, *features)), messages.value(OUTPUT, (1, *shapes[-1]))
    return messages.model(
        messages.graph(graph.nodes, graph.constants, inputs, outputs), "x".join(map(str, features))
    )


class _Shapes(Algebra[Shape]):
    """The shape of each signal at one step."""

    reader = "write_onnx"
    encodings = ("direct",)

    def __init__(self, features: Shape) -> None:
        self.features = features

    def input(self, node: Input) -> Shape:
        """Return the sample's."""
        return self.features

    def mapped(self, node: Mapped, shape: Shape) -> Shape:
        """Return what the map makes of it."""
        return node.map.output_shape(shape)

    def added(self, node: Added, one: Shape, other: Shape) -> Shape:
        """Return the one that both have."""
        if one != other:
            raise ValueError(f"features: {node.name} adds {one} and {other}, expected one shape")
        return one

    def fired(self, node: Fired, shape: Shape) -> Shape:
        """Return the one of the currents."""
        return shape

    def read(self, node: Read, shape: Shape) -> Shape:
        """Return that of the logits."""
        if len(shape) != 1:
            raise ValueError(f"features: got {self.features}, which make logits of shape {shape}, expected a row")
        return shape


class _OnnxNodes(Algebra[Signal]):
    """Collects ONNX nodes; what the mean over time is read through is done once, on the mean, as in the run."""

    reader = "write_onnx"
    encodings = ("direct",)

    def __init__(self, made: Circuit, most: float) -> None:
        self.num_steps, self.last, self.left = made.num_steps, _last_spread(made), most
        self.nodes: list[bytes] = []
        self.constants: list[bytes] = []

    def input(self, node: Input) -> Signal:
        """Return the input, the same at each step."""
        return self._meant(node, (INPUT,))

    def mapped(self, node: Mapped, signal: Signal) -> Signal:
        """Return W·x + b at each step."""
        linear = node.map
        if isinstance(linear, DenseMap) and not linear.roundings:
            operator, settings = "Gemm", {"transB": 1}
        elif isinstance(linear, ConvolutionMap) and linear.padding_mode == "zeros" and not linear.roundings:
            operator, settings = "Conv", _settings(linear)
        elif isinstance(linear, FlattenMap) and (linear.start, linear.end) == (1, -1):
            return tuple(self._add("Flatten", (x,), axis=1) for x in signal)
        else:
            raise self.refuse(node, f"a {linear}")
        weights = [self._constant(tensor) for tensor in (linear.weight, linear.offset) if tensor is not None]
        return tuple(self._add(operator, (x, *weights), **settings) for x in signal)

    def added(self, node: Added, one: Signal, other: Signal) -> Signal:
        """Return the sum at each step."""
        steps = max(len(one), len(other))
        pairs = zip(_repeated(one, steps), _repeated(other, steps), strict=True)
        return self._meant(node, tuple(self._add("Add", pair) for pair in pairs))

    def fired(self, node: Fired, signal: Signal) -> Signal:
        """Return the spikes of each step."""
        rule = node.rule
        assert plain(rule)
        decay, threshold = self._scalar(rule.decay), self._scalar(rule.threshold)
        residue, spikes = None, []
        for t, current in enumerate(_repeated(signal, self.num_steps)):
            if rule.scale is not None:
                current = self._add("Mul", (current, self._scalar(rule.scale[t])))
            if residue is not None:
                current = self._add("Add", (current, self._add("Mul", (residue, decay))))
            above = self._add("GreaterOrEqual" if rule.fires_at == ">=" else "Greater", (current, threshold))
            spikes.append(self._add("Cast", (above,), to=1))
            residue = self._reset(rule, current, spikes[-1])
        return self._meant(node, tuple(spikes))

    def read(self, node: Read, signal: Signal) -> Signal:
        """Return the logits."""
        if node.readout not in ("mean", "spikes") or node.rule is not None:
            raise self.refuse(node, f"a network of readout {node.readout!r}")
        self._emit("Identity", signal, OUTPUT)
        return (OUTPUT,)

    def _reset(self, rule: Leaky, potential: str, spike: str) -> str:
        if rule.reset == "none":
            return potential
        amount = potential if rule.reset == "zero" else self._scalar(rule.drop)
        return self._add("Sub", (potential, self._add("Mul", (amount, spike))))

    def _meant(self, node: Input | Added | Fired, signal: Signal) -> Signal:
        """Return the mean over time of the last signal that is spread over it, and any other as it is."""
        if node is not self.last or len(signal) == 1:
            return signal
        return (self._add("Div", (self._add("Sum", signal), self._scalar(float(len(signal))))),)

    def _add(self, operator: str, sources: Sequence[str], **settings: int | Shape) -> str:
        name = f"n{len(self.nodes)}"
        self._emit(operator, sources, name, **settings)
        return name

    def _emit(self, operator: str, sources: Sequence[str], target: str, **settings: int | Shape) -> None:
        self._keep(self.nodes, messages.node(operator, sources, target, settings))

    def _scalar(self, number: float) -> str:
        return self._constant(torch.tensor(number, dtype=torch.float32))

    def _constant(self, values: Tensor) -> str:
        name = f"c{len(self.constants)}"
        self._keep(self.constants, messages.constant(name, values))
        return name

    def _keep(self, parts: list[bytes], part: bytes) -> None:
        self.left -= len(part)
        if self.left < 0:
            raise ValueError("network: its graph is larger than the file that it is compared with")
        parts.append(part)


def _last_spread(made: Circuit) -> Input | Added | Fired:
    """Return the last node that is no affine map: behind it the run takes the mean over time."""
    return next(node for node in reversed(made.nodes[:-1]) if isinstance(node, Input | Added | Fired))


def _settings(linear: ConvolutionMap) -> dict[str, int | Shape]:
    top, bottom, left, right = linear.padding
    return {
        "strides": linear.stride,
        "pads": (top, left, bottom, right),
        "dilations": linear.dilation,
        "group": linear.groups,
    }


def _repeated(signal: Signal, steps: int) -> Signal:
    return signal * steps if len(signal) == 1 else signal


MOST_BYTES, FEW_BYTES = 2**30, 2**20
"""Of a file unpacked, however large it is packed, and however small."""
_LONGEST_HEAD = 64
ONNX = FileKind("path", "an ONNX file", most=MOST_BYTES)
_HEAD = re.compile(
    re.escape(messages.model(b"", "?").partition(b"\x01?")[0]) + rb"[\x01-\x7f]([0-9]{1,8}(?:x[0-9]{1,8}){0,3})"
)
"""The first bytes of each file that is written here, and the shape of one sample."""


def read_onnx(path: Path | str) -> SpikingNetwork:
    """Return the network that an ONNX file (or what gzip packed of one) was written of, which lies beside it.

    Nothing of the file is interpreted but the shape of inputs in its first bytes. It counts if `write_onnx` makes
    of NAME.safetensors, beside NAME.onnx, exactly these bytes: then it is that network, and any other is refused.

    Raises:
        ValueError: for a file that is not known, in one line.
        OSError: for one that can't be read.
    """
    path = Path(path)
    name = path.name.removesuffix(".gz").removesuffix(".onnx")
    content = ONNX.content(path)
    kept = path.with_name(f"{name}.safetensors")
    head = _HEAD.match(_of(path, beginning, content, _LONGEST_HEAD))
    if head is None or not kept.is_file():
        raise ValueError(
            f"path: got {path}, expected an ONNX file that spikecert wrote, with {kept.name} beside it"
        )
    content = _of(path, unpacked, content, in_proportion(len(content), MOST_BYTES, FEW_BYTES))
    network = load(kept)
    try:
        same = written(network, tuple(map(int, head[1].split(b"x"))), len(content)) == content
    except (TypeError, ValueError) as error:
        raise ValueError(f"path: got {path}, which {kept.name} beside it does not make: {error}") from error
    if not same:
        raise ValueError(f"path: got {path}, which is another network than {kept.name} beside it")
    return network


def _of(path: Path, unpack: Callable[[bytes, int], bytes], content: bytes, count: int) -> bytes:
    try:
        return unpack(content, count)
    except ValueError as error:
        raise ValueError(f"path: {path} {error}") from error
