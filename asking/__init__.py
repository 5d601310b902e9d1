"""What is asked, as plain values: of which samples, what may be done to them, what must hold, and how."""

if __name__ == "asking":
    raise ImportError("import spikecert.asking, not asking: by another name each class would be there twice")

from . import boxes, events, networks
from .threats import THREATS, Threat
from .values import Mistake, Numeral

__all__ = ["THREATS", "Mistake", "Numeral", "Threat", "boxes", "events", "networks"]
