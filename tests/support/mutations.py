"""Changes of a proof's numbers, at random."""

import numpy as np
import torch
from torch import Tensor


def mutate(tensors: dict[str, Tensor], generator: np.random.Generator) -> None:
    """Change one thing at random, mostly such that sizes still fit."""
    names = [name for name in tensors if name not in ("sample", "radius") and len(tensors[name])]
    name = names[generator.integers(len(names))]
    tensor = tensors[name]
    place, kind = int(generator.integers(len(tensor))), int(generator.integers(10))
    if kind == 0:
        tensors[name] = tensor[:-1]
    elif kind == 1:
        tensors[name] = torch.cat([tensor, tensor[place : place + 1]])
    elif name.endswith("neuron"):
        tensor[place] = int(generator.integers(-1, 4))
    elif kind < 6:
        tensors[name] = tensor * float(generator.choice([0.0, -1.0, 0.5, 2.0, 1e3]))
    else:
        tensor[place] = float(generator.choice([0.0, 1.0, -1.0, 1e9, np.nan, *generator.normal(size=6)]))
