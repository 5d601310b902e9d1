"""The one base class of the library's own errors."""


class SpikecertError(Exception):
    """What all error classes of the library are, beside the ValueError or RuntimeError that they are, too.

    An argument that does not fit raises Python's own ValueError or TypeError, which are none of these.
    """
