"""How the weights of a convolutional network start."""

from torch import nn

from ..networks import SpikingNetwork

INITIALIZATIONS = ("firing", "paper")


def paper_start(network: SpikingNetwork) -> SpikingNetwork:
    """Start the weights as the paper's authors do, in place, from torch's global generator; return the network.

    Convolutions: normal with variance 2/fan_out. Dense layers: torch's default weights, uniform in ±1/√fan_in, and
    a bias of 0. Convolutions' biases and batch norms: torch's default.

    References: ding2024robust, he2015delving
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            module.reset_parameters()
            nn.init.zeros_(module.bias)
    return network
