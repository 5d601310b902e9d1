"""Prove the claims of a file again: without a solver, and trusting nothing in it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...models import SpikingNetwork, network_hash
from ..gains.gains import GainReport
from ..gains.neuron_gains import check_norm
from ..operators import layer_operators
from .norm_certificates import OperatorNormCertificate
from .storage import Certificate, kind_of, load_certificates, load_layers, read_content

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
