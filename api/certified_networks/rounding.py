"""Weights in eight bits: whole numbers times a power of two for each row, exact in float32 both ways."""

import torch
from torch import Tensor

EXPONENTS = ".exponents"
MOST = 127
"""The greatest modulus of an int8 that has its negative."""
LEAST = -100
"""The least exponent: smaller weights are 0."""


def to_bits(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors of at least two axes as int8 with the rows' exponents beside them, and others as they are.

    Row i of W becomes q_i·2^e_i with the least e_i ≥ −100 for which all |q_ij| ≤ 127; q is the nearest.
    """
    found: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if tensor.dim() < 2:
            found[name] = tensor
            continue
        exponents = _exponents(tensor)
        found[name + EXPONENTS] = exponents.to(torch.int8)
        found[name] = torch.ldexp(tensor, -_along(exponents, tensor)).round().to(torch.int8)
    return found


def from_bits(stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the float32 weights that `to_bits` stands for, exactly."""
    exponents = {name: tensor for name, tensor in stored.items() if name.endswith(EXPONENTS)}
    found = {name: tensor for name, tensor in stored.items() if name not in exponents}
    for name, tensor in exponents.items():
        whole = found[name.removesuffix(EXPONENTS)].float()
        found[name.removesuffix(EXPONENTS)] = torch.ldexp(whole, _along(tensor.int(), whole))
    return found


def _exponents(tensor: Tensor) -> Tensor:
    """Return each row's least e with |W_i| ≤ 127·2^e; at least −100, for rows of zeros or near to them."""
    mantissa, exponent = torch.frexp(tensor.detach().abs().flatten(1).amax(1))  # in [½, 1) times 2^exponent
    return torch.where(mantissa > MOST / 128, exponent - 6, exponent - 7).clamp_min(LEAST)


def _along(exponents: Tensor, like: Tensor) -> Tensor:
    return exponents.view(-1, *[1] * (like.dim() - 1))
