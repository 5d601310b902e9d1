"""One LMI for the surrogate network of a dense spiking network, or a sentence on why there is none."""

from ..models import LIF, SpikingNetwork
from ..models.circuit import circuit
from ..models.rules import plain
from .gains.gains import GainReport
from .lmi import LARGEST_CHAIN, ChainCertificate, SolverError, chain_gain, chain_rows

NOT_ASKED = "The LMI of the surrogate network was not asked for (surrogate=True)."


def surrogate_chain(
    network: SpikingNetwork, gains: GainReport, largest: int = LARGEST_CHAIN
) -> tuple[ChainCertificate | None, str]:
    """Return a checked certificate of the surrogate network's ℓ2 gain, and "", or None and why there is none.

    Args:
        network: any network.
        gains: its ℓ2 gains over any horizon.
        largest: the most rows that the LMI may have.
    """
    if (why := _obstacle(gains, largest)) is not None:
        return None, f"No LMI for the surrogate network: {why}."
    dense = [item.dense for item in gains.operators]
    weights = [item.weight.cpu().numpy() for item in dense if item is not None]
    slopes = surrogate_slopes(network)
    decays, scales = zip(*((layer.decay, layer.input_scale) for layer in gains.layers), strict=True)
    try:
        return chain_gain(decays, weights, slopes, gains.horizon, scales), ""
    except (SolverError, ImportError) as error:
        return None, f"No LMI for the surrogate network: {error}."


def surrogate_slopes(network: SpikingNetwork) -> list[float]:
    """Return L of each spiking layer's surrogate, in order of execution."""
    layers = [node.layer for node in circuit(network).spiking]
    return [layer.surrogate.steepest for layer in layers if isinstance(layer, LIF)]


def _obstacle(gains: GainReport, largest: int) -> str | None:
    if gains.readout is None or any(layer.sources != (k - 1,) for k, layer in enumerate(gains.layers)):
        return "it is for a chain of layers with an affine readout, and this network is none"
    if any(item.filters for item in gains.operators):
        return "it is for neurons without synapses, and this network has some"
    if any(item.dense is None or item.dense.roundings for item in gains.operators):
        return "it is for dense layers, and this network has others"
    if any(item.peaks for item in gains.operators):
        return "it is for linear maps between layers, and this network has max pools"
    if any(item.rule is not None and not plain(item.rule) for item in gains.operators):
        return "it is for layers of one λ each, and this network has neurons that differ"
    rows = chain_rows(gains.operators[0].columns, [item.rows for item in gains.operators[:-1]])
    if rows > largest:
        return f"it would have {rows} rows, and the solver is given at most {largest}"
    if any(layer.gain in (0.0, float("inf")) for layer in gains.layers):
        return "a layer's gain is 0 or infinite"
    return None
