"""A question about a network, asked of its build for a chip."""

from dataclasses import replace

from spikecert.models.chips import quantize, whole_inputs
from spikecert.reports.records.schema import Threat
from spikecert.training import Split

from .examining import Subject


def on_chip(subject: Subject, target: str, bits: int) -> Subject:
    """Return the build, and the samples as the chip takes them."""
    network = quantize(subject.network, target, bits=bits)
    inputs = whole_inputs(network, subject.samples.inputs)
    samples = Split(inputs, subject.samples.labels)
    return replace(subject, name=f"{subject.name} on {target}, {bits} bits", network=network, samples=samples)


def in_units(threat: Threat, subject: Subject) -> Threat:
    """Return a threat of real balls as one of whole vectors of the range that the chip takes.

    Raises:
        ValueError: for ε that are no whole numbers, or another norm of real inputs.
    """
    if threat.norm not in ("linf", "l2"):
        return threat
    most = subject.network.layers[0].most
    if threat.norm == "l2" or not all(epsilon.is_integer() for epsilon in threat.epsilons):
        told = f"units of the chip's inputs, 0 to {most}, within ℓ∞"
        raise ValueError(f"epsilon: got {threat.text(threat.epsilons[0])}, expected whole numbers, {told}")
    return threat.model_copy(update={"lower": 0.0, "upper": float(most)})
