"""Files of lava-dl: the same spikes as lava's equations in integers, and refusals in one line."""

import io
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from spikecert import SpikeFlip, from_lava, load, save, verify
from support.lava_files import IMAGE, NEURON, image_net, net, run, run_images

STEPS = 12


def written(content: bytes, folder: Path) -> Path:
    path = folder / "network.net"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    "neuron",
    [
        {},
        {"iDecay": 4096, "vDecay": 410},
        {"iDecay": 0, "vDecay": 0, "vThMant": 131071},
        {"vDecay": 4096, "vThMant": 1},
        {"type": b"LOIHI", "iDecay": 2048, "vDecay": 1, "vThMant": 255},
    ],
)
def test_spikes_are_those_of_the_equations(neuron: dict[str, Any], seed: int, tmp_path: Path):
    random = np.random.default_rng(seed)
    weights = [2 * random.integers(-100, 127, shape) for shape in ((7, 6), (5, 7), (3, 5))]
    said, biases = {**NEURON, **neuron}, None
    if said["iDecay"] == 4096:
        biases = [random.integers(-20, 21, len(weight)) for weight in weights]
    network = from_lava(written(net(weights, neuron, biases), tmp_path), STEPS)
    events = random.integers(0, 2, (STEPS, 16, 6))
    trace = network.trace(torch.from_numpy(events.transpose(1, 0, 2)).double())
    expected = run(weights, said, events, biases)
    assert np.array_equal(trace.spikes[-1].numpy(), expected)
    assert torch.allclose(trace.logits, torch.from_numpy(expected.mean(0)))


def filters(seed: int) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [2 * random.integers(-60, 80, shape) for shape in ((4, 2, 3, 2), (4, 2, 2, 2), (3, 96))]


@pytest.mark.parametrize("seed", range(6))
def test_images_are_correlated_with_the_weights_as_they_stand(seed: int, tmp_path: Path):
    weights, random = filters(seed), np.random.default_rng(seed)
    said = {**NEURON, "vThMant": 60, "iDecay": (1024, 4096)[seed % 2]}
    network = from_lava(written(image_net(weights, said), tmp_path), STEPS)
    events = random.integers(0, 2, (STEPS, 8, *IMAGE))
    trace = network.trace(torch.from_numpy(events).transpose(0, 1).double())
    expected = run_images(weights, said, events)
    assert np.array_equal(trace.spikes[-1].numpy(), expected)
    assert 0.02 < expected.mean() < 0.98
    (found,) = verify(network, torch.zeros(1, STEPS, *IMAGE).double(), torch.tensor([0]), SpikeFlip(1), "trains")
    assert found.status in ("verified", "falsified", "unknown")


def images(**more: Any) -> bytes:
    return image_net(filters(0), more={key: np.array(value) for key, value in more.items()})


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (lambda: images(stride=(0, 1)), r"layer 1's stride is \[0, 1\], expected two numbers from 1"),
        (lambda: images(padding=(-1, 1)), "layer 1's padding is"),
        (lambda: images(dilation=(1, 1, 1)), "layer 1's dilation is"),
        (lambda: images(groups=1), "layer 1's inChannels does not fit its weight"),
        (lambda: images(groups=0), "layer 1's groups is 0"),
        (lambda: images(kernelSize=(3, 3)), "layer 1's kernelSize does not fit its weight"),
        (lambda: images(shape=(4, 4, 5)), r"layer 1 makes \(4, 4, 5\) of 4 channels, and"),
        (lambda: images(shape=(4, 4)), "layer 1's shape is"),
        (lambda: images(weight=np.ones((4, 2, 2))), r"layer 1's weight has shape \(4, 2, 2\)"),
        (lambda: images(more=1), "layer 1 has 'more', which is not known here"),
        (lambda: image_net([*filters(0)[:2], np.ones((3, 40))]), "layer 3 has 40 inputs, expected the 96 outputs"),
        (lambda: images(type=np.array([b"flatten"], "S10")), "layer 1 has 'dilation', which is not known"),
        (
            lambda: net(more={"type": np.array([b"flatten"], "S10")}),
            "layer 0 has 'inFeatures', which is not known",
        ),
    ],
)
def test_convolutions_that_do_not_fit_are_refused(content, told: str, tmp_path: Path):
    with pytest.raises(ValueError, match=f"^path: {told}") as raised:
        from_lava(written(content(), tmp_path))
    assert "\n" not in str(raised.value)


