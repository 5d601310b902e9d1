"""Thirty more idioms of public repositories, fixed before any was tried, each in a few lines of our own.

The repositories are named; what is said of them are facts of how their neurons go, and no line is theirs.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from .hand_written import STEPS, At, Net, fire, zeros


def tab(net: Net, x: Tensor, at: At) -> Tensor:
    """SNN-TAB: statistics that go on with the steps, times a learned weight of each step."""
    mem, total = zeros(x), zeros(x, 3)
    for t in range(STEPS):
        mem = at.potential(t, at.decay(t, 0.5) * mem + net.scale[t] * net.bns[t](net.fc1(x)))
        s = fire(mem - at.threshold(t, 1.0))
        mem = mem * (1 - s)
        total = total + net.fc2(s)
    return total / STEPS


def own_currents(net: Net, x: Tensor, at: At) -> Tensor:
    """An encoder with a learned current of each step and neuron."""
    mem, total = zeros(x), zeros(x, 3)
    for t in range(STEPS):
        mem = at.potential(t, at.decay(t, 0.75) * mem + net.fc1(x) + net.mix[t])
        s = fire(mem - at.threshold(t, 1.0))
        mem = mem * (1 - s)
        total = total + net.fc2(s)
    return total / STEPS


def fading_threshold(net: Net, x: Tensor, at: At) -> Tensor:
    """An event embedding whose threshold fades with the step, reset by subtraction."""
    mem, total = zeros(x), zeros(x, 3)
    for t in range(STEPS):
        mem = at.potential(t, at.decay(t, 0.75) * mem + net.fc1(x))
        s = fire(mem - 0.75**t)
        mem = mem - at.reset(t, 1.0) * s
        total = total + net.fc2(s)
    return total / STEPS


def _adlif(net: Net, x: Tensor, at: At, heard: bool) -> Tensor:
    alpha, beta = net.each.clamp(0.25, 0.75), (net.each / 2).clamp(0.25, 0.75)
    a, b = (net.each - 1).clamp(-0.5, 0.5), net.each.clamp(0.0, 1.0)
    u, w, s, total = zeros(x), zeros(x), zeros(x), zeros(x, 3)
    for t in range(STEPS):
        w = beta * w + a * u + b * s
        current = net.bn2(net.fc1(x)) + (net.rec(s) if heard else 0.0)
        u = at.potential(t, at.decay(t, alpha) * (u - s) + (1 - alpha) * (current - w))
        s = fire(u - at.threshold(t, 1.0))
        total = total + net.fc2(s)
    return total / STEPS


def adlif_each(net: Net, x: Tensor, at: At) -> Tensor:
    """sparch's adLIF as it is trained: α, β, a and b of each neuron, within limits, behind a batch norm."""
    return _adlif(net, x, at, heard=False)


def radlif(net: Net, x: Tensor, at: At) -> Tensor:
    """sparch's RadLIF: the same, which hears its own spikes."""
    return _adlif(net, x, at, heard=True)


def _srnn(net: Net, x: Tensor, at: At, heard: bool) -> Tensor:
    alpha, rho = torch.exp(-1.0 / net.each), torch.exp(-0.25 / net.each)
    mem, b, s, total = zeros(x), zeros(x), zeros(x), zeros(x, 3)
    out = zeros(x, 3)
    for t in range(STEPS):
        b = rho * b + (1 - rho) * s
        limit = at.threshold(t, 0.5) + 1.75 * b
        current = net.fc1(x) + (net.rec(s) if heard else 0.0)
        mem = at.potential(t, mem * at.decay(t, alpha) + (1 - alpha) * current - limit * s)
        s = fire(mem - limit)
        out = 0.75 * out + 0.25 * net.fc2(s)
        total = total + out
    return total


def srnn(net: Net, x: Tensor, at: At) -> Tensor:
    """Yin's adaptive neurons: time constants of each, leaky outputs that are summed."""
    return _srnn(net, x, at, heard=False)


def srnn_recurrent(net: Net, x: Tensor, at: At) -> Tensor:
    """The same as SRNN: through a dense feedback."""
    return _srnn(net, x, at, heard=True)


def fpga(net: Net, x: Tensor, at: At) -> Tensor:
    """snn-fpga: the spike of the potential before takes away all that there is now."""
    mem, total = zeros(x), zeros(x, 3)
    for t in range(STEPS):
        s = fire(mem - at.threshold(t, 1.0))
        now = at.potential(t, at.decay(t, 0.75) * mem + net.fc1(x))
        mem = now - (s * now).detach()
        total = total + net.fc2(s)
    return total / STEPS


