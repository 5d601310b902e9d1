"""Certificates from linear matrix inequalities: bounded real lemma, time-varying and surrogate networks."""

from .certificates import (
    BoundedRealCertificate,
    LinearSystem,
    NoFiniteGain,
    SurrogateCertificate,
    TimeVaryingCertificate,
    adaptive,
    cuba,
    lif,
    recurrent,
)
from .chain_solving import LARGEST_CHAIN, ChainCertificate, chain_gain, chain_rows, surrogate_gain
from .solving import (
    SolverError,
    UndampedMode,
    bounded_real,
    frequency_gain,
    peak_gain,
    time_varying,
    undamped_mode,
)

__all__ = [
    "LARGEST_CHAIN",
    "BoundedRealCertificate",
    "ChainCertificate",
    "LinearSystem",
    "NoFiniteGain",
    "SolverError",
    "SurrogateCertificate",
    "TimeVaryingCertificate",
    "UndampedMode",
    "adaptive",
    "bounded_real",
    "chain_gain",
    "chain_rows",
    "cuba",
    "frequency_gain",
    "lif",
    "peak_gain",
    "recurrent",
    "surrogate_gain",
    "time_varying",
    "undamped_mode",
]
