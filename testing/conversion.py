"""Does a converted network spike as its source does?"""

from typing import Any

from torch import Tensor

from ..models import conversion
from ..models.networks import SpikingNetwork
from .claims.code import repeatable
from .refuted import Refuted


@repeatable
def check_conversion(
    source: Any,
    network: SpikingNetwork,
    inputs: Tensor,
    num_steps: int | None = None,
    dt: float | None = None,
) -> conversion.ConversionCheck:
    """Check that a network matches, spike for spike, the module or NIR graph that it was converted from.

    Args:
        source, network, inputs, num_steps, dt: as in `spikecert.models.check_conversion`, which returns a mismatch
            where this raises.

    Raises:
        Refuted: with the layer, the step and the neuron of the first difference.
        TypeError, ValueError: for inputs that don't fit, or a source of no known library.
    """
    report = conversion.check_conversion(source, network, inputs, num_steps, dt)
    if not report.matches:
        raise Refuted(report.reason)
    return report