def two_compartments(net: Net, x: Tensor, at: At) -> Tensor:
    """TC-LIF: a dendrite and a soma, which drive each other."""
    d, v, total = zeros(x), zeros(x), zeros(x, 3)
    for t in range(STEPS):
        d = d - 0.25 * v + net.fc1(x)
        v = at.potential(t, v + 0.5 * d)
        s = fire(v - at.threshold(t, 1.0))
        d, v = d - 0.5 * s, v - at.reset(t, 1.0) * s
        total = total + net.fc2(s)
    return total / STEPS


def qcfs(net: Net, x: Tensor, at: At) -> Tensor:
    """QCFS: a learned threshold, half of which the membrane starts from, and spikes of its size."""
    limit = net.w + 0.5
    mem, total = 0.5 * limit, zeros(x, 3)
    for t in range(STEPS):
        mem = at.potential(t, mem + net.fc1(x))
        s = (mem - at.threshold(t, limit) >= 0).float() * limit
        mem = mem - s
        total = total + net.fc2(s)
    return total / STEPS


def dense_skip(net: Net, x: Tensor, at: At) -> Tensor:
    """Spiking DenseNet: a layer hears all spikes before it, side by side."""
    one, two, total = zeros(x), zeros(x, 3), zeros(x, 3)
    weight = torch.cat([net.fc2.weight, net.mix[:3, :3]], 1)
    for t in range(STEPS):
        one = at.potential(t, at.decay(t, 0.5) * one + net.fc1(x))
        s = fire(one - at.threshold(t, 1.0))
        one = one * (1 - s)
        two = 0.5 * two + net.fc2(s)
        z = fire(two - 0.25)
        two = two * (1 - z)
        total = total + F.linear(torch.cat([s, z], dim=1), weight)
    return total / STEPS


def unet_skip(net: Net, x: Tensor, at: At) -> Tensor:
    """Spiking U-Net: pooled, enlarged, and put beside what it was made of."""
    image = F.pad(x, (0, 11)).view(-1, 1, 4, 4)
    v, low, total = torch.zeros(len(x), 6, 4, 4), torch.zeros(len(x), 6, 2, 2), zeros(x, 3)
    for t in range(STEPS):
        v = at.potential(t, at.decay(t, 0.5) * v + 4.0 * net.bn(net.conv(image)))
        s = fire(v - 1.0)
        v = v * (1 - s)
        low = 0.5 * low + F.avg_pool2d(s, 2)
        z = fire(low - 0.5)
        low = low * (1 - z)
        both = torch.cat([s, F.interpolate(z, scale_factor=2.0)], dim=1)
        total = total + F.conv2d(both, net.mix[:3].repeat(1, 2)[:, :, None, None]).mean((2, 3))
    return total / STEPS


def ms_resnet(net: Net, x: Tensor, at: At) -> Tensor:
    """MS-ResNet: currents are added, and a neuron is in front of each layer."""
    one, two, total = zeros(x), zeros(x), zeros(x, 3)
    for t in range(STEPS):
        current = net.fc1(x)
        one = at.potential(t, at.decay(t, 0.5) * one + current)
        s = fire(one - at.threshold(t, 1.0))
        one = one * (1 - s)
        two = 0.5 * two + current + net.bn2(net.rec(s))
        z = fire(two - 0.5)
        two = two * (1 - z)
        total = total + net.fc2(z)
    return total / STEPS


def sew_iand(net: Net, x: Tensor, at: At) -> Tensor:
    """SEW with IAND: (1 − a)·b of a block's spikes and its input's."""
    one, two, total = zeros(x), zeros(x), zeros(x, 3)
    for t in range(STEPS):
        one = at.potential(t, at.decay(t, 0.5) * one + net.fc1(x))
        s = fire(one - at.threshold(t, 1.0))
        one = one * (1 - s)
        two = 0.5 * two + net.rec(s)
        z = fire(two - 0.25)
        two = two * (1 - z)
        total = total + net.fc2((1 - z) * s)
    return total / STEPS


def votes(net: Net, x: Tensor, at: At) -> Tensor:
    """A voting layer: two neurons a class, averaged by a pool."""
    v, total = zeros(x), zeros(x, 3)
    for t in range(STEPS):
        v = at.potential(t, at.decay(t, 0.5) * v + net.fc1(x))
        s = fire(v - at.threshold(t, 1.0))
        v = v - at.reset(t, 1.0) * s
        total = total + F.avg_pool1d(s.unsqueeze(1), 2).squeeze(1)
    return total / STEPS


