"""How far a converted network is from the module that it came from, on inputs of its own."""

import torch
from torch import Tensor, nn

from spikecert import ConversionRefused, convert


def share_that_differs(module: nn.Module, network: nn.Module, inputs: Tensor, tolerance: float = 1e-4) -> float:
    """Return the share of outputs that differ, but for one factor and one constant of all of them."""
    with torch.no_grad():
        theirs, ours = (each(inputs).double().flatten() for each in (module, network))
    both = torch.stack([ours, torch.ones_like(ours)], 1)
    fitted = both @ torch.linalg.lstsq(both, theirs[:, None]).solution
    allowed = tolerance * (1.0 + float(theirs.abs().max()))
    return float(((fitted.flatten() - theirs).abs() > allowed).double().mean())


def is_refused_or_equal(module: nn.Module, sample: Tensor, inputs: Tensor) -> bool:
    """Return whether a module is refused, or comes in as what it computes but for what rounding decides."""
    try:
        found = convert(module, sample)
    except ConversionRefused:
        return True
    return share_that_differs(module, found.network, inputs) < 2e-3
