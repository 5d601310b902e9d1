"""Prove the claims of a file again: without a solver, and trusting nothing in it.

Gain reports and certificates as JSON: written, and read back without a check (see `checking`).
"""

import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...files import FileKind, write_atomically
from ...models import SpikingNetwork, network_hash
from ...models.elements.synapses import TemporalFilter
from ...models.validation import one_line
from ..arithmetic import Interval
from ..gains.gains import GainReport, LayerGain
from ..gains.neuron_gains import check_norm
from ..lmi import ChainCertificate, LinearSystem, UndampedMode
from ..lmi.certificates import BoundedRealCertificate, NoFiniteGain, SurrogateCertificate, TimeVaryingCertificate
from ..operators import INPUT, layer_operators
from .norm_certificates import OperatorNormCertificate

FORMAT = "spikecert.certificates/1"
CERTIFICATES = FileKind("path", "a file of certificates", most=2**28)
Certificate = (
    BoundedRealCertificate
    | NoFiniteGain
    | UndampedMode
    | TimeVaryingCertificate
    | SurrogateCertificate
    | ChainCertificate
    | OperatorNormCertificate
)

_KINDS: dict[str, type[Any]] = {
    "bounded-real": BoundedRealCertificate,
    "no-finite-gain": NoFiniteGain,
    "undamped-mode": UndampedMode,
    "time-varying": TimeVaryingCertificate,
    "surrogate-network": SurrogateCertificate,
    "surrogate-chain": ChainCertificate,
    "operator-norm": OperatorNormCertificate,
}

_TEXTS = ("name", "input_norm", "output_norm")


def report_data(report: GainReport) -> dict[str, Any]:
    """Return a gain report as JSON-ready data; infinite numbers as the text "inf"."""
    return {
        "format": FORMAT,
        "about": "simplified dynamics; the spiking network only while its trains agree",
        "network": report.network,
        "input_shape": input_shape(report),
        "input_norm": report.input_norm,
        "output_norm": report.output_norm,
        "horizon": _number(report.horizon),
        "method": report.method,
        "simplified": report.simplified,
        "layers": [_plain(dataclasses.asdict(layer)) for layer in report.layers],
        "readout": None if report.readout is None else _plain(dataclasses.asdict(report.readout)),
        "certificates": [certificate_data(item) for item in report.certificates],
    }


def input_shape(report: GainReport) -> list[int] | None:
    """Return the shape of one sample at one step, where the report knows its layers."""
    shapes = [list(item.signals[INPUT]) for item in report.operators if INPUT in item.signals]
    return shapes[0] if shapes else None


def save_certificates(
    certificates: Sequence[Certificate], path: str | Path, report: GainReport | None = None
) -> None:
    """Write certificates to a JSON file; floats are written so that they read back bit for bit.

    Args:
        certificates: in addition to the report's own.
        path: of the file.
        report: also write each layer's operator norm and gain, and the network's hash: `check_file` proves the
            dense layers' norms from the weights in the report's certificates, and all of it given the network.
    """
    head = {"format": FORMAT} if report is None else report_data(report)
    content = {**head, "certificates": [*head.get("certificates", []), *map(certificate_data, certificates)]}
    write_atomically(path, json.dumps(content, indent=1, allow_nan=False).encode())


def load_certificates(path: str | Path) -> tuple[Certificate, ...]:
    """Read certificates, of `save_certificates` or out of a gain report; they are not checked yet.

    Raises:
        FileNotFoundError: where there is no such file.
        ValueError: for a file that is no certificate file.
    """
    content = read_content(path)
    try:
        return tuple(_certificate(item) for item in content["certificates"])
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ValueError(f"path: {path} holds a certificate that can't be read: {one_line(error)}") from error


def read_content(path: str | Path) -> dict[str, Any]:
    """Return the JSON of a certificate file; raise as `load_certificates` does."""
    content = CERTIFICATES.json(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"path: {path} is no certificate file (it lacks format {FORMAT!r})")
    return content


def load_layers(content: dict[str, Any]) -> tuple[tuple[LayerGain, ...], Interval | None]:
    """Return the layers and the readout of a gain report's data; ValueError where they can't be read."""
    try:
        layers = tuple(_layer(item) for item in content["layers"])
        readout = content["readout"]
        return layers, None if readout is None else _interval(readout)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ValueError(f"path: the file holds layers that can't be read: {one_line(error)}") from error


def _layer(data: dict[str, Any]) -> LayerGain:
    numbers = {
        key: _frozen(value) for key, value in data.items() if key in ("neuron_gain", "gain", "bias", "decay")
    }
    scale = data["input_scale"]
    return LayerGain(
        name=str(data["name"]),
        operator_norm=_interval(data["operator_norm"]),
        input_scale=None if scale is None else _frozen(scale),
        sources=tuple(int(index) for index in data["sources"]),
        filters=tuple(TemporalFilter(**item) for item in data.get("filters", ())),
        **numbers,
    )


def _interval(data: dict[str, Any]) -> Interval:
    return Interval(_frozen(data["lower"]), _frozen(data["upper"]))


def certificate_data(item: Certificate) -> dict[str, Any]:
    """Return a certificate as JSON-ready data."""
    return {"kind": kind_of(item), **_plain(dataclasses.asdict(item))}


def kind_of(item: Certificate) -> str:
    """Return the name under which files list the type of a certificate."""
    return next(name for name, kind in _KINDS.items() if type(item) is kind)


