"""Threat models: the sets of inputs around a sample that an adversary may choose from."""

from .balls import Ball
from .base import Perturbation
from .event_change import EventChange
from .event_sets import EventSet
from .l2 import L2
from .linf import LInf
from .pixel_box import PixelBox
from .ranged import RangedSet
from .regions import EventRegion
from .spike_flip import SpikeFlip
from .spike_shift import SpikeShift

__all__ = [
    "L2",
    "Ball",
    "EventChange",
    "EventRegion",
    "EventSet",
    "LInf",
    "Perturbation",
    "PixelBox",
    "RangedSet",
    "SpikeFlip",
    "SpikeShift",
]
