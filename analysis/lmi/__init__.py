"""Certificates from linear matrix inequalities: bounded real lemma, time-varying and surrogate networks."""

from .certificates import BoundedRealCertificate, NoFiniteGain, SurrogateCertificate, TimeVaryingCertificate
from .solving import SolverError, bounded_real, frequency_gain, peak_gain, time_varying
from .surrogates import surrogate_gain
from .systems import LinearSystem, adaptive, cuba, lif, recurrent

__all__ = [
    "BoundedRealCertificate",
    "LinearSystem",
    "NoFiniteGain",
    "SolverError",
    "SurrogateCertificate",
    "TimeVaryingCertificate",
    "adaptive",
    "bounded_real",
    "cuba",
    "frequency_gain",
    "lif",
    "peak_gain",
    "recurrent",
    "surrogate_gain",
    "time_varying",
]
