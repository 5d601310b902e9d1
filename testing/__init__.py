"""A property-testing kit: hypothesis strategies and checks that hold for every sound network, bound and verifier.

::

    from hypothesis import given
    from spikecert.testing import check_sound, inputs, perturbations

    @given(inputs(network), perturbations())
    def test_no_false_verdict(batch, threat):
        check_sound(network, batch, threat, "trains")

A check that fails raises `Refuted`, an AssertionError that names the sample, and carries the input that refutes
and code that repeats the call. A claim of your own is tried by `counterexample`, on near pairs of inputs.
"""

if __name__ == "testing":
    raise ImportError("import spikecert.testing, not testing: by another name each class would be there twice")

from . import checks
from .cases import Case, EventCase, cases, event_cases, points
from .claims.code import as_code
from .claims.counterexamples import counterexample
from .claims.near import NearPair, activated, active_networks, inputs, pairs, perturbations, spike_trains
from .conversion import check_conversion
from .gain_bound import check_gain_bound
from .identity import check_mppd_identity
from .networks import image_networks, networks, residual_networks, sequence_networks
from .neurons import adaptive_neurons, neurons, registered
from .refuted import Refuted
from .sandwich import Sandwich, check_sandwich
from .soundness import Soundness, check_sound

__all__ = [
    "Case",
    "EventCase",
    "NearPair",
    "Refuted",
    "Sandwich",
    "Soundness",
    "activated",
    "active_networks",
    "adaptive_neurons",
    "as_code",
    "cases",
    "check_conversion",
    "check_gain_bound",
    "check_mppd_identity",
    "check_sandwich",
    "check_sound",
    "checks",
    "counterexample",
    "event_cases",
    "image_networks",
    "inputs",
    "networks",
    "neurons",
    "pairs",
    "perturbations",
    "points",
    "registered",
    "residual_networks",
    "sequence_networks",
    "spike_trains",
]
