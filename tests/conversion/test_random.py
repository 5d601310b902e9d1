"""Random networks of each library: what is accepted matches spike for spike, what is refused says why."""

import re
from typing import Any

import nir
import pytest
import torch
from torch import nn

from spikecert import ConversionRefused, SpikingNetwork, convert
from spikecert.models.conversion.sources import Source, restart, run_once
from support.examples import THOROUGH
from support.foreign import FOREIGN, Foreign

SEEDS = range(60) if THOROUGH else (*range(14), 38)  # of NIR 38 is the first that must be refused
MOST_SEEN = 60 if THOROUGH else 4
OTHERWISE = r"no neuron|fires at|not the same function|no part of|bends|multipl|graded|NIR|graph"
"""What refusals of other dynamics say."""
TWO_STEPS = "with so few steps what a synapse keeps|nor a leaky sum of them|hears no input"
"""What is said where two steps show the sum of a leak and a synapse alone, or a late neuron hears nothing."""
pytestmark = [
    pytest.mark.filterwarnings("ignore:Inhibition is an unstable feature"),
]


def allowed(made: Foreign) -> list[str]:
    """Return what a refusal of a network may say."""
    nodes, steps = getattr(made.source, "nodes", {}).values(), made.num_steps or 0
    late = any(isinstance(node, nir.Delay) and float(node.delay.max()) >= steps * 1e-4 for node in nodes)
    cases = {
        "within rounding": True,
        OTHERWISE: made.refusal is not None,
        "can't run on inputs of shape": made.refusal == "has inhibition",
        TWO_STEPS: steps == 2,
        "hears no input": late,
    }
    return [reason for reason, holds in cases.items() if holds]


def wrong(seed: int, made: Foreign) -> str | None:
    """Return what is wrong with a conversion: a match that is none, or a refusal of what must come in."""
    try:
        silent: dict[str, Any] = {} if isinstance(made.source, nn.Module) else {"silent": True}
        found = convert(made.source, made.sample, made.num_steps, made.encoding, **silent)
    except ConversionRefused as error:
        reasons = allowed(made)
        named = any(re.search(reason, str(error)) for reason in reasons) and "\n" not in str(error)
        return None if named else f"{seed}: {error}"
    assert sum(found.check.mismatches) == 0
    assert found.check.spikes > 0
    return None


@pytest.mark.parametrize("library", FOREIGN)
def test_random_networks_match_or_are_refused_with_the_reason(library: str):
    made = [FOREIGN[library](seed) for seed in SEEDS]
    assert [text for seed, foreign in zip(SEEDS, made, strict=True) if (text := wrong(seed, foreign))] == []
    assert 0.5 * len(made) < sum(foreign.refusal is None for foreign in made) < len(made)


def by_hand(network: SpikingNetwork, inputs: torch.Tensor) -> torch.Tensor:
    """Return the spikes of the first spiking layer under direct coding, by the recursion as it is documented."""
    first, dynamics = network.layers[0], network.neurons[0].dynamics
    assert isinstance(first, nn.Linear)
    start = getattr(network.neurons[0], "start", 0.0)
    residue, spikes = torch.full((len(inputs), first.out_features), start), []
    for scale in getattr(network.neurons[0], "input_scale", torch.ones(network.num_steps)):
        potential = dynamics.decay * residue + scale * first(inputs)
        fired = potential >= dynamics.threshold if dynamics.fires_at == ">=" else potential > dynamics.threshold
        amount = dynamics.threshold if dynamics.reset_amount is None else dynamics.reset_amount
        residue = torch.where(
            fired, torch.zeros(()) if dynamics.reset == "zero" else potential - amount, potential
        )
        spikes.append(fired.float())
    return torch.stack(spikes)


def keeping(seen: list[torch.Tensor]):
    return lambda module, given, gave: seen.append(gave[0] if isinstance(gave, tuple) else gave)


@pytest.mark.parametrize("library", ["snntorch", "spikingjelly", "norse"])
def test_the_comparison_sees_the_sources_own_spikes(library: str):
    """The spikes that a forward hook of this test sees are those of the converted network, run by hand."""
    tried = 0
    for seed in range(60):
        made = FOREIGN[library](seed)
        if made.refusal or made.encoding == "none" or made.num_steps is None or made.sample.dim() > 2:
            continue
        neuron = made.source[1]
        if getattr(neuron, "step_mode", "s") == "m" or type(neuron).__name__ == "LIFCell":
            continue
        try:
            network = convert(made.source, made.sample, made.num_steps).network
        except ConversionRefused:
            continue
        seen: list[torch.Tensor] = []
        hook = neuron.register_forward_hook(keeping(seen))
        source = Source.of(made.source, "direct", made.num_steps)
        with torch.no_grad():
            restart(made.source.eval())
            run_once(source, made.sample)
        hook.remove()
        if network.neurons[0].dynamics.reset == "none":
            continue
        ours = by_hand(network, made.sample)
        theirs = torch.stack(seen[: made.num_steps])[:, : len(made.sample)]
        assert torch.equal(ours, theirs), seed
        tried += 1
        if tried == MOST_SEEN:
            return
    assert tried >= 3
