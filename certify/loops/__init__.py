"""Spiking controllers in closed loop with linear plants."""

from .closed_loop import ClosedLoop, ErrorGain
from .controllers import controller
from .grid import GridSafety
from .kept import integrator

__all__ = ["ClosedLoop", "ErrorGain", "GridSafety", "controller", "integrator"]
