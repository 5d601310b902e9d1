"""spikecert: how far a spiking neural network can be trusted, with proof."""

from .models import *  # noqa: F403

__version__ = "0.1.0"
