"""An operator norm as a certificate: the matrix and the number, re-proved by a Cholesky factorisation alone."""

from dataclasses import dataclass

from ..lmi.certificates import Rows, as_rows, finite
from ..norms import matrix_norm
from ..operators import LayerOperator

LARGEST_MATRIX = 2**16
"""Dense layers with up to this many weights carry them in their certificate; others need the network's file."""

_ROOM = 1.0 + 1e-9  # another machine's arithmetic may need a little more than this one's


@dataclass(frozen=True)
class OperatorNormCertificate:
    """‖Wx‖_q ≤ gain·‖x‖_p for one dense layer's matrix.

    Attributes:
        name: the layer's path in the network.
        weights: W.
        input_norm, output_norm: p and q.
        gain: the bound.
    """

    name: str
    weights: Rows
    input_norm: str
    output_norm: str
    gain: float

    def check(self) -> bool:
        """Return True only if the bound is proven from the matrix."""
        import torch

        if not finite(*self.weights, self.gain):
            return False
        matrix = torch.tensor(self.weights, dtype=torch.float64)
        return matrix_norm(matrix, self.input_norm, self.output_norm).upper <= self.gain


def norm_certificate(
    operator: LayerOperator, upper: float, input_norm: str, output_norm: str
) -> OperatorNormCertificate | None:
    """Return the certificate of a dense layer's norm, or None for other layers and large matrices.

    Weights that a batch norm was folded into are rounded, so the layer's matrix is not at hand: None too.
    """
    dense = None if operator.peaks else operator.dense
    if dense is None or dense.roundings or dense.weight.numel() > LARGEST_MATRIX:
        return None
    rows = as_rows(dense.weight.cpu().numpy())
    return OperatorNormCertificate(operator.name, rows, input_norm, output_norm, upper * _ROOM)
