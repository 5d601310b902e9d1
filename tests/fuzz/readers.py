"""What is fuzzed: each reader with its seeds, how they are mutated, and the errors that it may raise."""

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as states_to_bytes
from torch import Tensor, nn

from spikecert import (
    DLIF,
    L2,
    LIF,
    LInf,
    Residual,
    SpikingNetwork,
    from_lava,
    from_xylo,
    gain,
    load,
    load_record,
    mlp,
    record,
)
from spikecert.analysis.certificates.checking import (
    load_certificates,
    load_layers,
    read_content,
    save_certificates,
)
from spikecert.asking import Threat
from spikecert.certify.engines.work import VERDICTS
from spikecert.certify.proofs import Prover
from spikecert.checking import check, read_network
from spikecert.checking.network.model import Network
from spikecert.checking.short import FORMAT as PROOF
from spikecert.formats import read_counterexample, read_vnnlib, robustness, write_vnnlib
from spikecert.models import network_hash
from spikecert.models.files.storage import FORMAT as NETWORK
from spikecert.models.files.storage import pack, read_state, to_bytes, unpack
from spikecert.reports import Plan, RadiusPlan, render
from spikecert.reports.making.measuring import measure
from spikecert.reports.records.schema import Data
from spikecert.runs.instances import read_instances
from spikecert.training.state import FORMAT as CHECKPOINT
from support.hostile import unsafe
from support.lava_files import image_net, net
from support.xylo_files import small

from . import batch_folders, certificate_files, configurations, data_files, kept_files, nir_files, own_files
from .mutators import Bytes, mutate_bytes, mutate_formula, mutate_json_bytes, mutate_json_words, mutate_text
from .sealed import Sealed

WORDS = tuple(
    b"( ) [ ] * + - ; <= >= == < assert and or Real X_0 Y_0 X[0] Y[0,1] "
    b"declare-const declare-network declare-input vnnlib-version <2.0>".split()
)


@dataclass(frozen=True)
class Reader:
    """Something that reads a file.

    Attributes:
        name: how it is called here.
        read: takes the bytes of a file.
        seeds: returns valid files.
        mutators: one is chosen for each run.
        errors: what it documents.
    """

    name: str
    read: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]
    mutators: tuple[Bytes, ...]
    errors: tuple[type[Exception], ...] = (ValueError,)


def _networks() -> list[SpikingNetwork]:
    torch.manual_seed(0)
    image = SpikingNetwork(
        nn.Conv2d(1, 2, 3, padding=1),
        nn.BatchNorm2d(2),
        LIF(0.9),
        Residual([nn.Conv2d(2, 2, 1), DLIF(3)], [nn.Conv2d(2, 2, 1)]),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(8, 2),
        num_steps=3,
    )
    rate = SpikingNetwork(nn.Linear(3, 2), LIF(reset="subtract"), nn.Linear(2, 2), num_steps=2, encoding="rate")
    last = SpikingNetwork(nn.Linear(3, 2), LIF(reset="none"), num_steps=2, readout="potential")
    return [network.eval() for network in (mlp((3, 4, 2), 3, DLIF(3, decay=0.9)), image, rate, last)]


def _models() -> list[bytes]:
    return [to_bytes(network) for network in _networks()]


def _read_model(data: bytes) -> None:
    with _file(data, "network.safetensors") as path:
        network_hash(load(path))


def _check_model(data: bytes) -> None:
    with _file(data, "network.safetensors") as path:
        read_network(path)


def _records() -> list[bytes]:
    network, inputs = _networks()[0], torch.rand(3, 3, generator=torch.Generator().manual_seed(0))
    threat = Threat.of("linf", (0.1, 0.5))
    radii = RadiusPlan("trains", tolerance=0.05)
    plan = Plan(threat, attacks=("pgd",), verifiers=("trains", "linear"), radii=radii)
    with torch.no_grad():
        labels = network(inputs).argmax(1)
    labels[0] = 1 - labels[0]
    found = measure("a network", network, inputs, labels, plan, gains=gain(network))
    data = Data(name="random", split="test", samples=3, classes=2, shape=(3,))
    return [record([found], data, threat, command="none", seeds={"seed": 0}).to_json().encode()]


def _read_record(data: bytes) -> None:
    """Read, and if it is a record, write it in each form: a stranger's record is to be looked at."""
    with _file(data, "record.json") as path:
        found = load_record(path)
        shown = [render(found, path.with_suffix(suffix)) for suffix in (".html", ".md", ".csv", ".tex")]
        texts = [text.read_text(encoding="utf-8") for text in shown]
    if "<script" in texts[0] + texts[1]:
        raise AssertionError("a record brought a script into the page")
    if any(unsafe(text, "\n\u00a0") for text in texts):
        raise AssertionError("a record brought control characters into a report")


def _properties() -> list[bytes]:
    prop = robustness(torch.tensor([0.125, 0.5]), torch.tensor([0.25, 0.75]), 0, 2)
    return [write_vnnlib(prop, version).encode() for version in ("1.0", "2.0")]


