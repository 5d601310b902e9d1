"""spikecert: how far a spiking neural network can be trusted, with proof.

Names are imported on first use, so that `import spikecert` and the command line start at once. Each is written
once, in lines that type checkers take as imports, and that this module reads itself.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikecert.analysis import gain as gain
    from spikecert.analysis import mppd as mppd
    from spikecert.analysis import neuron_gain as neuron_gain
    from spikecert.analysis import system as system
    from spikecert.analysis import theorem as theorem
    from spikecert.analysis import theorems as theorems
    from spikecert.certified_networks import load_zoo as load_zoo
    from spikecert.certified_networks import zoo as zoo
    from spikecert.certify import L2 as L2
    from spikecert.certify import EventChange as EventChange
    from spikecert.certify import LInf as LInf
    from spikecert.certify import Property as Property
    from spikecert.certify import SpikeFlip as SpikeFlip
    from spikecert.certify import SpikeShift as SpikeShift
    from spikecert.certify import StuckNeurons as StuckNeurons
    from spikecert.certify import Tolerance as Tolerance
    from spikecert.certify import Verdict as Verdict
    from spikecert.certify import abstains as abstains
    from spikecert.certify import attack as attack
    from spikecert.certify import certified_radius as certified_radius
    from spikecert.certify import equivalent as equivalent
    from spikecert.certify import exact_twin as exact_twin
    from spikecert.certify import inputs as inputs
    from spikecert.certify import moves_at_most as moves_at_most
    from spikecert.certify import output as output
    from spikecert.certify import output_range as output_range
    from spikecert.certify import robust as robust
    from spikecert.certify import sample as sample
    from spikecert.certify import smooth as smooth
    from spikecert.certify import targeted as targeted
    from spikecert.certify import top_k as top_k
    from spikecert.certify import verify as verify
    from spikecert.certify.loops import ClosedLoop as ClosedLoop
    from spikecert.certify.verification import bounds as bounds
    from spikecert.files import SpikecertError as SpikecertError
    from spikecert.models import DLIF as DLIF
    from spikecert.models import LIF as LIF
    from spikecert.models import PLIF as PLIF
    from spikecert.models import AdaptiveLIF as AdaptiveLIF
    from spikecert.models import ConversionRefused as ConversionRefused
    from spikecert.models import CoupledLIF as CoupledLIF
    from spikecert.models import Delay as Delay
    from spikecert.models import Encoder as Encoder
    from spikecert.models import IntegerLIF as IntegerLIF
    from spikecert.models import Neuron as Neuron
    from spikecert.models import Normalize as Normalize
    from spikecert.models import OneSpikeLIF as OneSpikeLIF
    from spikecert.models import PerStep as PerStep
    from spikecert.models import RateDraws as RateDraws
    from spikecert.models import Recurrent as Recurrent
    from spikecert.models import RefractoryLIF as RefractoryLIF
    from spikecert.models import Residual as Residual
    from spikecert.models import Share as Share
    from spikecert.models import SpikeAnd as SpikeAnd
    from spikecert.models import SpikeIand as SpikeIand
    from spikecert.models import SpikingNetwork as SpikingNetwork
    from spikecert.models import Synapse as Synapse
    from spikecert.models import VariedLIF as VariedLIF
    from spikecert.models import WholeInput as WholeInput
    from spikecert.models import architecture as architecture
    from spikecert.models import circuit as circuit
    from spikecert.models import convert as convert
    from spikecert.models import from_lava as from_lava
    from spikecert.models import from_nir as from_nir
    from spikecert.models import from_norse as from_norse
    from spikecert.models import from_snntorch as from_snntorch
    from spikecert.models import from_spikingjelly as from_spikingjelly
    from spikecert.models import from_torch as from_torch
    from spikecert.models import from_xylo as from_xylo
    from spikecert.models import into as into
    from spikecert.models import load as load
    from spikecert.models import mlp as mlp
    from spikecert.models import quantize as quantize
    from spikecert.models import save as save
    from spikecert.models import to_nir as to_nir
    from spikecert.models import vgg5 as vgg5
    from spikecert.models import vgg11 as vgg11
    from spikecert.models import wrn16_4 as wrn16_4
    from spikecert.models.differing.differing import differ as differ
    from spikecert.reports import load_record as load_record
    from spikecert.reports import measure as measure
    from spikecert.reports import plot as plot
    from spikecert.reports import record as record
    from spikecert.reports import render as render
    from spikecert.training import MSE as MSE
    from spikecert.training import MSMPPD as MSMPPD
    from spikecert.training import SIBP as SIBP
    from spikecert.training import CertifiedEvents as CertifiedEvents
    from spikecert.training import CertifiedLoss as CertifiedLoss
    from spikecert.training import CertifiedMoves as CertifiedMoves
    from spikecert.training import CrossEntropy as CrossEntropy
    from spikecert.training import GainPenalty as GainPenalty
    from spikecert.training import GaussianNoise as GaussianNoise
    from spikecert.training import MarginOverGain as MarginOverGain
    from spikecert.training import PGDTraining as PGDTraining
    from spikecert.training import Settings as Settings
    from spikecert.training import SingleStep as SingleStep
    from spikecert.training import dataset as dataset
    from spikecert.training import fit as fit

__version__ = "0.2.0"


def _homes() -> dict[str, str]:
    """Return the module of each public name: `    from module import name as name` is one of the lines above."""
    loader: Any = __loader__
    lines = loader.get_source(__name__).splitlines()
    return {line.split()[3]: line.split()[1] for line in lines if line.startswith("    from spikecert.")}


_HOMES = _homes()
_FOLDERS = {home.split(".")[1] for home in _HOMES.values()}
globals()["__all__"] = [*sorted(_HOMES), "__version__"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in _FOLDERS:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
