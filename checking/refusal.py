"""The one error of this package."""

from ..files.errors import SpikecertError
from ..files.texts import printable


class Refused(SpikecertError, ValueError):
    """A proof, or a file that it needs, is not accepted; the message says why in one line that is safe to show."""

    def __init__(self, reason: str) -> None:
        super().__init__(printable(reason))
