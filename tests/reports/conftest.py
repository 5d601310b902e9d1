"""Hand-made records: rows with known answers, so that every number of a report can be worked out on paper."""

from collections.abc import Callable

import pytest

from spikecert.asking import Threat
from spikecert.reports.records.radii import RadiusTable, SampleRadius
from spikecert.reports.records.records import ModelRecord, Record
from spikecert.reports.records.rows import Finding, SampleRow, tally
from spikecert.reports.records.schema import (
    Architecture,
    Counterexample,
    Data,
    Environment,
    GainRow,
    GainTable,
    GrowthRow,
    LayerActivity,
    NeuronActivity,
    Training,
)

EPSILONS = (2 / 255, 4 / 255, 8 / 255)
SAMPLES = 10
# For each ε: how many samples, counted from sample 0, "interval" and "trains" verify.
VERIFIED = {"interval": (6, 3, 0), "trains": (8, 6, 3)}
BROKEN = (0, 1, 3)


def finding(place: int, verified: int) -> Finding:
    if place < verified:
        return Finding(status="verified", margin=0.25, seconds=0.001)
    return Finding(status="unknown", margin=-0.5, seconds=0.002, reason="the bounds do not decide")


def rows() -> tuple[SampleRow, ...]:
    """Sample 9 is misclassified; of the others the last BROKEN[k] fall to the attack at EPSILONS[k]."""
    return tuple(
        SampleRow(
            index=place,
            label=place,
            predicted=place if place < 9 else 0,
            correct=place < 9,
            epsilon=epsilon,
            attacks={"ensemble": place >= 9 - BROKEN[k]},
            verdicts={name: finding(place, counts[k]) for name, counts in VERIFIED.items()},
        )
        for k, epsilon in enumerate(EPSILONS)
        for place in range(SAMPLES)
    )


def gains() -> GainTable:
    layer = GainRow(name="layer 0", operator_norm=(1.5, 1.5001), neuron_gain=5.2636, gain=7.896, bias=0.0)
    return GainTable(input_norm="l2", output_norm="l2", horizon="8 steps", layers=(layer,))


RADII = (
    (0.05, 0.2),
    (0.04, 0.1),
    (0.035, 0.035),
    (0.02, 1.0),
    (0.02, 0.05),
    (0.016, 0.03),
    (0.008, 0.02),
    (0.008, 0.03),
    (0.0, 0.015),
    (0.0, 0.0),
)
"""Proven and attacked ends; nothing breaks sample 3, sample 9 is misclassified as it is."""


def radii() -> RadiusTable:
    samples = tuple(
        SampleRadius(
            index=place,
            label=place,
            lower=lower,
            upper=upper,
            exact=lower == upper,
            attacked=upper < 1,
            verifier="linear" if lower else "",
        )
        for place, (lower, upper) in enumerate(RADII)
    )
    return RadiusTable(norm="linf", verifier="linear", tolerance=1e-3, samples=samples)


def growth() -> tuple[GrowthRow, ...]:
    fields = {"layer": "layer 0", "samples": 10, "bound": 7.896}
    return (
        GrowthRow(source="noise", simplified=3.948, same_trains=4, exact_same=3.0, exact=9.5, **fields),
        GrowthRow(source="pgd", simplified=5.0, same_trains=0, exact=6.0, **fields),
    )


def activity() -> tuple[LayerActivity, ...]:
    potentials = {
        "clean_potentials": (0.25, 1.25, 0.5, 0.75),
        "perturbed_potentials": (0.25, 0.75, 1.5, 0.25),
    }
    flipped = NeuronActivity(index=1, clean="0100", perturbed="0010", **potentials)
    same = NeuronActivity(index=3, clean="1001", perturbed="1001")
    return (LayerActivity(name="layer 0", neurons=4, changed=1, threshold=1.0, shown=(flipped, same)),)


def counterexample() -> Counterexample:
    clean = tuple(k / 15 for k in range(16))
    perturbed = tuple(min(value + 4 / 255, 1.0) for value in clean)
    return Counterexample(
        index=8,
        label=8,
        predicted=3,
        epsilon=4 / 255,
        found_by="pgd",
        shape=(16,),
        clean=clean,
        perturbed=perturbed,
        activity=activity(),
    )


def model(name: str = "MS-MPPD, ρ = 1") -> ModelRecord:
    seconds = {f"{source} at {epsilon:g}": 0.5 for source in ("ensemble", *VERIFIED) for epsilon in EPSILONS}
    description = {
        "num_steps": 8,
        "encoding": "direct",
        "readout": "mean",
        "layers": [
            {"type": "Linear", "in_features": 16, "out_features": 4, "bias": True},
            {"type": "LIF", "decay": 0.9, "threshold": 1.0, "reset": "zero", "fires_at": ">="},
            {"type": "Linear", "in_features": 4, "out_features": 10, "bias": True},
        ],
    }
    return ModelRecord(
        name=name,
        architecture=Architecture(description=description, parameters=118, num_steps=8, sha256="ab" * 32),
        training=Training(settings={"objective": "MSMPPD", "rho": 1.0, "epochs": 3}, seconds=1.5),
        gains=gains(),
        seconds=seconds,
        points=tally(rows()),
        rows=rows(),
        counterexamples=(counterexample(),),
        radii=radii(),
        growth=growth(),
    )


@pytest.fixture
def handmade() -> Callable[..., Record]:
    """Return a maker of records; its arguments replace fields."""

    def make(*names: str, **changes: object) -> Record:
        fields: dict[str, object] = {
            "schema": "spikecert.record/3",
            "title": "A hand-made report",
            "created": "2026-01-02 03:04 UTC",
            "command": "spikecert demo --seed 0",
            "seeds": {"seed": 0},
            "focus": 4 / 255,
            "environment": Environment(
                python="3.11.9", platform="Linux", device="cpu", torch_threads=2, packages={"torch": "2.13.0"}
            ),
            "data": Data(name="digits", split="test", samples=SAMPLES, classes=10, shape=(16,)),
            "threat": Threat.of("linf", EPSILONS),
            "models": tuple(model(name) for name in names or ("MS-MPPD, ρ = 1",)),
        }
        return Record.model_validate({**fields, **changes})

    return make
