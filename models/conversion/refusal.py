"""The one error of conversions."""


class ConversionRefused(ValueError):
    """What can't be converted, with the reason in one line: the part, what it is, what is expected instead."""
