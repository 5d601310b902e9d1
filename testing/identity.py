"""Does a layer's membrane obey the equations that its constants promise?"""

import torch
from torch import Tensor

from ..analysis.patterns import Perturbation, leaky_sum, trace_mppd
from ..certify.replay import evaluating
from ..models.networks import SpikingNetwork, Trace
from ..models.validation import check_inputs
from .claims.code import repeatable
from .refuted import Refuted
from .stated import as_stated

ROUNDINGS = 32
"""Units of the last place that one step may lose, of the largest number in it."""


@repeatable
@torch.no_grad()
def check_mppd_identity(network: SpikingNetwork, clean: Tensor, perturbed: Tensor) -> float:
    """Check the perturbation dynamics of each spiking layer between two runs, to rounding.

        ϑ[t] = λϑ[t−1] + a[t]·WΔs[t] − r[t]        ϑ = v − ṽ, and r is the reset term of the layer's `reset`
        ϑ[t] = ε[t] − Σ_k λ^(t−k) r[k]             ε[t] = λε[t−1] + a[t]·WΔs[t], the simplified dynamics

    A neuron of your own that resets, decays or scales otherwise than its `dynamics` say fails: every gain and
    every bound of this library would be about another neuron than the one that runs.

    Args:
        network: any network; evaluation mode is used.
        clean, perturbed: inputs of one shape; the further apart, the more resets differ.

    Returns:
        The greatest deviation, which is rounding.

    Raises:
        Refuted: with the layer and how far it is off; its `witness` is the perturbed input.
        TypeError, ValueError: for inputs that don't fit.

    References: ding2024robust, theorem "perturbation-identity"
    """
    check_inputs(network, clean)
    check_inputs(network, perturbed)
    with evaluating(network):
        runs = network.trace(clean), network.trace(perturbed)
        mppd = trace_mppd(as_stated(network), *runs, include_input_scale=True)
    errors = [_error(mppd, layer) for layer in range(len(network.neurons))]
    for layer, error in enumerate(errors):
        allowed = _rounding(network, runs, mppd, layer)
        worst, sample = error.max(0)
        if float(worst) > allowed:
            where = f"spiking layer {layer} ({network.neurons[layer]}), sample {int(sample)}"
            message = f"{where}: its potentials deviate by {float(worst):.3g} from its own equations"
            raise Refuted(f"{message}; rounding explains {allowed:.3g}", perturbed[int(sample)])
    return max((float(error.max()) for error in errors), default=0.0)


def _error(mppd: Perturbation, layer: int) -> Tensor:
    """Return how far both forms are off, (batch,)."""
    exact, decay, reset = mppd.exact[layer], mppd.decays[layer], mppd.reset_term[layer]
    previous = torch.cat([torch.zeros_like(exact[:1]), exact[:-1]])
    recursion = exact - (decay * previous + mppd.drive[layer] - reset)
    summed = exact - (mppd.simplified[layer] - leaky_sum(reset, decay))
    return torch.maximum(recursion.abs(), summed.abs()).transpose(0, 1).flatten(1).amax(1)


def _rounding(network: SpikingNetwork, runs: tuple[Trace, Trace], mppd: Perturbation, layer: int) -> float:
    """Return what rounding may add up to over all steps."""
    values = [run.potentials[layer] for run in runs] + [mppd.drive[layer], mppd.simplified[layer]]
    scale = network.neurons[layer].scale(network.num_steps)
    factor = 1.0 if scale is None else float(scale.abs().max())
    currents = max(float(run.currents[layer].abs().max()) for run in runs) * factor
    size = max(currents, network.neurons[layer].dynamics.threshold, *(float(v.abs().max()) for v in values))
    return ROUNDINGS * network.num_steps * torch.finfo(network.dtype).eps * size
