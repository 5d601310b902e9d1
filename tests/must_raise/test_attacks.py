"""Everything about attacks, threat models and smoothing that must raise, with the argument that the line names."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from spikecert.certify import (
    APGD,
    FGSM,
    L2,
    PGD,
    Ensemble,
    Gaussian,
    LInf,
    PixelBox,
    SmoothedVerdict,
    SpikeFlip,
    SpikeFlips,
    Square,
    attack,
    rate_certificate,
    rate_radius,
    smooth,
)
from spikecert.certify.smoothing import lower_confidence_bound, total_variation
from spikecert.models import mlp

NETWORK, EVENTS = mlp((3, 4, 2), num_steps=2), mlp((3, 4, 2), num_steps=2, encoding="none")
INPUTS, LABELS = torch.full((2, 3), 0.5), torch.tensor([0, 1])
SPIKES, SOURCE = torch.ones(2, 2, 3), torch.Generator()


def attacked(**changes: Any) -> Any:
    arguments = {"network": NETWORK, "inputs": INPUTS, "labels": LABELS, "perturbation": LInf(0.1), **changes}
    return attack(**arguments)


def smoothed(**changes: Any) -> Any:
    arguments = {
        "network": NETWORK,
        "inputs": INPUTS,
        "sigma": 0.1,
        "samples": 5,
        "alpha": 0.1,
        "generator": SOURCE,
    }
    return smooth(**{**arguments, **changes})


def rated(**changes: Any) -> Any:
    arguments = {"network": EVENTS, "inputs": INPUTS, "samples": 5, "alpha": 0.1, "generator": SOURCE}
    return rate_certificate(**{**arguments, **changes})


def verdict(status: str, prediction: int | None, radius: float) -> SmoothedVerdict:
    return SmoothedVerdict(status, prediction, radius, "l2", 0.9, 0.01, 10, "Gaussian")


TABLE: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: LInf(-0.1), ValueError, "epsilon"),
    (lambda: LInf(math.nan), ValueError, "epsilon"),
    (lambda: L2(math.inf), ValueError, "epsilon"),
    (lambda: LInf("0.1"), TypeError, "epsilon"),  # type: ignore[arg-type]
    (lambda: LInf(torch.tensor([0.1])), TypeError, "epsilon"),  # type: ignore[arg-type]
    (lambda: LInf(True), TypeError, "epsilon"),
    (lambda: LInf(0.1, 1.0, 0.0), ValueError, "lower, upper"),
    (lambda: L2(0.1, math.nan, 1.0), ValueError, "lower"),
    (lambda: L2(0.1, 0.0, "1"), TypeError, "upper"),  # type: ignore[arg-type]
    (lambda: PixelBox(0.1), TypeError, "radius"),  # type: ignore[arg-type]
    (lambda: PixelBox(torch.tensor([True])), TypeError, "radius"),
    (lambda: PixelBox(torch.tensor([-0.1])), ValueError, "radius"),
    (lambda: PixelBox(torch.tensor([math.nan])), ValueError, "radius"),
    (lambda: PixelBox(torch.tensor([0.1]), 2.0, 1.0), ValueError, "lower, upper"),
    (lambda: SpikeFlip(-1), ValueError, "count"),
    (lambda: SpikeFlip(1.0), TypeError, "count"),  # type: ignore[arg-type]
    (lambda: SpikeFlip(True), TypeError, "count"),
    (lambda: attacked(method="deepfool"), ValueError, "method"),
    (lambda: attacked(perturbation=0.1), TypeError, "perturbation"),
    (lambda: attacked(perturbation=PixelBox(torch.ones(4))), ValueError, "radius"),
    (lambda: attacked(perturbation=PixelBox(torch.ones(2, 3))), ValueError, "radius"),
    (lambda: attacked(inputs=INPUTS + 1), ValueError, "inputs"),
    (lambda: attacked(inputs=INPUTS.double()), TypeError, "inputs"),
    (lambda: attacked(inputs=INPUTS * math.nan), ValueError, "inputs"),
    (lambda: attacked(labels=torch.tensor([0, 2])), ValueError, "labels"),
    (lambda: attacked(labels=torch.tensor([0])), ValueError, "labels"),
    (lambda: attacked(labels=torch.tensor([0.0, 1.0])), TypeError, "labels"),
    (lambda: attacked(batch_size=0), ValueError, "batch_size"),
    (lambda: attacked(perturbation=SpikeFlip(1), method="spike-flip"), ValueError, "inputs"),
    (lambda: attacked(network=EVENTS, inputs=SPIKES, perturbation=SpikeFlip(1)), TypeError, "perturbation"),
    (lambda: attacked(method="spike-flip"), TypeError, "perturbation"),
    (lambda: PGD(steps=0), ValueError, "steps"),
    (lambda: PGD(steps=2.0), TypeError, "steps"),  # type: ignore[arg-type]
    (lambda: PGD(restarts=0), ValueError, "restarts"),
    (lambda: PGD(step_size=0.0), ValueError, "step_size"),
    (lambda: PGD(iterate="first"), ValueError, "iterate"),
    (lambda: PGD(loss="hinge"), ValueError, "loss"),
    (lambda: PGD(surrogate="triangle"), TypeError, "surrogate"),  # type: ignore[arg-type]
    (lambda: FGSM(loss="hinge"), ValueError, "loss"),
    (lambda: APGD(steps=0), ValueError, "steps"),
    (lambda: APGD(rank=0), ValueError, "rank"),
    (lambda: Square(queries=0), ValueError, "queries"),
    (lambda: Square(share=0.0), ValueError, "share"),
    (lambda: Gaussian(draws=0), ValueError, "draws"),
    (lambda: SpikeFlips(trials=0), ValueError, "trials"),
    (lambda: SpikeFlips(swaps=-1), ValueError, "swaps"),
    (lambda: Ensemble(members=("pgd",)), TypeError, "members"),  # type: ignore[arg-type]
    (lambda: smoothed(network=3), TypeError, "network"),
    (lambda: smoothed(sigma=0.0), ValueError, "sigma"),
    (lambda: smoothed(sigma=math.inf), ValueError, "sigma"),
    (lambda: smoothed(samples=0), ValueError, "samples"),
    (lambda: smoothed(samples=1.5), TypeError, "samples"),
    (lambda: smoothed(selection=0), ValueError, "selection"),
    (lambda: smoothed(batch_size=0), ValueError, "batch_size"),
    (lambda: smoothed(alpha=0.0), ValueError, "alpha"),
    (lambda: smoothed(alpha=1.0), ValueError, "alpha"),
    (lambda: smoothed(generator=0), TypeError, "generator"),
    (lambda: smoothed(inputs=INPUTS[0]), ValueError, "inputs"),
    (lambda: rated(network=NETWORK), ValueError, "network"),
    (lambda: rated(inputs=INPUTS + 1), ValueError, "inputs"),
    (lambda: rated(inputs=SPIKES), ValueError, "inputs"),
    (lambda: rated(inputs=[0.5]), TypeError, "inputs"),
    (lambda: rated(votes=0), ValueError, "votes"),
    (lambda: rate_radius(1.5, 4), ValueError, "probability"),
    (lambda: rate_radius(0.9, 0), ValueError, "draws"),
    (lambda: rate_radius(0.9, 2.0), TypeError, "draws"),  # type: ignore[arg-type]
    (lambda: total_variation(-0.1, 2), ValueError, "distance"),
    (lambda: lower_confidence_bound(6, 5, 0.1), ValueError, "successes"),
    (lambda: verdict("verified", 1, 0.1), ValueError, "status"),
    (lambda: verdict("certified", None, 0.1), ValueError, "prediction"),
    (lambda: verdict("abstained", 1, 0.0), ValueError, "prediction"),
    (lambda: verdict("certified", 1, 0.0), ValueError, "radius"),
    (lambda: verdict("abstained", None, 0.1), ValueError, "radius"),
]


@pytest.mark.parametrize(("call", "error", "argument"), TABLE)
def test_it_raises_one_line_that_names_the_argument(
    call: Callable[[], Any], error: type[Exception], argument: str
) -> None:
    with pytest.raises(error) as raised:
        call()
    assert type(raised.value) is error
    message = str(raised.value)
    assert message.startswith(f"{argument}: ")
    assert "\n" not in message