def _certificate(data: dict[str, Any]) -> Certificate:
    fields = {key: _frozen(value) for key, value in data.items() if key not in ("kind", "system", *_TEXTS)}
    fields |= {key: str(data[key]) for key in _TEXTS if key in data}
    kind = _KINDS.get(data["kind"])
    if kind is None:
        raise ValueError(f"unknown kind {data['kind']!r}")
    if "system" in data:
        fields["system"] = LinearSystem(**{key: _frozen(value) for key, value in data["system"].items()})
    return kind(**fields)


def _frozen(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_frozen(item) for item in value)
    if value == "inf":
        return math.inf
    if type(value) is int:  # witnesses in integers may be longer than a float
        return value
    if type(value) is not float or not math.isfinite(value):
        raise ValueError(f"got {value!r}, expected finite numbers")
    return value


def _number(value: float) -> float | str:
    return "inf" if value == math.inf else value


def _plain(value: Any) -> Any:
    convert: dict[type, Callable[[Any], Any]] = {
        dict: lambda found: {key: _plain(item) for key, item in found.items()},
        tuple: lambda found: [_plain(item) for item in found],
        list: lambda found: [_plain(item) for item in found],
        float: _number,
    }
    return convert.get(type(value), lambda found: found)(value)


PROVEN, REFUSED, OPEN = "proven", "refused", "not checked"


@dataclass(frozen=True)
class CheckedClaim:
    """One claim of a file, and what came of it.

    Attributes:
        claim: in words.
        verdict: "proven", "refused", or "not checked" where the file does not hold what a proof needs.
        basis: what the verdict rests on.
    """

    claim: str
    verdict: str
    basis: str

    @property
    def holds(self) -> bool:
        """Return whether the claim was proven here."""
        return self.verdict == PROVEN


def check_file(path: str | Path, network: SpikingNetwork | None = None) -> tuple[CheckedClaim, ...]:
    """Prove each certificate in a file again, and each layer's numbers given the network.

    A certificate holds about the matrices in the file. Only with `network` is it shown that the layers' operator
    norms and gains are about that network: its hash is compared, and `GainReport` proves them from its weights.

    Args:
        path: a file of `save_certificates`, or a gain report of `report_data` as JSON.
        network: the one that the file is about.

    Raises:
        FileNotFoundError, ValueError: as `load_certificates`; ValueError also for a file without claims, or a
            network for a file that says nothing about one.
    """
    content = read_content(path)
    found = tuple(_checked(item) for item in load_certificates(path))
    if network is not None and "layers" not in content:
        raise ValueError(f"network: got one, but {path} holds no layers to prove from it")
    layers = _layers(content, network) if "layers" in content else ()
    if not found and not layers:
        raise ValueError(f"path: {path} holds no certificates, expected at least one")
    return (*found, *layers)


def _checked(item: Certificate) -> CheckedClaim:
    name = f" of {item.name}" if isinstance(item, OperatorNormCertificate) else ""
    claim = f"{kind_of(item)}{name}: gain {'≤ ' if item.gain < float('inf') else ''}{item.gain:.10g}"
    return CheckedClaim(claim, PROVEN if _holds(item) else REFUSED, "the certificate alone")


def _holds(item: Certificate) -> bool:
    try:
        return item.check()
    except (ValueError, TypeError, IndexError, OverflowError):  # shapes that do not fit: a refused certificate
        return False


def _layers(content: dict[str, Any], network: SpikingNetwork | None) -> tuple[CheckedClaim, ...]:
    layers, readout = load_layers(content)
    claims = [f"{item.name}: ‖W‖ ≤ {item.operator_norm.upper:.10g}, gain ≤ {item.gain:.10g}" for item in layers]
    claims += [] if readout is None else [f"readout: ‖W‖ ≤ {readout.upper:.10g}"]
    if network is None:
        return tuple(CheckedClaim(claim, OPEN, "needs the network") for claim in claims)
    same = content.get("network") == network_hash(network)
    identity = CheckedClaim("the network is the file's", PROVEN if same else REFUSED, "its SHA-256")
    try:
        report = _report(content, network)
        verdicts = [report.holds(k) for k in range(len(layers))]
        verdicts += [] if readout is None else [report.readout_holds()]
        complete = len([op for op in report.operators if op.rule is not None]) == len(layers)
    except (KeyError, TypeError, ValueError, IndexError):  # a report of another network
        verdicts, complete = [False] * len(claims), False
    proofs = [
        CheckedClaim(claim, PROVEN if same and complete and verdict else REFUSED, "the network's weights")
        for claim, verdict in zip(claims, verdicts, strict=True)
    ]
    return (identity, *proofs)


def _report(content: dict[str, Any], network: SpikingNetwork) -> GainReport:
    layers, readout = load_layers(content)
    check_norm("input_norm", content["input_norm"])
    check_norm("output_norm", content["output_norm"])
    shape = content["input_shape"]
    operators = layer_operators(network, None if shape is None else tuple(map(int, shape)), filters=True)
    names = [item.name for item in operators if item.rule is not None]
    if names != [item.name for item in layers]:
        raise ValueError("network: its layers are not the file's")
    horizon = float("inf") if content["horizon"] == "inf" else content["horizon"]
    ends = (content["input_norm"], content["output_norm"])
    return GainReport(layers, readout, *ends, horizon, str(content["method"]), (), operators)