def _results() -> list[bytes]:
    return [b"sat\n((X_0 0.5)\n(X_1 1e-3)\n(Y_0 -1)\n(Y_1 2))\n", b"unsat\n", b"timeout\n"]


def _read_packed(data: bytes) -> None:
    with _file(data, "property.vnnlib.gz") as path:
        read_vnnlib(path)


def _read_instances(data: bytes) -> None:
    with _file(data, "instances.csv") as path:
        read_instances(path)


def _packed() -> list[bytes]:
    import gzip

    return [gzip.compress(text, mtime=0) for text in _properties()]


@dataclass(frozen=True)
class _Proven:
    """A network's file and a proof about it."""

    model: bytes
    proof: bytes


def _proven(network: SpikingNetwork, sample: Tensor, ball: LInf | L2) -> _Proven:
    with torch.no_grad():
        label = int(network(sample[None]).argmax())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sample.proof"
        Prover.of(network).prove(sample, label, ball).save(path, note="a sample")
        return _Proven(to_bytes(network), path.read_bytes())


def _dense() -> _Proven:
    torch.manual_seed(1)
    return _proven(mlp((3, 4, 4, 2), 3, LIF(0.9, threshold=0.5)).eval(), torch.full((3,), 0.5), LInf(0.01))


def _image() -> _Proven:
    """Return a proof of an ℓ2 ball of images: convolutions, a batch norm, a residual sum, a pool, soft resets."""
    torch.manual_seed(1)
    sums = Residual([nn.Conv2d(2, 2, 1), LIF(0.9, threshold=0.3, reset="subtract")])
    first = [nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), LIF(0.9, threshold=0.3), sums]
    network = SpikingNetwork(*first, nn.AvgPool2d(2), nn.Flatten(), nn.Linear(8, 2), num_steps=2).eval()
    return _proven(network, torch.full((1, 4, 4), 0.5), L2(0.01))


def _timed() -> _Proven:
    torch.manual_seed(1)
    layers = nn.Linear(3, 4), LIF(0.9, threshold=0.5), nn.Linear(4, 2), LIF(0.9, reset="none")
    network = SpikingNetwork(*layers, num_steps=3, encoding="none", readout="potential").eval()
    return _proven(network, torch.full((3, 3), 0.5), LInf(0.01))


class _Proofs:
    """Checks proofs of one network, which is proven and read once, when it is first asked for."""

    def __init__(self, made: Callable[[], _Proven]) -> None:
        self.made = made

    @cached_property
    def proven(self) -> _Proven:
        """The network's file, and a proof."""
        return self.made()

    @cached_property
    def network(self) -> Network:
        """The network as the checker reads it."""
        with _file(self.proven.model, "network.safetensors") as path:
            return read_network(path)

    def __call__(self, data: bytes) -> None:
        """Check one proof."""
        with _file(data, "sample.proof") as path:
            check(path, self.network)


class _ChangedNetworks:
    """Checks a proof against networks other than its own, whose hashes it is given: what lies behind the hash."""

    def __init__(self, proofs: _Proofs) -> None:
        self.proofs = proofs

    @cached_property
    def parts(self) -> tuple[str, Any]:
        """The text and the tensors of the proof."""
        return unpack(self.proofs.proven.proof, PROOF)

    def __call__(self, data: bytes) -> None:
        """Read one network, and check the proof."""
        with _file(data, "network.safetensors") as path:
            network, (told, tensors) = read_network(path), self.parts
            text = json.dumps(json.loads(told) | {"network": network.digest})
            proof = path.with_name("sample.proof")
            proof.write_bytes(pack(PROOF, text, tensors))
            check(proof, network)


def _certificates() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path, network = Path(folder) / "certificates.json", _networks()[0]
        save_certificates((), path, gain(network, method="lmi"))
        return [path.read_bytes()]


def _read_certificates(data: bytes) -> None:
    with _file(data, "certificates.json") as path:
        load_certificates(path)
        load_layers(read_content(path))


def _read_xylo(data: bytes) -> None:
    with _file(data, "xylo.json") as path:
        from_xylo(path, 5)


def _read_lava(data: bytes) -> None:
    with _file(data, "network.net") as path:
        from_lava(path, 5)


def _states() -> list[bytes]:
    return [states_to_bytes(network.state_dict()) for network in _networks()[:2]]


def _read_state(data: bytes) -> None:
    with _file(data, "weights.safetensors") as path:
        read_state(path)


class _file:
    """A file with these bytes, in a folder of its own that goes away."""

    def __init__(self, data: bytes, name: str) -> None:
        self.data, self.name = data, name

    def __enter__(self) -> Path:
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / self.name
        path.write_bytes(self.data)
        return path

    def __exit__(self, *_: object) -> None:
        self.folder.cleanup()


def _proofs(name: str, proofs: _Proofs) -> Reader:
    return Reader(name, proofs, lambda: [proofs.proven.proof], (Sealed(PROOF),))


