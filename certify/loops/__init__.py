"""Spiking controllers in closed loop with linear plants."""

from .closed_loop import ClosedLoop, ErrorGain

__all__ = ["ClosedLoop", "ErrorGain"]
