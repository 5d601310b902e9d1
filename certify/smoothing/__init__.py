"""Probabilistic certificates, kept apart from `verify`: they hold for a smoothed classifier, with a confidence."""

from .gaussian import smooth
from .rate import rate_certificate, rate_radius, total_variation
from .verdict import SmoothedVerdict

__all__ = ["SmoothedVerdict", "rate_certificate", "rate_radius", "smooth", "total_variation"]
