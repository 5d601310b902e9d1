"""What a file says is shown on one line, in the order in which it was written."""

import pytest

from spikecert.checking import Refused
from spikecert.files.text import printable

HOSTILE = {
    "an escape sequence": "\x1b[2K\x1b[1Aε = 9",
    "a carriage return": "\rε = 9",
    "a backspace": "3\b9",
    "a C1 control": "\x9b2K",
    "a line end": "a\nb\x0bc\x85d\u2028e\u2029f",
    "a bidirectional override": "\u202eε = 9",
    "an isolate": "\u2066ε\u2069",
    "a mark without width": "a\u200bb\ufeffc",
    "an unpaired surrogate": "a\udc9bb",
    "letters from right to left": "\u05d0\u0627\u0661",
    "a tag": "\U000e0041",
    "a null": "\x00\x7f",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_a_terminal_does_not_just_print_is_escaped(name):
    shown = printable(HOSTILE[name])
    assert shown.isprintable()
    assert shown.replace("ε", "").isascii()
    assert "\\" in shown
    assert printable(shown) == shown
    assert str(Refused(HOSTILE[name])) == shown
    shown.encode()


@pytest.mark.parametrize("text", ["sample 3 of digits", "ε = 0,5 für Ziffern, 数字 à 8×8", "C:\\proofs", ""])
def test_other_text_stays_as_it_is(text):
    assert printable(text) == text