def patches(net: Net, x: Tensor, at: At) -> Tensor:
    """Spikformer's patch splitting: convolution, batch norm, LIF and max pool, on merged axes."""
    image = F.pad(x, (0, 11)).view(1, -1, 1, 4, 4).repeat(STEPS, 1, 1, 1, 1).flatten(0, 1)
    current = (4.0 * net.bn(net.conv(image))).view(STEPS, -1, 6, 4, 4)
    v, out = torch.zeros_like(current[0]), []
    for t in range(STEPS):
        v = at.potential(t, v + (current[t] - v) / 2.0 * at.decay(t, 1.0))
        s = fire(v - 1.0)
        v = v * (1 - s)
        out.append(s)
    pooled = F.max_pool2d(torch.stack(out).flatten(0, 1), 3, 2, 1).mean((2, 3))
    return net.fc2(pooled).view(STEPS, -1, 3).mean(0)


def real_spike(net: Net, x: Tensor, at: At) -> Tensor:
    """Real Spike: spikes of a learned size, one a neuron."""
    v, total = zeros(x), zeros(x, 3)
    for t in range(STEPS):
        v = at.potential(t, at.decay(t, 0.25) * v + net.fc1(x))
        s = fire(v - at.threshold(t, 0.5))
        v = v * (1 - s)
        total = total + net.fc2(s * net.each)
    return total / STEPS


def detached(net: Net, x: Tensor, at: At) -> Tensor:
    """SLTT: what is kept of a step carries no gradient; outputs are means of the steps before the last layer."""
    v, out = zeros(x), []
    for t in range(STEPS):
        v = at.potential(t, at.decay(t, 0.9) * v.detach() + net.fc1(x))
        s = fire(v - at.threshold(t, 1.0))
        v = v - at.reset(t, 1.0) * s.detach()
        out.append(s)
    return net.fc2(torch.stack(out, 2).mean(2))


def decolle(net: Net, x: Tensor, at: At) -> Tensor:
    """DECOLLE: two traces in front of the weights, and one of the neuron's own spikes."""
    p, q, r, s, total = torch.zeros_like(x), torch.zeros_like(x), zeros(x), zeros(x), zeros(x, 3)
    for t in range(STEPS):
        q = 0.5 * q + x
        p = 0.75 * p + q
        r = at.decay(t, 0.75) * r - at.reset(t, 1.0) * s
        u = at.potential(t, net.fc1(p) + r)
        s = fire(u - at.threshold(t, 1.0))
        total = total + net.fc2(s)
    return total / STEPS


def alpha_psp(net: Net, x: Tensor, at: At) -> Tensor:
    """An alpha function behind the weights, and a refractory trace of the same decay."""
    a, b, r, s, total = zeros(x), zeros(x), zeros(x), zeros(x), zeros(x, 3)
    for t in range(STEPS):
        b = 0.75 * b + a
        a = 0.75 * a + net.fc1(x)
        r = at.decay(t, 0.75) * r - at.reset(t, 2.0) * s
        u = at.potential(t, b + r)
        s = fire(u - at.threshold(t, 1.0))
        total = total + net.fc2(s)
    return total / STEPS


def snu(net: Net, x: Tensor, at: At) -> Tensor:
    """The spiking neural unit: a ReLU of the state."""
    v, s, total = zeros(x), zeros(x), zeros(x, 3)
    for _ in range(STEPS):
        v = F.relu(net.fc1(x) + 0.75 * v * (1 - s))
        s = fire(v - 1.0)
        total = total + net.fc2(s)
    return total / STEPS


def lsnn_recurrent(net: Net, x: Tensor, at: At) -> Tensor:
    """e-prop's LSNN: feedback without a loop to oneself, rising thresholds, soft reset."""
    weight = net.rec.weight * (1 - torch.eye(6))
    v, a, z, total = zeros(x), zeros(x), zeros(x), zeros(x, 3)
    for t in range(STEPS):
        a = 0.75 * a + z
        v = at.potential(t, at.decay(t, 0.5) * v + net.fc1(x) + F.linear(z, weight) - z * at.reset(t, 1.0))
        z = fire(v - (at.threshold(t, 1.0) + 0.25 * a))
        total = total + net.fc2(z)
    return total / STEPS


def heterogeneous(net: Net, x: Tensor, at: At) -> Tensor:
    """Time constants of the membrane that are learned one a neuron, behind one synapse."""
    i, v, total = zeros(x), zeros(x), zeros(x, 3)
    for t in range(STEPS):
        i = 0.5 * i + net.fc1(x)
        v = at.potential(t, at.decay(t, torch.exp(-0.5 / net.each)) * v + i)
        s = fire(v - at.threshold(t, 1.0))
        v = v * (1 - s)
        total = total + net.fc2(s)
    return total / STEPS


