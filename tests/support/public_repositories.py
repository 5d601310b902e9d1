"""Thirty public repositories, named before any was tried; of each a small network, as its authors write theirs."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from . import repository_dense as dense
from . import repository_images as images
from .repository_dense import STEPS

REPOSITORIES = (
    "yjwu17/STBP-for-SpikingNN",
    "fzenke/spytorch",
    "fangwei123456/Parametric-Leaky-Integrate-and-Fire-Spiking-Neuron",
    "fangwei123456/Spike-Element-Wise-ResNet",
    "Gus-Lab/temporal_efficient_training",
    "yhhhli/SNN_Calibration",
    "putshua/SNN_conversion_QCFS",
    "Intelligent-Computing-Lab-Yale/BNTT-Batch-Normalization-Through-Time",
    "nitin-rathi/hybrid-snn-conversion",
    "byin-cwi/Efficient-spiking-networks",
    "idiap/sparch",
    "pkuxmq/OTTT-SNN",
    "nmi-lab/decolle-public",
    "bamsumit/slayerPytorch",
    "chan8972/Spike-FlowNet",
    "tudelft/event_flow",
    "combra-lab/pop-spiking-deep-rl",
    "combra-lab/spiking-ddpg",
    "stonezwr/TSSL-BP",
    "urancon/StereoSpike",
    "BICLab/Spike-Driven-Transformer",
    "zhouchenlin2096/QKFormer",
    "ZK-Zhou/spikformer",
    "Ikarosy/Gated-LIF",
    "Intelligent-Computing-Lab-Yale/Neural-Architecture-Search-for-Spiking-Neural-Networks",
    "Intelligent-Computing-Lab-Yale/NDA_SNN",
    "Thvnvtos/SNN-delays",
    "yfguo91/MPBN",
    "synsense/sinabs",
    "jeshraghian/snntorch",
)
"""In the order in which they were named."""

SOFT, ATTENTION = "soft gates", "attention: products of graded signals"
MADE: tuple[tuple[type[nn.Module], str, str], ...] = (
    (images.STBP, "image", ""),
    (dense.SpyTorch, "steps", ""),
    (images.PLIF, "image", ""),
    (images.SEW, "image", ""),
    (images.TET, "image", ""),
    (images.Calibration, "image", ""),
    (dense.QCFS, "vector", ""),
    (images.BNTT, "rates", ""),
    (images.Hybrid, "rates", ""),
    (dense.EfficientSRNN, "steps", ""),
    (dense.Sparch, "steps", ""),
    (images.OTTT, "image", ""),
    (dense.Decolle, "steps", ""),
    (dense.Slayer, "steps", ""),
    (images.SpikeFlowNet, "image", ""),
    (images.EventFlow, "images", ""),
    (dense.PopSpike, "vector", ""),
    (dense.SpikingDDPG, "many steps", ""),
    (images.TSSLBP, "images", ""),
    (images.StereoSpike, "images", ""),
    (images.SpikeDriven, "image", ""),
    (images.QKFormer, "image", ""),
    (images.Spikformer, "image", ATTENTION),
    (images.GatedLIF, "image", SOFT),
    (images.SNASNet, "image", ""),
    (images.NDA, "image", ""),
    (dense.SNNDelays, "steps", ""),
    (images.MPBN, "image", ""),
    (dense.Sinabs, "steps", ""),
    (dense.SnnTorch, "vector", ""),
)
"""Of each its network, what it takes, and why it is counted apart."""
SHAPES = {
    "image": (1, 4, 4),
    "rates": (1, 4, 4),
    "images": (STEPS, 1, 4, 4),
    "vector": (5,),
    "steps": (STEPS, 5),
    "many steps": (STEPS, 20),
}


@dataclass(frozen=True)
class PublicNetwork:
    """A network as a repository writes it.

    Attributes:
        repository: its name.
        made: its class.
        shape: of its inputs.
        encoding: "none" where they have steps, "rate" where it draws signed spikes of them.
        ending: "before" where it ends in a function that makes equal outputs of some.
        apart: why it is counted apart; "" where it is not.
    """

    repository: str
    made: type[nn.Module]
    shape: tuple[int, ...]
    encoding: str
    ending: str | None
    apart: str

    def module(self) -> nn.Module:
        """Return it, with weights that make it spike, and batch norms that have seen something."""
        torch.manual_seed(1)
        module = self.made()
        for part in module.modules():
            if isinstance(part, nn.Conv2d | nn.Linear | nn.Conv3d | nn.ConvTranspose2d):
                part.weight.data.mul_(5.0)
            if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
                part.running_mean.uniform_(-0.5, 0.5)  # pyright: ignore
                part.running_var.uniform_(0.5, 2.0)  # pyright: ignore
                part.weight.data.uniform_(0.5, 2.0)
        return module.eval()

    def sample(self, count: int = 8, seed: int = 0) -> Tensor:
        """Return inputs."""
        return torch.rand(count, *self.shape, generator=torch.Generator().manual_seed(seed))


BEFORE = (images.EventFlow, dense.PopSpike, dense.SpikingDDPG)
"""Networks that are asked about by what their last function, tanh, is of."""


def _encoding(takes: str) -> str:
    return "rate" if takes == "rates" else "none" if takes[-1] == "s" else "direct"


NETWORKS = tuple(
    PublicNetwork(name, made, SHAPES[takes], _encoding(takes), "before" if made in BEFORE else None, apart)
    for name, (made, takes, apart) in zip(REPOSITORIES, MADE, strict=True)
)
