"""Networks of public repositories, as their authors write them: in and the same function, or refused by the line.

`WRITE_REPOSITORIES=1 python -m pytest tests/models/tracing/test_repositories.py` writes the table of the page.
"""

import os
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from spikecert import ConversionRefused, RateDraws, SpikingNetwork, convert
from support.public_repositories import NETWORKS, PublicNetwork
from support.traced_modules import Drawn

PAGE = Path(__file__).parents[3] / "docs" / "conversion.md"
BEGIN, END = "<!-- repositories -->\n", "<!-- end of repositories -->"
HEAD = "| repository, and how it is written | |\n|---|---|\n"
REFUSED = {
    "EfficientSRNN": "draws random numbers",
    "Sparch": "draws random numbers",
    "SpikeFlowNet": "which rounding decides",
    "PopSpike": "sub: makes",
    "Spikformer": "a product of two signals (attention)",
    "GatedLIF": "reads its potential of step",
    "SNASNet": "fires at 2 of 3 steps",
}


CHOSEN = {
    "BNTT": ("draws spikes with the sign of the input; expected encoding='rate'", "encoding='rate'"),
    "Hybrid": ("draws spikes with the sign of the input; expected encoding='rate'", "encoding='rate'"),
    "EventFlow": ("tanh: at the end makes some outputs equal", "ending='before'"),
    "SpikingDDPG": ("tanh: at the end makes some outputs equal", "ending='before'"),
}
"""What is refused without a choice of the caller, and that."""


class TimeFirst(nn.Module):
    """A module as it is given time by this library: its own input has the batch first."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> object:
        return self.inner(x.transpose(0, 1))


def given(network: PublicNetwork) -> nn.Module:
    """Return a network as it is converted."""
    module = network.module()
    return TimeFirst(module) if network.encoding == "none" else module


def are_alike(network: PublicNetwork, made: SpikingNetwork, ended: bool) -> bool:
    """Return whether both give the same on many inputs, far ones too, but for one factor and one constant.

    Outputs of each step are compared by what the readout makes of them; a few spikes are decided by rounding.
    """
    module, differ, drawn = given(network), 0.0, made.draws
    for scale, seed in ((1.0, 1), (3.0, 2), (-2.0, 3), (40.0, 4)):
        inputs = network.sample(200, seed) * scale
        inputs = inputs.abs() if network.encoding == "rate" else inputs
        with torch.no_grad(), Drawn() as draws:
            theirs = module(inputs.transpose(0, 1) if network.encoding == "none" else inputs)
            made.draws = of_what_was_drawn(draws.kept, drawn, made) if draws.kept else drawn
            ours = made(inputs).double()
        theirs = (theirs[0] if isinstance(theirs, tuple) else theirs).double()
        if ended:
            differ = max(differ, float((theirs.argmax(1) != ours.argmax(1)).double().mean()))
            continue
        if theirs.dim() > 2:
            time = next(axis for axis, size in enumerate(theirs.shape) if size == made.num_steps)
            theirs = theirs.select(time, -1) if made.readout == "potential" else theirs.mean(time)
        both = torch.stack([ours.flatten(), torch.ones(ours.numel(), dtype=torch.float64)], 1)
        fitted = both @ torch.linalg.lstsq(both, theirs.reshape(-1, 1)).solution
        off = (fitted.flatten() - theirs.flatten()).abs() > 1e-4 * (1.0 + float(theirs.abs().max()))
        differ = max(differ, float(off.double().mean()))
    return differ < 5e-3


def of_what_was_drawn(kept: list[Tensor], draws: RateDraws, made: SpikingNetwork) -> RateDraws:
    """Return the draws of a module's own run, in units of those of a network of seed 0; `<=` counts them."""
    steps, features = made.num_steps, tuple(kept[0].shape[1:])
    factor = (draws.thresholds(steps, features) / RateDraws(0).thresholds(len(kept), features)[:steps]).median()
    return RateDraws(torch.nextafter(torch.stack(kept[:steps]) * float(factor), torch.tensor(-1.0)))


@cache
def outcome(network: PublicNetwork) -> tuple[str, str]:
    """Return "in" and its layers, "refused" and why, or "false"."""
    try:
        found = convert(given(network), network.sample(), encoding=network.encoding, ending=network.ending)
    except ConversionRefused as error:
        return "refused", str(error)
    ended = any("at the end was left out" in note for note in found.notes)
    layers = ", ".join(type(layer).__name__ for layer in found.network.layers)
    return ("in" if are_alike(network, found.network, ended) else "false"), layers


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.made.__name__)
def test_a_network_of_a_repository_comes_in_or_is_refused_by_name(network: PublicNetwork):
    verdict, told = outcome(network)
    reason = REFUSED.get(network.made.__name__)
    assert verdict == ("in" if reason is None else "refused"), told
    assert reason is None or reason in told
    assert reason is None or re.match(r"repository_(dense|images)\.py:\d+: |module: |output: ", told)


@pytest.mark.parametrize("name", CHOSEN)
def test_what_is_another_question_is_asked_by_choice_alone(name: str):
    network = next(each for each in NETWORKS if each.made.__name__ == name)
    with pytest.raises(ConversionRefused, match=re.escape(CHOSEN[name][0])):
        convert(given(network), network.sample(), encoding="none" if network.encoding == "none" else "direct")


def test_the_networks_of_repositories_spike():
    """A network that is silent shows nothing."""
    for network in NETWORKS:
        if outcome(network)[0] == "in":
            found = convert(given(network), network.sample(), encoding=network.encoding, ending=network.ending)
            assert sum(rate > 0 for rate in found.check.rates) * 2 > len(found.check.rates), network.repository


def row(network: PublicNetwork) -> str:
    """Return a line of the table."""
    verdict, told = outcome(network)
    if verdict == "refused":
        told = re.sub(r"^\w+\.py:\d+: ", "", told).partition("; expected")[0]
    said = (network.made.__doc__ or "").strip().rstrip(".").partition(": ")[2]
    chosen = f", by {CHOSEN[network.made.__name__][1]}" if network.made.__name__ in CHOSEN else ""
    apart = f" (counted apart: {network.apart})" if network.apart else ""
    return f"| {network.repository}: {said} | {verdict}{chosen}: {told}{apart} |\n"


def test_the_table_of_repositories_is_what_comes_in():
    counted = Counter(outcome(network)[0] for network in NETWORKS if not network.apart)
    told = f"{counted['in']} of {counted.total()} in, {counted['false']} false, the rest refused by line.\n"
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    table, _, after = rest.partition(END)
    found = told + "\n" + HEAD + "".join(map(row, NETWORKS))
    if "WRITE_REPOSITORIES" in os.environ:
        PAGE.write_text(before + BEGIN + found + END + after, encoding="utf-8")
    else:
        assert table == found, "WRITE_REPOSITORIES=1 writes it"
