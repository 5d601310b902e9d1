"""Spiking controllers in closed loop with plants."""

from .closed_loop import ClosedLoop
from .controllers import controller
from .error_gain import ErrorGain
from .grid import GridSafety
from .kept import integrator
from .plant_loop import PlantLoop
from .plants import LinearPlant, Pendulum, StepPlant
from .tube import Tube

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
