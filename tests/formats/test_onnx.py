"""Networks as ONNX: a runtime of other people finds the same logits, and no file of another network is taken."""

import gzip
import re
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from spikecert import DLIF, LIF, SpikingNetwork, save
from spikecert.formats.onnx import read_onnx, write_onnx
from spikecert.formats.onnx import writing as messages
from spikecert.models import RefractoryLIF, Residual

from .conftest import small


def answers(content: bytes, inputs: torch.Tensor) -> torch.Tensor:
    """Return what the runtime makes of inputs, one by one."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    found = [np.asarray(session.run(["Y"], {"X": sample[None].numpy()})[0]) for sample in inputs]
    return torch.from_numpy(np.concatenate(found))


def scaled(num_steps: int, decay: float, threshold: float) -> DLIF:
    layer = DLIF(num_steps, decay, threshold)
    layer.input_scale.data = torch.linspace(1.25, -0.5, num_steps)
    return layer


def images(num_steps: int) -> tuple[nn.Module, ...]:
    branch: list[nn.Module] = [nn.Conv2d(4, 4, 3, padding=1, groups=2), LIF(decay=0.5, threshold=0.5)]
    first = nn.Conv2d(2, 4, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2))
    return first, LIF(threshold=0.5), Residual(branch), nn.Flatten(), nn.Linear(36, 6), nn.Linear(6, 3)


def dense(num_steps: int) -> tuple[nn.Module, ...]:
    return nn.Linear(4, 8), LIF(0.75, 0.5, "subtract", reset_amount=0.25), nn.Linear(8, 3)


def above(num_steps: int) -> tuple[nn.Module, ...]:
    return nn.Linear(4, 8), LIF(1.0, 0.5, "none", ">"), nn.Linear(8, 5), LIF(0.0, 0.25)


def scales(num_steps: int) -> tuple[nn.Module, ...]:
    return nn.Linear(4, 8, bias=False), scaled(num_steps, decay=0.5, threshold=0.25), nn.Linear(8, 3)


def sum_last(num_steps: int) -> tuple[nn.Module, ...]:
    return (Residual([nn.Linear(3, 3), LIF(0.5, 0.25)]),)


NETWORKS: dict[str, tuple[tuple[int, ...], int, Callable[[int], tuple[nn.Module, ...]]]] = {
    "subtract": ((4,), 3, dense),
    "above": ((4,), 4, above),
    "scaled": ((4,), 5, scales),
    "images": ((2, 6, 5), 3, images),
    "one step": ((4,), 1, lambda num_steps: (nn.Linear(4, 3),)),
    "a sum last": ((3,), 2, sum_last),
}


def weights(network: SpikingNetwork) -> Iterator[nn.Parameter]:
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            yield from layer.parameters()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_runtime_finds_the_same_logits(name: str):
    """Inputs and weights are few small multiples of 1/8: no sum rounds, and many currents lie on a threshold."""
    features, num_steps, layers = NETWORKS[name]
    network = SpikingNetwork(*layers(num_steps), num_steps=num_steps)
    generator = torch.Generator().manual_seed(5)
    for tensor in weights(network):
        tensor.data = torch.randint(-4, 5, tensor.shape, generator=generator) / 8
    inputs = torch.randint(0, 9, (40, *features), generator=generator) / 8
    with torch.no_grad():
        expected = network.eval()(inputs)
    assert len(expected.unique(dim=0)) > 5
    found = answers(write_onnx(network, features), inputs)
    assert torch.allclose(found, expected, rtol=1e-6, atol=1e-6)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    network = small()
    save(network, tmp_path / "net.safetensors")
    (tmp_path / "net.onnx").write_bytes(write_onnx(network, (2,)))
    return tmp_path / "net.onnx"


def test_a_written_file_is_the_network_beside_it(files: Path):
    packed = files.with_name("net.onnx.gz")
    packed.write_bytes(gzip.compress(files.read_bytes()))
    x = torch.rand(5, 2)
    for path in (files, packed, str(files)):
        assert torch.equal(read_onnx(path)(x), small()(x))


def test_any_other_file_is_refused(files: Path):
    content = files.read_bytes()
    changes = {place: bytes((content[place] ^ 1,)) for place in range(0, len(content), 23)}
    for place, byte in changes.items():
        files.write_bytes(content[:place] + byte + content[place + 1 :])
        with pytest.raises(ValueError, match=r"^path: got "):
            read_onnx(files)
    for other in (content + b"\0", content[:-1], b"", write_onnx(small(num_steps=4), (2,))):
        files.write_bytes(other)
        with pytest.raises(ValueError, match=r"^path: got "):
            read_onnx(files)
    files.write_bytes(content)
    files.with_name("net.safetensors").unlink()
    with pytest.raises(ValueError, match=r"with net.safetensors beside it"):
        read_onnx(files)


def refused(path: Path) -> tuple[int, str]:
    """Return the megabytes that it took to refuse a file, of this process, and what was said."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=r"^path: ") as caught:
        read_onnx(path)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, str(caught.value)


