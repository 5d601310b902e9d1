"""Which arithmetic of the run is certified: plain sums, in batches of any size."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from spikecert import LIF, LInf, Recurrent, Residual, SpikingNetwork, bounds, certified_radius, mlp, verify
from spikecert.certify.replay import TOGETHER, evaluating, replays


@pytest.mark.parametrize("name", ["ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_DEFAULT_FPMATH_MODE"])
def test_products_of_fewer_bits_by_the_environment_are_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "BF16")
    with pytest.raises(ValueError, match=f"arithmetic: got {name}=BF16"):
        verify(*convolving([]), LInf(0.1))
    monkeypatch.setenv(name, "strict")
    verify(*convolving([]), LInf(0.1))


CONVOLUTIONS: dict[str, Callable[[], list[nn.Module]]] = {
    "3×3": lambda: [nn.Conv2d(1, 2, 3)],
    "5×5, strided": lambda: [nn.Conv2d(1, 2, 5, stride=2)],
    "padded": lambda: [nn.Conv2d(1, 2, 3, padding=1, padding_mode="circular")],
    "same": lambda: [nn.Conv2d(1, 2, 3, padding="same")],
    "of groups": lambda: [nn.Conv2d(1, 2, 1), LIF(), nn.Conv2d(2, 2, 3, groups=2)],
    "of sequences": lambda: [nn.Flatten(2), nn.Conv1d(1, 2, 3)],
    "in a sum": lambda: [Residual([nn.Conv2d(1, 1, 3, padding=1)])],
    "in a loop": lambda: [Recurrent(LIF(), nn.Conv2d(1, 1, 3, padding=1))],
}


def convolving(layers: list[nn.Module]) -> tuple[SpikingNetwork, Tensor, Tensor]:
    """Return a network of images with `layers` in front, a sample and its label."""
    torch.manual_seed(0)
    net = SpikingNetwork(*layers, LIF(), nn.Flatten(), nn.LazyLinear(3), num_steps=3)
    image = torch.rand(1, 1, 6, 6)
    return net, image, net(image).argmax(1)


@pytest.fixture
def without_onednn() -> Iterator[None]:
    """Let torch convolve without oneDNN for a while."""
    if not torch.backends.nnpack.is_available():
        pytest.skip("this torch has no NNPACK")
    torch._C._set_mkldnn_enabled(False)
    yield
    torch._C._set_mkldnn_enabled(True)
    torch._C._set_nnpack_enabled(True)


@pytest.mark.usefixtures("without_onednn")
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions_that_are_transforms_in_a_batch_are_refused(name: str) -> None:
    net, image, label = convolving(CONVOLUTIONS[name]())
    for call in (
        lambda: verify(net, image, label, LInf(0.0)),
        lambda: bounds(net, image, LInf(0.0)),
        lambda: certified_radius(net, image, label),
    ):
        with pytest.raises(ValueError, match="arithmetic: got a convolution by NnpackSpatial"):
            call()
    torch._C._set_nnpack_enabled(False)
    assert verify(net, image, label, LInf(0.0), timeout=5.0)[0].status in ("verified", "unknown")


SUMS: dict[str, tuple[nn.Module, torch.dtype]] = {
    "dilated": (nn.Conv2d(1, 2, 2, dilation=2), torch.float32),
    "transposed": (nn.ConvTranspose2d(1, 2, 3), torch.float32),
    "wide": (nn.Conv2d(1, 2, 17, padding=8), torch.float32),
    "float64": (nn.Conv2d(1, 2, 3), torch.float64),
    "average": (nn.AvgPool2d(2), torch.float32),
}


@pytest.mark.usefixtures("without_onednn")
@pytest.mark.parametrize("name", SUMS)
def test_convolutions_that_are_sums_in_all_batches_are_taken(name: str) -> None:
    layer, dtype = SUMS[name]
    net, image, _ = convolving([layer])
    net, image = net.to(dtype), image.to(dtype)
    assert verify(net, image, net(image).argmax(1), LInf(0.0))[0].status == "verified"


@pytest.mark.parametrize("layer", [nn.ConvTranspose2d(1, 2, 3), nn.Conv2d(1, 2, 3)], ids=["transposed", "plain"])
def test_convolutions_by_onednn_are_sums(layer: nn.Module) -> None:
    net, image, label = convolving([layer])
    assert verify(net, image, label, LInf(0.0))[0].status == "verified"


class Alone(nn.Module):
    """Says another class in batches of some sizes."""

    def __init__(self, *sizes: int) -> None:
        super().__init__()
        self.sizes = sizes

    def forward(self, inputs: Tensor) -> Tensor:
        wrong = float(len(inputs) in self.sizes)
        return torch.tensor([[1.0 - wrong, wrong]]).expand(len(inputs), 2)


@pytest.mark.parametrize("sizes", [(1,), (TOGETHER,), (), (1, TOGETHER)], ids=str)
def test_a_counterexample_fails_alone_and_in_a_batch(sizes: tuple[int, ...]) -> None:
    net: SpikingNetwork = Alone(*sizes)  # type: ignore[assignment]
    assert replays(net, torch.zeros(3), 0, "strict") == (len(sizes) == 2)


def test_modes_are_what_they_were_behind_an_evaluation() -> None:
    """Of a network in training and of one that was evaluated before, also where a mode is set meanwhile."""
    for training in (True, False):
        network = mlp((3, 4, 2)).train(training)
        network.layers[1].eval()
        before = [module.training for module in network.modules()]
        with evaluating(network):
            assert not any(module.training for module in network.modules())
            network.layers[0].train()
        assert [module.training for module in network.modules()] == before
