"""Does every proven radius stay below every attacked one?"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from ..certify.answering import resolve
from ..certify.problem import BALLS
from ..certify.radii import Radius, certified_radius
from ..certify.replay import evaluating, misclassified, replays
from ..certify.ties import settled_ties
from ..certify.verifiers import Verifier
from ..models.networks import SpikingNetwork
from .cases import candidates, own_labels
from .claims.code import repeatable
from .refuted import Refuted


@dataclass(frozen=True)
class Sandwich:
    """What held: each sample's best proven and best attacked radius, with the exact one between them."""

    lower: tuple[float, ...]
    upper: tuple[float, ...]


@dataclass(frozen=True)
class _Sample:
    """One sample, (1, ...) and (1,), and what each verifier says of its radius."""

    network: SpikingNetwork
    input: Tensor
    label: Tensor
    norm: str
    where: str
    radii: tuple[tuple[str, Radius], ...]


@repeatable
def check_sandwich(
    network: SpikingNetwork,
    inputs: Tensor,
    verifiers: Sequence[str | Verifier] = ("trains", "auto"),
    *,
    labels: Tensor | None = None,
    norm: str = "linf",
    tolerance: float = 0.01,
    count: int = 24,
    timeout: float | None = 10.0,
    seed: int = 0,
    ties: str | None = None,
) -> Sandwich:
    """Check certified ≤ exact ≤ attacked radius of each sample, over several verifiers.

    What any of them proves must lie below what any counterexample reaches. Each counterexample must be within its
    radius and misclassified when run alone, and no input that is tried within a proven radius may be.

    Args:
        network: any network; evaluation mode is used.
        inputs: (batch, ...), within [0, 1].
        verifiers: names, or verifiers of your own, to play against each other.
        labels: (batch,); default: the network's own answers.
        norm: "linf" or "l2".
        tolerance: as in `certified_radius`.
        count: random inputs to try within the proven radius of each sample.
        timeout: seconds for a sample and verifier; None: no limit.
        seed: of random inputs and attacks.
        ties: what a tie between logits is, as in `verify`.

    Raises:
        Refuted: with the sample and the verifiers; its `witness` is the counterexample.
        SoundnessError: where `certified_radius` sees the contradiction first.
        TypeError, ValueError: as `certified_radius`.
    """
    with evaluating(network):
        labels = own_labels(network, inputs, labels)
        names = [resolve(verifier).name for verifier in verifiers]
        asked = {"timeout": timeout, "seed": seed, "ties": settled_ties(network, ties)}
        found = [
            certified_radius(network, inputs, labels, norm, verifier, tolerance, **asked) for verifier in verifiers
        ]
        samples = [
            _Sample(network, inputs[index, None], labels[index, None], norm, f"sample {index}", tuple(pairs))
            for index, radii in enumerate(zip(*found, strict=True))
            for pairs in [zip(names, radii, strict=True)]
        ]
        return _sandwich([_checked(sample, count, seed) for sample in samples])


def _sandwich(ends: Sequence[tuple[float, float]]) -> Sandwich:
    return Sandwich(tuple(lower for lower, _ in ends), tuple(upper for _, upper in ends))


def _checked(sample: _Sample, count: int, seed: int) -> tuple[float, float]:
    """Return the sample's best ends, after all checks."""
    for name, radius in sample.radii:
        _check_upper(sample, name, radius)
    prover, best = max(sample.radii, key=lambda pair: pair[1].lower)
    breaker, least = min(sample.radii, key=lambda pair: pair[1].upper)
    if best.lower > least.upper:
        claim = f"{prover!r} proved radius {best.lower:.6g}"
        message = f"{sample.where}: {claim}, but {breaker!r} has a counterexample at {least.upper:.6g}"
        raise Refuted(message, least.counterexample)
    if best.lower > 0:
        _check_inside(sample, prover, best, count, seed)
    return best.lower, least.upper


def _check_upper(sample: _Sample, name: str, radius: Radius) -> None:
    counterexample, where = radius.counterexample, f"{name!r}, {sample.where}: its counterexample"
    if counterexample is None:
        return
    if not bool(BALLS[sample.norm](radius.upper).contains(counterexample[None], sample.input)):
        raise Refuted(f"{where} is not within radius {radius.upper:.6g}", counterexample)
    if not replays(sample.network, counterexample, int(sample.label), radius.ties):
        raise Refuted(f"{where} is classified right when run alone", counterexample)


def _check_inside(sample: _Sample, name: str, radius: Radius, count: int, seed: int) -> None:
    ball = BALLS[sample.norm](radius.lower)
    for tried in candidates(sample.network, sample.input, sample.label, ball, count, seed, radius.ties):
        if bool(misclassified(sample.network, tried, sample.label, radius.ties)):
            message = f"{name!r}, {sample.where}: proved radius {radius.lower:.6g}, but an input within it fails"
            raise Refuted(message, tried[0])