def test_a_small_file_can_not_ask_for_large_inputs(tmp_path: Path):
    """The network takes any size: its run on this one takes gigabytes."""
    network = SpikingNetwork(
        nn.Conv2d(1, 2, 1), LIF(), nn.Conv2d(2, 2, 1, stride=40000), nn.Flatten(), num_steps=2
    )
    save(network.eval(), tmp_path / "net.safetensors")
    (tmp_path / "net.onnx").write_bytes(messages.model(b"", "1x40000x40000"))
    taken, said = refused(tmp_path / "net.onnx")
    assert "its graph is larger than the file" in said
    assert taken < 100
    content = write_onnx(network, (1, 40000, 40000))
    (tmp_path / "net.onnx").write_bytes(content)
    assert read_onnx(tmp_path / "net.onnx").num_steps == 2


def test_a_small_file_can_not_ask_for_many_steps(tmp_path: Path):
    layers = [layer for _ in range(40) for layer in (nn.Linear(2, 2), LIF())]
    save(SpikingNetwork(*layers, num_steps=2**16).eval(), tmp_path / "net.safetensors")
    path = tmp_path / "net.onnx"
    for rest in (b"", bytes(2**20)):
        path.write_bytes(messages.model(rest, "2"))
        started = time.process_time()
        assert "its graph is larger than the file" in refused(path)[1]
        assert time.process_time() - started < 5


def test_what_gzip_packed_is_unpacked_in_proportion(files: Path):
    packed, content = files.with_name("net.onnx.gz"), files.read_bytes()
    packed.write_bytes(gzip.compress(bytes(2**28)))
    taken, said = refused(packed)
    assert "expected an ONNX file that spikecert wrote" in said
    assert taken < 50
    packed.write_bytes(gzip.compress(content[:60] + bytes(2**28)))
    taken, said = refused(packed)
    assert re.search(r"net.onnx.gz has more than 1\d{7} bytes unpacked", said)
    assert taken < 100


def test_features_that_do_not_fit_are_refused(files: Path):
    for features in ((3,), (1, 2), (10**8, 10**8, 10**8)):
        with pytest.raises(ValueError, match=r"^(input_shape|features): .*(can't take|make logits of shape)"):
            write_onnx(small(), features)
    files.write_bytes(messages.model(b"", "99999999x99999999x99999999x99999999"))
    assert "does not make" in refused(files)[1]


@pytest.mark.parametrize(
    ("layers", "settings", "message"),
    [
        ((nn.Linear(2, 3), RefractoryLIF(), nn.Linear(3, 2)), {}, "layers.1 is a RefractoryLIF"),
        ((nn.Linear(2, 3), LIF()), {"encoding": "none"}, "encoding 'none'"),
        ((nn.Linear(2, 3), LIF()), {"encoding": "rate"}, "encoding 'rate'"),
        ((nn.Linear(2, 3), LIF()), {"readout": "first"}, "readout 'first'"),
        ((nn.Linear(2, 3), LIF(reset="none")), {"readout": "potential"}, "readout 'potential'"),
        ((nn.Unflatten(1, (2, 1)), nn.Flatten(), nn.Linear(2, 3), LIF()), {}, r"layers.0 is a Unflatten"),
    ],
)
def test_what_has_no_graph_is_refused_by_name(
    layers: tuple[nn.Module, ...], settings: dict[str, Any], message: str
):
    network = SpikingNetwork(*layers, num_steps=2, **settings).eval()
    features = (2, 2) if settings.get("encoding") == "none" else (2,)
    with pytest.raises(TypeError, match=message):
        write_onnx(network, features)


def test_another_dtype_is_refused():
    with pytest.raises(ValueError, match=r"got torch.float64, expected torch.float32"):
        write_onnx(small().double(), (2,))
