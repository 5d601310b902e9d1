"""What a check raises."""

from torch import Tensor


class Refuted(AssertionError):
    """A property does not hold.

    Attributes:
        witness: the input, (...) of one sample, that refutes it, or None.
        code: Python that repeats the call which found it, or None; a traceback prints it, too.
    """

    def __init__(self, message: str, witness: Tensor | None = None) -> None:
        super().__init__(message)
        self.witness = witness
        self.code: str | None = None
