"""Ranges of networks whose first layer sees few numbers of many inputs: x enters through C·x alone, C of few rows.

The first layer's weights W are V·C and a rest: W = V·C + E. For an input x of a box, y = C·x is in the box's image
under C, rounded outward, and the first layer's run gives V·y + b + e with |e_i| ≤ ρ_i,

    ρ = |E|·|x| + γ·(|W|·|x| + |b|) + (n + 2)·η,    γ = (n + 2)u/(1 − (n + 2)u),

E x the rest, and what any order of n + 1 sums and products may round, u the unit of the run's dtype and η its
least normal number. So what the network gives is what a narrow one gives, of inputs (y, e), first layer [V, 1] and
the same bias and layers behind it: its run on real inputs, without rounding in that layer, is among all that
bounds allow. A form d·x becomes q·y + f·x, f = d − q·C, and |f·x| ≤ |f|·|x| is paid at both ends.

Boxes of (y, e) are halved where currents move most, so in y: as if there were few inputs. The image of a box is no
box, so ends may be wider than those of `output_range`. Attained ends are runs of the network itself.
"""

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from ...models.circuit import circuit
from ...models.constants import positive
from ...models.deadline import checked_timeout, passed, share, until
from ...models.networks import SpikingNetwork
from ...models.source import OWN, SourceArithmetic, weights_of
from ..perturbations import Perturbation, PixelBox, settled_set
from ..perturbations.balls import BoxSet
from ..posed import check_posed
from ..questions.forms import Form, as_form, output
from ..replay import evaluating
from .ranges import OutputRange, output_range

MOST_RANK = 3
FLAT = 1e-6
"""Singular values below this share of the greatest one count as none: what they do is paid in e."""
LOST = 2.0**-44
"""What float64 may lose, relative to the sum of moduli."""
TRIED = 512
"""Random corners of the box that are run."""
FEW = 4
"""Inputs that are run in any case: those whose images were seen, and others."""


def image_range(
    network: SpikingNetwork,
    inputs: Tensor,
    perturbation: Perturbation,
    C: Sequence[Sequence[float]] | None = None,
    form: Form | None = None,
    tolerance: float = 1e-3,
    timeout: float | None = None,
) -> OutputRange:
    """Return proven and attained ends of a form over the set around one sample, by splitting C·x in place of x.

    Args:
        network: of encoding "direct", whose first layer is a matrix.
        inputs: one sample, (1, n).
        perturbation: a box of inputs.
        C: (r, n), r ≤ 3, through which the first layer sees x; None: found, where its weights have such a rank.
        form: as in `output_range`, without the sample's own outputs; None: the only output.
        tolerance, timeout: as in `output_range`.

    Raises:
        TypeError, ValueError: for arguments that don't fit, one line each.
    """
    begun, tolerance, form = time.perf_counter(), positive("tolerance", tolerance), as_form(form or output[0])
    deadline = until(checked_timeout(timeout))
    if form.own:
        raise ValueError(f"form: got {form}, expected one without the sample's own outputs")
    weight, bias = _first_layer(network)
    rows = _rows(weight, C)
    perturbation = settled_set(network, perturbation)
    if not isinstance(perturbation, BoxSet) or tuple(inputs.shape) != (1, weight.shape[1]):
        got = f"{type(perturbation).__name__} around inputs of shape {tuple(inputs.shape)}"
        raise ValueError(f"perturbation: got {got}, expected a box around one sample, (1, {weight.shape[1]})")
    check_posed(network, inputs, perturbation)
    box = perturbation.enclosure(inputs)
    low, high = (end[0].double().cpu().numpy() for end in (box.lower, box.upper))
    narrow, point, radius = _narrowed(network, weight, bias, rows, low, high)
    asked, paid = _through(form, rows, np.maximum(np.abs(low), np.abs(high)))
    around = PixelBox(radius, -torch.inf, torch.inf)
    (found,) = output_range(narrow, point, around, asked, tolerance, share(deadline))
    seen = [end[: len(rows)].double().numpy() for end in (found.at_least, found.at_greatest)]
    points = _tried(seen, rows, low, high).to(inputs)
    points = torch.cat([perturbation.project(points, inputs.expand(len(points), -1)), inputs])
    points = points[perturbation.contains(points, inputs.expand(len(points), -1))]
    values = _alone(network, points, form, deadline)
    least, greatest = int(values.argmin()), int(values.argmax())
    ends = float(values[least]), float(values[greatest])
    lower, upper = (
        np.nextafter(end + sign * paid, sign * np.inf) for end, sign in ((found.lower, -1), (found.upper, 1))
    )
    return replace(
        found,
        lower=min(float(lower), ends[0]),
        upper=max(float(upper), ends[1]),
        least=ends[0],
        greatest=ends[1],
        at_least=points[least],
        at_greatest=points[greatest],
        closed=bool(ends[0] - lower <= tolerance and upper - ends[1] <= tolerance),
        seconds=time.perf_counter() - begun,
        verifier=f"inputs, {len(rows)} of {weight.shape[1]}",
    )


def _first_layer(network: SpikingNetwork) -> tuple[np.ndarray, np.ndarray]:
    """Return W and b as float64."""
    made, layer = circuit(network), network.layers[0]
    if network.encoding != "direct" or made.whole or type(layer) is not nn.Linear:
        got = f"encoding {network.encoding!r} and {type(layer).__name__} as its first layer"
        raise ValueError(f'network: got {got}, expected "direct" and a matrix of real numbers')
    weight = layer.weight.detach().double().cpu().numpy()
    return weight, np.zeros(len(weight)) if layer.bias is None else layer.bias.detach().double().cpu().numpy()


