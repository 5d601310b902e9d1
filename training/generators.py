"""A source of noise for a batch whose rows are spread over several processes."""

from collections.abc import Callable

import torch
from torch import Tensor

Draw = Callable[..., Tensor]
"""torch.randn or torch.rand."""


class BatchGenerator(torch.Generator):
    """A generator that knows which rows of the batch this process holds: `rows` of `total`; None: all of them."""

    rows: slice | None = None
    total: int = 0


def draw_like(draw: Draw, inputs: Tensor, generator: torch.Generator | None) -> Tensor:
    """Return noise of the shape of `inputs`; the same on every device, as the generator's own device draws it.

    A `BatchGenerator` draws for the whole batch, and the rows of this process are kept: a sample's noise does not
    depend on the number of processes.

    Raises:
        ValueError: where `inputs` are other rows than those that a `BatchGenerator` was told.
    """
    device = inputs.device if generator is None else generator.device
    rows = generator.rows if isinstance(generator, BatchGenerator) else None
    if rows is None:
        return draw(inputs.shape, generator=generator, dtype=inputs.dtype, device=device).to(inputs.device)
    if len(inputs) != rows.stop - rows.start:
        raise ValueError(
            f"inputs: got {len(inputs)} samples, expected the {rows.stop - rows.start} of this process"
        )
    shape = (generator.total, *inputs.shape[1:])  # type: ignore[union-attr]
    return draw(shape, generator=generator, dtype=inputs.dtype, device=device)[rows].to(inputs.device)
