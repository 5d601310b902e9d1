"""The two verifiers that only propagate: per-step intervals, and exact spike trains with windows on top."""

from ..bounds.conserved import conserved_spikes
from ..bounds.interval import interval_spikes
from ..bounds.trains import step_spikes
from .bound import BoundVerifier

INTERVAL = BoundVerifier("interval", (interval_spikes,))
TRAINS = BoundVerifier("trains", (step_spikes, conserved_spikes))
