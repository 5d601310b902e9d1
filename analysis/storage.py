"""Gain reports and certificates as JSON, and a check of a file that needs no solver and trusts nothing in it."""

import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .gains import GainReport
from .lmi.certificates import BoundedRealCertificate, NoFiniteGain, SurrogateCertificate, TimeVaryingCertificate
from .lmi.systems import LinearSystem

FORMAT = "spikecert.certificates/1"
Certificate = BoundedRealCertificate | NoFiniteGain | TimeVaryingCertificate | SurrogateCertificate

_KINDS: dict[str, type[Any]] = {
    "bounded-real": BoundedRealCertificate,
    "no-finite-gain": NoFiniteGain,
    "time-varying": TimeVaryingCertificate,
    "surrogate-network": SurrogateCertificate,
}


def report_data(report: GainReport) -> dict[str, Any]:
    """Return a gain report as JSON-ready data; infinite numbers as the text "inf"."""
    return {
        "format": FORMAT,
        "about": "simplified dynamics; the spiking network only while its trains agree",
        "input_norm": report.input_norm,
        "output_norm": report.output_norm,
        "horizon": _number(report.horizon),
        "method": report.method,
        "simplified": report.simplified,
        "layers": [_plain(dataclasses.asdict(layer)) for layer in report.layers],
        "readout": None if report.readout is None else _plain(dataclasses.asdict(report.readout)),
        "certificates": [_certificate_data(item) for item in report.certificates],
    }


def save_certificates(certificates: Sequence[Certificate], path: str | Path) -> None:
    """Write certificates to a JSON file; floats are written so that they read back bit for bit."""
    content = {"format": FORMAT, "certificates": [_certificate_data(item) for item in certificates]}
    Path(path).write_text(json.dumps(content, indent=1, allow_nan=False), encoding="utf-8")


def load_certificates(path: str | Path) -> tuple[Certificate, ...]:
    """Read certificates, of `save_certificates` or out of a gain report; they are not checked yet.

    Raises:
        FileNotFoundError: where there is no such file.
        ValueError: for a file that is no certificate file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"path: got {path}, expected a file of certificates")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"path: {path} is no JSON: {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"path: {path} is no certificate file (it lacks format {FORMAT!r})")
    try:
        return tuple(_certificate(item) for item in content["certificates"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"path: {path} holds a certificate that can't be read: {error}") from error


def check_file(path: str | Path) -> tuple[tuple[str, bool], ...]:
    """Prove each certificate in a file again: (what it claims, whether that is proven).

    Raises:
        FileNotFoundError, ValueError: as `load_certificates`; ValueError also for a file without certificates.
    """
    found = load_certificates(path)
    if not found:
        raise ValueError(f"path: {path} holds no certificates, expected at least one")
    return tuple((f"{_kind(item)}: gain ≤ {item.gain:.10g}", _holds(item)) for item in found)


def _holds(item: Certificate) -> bool:
    try:
        return item.check()
    except (ValueError, TypeError, IndexError, OverflowError):  # shapes that do not fit: a refused certificate
        return False


def _certificate_data(item: Certificate) -> dict[str, Any]:
    return {"kind": _kind(item), **_plain(dataclasses.asdict(item))}


def _kind(item: Certificate) -> str:
    return next(name for name, kind in _KINDS.items() if type(item) is kind)


def _certificate(data: dict[str, Any]) -> Certificate:
    fields = {key: _frozen(value) for key, value in data.items() if key not in ("kind", "system")}
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
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"got {value!r}, expected finite numbers")
    return float(value)


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
