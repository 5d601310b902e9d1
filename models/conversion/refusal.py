"""The one error of conversions."""

from ...files.errors import SpikecertError


class ConversionRefused(SpikecertError, ValueError):
    """What can't be converted, with the reason in one line: the part, what it is, what is expected instead."""
