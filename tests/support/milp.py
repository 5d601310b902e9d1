"""Whether a program holds a run of its network."""

import numpy as np
import torch
from torch import Tensor

from spikecert.certify import LInf
from spikecert.certify.milp.encoding import Encoding, encode
from spikecert.certify.milp.program import Closing, Expressions, Model, Program
from spikecert.certify.milp.solver import Watch, minimise
from spikecert.models import SpikingNetwork
from spikecert.models.circuit import circuit


def reaches(closed: Encoding, candidate: Tensor, wanted: np.ndarray) -> bool:
    """Return whether the program has a point with this input and these logits, up to the slack."""
    program, model = Program(), closed.model
    program.variables(model.lower, model.upper)
    rows = np.concatenate([model.row_lower, model.row_upper])
    half = len(rows) // 2
    program.constrain(Expressions(model.rows, np.zeros(half)), rows[:half], rows[half:])
    parts = candidate.reshape(len(closed.inputs), -1).double().numpy()
    for entry, values in zip(closed.inputs, parts, strict=True):
        program.constrain(entry, values, values)
    program.constrain(closed.logits, wanted - closed.slack - 1e-6, wanted + closed.slack + 1e-6)
    fixed = program.model()
    fixed = Model(fixed.lower, fixed.upper, model.integer, fixed.rows, fixed.row_lower, fixed.row_upper)
    nothing = Expressions.fixed(np.zeros(1))
    return not minimise(fixed, nothing, Watch(np.inf, lambda _: False), None, presolve=False).infeasible


def check_runs(network: SpikingNetwork, inputs: Tensor, seed: int) -> None:
    """Hold the program of a ball around a sample against runs of members, and of the sample."""
    threat, generator = LInf(0.25), torch.Generator().manual_seed(seed)
    closed = encode(circuit(network), threat.enclosure(inputs.double()), Closing(closed=True))
    for candidate in (inputs, *(threat.sample(inputs, generator) for _ in range(3))):
        with torch.no_grad():
            wanted = network(candidate)[0].double().numpy()
        assert reaches(closed, candidate, wanted)