def _changed_networks(name: str, proofs: _Proofs) -> Reader:
    changed = _ChangedNetworks(proofs)
    return Reader(f"network-of-{name}", changed, lambda: [proofs.proven.model], (Sealed(NETWORK),))


def readers() -> dict[str, Reader]:
    """Return all readers by name."""
    proven = {"proof": _Proofs(_dense), "image-proof": _Proofs(_image), "timed-proof": _Proofs(_timed)}
    lisp = (partial(mutate_text, words=WORDS), partial(mutate_text, words=WORDS), mutate_bytes)
    json_text = (mutate_json_bytes, mutate_json_bytes, mutate_json_bytes, mutate_json_words, mutate_bytes)
    toml = (configurations.mutate, configurations.mutate_tokens, configurations.mutate_tokens, mutate_bytes)
    certified = (certificate_files.mutate,)
    found = (
        Reader("model", _read_model, _models, (Sealed(NETWORK),)),
        Reader(
            "checked-model",
            _check_model,
            lambda: [proofs.proven.model for proofs in proven.values()],
            (Sealed(NETWORK),),
        ),
        *(_proofs(name, proofs) for name, proofs in proven.items()),
        *(_changed_networks(name, proofs) for name, proofs in proven.items()),
        Reader("proof-certificate", certificate_files.read, certificate_files.certificates, certified),
        Reader("elaborated-proof", certificate_files.read_short, certificate_files.short_proofs, (Sealed(PROOF),)),
        Reader("record", _read_record, _records, json_text),
        Reader("vnnlib", lambda data: read_vnnlib(data.decode()), _properties, (*lisp, mutate_formula)),
        Reader("vnnlib-gz", _read_packed, _packed, (mutate_bytes,)),
        Reader("instances", _read_instances, lambda: [b'a.onnx,b.vnnlib,60\n"c d",e,.5\n'], lisp),
        Reader("result", lambda data: read_counterexample(data.decode()), _results, lisp),
        Reader("nir", nir_files.read, nir_files.seeds, (nir_files.mutate, nir_files.mutate, mutate_bytes)),
        Reader("xylo", _read_xylo, lambda: [small()], json_text),
        Reader(
            "lava",
            _read_lava,
            lambda: [net(), image_net()],
            (nir_files.mutate, nir_files.mutate, mutate_bytes),
        ),
        Reader("certificates", _read_certificates, _certificates, json_text),
        Reader("cifar", data_files.read_cifar, data_files.cifar, (data_files.mutate_pickle, mutate_bytes)),
        Reader("idx", data_files.read_images, data_files.idx, (data_files.mutate_packed, mutate_bytes)),
        Reader("gestures", data_files.read_gestures, data_files.gestures, (mutate_bytes,)),
        Reader("gesture table", data_files.read_table, data_files.tables, (mutate_bytes,)),
        Reader(
            "ssc", data_files.read_commands, data_files.spikes, (nir_files.mutate, nir_files.mutate, mutate_bytes)
        ),
        Reader("nmnist", data_files.read_events, data_files.events, (mutate_bytes,)),
        Reader(
            "shd", data_files.read_spikes, data_files.spikes, (nir_files.mutate, nir_files.mutate, mutate_bytes)
        ),
        Reader("npz", own_files.read_archive, own_files.archives, (own_files.mutate_archive, mutate_bytes)),
        Reader("table", own_files.read_table, own_files.tables, (mutate_text, mutate_bytes)),
        Reader("picture", own_files.read_picture, own_files.pictures, (own_files.mutate_picture, mutate_bytes)),
        Reader("onnx", own_files.read_graph, own_files.graphs, (own_files.mutate_graph, mutate_bytes)),
        Reader("configuration", configurations.read_run, configurations.runs, toml),
        Reader("features", configurations.read_features, configurations.feature_files, toml),
        Reader("trained-on", configurations.read_description, configurations.descriptions, toml),
        Reader("plant", configurations.read_plant, configurations.plants, toml),
        Reader("protocol", configurations.read_protocol, configurations.protocols, toml),
        Reader("batch", batch_folders.read_batch, batch_folders.batch_files, (Sealed(VERDICTS),)),
        Reader(
            "checkpoint",
            kept_files.read_checkpoint,
            kept_files.checkpoints,
            (Sealed(CHECKPOINT),),
            (ValueError, FloatingPointError),
        ),
        Reader("weights", _read_state, _states, (mutate_bytes,)),
        Reader("checked", kept_files.read_checks, kept_files.checks, json_text),
        Reader("member", kept_files.read_member, kept_files.members, (Sealed(kept_files.MEMBER),)),
        Reader("radii", kept_files.read_radii, kept_files.radii, json_text),
        Reader("part", kept_files.read_part, kept_files.parts, json_text),
        Reader("run-result", kept_files.read_result, kept_files.results, json_text),
        Reader("problem", batch_folders.read_problem, batch_folders.problem_files, json_text),
    )
    return {reader.name: reader for reader in found}
