"""Spiking controllers in closed loop with plants."""

from .closed_loop import ClosedLoop, integrator
from .grid import ErrorGain, GridSafety
from .plant_loop import PlantLoop, Tube, controller
from .plants import LinearPlant, Pendulum, StepPlant

__all__ = [
    "ClosedLoop",
    "ErrorGain",
    "GridSafety",
    "LinearPlant",
    "Pendulum",
    "PlantLoop",
    "StepPlant",
    "Tube",
    "controller",
    "integrator",
]
