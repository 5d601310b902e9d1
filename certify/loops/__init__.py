"""Spiking controllers in closed loop with linear plants."""

from .closed_loop import ClosedLoop, ErrorGain
from .controllers import controller
from .kept import integrator

__all__ = ["ClosedLoop", "ErrorGain", "controller", "integrator"]
