"""What a check raises."""

from torch import Tensor


class Refuted(AssertionError):
    """A property does not hold.

    Attributes:
        witness: the input, (...) of one sample, that refutes it, or None.
    """

    def __init__(self, message: str, witness: Tensor | None = None) -> None:
        super().__init__(message)
        self.witness = witness
