"""Text of a file as it may be shown: on one line, with nothing that moves the cursor or turns the line around."""

import unicodedata

TURNING = {"R", "AL", "AN"}
"""Bidirectional classes of characters that are set from right to left, and turn what stands beside them."""


def printable(text: str) -> str:
    r"""Return `text` with an escape for each character that a terminal does not just print.

    Escaped are control characters, line ends, formats (such as U+202E), unpaired surrogates, and letters that are
    written from right to left: any of them could show a line in another order than it was written.

    >>> printable("0.1\x1b[2K\rε = 0.3")
    '0.1\\x1b[2K\\rε = 0.3'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if _plain(char) else _escaped(char) for char in text)


def _plain(char: str) -> bool:
    return char.isprintable() and unicodedata.bidirectional(char) not in TURNING


def _escaped(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")
