"""The entry point `output_range`."""

import time
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ...models.constants import positive, whole
from ...models.deadline import checked_timeout, share, until
from ...models.networks import SpikingNetwork
from ...models.progress import Progress, silent
from ...models.validation import check_plain
from ..alike import Alike
from ..arithmetic import check_arithmetic
from ..attacks import check_posed
from ..detaching import detach
from ..latency_codes import coded
from ..own_draws import own_draws, sample_by_sample
from ..perturbations import LInf, Perturbation, settled_set
from ..problem import Problem
from ..questions.asking import property_goal
from ..questions.forms import Form, Property, as_form, output
from ..questions.rows import RowGoal
from ..replay import evaluating
from ..verification import resolve
from ..verifiers import Verifier
from .ends import LeastValue, least_value


@dataclass(frozen=True, eq=False)
class OutputRange(Alike):
    """What a linear form of a network's outputs can be over the set around one sample.

    Attributes:
        lower, upper: proven: no run of an allowed input lies outside.
        least, greatest: attained, by the inputs `at_least` and `at_greatest`, each run alone.
        closed: whether each proven end is within the tolerance of the attained one.
        seconds: this sample's share of the time spent.
        verifier: what proved the ends.

    Raises:
        ValueError: unless lower ≤ least ≤ greatest ≤ upper.
    """

    lower: float
    upper: float
    least: float
    greatest: float
    at_least: Tensor
    at_greatest: Tensor
    closed: bool
    seconds: float = field(compare=False)
    verifier: str

    def __post_init__(self) -> None:
        if not self.lower <= self.least <= self.greatest <= self.upper:
            got = f"{self.lower!r}, {self.least!r}, {self.greatest!r}, {self.upper!r}"
            raise ValueError(f"ends: got {got}, expected lower ≤ least ≤ greatest ≤ upper")
        detach(self, "at_least", "at_greatest")

    @property
    def width(self) -> float:
        """Return upper − lower."""
        return self.upper - self.lower


def proved_range(form: Form, found: OutputRange, tolerance: float) -> Property:
    """Return that a form stays in a range, its ends a 16th of the tolerance wider: what a proof file can say.

    What is proven in a search may be lost at its very ends when it is proven again.
    """
    slack = positive("tolerance", tolerance) / 16
    return (form >= found.lower - slack) & (form <= found.upper + slack)


def output_range(
    network: SpikingNetwork,
    inputs: Tensor,
    perturbation: Perturbation,
    form: Form | None = None,
    tolerance: float = 1e-3,
    timeout: float | None = None,
    *,
    verifier: str | Verifier = "complete",
    seed: int = 0,
    progress: Progress = silent,
) -> list[OutputRange]:
    """Return proven and attained ends of an output, or of a linear form, over the set around each sample.

    Proven ends hold for every real input of the set and for the run in the network's own dtype, as verdicts do.
    With time enough they are within `tolerance` of the attained ones wherever the verifier decides ("closed");
    earlier, or where rounding leaves a question open, both are the best that is known.

    Args:
        network, inputs, perturbation: as in `verify`.
        form: such as `output[0]`, `output[1] - output[0]`, `output[0] - sample[0]` or `output[0] - K @ inputs`;
            None: the only output.
        tolerance: by how much a proven end may differ from an attained one.
        timeout: seconds for a sample, on average, for both ends; None: no limit.
        verifier: that decides "is the form at least this"; where few inputs move, their boxes are split instead.
        seed: for attacks.
        progress: told of each end.

    Returns:
        One `OutputRange` per sample.

    Raises:
        TypeError, ValueError: for arguments that don't fit, one line each.
        OverflowError: where the run may overflow its dtype.

    >>> import spikecert
    >>> network = spikecert.mlp((2, 8, 1), num_steps=4)
    >>> (found,) = output_range(network, torch.full((1, 2), 0.5), spikecert.LInf(0.1))
    >>> found.lower <= found.least <= found.greatest <= found.upper
    True
    """
    chosen, begun = resolve(verifier), time.perf_counter()
    if not chosen.asks_rows:
        raise ValueError(f"verifier: got {chosen.name!r}, expected one that takes properties")
    check_plain(inputs=inputs)
    rest = {"verifier": chosen, "seed": seed, "progress": progress}
    if own_draws(network, inputs):
        return [
            output_range(one, inputs[at], perturbation, form, tolerance, timeout, **rest)[0]
            for one, at, _ in sample_by_sample(network, inputs, progress)
        ]
    if (codes := coded(network, inputs, perturbation)) is not None:
        if form is not None and form.inputs:
            raise ValueError(f'form: got {form}, expected outputs alone for encoding "latency"')
        found = output_range(codes.network, codes.events, perturbation, form, tolerance, timeout, **rest)
        return [
            _pictured(one, codes.image(one.at_least, k), codes.image(one.at_greatest, k))
            for k, one in enumerate(found)
        ]
    made, perturbation = check_arithmetic(network), settled_set(network, perturbation)
    if made.whole and not isinstance(perturbation, LInf):
        got = type(perturbation).__name__
        raise ValueError(f"perturbation: got {got}, expected LInf for the range of a network of whole numbers")
    classes = check_posed(network, inputs, perturbation)
    form, inputs = _settled(form, classes), inputs.detach()
    tolerance, deadline = positive("tolerance", tolerance), until(checked_timeout(timeout), len(inputs))
    labels, found = torch.arange(len(inputs), device=inputs.device), list[LeastValue]()
    with evaluating(network):
        for turn, sign in enumerate((1.0, -1.0)):
            goal = property_goal(network, inputs, sign * form >= 0.0)
            assert isinstance(goal, RowGoal)
            end = until(share(deadline, 2 - turn))
            asked = network, inputs, labels, perturbation, whole("seed", seed), end, made, goal.ties
            found.append(least_value(Problem(*asked, rows=goal), chosen, tolerance))
            progress("range", turn + 1, 2)
    least, greatest = found
    seconds = (time.perf_counter() - begun) / len(inputs)
    closed = least.closed(tolerance) & greatest.closed(tolerance)
    return [
        OutputRange(
            float(least.lower[k]),
            -float(greatest.lower[k]),
            float(least.attained[k]),
            -float(greatest.attained[k]),
            least.points[k],
            greatest.points[k],
            bool(closed[k]),
            seconds,
            least.verifier if least.verifier == greatest.verifier else f"{least.verifier}, {greatest.verifier}",
        )
        for k in range(len(inputs))
    ]


def _settled(form: Form | None, classes: int) -> Form:
    """Return the form that is asked about."""
    if form is not None:
        return as_form(form)
    if classes != 1:
        raise ValueError(f"form: got None for {classes} outputs, expected which, such as output[0]")
    return output[0]


def _pictured(found: OutputRange, least: Tensor | None, greatest: Tensor | None) -> OutputRange:
    assert least is not None
    assert greatest is not None
    return replace(found, at_least=least, at_greatest=greatest)