def test_what_comes_in_is_proved_and_kept(tmp_path: Path):
    network = from_lava(written(net(), tmp_path), STEPS)
    events = torch.from_numpy(np.random.default_rng(3).integers(0, 2, (8, STEPS, 4))).double()
    labels = network(events).argmax(1)
    found = verify(network, events, labels, SpikeFlip(1), "auto", timeout=2.0)
    assert {one.status for one in found} <= {"verified", "falsified"}
    save(network, tmp_path / "kept.safetensors")
    assert torch.equal(load(tmp_path / "kept.safetensors")(events), network(events))


ODD = np.array([[201, -3, 1, 2], [1, 2, 3, 4]])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            lambda: net(more={"type": np.array([b"conv"], "S10")}),
            "layer 0 has 'inFeatures', which is not known here",
        ),
        (lambda: net(more={"type": np.array([b"input"], "S10")}), "layer 0 is of type 'input'"),
        (lambda: net(more={"delay": np.ones(5)}), "layer 0 has 'delay', which is not known here"),
        (lambda: net(more={"weight": np.ones((2, 2, 1))}), r"layer 0's weight has shape \(2, 2, 1\)"),
        (lambda: net(more={"weight": np.full((5, 4), 0.5)}), "layer 0's weight holds numbers that are not whole"),
        (lambda: net(more={"weight": np.full((5, 4), np.nan)}), "layer 0's weight holds no finite numbers"),
        (lambda: net(more={"shape": np.array([7])}), "layer 0's shape does not fit its weight"),
        (lambda: net(more={"bias": np.ones(5)}), "layer 0 has a bias beside a current that is kept"),
        (lambda: net([ODD]), "layer 0 has weights from -3 to 201, expected -128 to 127"),
        (lambda: net([np.full((2, 2), 300)]), "layer 0 has weights from 300 to 300"),
        (lambda: net([np.ones((2, 3)), np.ones((2, 4))]), "layer 1 has 4 inputs, expected the 2 outputs before"),
        (lambda: net(neuron={"type": b"SDNN"}), "layer 0 has a neuron of type 'SDNN'"),
        (lambda: net(neuron={"tauRho": 3}), "layer 0 has a neuron of type 'CUBA' with 'tauRho'"),
        (lambda: net(neuron={"iDecay": 4097}), "layer 0's iDecay is 4097, expected one number from 0 to 4096"),
        (lambda: net(neuron={"vDecay": np.array([1, 2])}), "layer 0's vDecay is 1, 2, expected one number"),
        (lambda: net(neuron={"vThMant": 0}), "layer 0's vThMant is 0"),
        (lambda: net(neuron={"vThMant": None}), "layer 0's vThMant holds no finite numbers"),
        (lambda: net(neuron={"refDelay": 3}), "layer 0's refDelay is 3, expected one number from 0 to 1"),
        (lambda: net([]), ".* is no network of lava-dl"),
        (lambda: net()[:300], ".* is no network of lava-dl"),
        (lambda: b"", ".* is no network of lava-dl"),
    ],
)
def test_what_is_not_known_is_refused_in_one_line(content, told: str, tmp_path: Path):
    path = written(content(), tmp_path)
    with pytest.raises(ValueError, match=f"^path: {told}") as raised:
        from_lava(path)
    assert "\n" not in str(raised.value)


def test_steps_and_files_that_are_none(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"^path: got .*, no such file"):
        from_lava(tmp_path / "nothing.net")
    with pytest.raises(ValueError, match=r"^num_steps: "):
        from_lava(written(net(), tmp_path), 0)


def test_a_file_that_unpacks_to_much_is_refused(tmp_path: Path):
    held = io.BytesIO(net())
    with h5py.File(held, "r+") as file:
        del file["layer/0/weight"]
        file.create_dataset("layer/0/weight", (20_000, 20_000), "f8", chunks=True)
    with pytest.raises(ValueError, match="is no network of lava-dl: its arrays have more than"):
        from_lava(written(held.getvalue(), tmp_path))