def early_exit(net: Net, x: Tensor, at: At) -> Tensor:
    """SEENN: the mean of the outputs so far, at each step."""
    v, total, out = zeros(x), zeros(x, 3), []
    for t in range(STEPS):
        v = at.potential(t, at.decay(t, 0.5) * v + net.fc1(x))
        s = fire(v - at.threshold(t, 1.0))
        v = v * (1 - s)
        total = total + net.fc2(s)
        out.append(total / (t + 1))
    return torch.stack(out)


def plif_channels(net: Net, x: Tensor, at: At) -> Tensor:
    """PLIF of images with a decay of each channel."""
    image, v, total = F.pad(x, (0, 4)).view(-1, 1, 3, 3), torch.zeros(len(x), 6, 3, 3), zeros(x, 3)
    share = torch.sigmoid(net.each).view(1, 6, 1, 1)
    for t in range(STEPS):
        v = at.potential(t, at.decay(t, 1.0 - share) * v + 4.0 * share * net.conv(image))
        s = fire(v - 1.0)
        v = v * (1 - s)
        total = total + net.fc2(s.mean((2, 3)))
    return total / STEPS


def glif_channels(net: Net, x: Tensor, at: At) -> Tensor:
    """GLIF, a gate of each neuron, hard sigmoids of what is learned."""
    gate = F.hardsigmoid(6.0 * (net.each - 1.25))
    v, total = zeros(x), zeros(x, 3)
    for t in range(STEPS):
        v = at.potential(t, at.decay(t, 1.0 - 0.5 * gate) * v + net.fc1(x))
        s = fire(v - at.threshold(t, 1.0))
        v = v - at.reset(t, 1.0) * s
        total = total + net.fc2(s)
    return total / STEPS


def counted(net: Net, x: Tensor, at: At) -> Tensor:
    """STBP for control: a dense layer decodes the count of spikes."""
    mem, s, count = zeros(x), zeros(x), zeros(x)
    for t in range(STEPS):
        mem = at.potential(t, mem * at.decay(t, 0.75) * (1 - s) + net.fc1(x))
        s = fire(mem - at.threshold(t, 0.5))
        count = count + s
    return net.fc2(count / STEPS)


def once(net: Net, x: Tensor, at: At) -> Tensor:
    """Time to first spike: a neuron that has fired is silent from then on."""
    v, fired, total = zeros(x), zeros(x), zeros(x, 3)
    for t in range(STEPS):
        v = at.potential(t, at.decay(t, 0.75) * v + net.fc1(x))
        s = fire(v - at.threshold(t, 1.0)) * (1 - fired)
        fired = fired + s
        total = total + net.fc2(s)
    return total / STEPS


def learned_start(net: Net, x: Tensor, at: At) -> Tensor:
    """A learned potential that membranes start from, one a neuron, reset by subtraction."""
    v, total = net.each.expand(len(x), 6) / 4.0, zeros(x, 3)
    for t in range(STEPS):
        v = at.potential(t, at.decay(t, 0.75) * v + net.fc1(x))
        s = fire(v - at.threshold(t, 1.0))
        v = v - at.reset(t, 1.0) * s
        total = total + net.fc2(s)
    return total / STEPS


def delays(net: Net, x: Tensor, at: At) -> Tensor:
    """Learned delays, rounded: each layer hears spikes of one and of two steps before by weights of their own."""
    v, u, total, past = zeros(x), zeros(x), zeros(x, 3), [zeros(x), zeros(x)]
    for t in range(STEPS):
        v = at.potential(t, at.decay(t, 0.5) * v + net.fc1(x))
        s = fire(v - at.threshold(t, 1.0))
        v = v * (1 - s)
        u = 0.5 * u + net.rec(past[-1]) + F.linear(past[-2], net.mix)
        z = fire(u - 0.25)
        u = u * (1 - z)
        past.append(s)
        total = total + net.fc2(z)
    return total / STEPS


PUBLIC = (
    *(tab, own_currents, fading_threshold, adlif_each, radlif, srnn, srnn_recurrent, fpga, two_compartments, qcfs),
    *(dense_skip, unet_skip, ms_resnet, sew_iand, votes, patches, real_spike, detached, decolle, alpha_psp),
    *(snu, lsnn_recurrent, heterogeneous, early_exit, plif_channels, glif_channels, counted, once, learned_start),
    delays,
)
