"""The corpus of certificates that only just hold: each is accepted, and none that says more by the least.

`python -m support.kernel_corpus.writing` makes it; it is kept so that it stays what it is while provers change.
"""

import pytest

from support.kernel_corpus.asking import claims_of_more, refusal, says_more
from support.kernel_corpus.kept import read, said

CORPUS = {case.name: case for case in read()}
SAID = said()
each = pytest.mark.parametrize("name", CORPUS)


@each
def test_a_certificate_proves_what_it_proved_to_the_last_bit(name):
    assert CORPUS[name].margins == SAID[name]


@each
def test_no_end_and_no_constant_may_say_more_by_the_least_number(name):
    """Ends of intervals and constants of potentials are claims: each of them is the last one that holds."""
    taken = [found for found in says_more(CORPUS[name]) if found.taken]
    assert not taken


@each
def test_no_claim_may_say_more_by_the_least_number(name):
    for what, lines in claims_of_more(CORPUS[name]):
        assert refusal(CORPUS[name], lines), what
