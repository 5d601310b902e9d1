"""Threat models: the sets of inputs around a sample that an adversary may choose from."""

from .balls import L2, Ball, LInf, PixelBox, RangedSet, WholeLInf, settled_set, takes_whole
from .base import EventRegion, EventSet, Perturbation
from .events.event_change import EventChange, SpikeFlip
from .events.spike_shift import SpikeShift

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
    "WholeLInf",
    "settled_set",
    "takes_whole",
]
