"""A question about a network, asked of its build for a chip."""

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spikecert.reports.records.schema import Threat
    from spikecert.runs.examining import Subject


def on_chip(subject: "Subject", target: str, bits: int) -> "Subject":
    """Return the build, and the samples as the chip takes them."""
    from spikecert.models.chips import quantize, whole_inputs
    from spikecert.training import Split

    network = quantize(subject.network, target, bits=bits)
    inputs = whole_inputs(network, subject.samples.inputs)
    samples = Split(inputs, subject.samples.labels)
    return replace(subject, name=f"{subject.name} on {target}, {bits} bits", network=network, samples=samples)


def in_units(threat: "Threat", subject: "Subject") -> "Threat":
    """Return a threat of real balls as one of whole vectors of the range that the chip takes.

    Raises:
        ValueError: for ε that are no whole numbers, or another norm of real inputs.
    """
    from spikecert.certify.perturbations import takes_whole

    if threat.norm not in ("linf", "l2"):
        return threat
    taken = takes_whole(subject.network)
    assert taken is not None
    if threat.norm == "l2" or not all(epsilon.is_integer() for epsilon in threat.epsilons):
        told = f"units of the chip's inputs, 0 to {taken.most}, within ℓ∞"
        raise ValueError(f"epsilon: got {threat.text(threat.epsilons[0])}, expected whole numbers, {told}")
    return threat.model_copy(update={"lower": 0.0, "upper": float(taken.most)})