def _rows(weight: np.ndarray, C: Sequence[Sequence[float]] | None) -> np.ndarray:
    """Return C, (r, n)."""
    if C is not None:
        found = np.asarray(C, dtype=np.float64)
        if found.ndim != 2 or found.shape[1] != weight.shape[1] or not 1 <= len(found) <= MOST_RANK:
            raise ValueError(f"C: got shape {found.shape}, expected at most {MOST_RANK} rows of {weight.shape[1]}")
        if not np.isfinite(found).all():
            raise ValueError("C: got inf or NaN, expected finite numbers")
        return found
    _, sizes, found = np.linalg.svd(weight, full_matrices=False)
    rank = int((sizes > FLAT * sizes[0]).sum())
    if not 1 <= rank <= MOST_RANK:
        raise ValueError(f"C: got none, and a first layer of rank {rank}, expected a rank from 1 to {MOST_RANK}")
    return found[:rank]


def _narrowed(
    network: SpikingNetwork,
    weight: np.ndarray,
    bias: np.ndarray,
    rows: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
) -> tuple[SpikingNetwork, Tensor, Tensor]:
    """Return the narrow network, its sample (1, r + h), and the radius of each of its inputs."""
    count, hidden, dtype = len(rows), len(weight), network.dtype
    first = nn.Linear(count + hidden, hidden).to(dtype)
    narrow = torch.from_numpy(weight @ np.linalg.pinv(rows)).to(dtype)
    first.weight.data = torch.cat([narrow, torch.eye(hidden, dtype=dtype)], dim=1)
    first.bias.data = torch.from_numpy(bias).to(dtype)
    V, size = narrow.double().numpy(), np.maximum(np.abs(low), np.abs(high))
    moduli = np.abs(weight) + np.abs(V) @ np.abs(rows)
    rest = np.abs(weight - V @ rows) + LOST * moduli
    source = network.source
    allowed = OWN if source is None else source.within(float(size.max()))
    unit, tiny = allowed.factor * torch.finfo(dtype).eps / 2, torch.finfo(dtype).tiny
    terms = weight.shape[1] + 2
    gamma = terms * unit / (1 - terms * unit)
    slack = rest @ size + gamma * (np.abs(weight) @ size + np.abs(bias)) + terms * tiny
    slack = slack * (1 + LOST)
    middle, half = (low + high) / 2, (high - low) / 2
    centre = torch.from_numpy(rows @ middle).to(dtype)
    reach = np.abs(rows) @ half + np.abs(rows @ middle - centre.double().numpy()) + LOST * (np.abs(rows) @ size)
    made = SpikingNetwork(first, *network.layers[1:], num_steps=network.num_steps, readout=network.readout).eval()
    if source is not None:
        made.source = SourceArithmetic((replace(allowed, limit=torch.finfo(torch.float32).max),), weights_of(made))
    point = torch.cat([centre, torch.zeros(hidden, dtype=dtype)])[None]
    return made, point, torch.from_numpy(np.concatenate([reach * (1 + LOST), slack]))


def _through(form: Form, rows: np.ndarray, size: np.ndarray) -> tuple[Form, float]:
    """Return a form of inputs x as one of y = C·x, and what is to be paid at each end."""
    wanted = np.zeros(rows.shape[1])
    for place, factor in form.inputs:
        if place >= len(wanted):
            raise ValueError(f"form: got inputs[{place}], expected less than the network's {len(wanted)}")
        wanted[place] = factor
    q = np.linalg.lstsq(rows.T, wanted, rcond=None)[0] if form.inputs else np.zeros(len(rows))
    q[np.abs(q) < 1e-90] = 0.0
    rest = np.abs(wanted - q @ rows) + LOST * (np.abs(wanted) + np.abs(q) @ np.abs(rows))
    terms = tuple((k, float(value)) for k, value in enumerate(q))
    return replace(form, inputs=terms), float(rest @ size * (1 + LOST)) if form.inputs else 0.0


def _tried(seen: list[np.ndarray], rows: np.ndarray, low: np.ndarray, high: np.ndarray) -> Tensor:
    """Return inputs whose images are near those that were seen, corners at random and the middle."""
    from scipy.optimize import lsq_linear  # imported here: scipy takes half a second

    middle, wide = (low + high) / 2, high + 1e-12 * (1 + np.abs(high))
    back = [lsq_linear(rows, y, (low, wide)).x for y in seen]
    corners = np.where(np.random.default_rng(0).random((TRIED, len(low))) < 0.5, low, high)
    return torch.from_numpy(np.concatenate([np.stack([*back, middle]), corners]).clip(low, high))


def _alone(network: SpikingNetwork, points: Tensor, form: Form, deadline: float | None) -> Tensor:
    """Return the form at each point, run alone, in float64; behind a deadline at the first few alone."""
    with evaluating(network), torch.no_grad():
        runs = (network(point[None]) for k, point in enumerate(points) if k < FEW or not passed(deadline))
        given = torch.cat(list(runs)).double()
    total = torch.full((len(given),), form.constant, dtype=torch.float64)
    for terms, values in ((form.outputs, given), (form.inputs, points[: len(given)].double())):
        for place, factor in terms:
            total = total + factor * values[:, place]
    return total
