"""Small networks of images as public repositories write theirs: facts of how they go, in lines of our own."""

import copy
from typing import Any

import torch
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import Tensor, nn
from torch.nn import functional as F

from .repository_dense import STEPS, boxcar, zeroed


class STBP(nn.Module):
    """STBP-for-SpikingNN: mem_update in a function of its own, average pools, sumspike / T."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.fc1, self.fc2 = nn.Linear(4, 6), nn.Linear(6, 3)

    @staticmethod
    def mem_update(ops: Any, x: Tensor, mem: Tensor, spike: Tensor) -> tuple[Tensor, Tensor]:
        mem = mem * 0.2 * (1.0 - spike) + ops(x)
        return mem, boxcar(mem - 0.5)

    def forward(self, given: Tensor) -> Tensor:
        size = len(given)
        c1_mem = c1_spike = torch.zeros(size, 4, 4, 4)
        c2_mem = c2_spike = torch.zeros(size, 4, 2, 2)
        h1_mem = h1_spike = torch.zeros(size, 6)
        h2_mem = h2_spike = h2_sum = torch.zeros(size, 3)
        for _ in range(STEPS):
            c1_mem, c1_spike = self.mem_update(self.conv1, given.float(), c1_mem, c1_spike)
            x = F.avg_pool2d(c1_spike, 2)
            c2_mem, c2_spike = self.mem_update(self.conv2, x, c2_mem, c2_spike)
            x = F.avg_pool2d(c2_spike, 2).view(size, -1)
            h1_mem, h1_spike = self.mem_update(self.fc1, x, h1_mem, h1_spike)
            h2_mem, h2_spike = self.mem_update(self.fc2, h1_spike, h2_mem, h2_spike)
            h2_sum = h2_sum + h2_spike
        return h2_sum / STEPS


class PLIF(nn.Module):
    """PLIF: static_conv before the loop, max pools behind its own PLIF nodes, dropout, a voting pool, counts."""

    class Node(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w, self.v = nn.Parameter(torch.tensor(0.0)), 0.0

        def forward(self, x: Tensor) -> Tensor:
            self.v = self.v + (x - self.v) * self.w.sigmoid()
            spike = surrogate.ATan(alpha=2.0)(self.v - 1.0)
            self.v = (1.0 - spike) * self.v
            return spike

    def __init__(self) -> None:
        super().__init__()
        self.static_conv = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4))
        self.conv = nn.Sequential(
            self.Node(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), self.Node()
        )
        self.fc = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(16, 6, bias=False), self.Node())
        self.boost = nn.AvgPool1d(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        for part in self.modules():
            if isinstance(part, self.Node):
                part.v = 0.0
        x = self.static_conv(x)
        out = self.boost(self.fc(self.conv(x)).unsqueeze(1)).squeeze(1)
        for _ in range(1, STEPS):
            out += self.boost(self.fc(self.conv(x)).unsqueeze(1)).squeeze(1)
        return out / STEPS


class SEW(nn.Module):
    """Spike-Element-Wise-ResNet: SeqToANNContainers, multi-step nodes, ADD, IAND, the image repeated."""

    class Block(nn.Module):
        def __init__(self, how: str) -> None:
            super().__init__()
            self.how = how
            self.conv = layer.SeqToANNContainer(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4))
            self.sn = neuron.LIFNode(step_mode="m", detach_reset=True)

        def forward(self, x: Tensor) -> Tensor:
            out = self.sn(self.conv(x))
            return out + x if self.how == "ADD" else (1.0 - out) * x

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.sn1 = neuron.IFNode(step_mode="m")
        self.layers = nn.Sequential(self.Block("IAND"), self.Block("ADD"))
        self.avgpool = layer.SeqToANNContainer(nn.AdaptiveAvgPool2d((1, 1)))
        self.fc = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        functional.reset_net(self)
        x = self.bn1(self.conv1(x))
        x.unsqueeze_(0)
        x = self.sn1(x.repeat(STEPS, 1, 1, 1, 1))
        x = torch.flatten(self.avgpool(self.layers(x)), 2)
        return self.fc(x.mean(dim=0))


class TET(nn.Module):
    """temporal_efficient_training: (batch, T, …), tdLayers that merge both, LIFSpike, outputs of each step."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.pool, self.fc = nn.AvgPool2d(2), nn.Linear(16, 3)

    @staticmethod
    def merged(fn: Any, x: Tensor) -> Tensor:
        y = fn(x.flatten(0, 1).contiguous())
        return y.view(*x.shape[:2], *y.shape[1:])

    @staticmethod
    def spiking(x: Tensor) -> Tensor:
        mem, pot = 0.0, []
        for t in range(x.shape[1]):
            mem = mem * 0.5 + x[:, t, ...]
            spike = (mem - 1.0 >= 0).float()
            mem = (1 - spike) * mem
            pot.append(spike)
        return torch.stack(pot, dim=1)

    def forward(self, given: Tensor) -> Tensor:
        given = given.unsqueeze(1).repeat(1, STEPS, 1, 1, 1)
        x = self.spiking(self.merged(lambda each: self.bn(self.conv(each)), given))
        x = torch.flatten(self.merged(self.pool, x), 2)
        return self.merged(self.fc, x)


class Calibration(nn.Module):
    """SNN_Calibration: modules that keep a potential, spikes of the threshold's size, a sum over T outside."""

    class Spiking(nn.Module):
        def __init__(self, fn: nn.Module) -> None:
            super().__init__()
            self.fn, self.threshold, self.mem_pot = fn, torch.tensor(1.25), 0.0

        def forward(self, x: Tensor) -> Tensor:
            self.mem_pot = self.mem_pot + self.fn(x)
            spike = (self.mem_pot >= self.threshold).float() * self.threshold
            self.mem_pot -= spike
            return spike

    def __init__(self) -> None:
        super().__init__()
        conv = nn.Conv2d(1, 4, 3, padding=1)
        self.model = nn.Sequential(self.Spiking(conv), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16, 3))

    def forward(self, x: Tensor) -> Tensor:
        for part in self.model:
            if isinstance(part, self.Spiking):
                part.mem_pot = 0.5 * part.threshold
        out: Any = 0
        for _ in range(STEPS):
            out += self.model(x)
        return out


def poisson(x: Tensor, factor: float = 1.0) -> Tensor:
    """Signed events, by random numbers of its own."""
    return torch.mul(torch.le(torch.rand_like(x) * factor, torch.abs(x)).float(), torch.sign(x))


class BNTT(nn.Module):
    """BNTT: a Poisson generator of its own, lists of layers, a batch norm of each step, masked resets."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc1, self.fc2 = (
            nn.Conv2d(1, 4, 3, padding=1, bias=False),
            nn.Linear(16, 6),
            nn.Linear(6, 3),
        )
        self.bntt = nn.ModuleList(nn.BatchNorm2d(4, eps=1e-4) for _ in range(STEPS))
        self.bntt_fc = nn.ModuleList(nn.BatchNorm1d(6, eps=1e-4) for _ in range(STEPS))
        for norm in (*self.bntt, *self.bntt_fc):
            norm.bias = None  # pyright: ignore
        self.conv.threshold = self.fc1.threshold = 1.0  # pyright: ignore

    def forward(self, inp: Tensor) -> Tensor:
        mem_conv, mem_fc1 = torch.zeros(len(inp), 4, 4, 4), torch.zeros(len(inp), 6)
        mem_fc2 = torch.zeros(len(inp), 3)
        for t in range(STEPS):
            mem_conv = 0.95 * mem_conv + self.bntt[t](self.conv(poisson(inp, 2.0)))
            mem_thr = (mem_conv / self.conv.threshold) - 1.0  # pyright: ignore
            out = zeroed(mem_thr)
            rst = torch.zeros_like(mem_conv)
            rst[mem_thr > 0] = self.conv.threshold  # pyright: ignore
            mem_conv = mem_conv - rst
            out = F.avg_pool2d(out.clone(), 2).reshape(len(inp), -1)
            mem_fc1 = 0.95 * mem_fc1 + self.bntt_fc[t](self.fc1(out))
            mem_thr = (mem_fc1 / self.fc1.threshold) - 1.0  # pyright: ignore
            out = zeroed(mem_thr)
            rst = torch.zeros_like(mem_fc1)
            rst[mem_thr > 0] = self.fc1.threshold  # pyright: ignore
            mem_fc1 = mem_fc1 - rst
            mem_fc2 = mem_fc2 + self.fc2(out.clone())
        return mem_fc2 / STEPS


class Hybrid(nn.Module):
    """hybrid-snn-conversion: potentials in dictionaries, times of spikes kept, masks of dropout, Poisson."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.ReLU(), nn.AvgPool2d(2))
        self.classifier = nn.Sequential(nn.Linear(16, 6), nn.ReLU(), nn.Dropout(0.5), nn.Linear(6, 3))
        self.threshold, self.leak = {0: torch.tensor(1.0), 3: torch.tensor(0.75)}, torch.tensor(0.95)

    def forward(self, x: Tensor) -> Tensor:
        mem = {0: torch.zeros(len(x), 4, 4, 4), 3: torch.zeros(len(x), 6), 6: torch.zeros(len(x), 3)}
        mask = self.classifier[2](torch.ones(len(x), 6))
        times = copy.deepcopy(mem)
        for value in times.values():
            value.fill_(-1000)
        for t in range(STEPS):
            out_prev = poisson(x)
            for place, part in ((0, self.features[0]), (3, self.classifier[0])):
                mem_thr = mem[place] / self.threshold[place] - 1.0
                out = zeroed(mem_thr)
                rst = self.threshold[place] * (mem_thr > 0).float()
                times[place] = times[place].masked_fill(out.bool(), t - 1)
                mem[place] = self.leak * mem[place] + part(out_prev) - rst
                out_prev = out.clone()
                if place == 0:
                    out_prev = self.features[2](out_prev).reshape(len(x), -1)
            mem[6] = mem[6] + self.classifier[3](out_prev * mask)
        return mem[6]


class OTTT(nn.Module):
    """OTTT-SNN: nodes begun by a keyword, detached potentials, a rate beside them, scaled weights, a sum."""

    class Node(nn.Module):
        def forward(self, x: Tensor, **how: bool) -> Tensor:
            if how.get("init", False):
                self.v, self.rate = torch.zeros_like(x), None
            self.v = self.v.detach() * (1 - 1.0 / 2.0) + x
            spike = (self.v - 1.0 >= 0).to(self.v)
            self.v = self.v - spike.detach() * 1.0
            with torch.no_grad():
                fresh = spike.clone().detach()
                self.rate = fresh if self.rate is None else self.rate * 0.5 + fresh
            return spike

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.gain, self.node = (
            nn.Conv2d(1, 4, 3, padding=1),
            nn.Parameter(torch.ones(4, 1, 1, 1)),
            self.Node(),
        )
        self.fc = nn.Linear(4, 3)

    def weight(self) -> Tensor:
        mean = self.conv.weight.mean((1, 2, 3), keepdim=True)
        var = self.conv.weight.var((1, 2, 3), keepdim=True)
        return self.gain * (self.conv.weight - mean) / (var * 9 + 1e-4) ** 0.5

    def step(self, x: Tensor, **how: bool) -> Tensor:
        x = self.node(F.conv2d(x, self.weight(), self.conv.bias, padding=1), **how) * 2.74
        return self.fc(F.adaptive_avg_pool2d(x, (1, 1)).view(len(x), -1))

    def forward(self, x: Tensor) -> Tensor:
        total = self.step(x, init=True)
        for _ in range(STEPS - 1):
            total = total + self.step(x).clone().detach()
        return total


class SpikeFlowNet(nn.Module):
    """Spike-FlowNet: F.threshold, a spike of what is above, summed currents, a decoder with leaky ReLUs."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 1, 1)
        self.deconv = nn.Sequential(nn.ConvTranspose2d(4, 3, 4, 2, 1), nn.LeakyReLU(0.1))
        self.flow = nn.Conv2d(3, 2, 1)

    @staticmethod
    def neuron(mem: Tensor) -> tuple[Tensor, Tensor]:
        above = F.threshold(mem, 0.75, 0)
        mem = mem - above
        out = above.gt(1e-5).float()
        return mem, out.detach() + (1 / 0.75) * out - (1 / 0.75) * out.detach()

    def forward(self, x: Tensor) -> Tensor:
        mem1 = mem2 = total = torch.zeros(len(x), 4, 2, 2)
        for _ in range(STEPS):
            mem1, out = self.neuron(mem1 + self.conv1(x))
            current = self.conv2(out)
            total = total + current
            mem2, out = self.neuron(mem2 + current)
        return self.flow(self.deconv(total)).flatten(1)


class EventFlow(nn.Module):
    """event_flow's LIF-FireNet: states stacked in one tensor, leaks of channels, a loop by convolution, tanh."""

    def __init__(self) -> None:
        super().__init__()
        self.ff, self.rec = nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.next, self.pred = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.Conv2d(4, 2, 1)
        self.leak = nn.Parameter(torch.randn(4, 1, 1) * 0.1 - 1.0)
        self.thresh = nn.Parameter(torch.randn(4, 1, 1) * 0.1 + 0.8)

    def cell(self, ff: Tensor, state: Any, rec: Any) -> tuple[Tensor, Tensor]:
        if state is None:
            state = torch.zeros(2, *ff.shape, dtype=ff.dtype, device=ff.device)
        v, z = state
        thresh, leak = self.thresh.clamp_min(0.01), torch.sigmoid(self.leak)
        current = ff + (rec(z) if rec else 0)
        v = v * leak * (1 - z.detach()) + (1 - leak) * current
        z = v.gt(thresh).float()
        return z, torch.stack([v, z])

    def forward(self, x: Tensor) -> Tensor:
        states: list[Any] = [None, None]
        flow: Any = 0
        for t in range(x.shape[1]):
            x1, states[0] = self.cell(self.ff(x[:, t]), states[0], self.rec)
            x2, states[1] = self.cell(self.next(x1), states[1], None)
            flow = torch.tanh(self.pred(x2).flatten(1))
        return flow


class TSSLBP(nn.Module):
    """TSSL-BP: time as the last axis, 3-D convolutions of depth 1, one function for all steps, synapses behind."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = (
            nn.Conv3d(1, 4, (3, 3, 1), padding=(1, 1, 0), bias=False),
            nn.Linear(64, 3, bias=False),
        )

    @staticmethod
    def spiking(x: Tensor) -> Tensor:
        mem, syn, posts = torch.zeros(x.shape[:-1]), torch.zeros(x.shape[:-1]), []
        for t in range(x.shape[-1]):
            mem += (-1 / 5) * mem + x[..., t]
            out = (mem > 1.0).type(torch.float32)
            mem = mem * (1 - out)
            syn = syn + (out - syn) * (1 / 2)
            posts.append(syn)
        return torch.stack(posts, dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.spiking(self.conv(x.permute(0, 2, 3, 4, 1)))
        x = x.view(x.shape[0], -1, x.shape[-1]).transpose(1, 2)
        y = self.fc(x).transpose(1, 2)
        return self.spiking(y.view(y.shape[0], 3, 1, 1, -1)).sum(-1).flatten(1)


class StereoSpike(nn.Module):
    """StereoSpike: SEW blocks and skips, nearest upsampling and crops, potentials of IF nodes that never fire."""

    class UpTo(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up = nn.Sequential(nn.UpsamplingNearest2d((4, 4)), nn.Conv2d(4, 4, 3, 1, 1, bias=False))

        def forward(self, x: Tensor) -> Tensor:
            return self.up(x) * 10.0

    def __init__(self) -> None:
        super().__init__()

        def node(threshold: float = 1.0) -> Any:
            return neuron.IFNode(v_threshold=threshold, v_reset=0.0, detach_reset=True)

        self.bottom = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, bias=False), node())
        self.conv1 = nn.Sequential(nn.Conv2d(4, 4, 3, 2, 1, bias=False), node())
        self.deconv1 = nn.Sequential(self.UpTo(), node())
        self.predict = nn.Conv2d(4, 1, 1)
        self.depth = node(float("inf"))

    def forward(self, x: Tensor) -> Tensor:
        functional.reset_net(self)
        for t in range(x.shape[1]):
            bottom = self.bottom(x[:, t])
            added = self.deconv1(self.conv1(bottom)) + bottom
            self.depth(self.predict(added))
        return self.depth.v.flatten(1)


class _Attention(nn.Module):
    """What three transformers have in common: layers on merged axes, nodes of all steps, a head behind means."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.stem_bn = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.convs = nn.ModuleList(nn.Conv2d(4, 4, 1) for _ in range(4))
        self.bns = nn.ModuleList(nn.BatchNorm2d(4) for _ in range(4))
        self.lifs = nn.ModuleList(neuron.LIFNode(step_mode="m", detach_reset=True) for _ in range(5))
        self.attn_lif = neuron.LIFNode(v_threshold=0.5, step_mode="m", detach_reset=True)
        self.head = nn.Linear(4, 3)

    def part(self, place: int, x: Tensor) -> Tensor:
        return self.bns[place](self.convs[place](x.flatten(0, 1))).reshape(x.shape).contiguous()

    def forward(self, x: Tensor) -> Tensor:
        functional.reset_net(self)
        x = x.unsqueeze(0).repeat(STEPS, 1, 1, 1, 1)
        x = self.stem_bn(self.stem(x.flatten(0, 1))).reshape(*x.shape[:2], 4, 4, 4)
        x = self.block(x)
        return self.head(x.flatten(3).mean(3).mean(0))

    def block(self, x: Tensor) -> Tensor:
        raise NotImplementedError


class SpikeDriven(_Attention):
    """Spike-Driven-Transformer: k·v summed over tokens, fired, times q; sums of currents around it."""

    def block(self, x: Tensor) -> Tensor:
        steps, size = x.shape[:2]
        identity, x = x, self.lifs[0](x)
        q, k, v = (
            self.lifs[1 + place](self.part(place, x))
            .flatten(3)
            .transpose(-1, -2)
            .reshape(steps, size, 16, 2, 2)
            .permute(0, 1, 3, 2, 4)
            .contiguous()
            for place in range(3)
        )
        kv = self.attn_lif(k.mul(v).sum(dim=-2, keepdim=True))
        x = q.mul(kv).transpose(3, 4).reshape(steps, size, 4, 4, 4).contiguous()
        return self.lifs[4](self.part(3, x) + identity)


class QKFormer(_Attention):
    """QKFormer's token attention: q summed over channels of a head, fired, times k."""

    def block(self, x: Tensor) -> Tensor:
        x = self.lifs[0](x)
        q, k = (
            self.lifs[1 + place](self.part(place, x)).flatten(3).unsqueeze(2).reshape(*x.shape[:2], 2, 2, 16)
            for place in range(2)
        )
        attn = self.attn_lif(torch.sum(q, dim=3, keepdim=True))
        y = torch.mul(attn, k).flatten(2, 3).reshape(x.shape)
        return x + self.lifs[4](self.part(3, y))


class Spikformer(_Attention):
    """spikformer: q·kᵀ·v of spikes, scaled, and fired."""

    def block(self, x: Tensor) -> Tensor:
        steps, size = x.shape[:2]
        x = self.lifs[0](x)
        q, k, v = (
            self.lifs[1 + place](self.part(place, x))
            .flatten(3)
            .transpose(-1, -2)
            .reshape(steps, size, 16, 2, 2)
            .permute(0, 1, 3, 2, 4)
            for place in range(3)
        )
        y = ((q @ k.transpose(-2, -1)) @ v) * 0.125
        y = self.attn_lif(y.transpose(3, 4).reshape(steps, size, 4, 4, 4).contiguous())
        return x + self.lifs[4](self.part(3, y))


class GatedLIF(nn.Module):
    """Gated-LIF: leaks, resets and currents that are mixed by learned gates of channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 4, 3, padding=1), nn.Linear(64, 3)
        self.alpha, self.beta, self.gamma = (nn.Parameter(torch.randn(4) * 0.2) for _ in range(3))
        self.tau, self.vth = nn.Parameter(torch.tensor(0.25)), nn.Parameter(torch.tensor(0.5))
        self.leak, self.reset = nn.Parameter(torch.tensor(0.05)), nn.Parameter(torch.tensor(0.4))
        self.conduct = nn.Parameter(torch.rand(STEPS))

    def forward(self, x: Tensor) -> Tensor:
        al, be, ga = (each.view(1, -1, 1, 1).sigmoid() for each in (self.alpha, self.beta, self.gamma))
        u = o = torch.zeros(len(x), 4, 4, 4)
        total: Any = 0
        for t in range(STEPS):
            current = self.conv(x) * (1 - be * (1 - self.conduct[t].sigmoid()))
            kept = (1 - al * (1 - self.tau.sigmoid())) * u * (1 - ga * o.clone()) - (1 - al) * self.leak.sigmoid()
            u = kept + current - (1 - ga) * self.reset.sigmoid() * o.clone()
            o = (u - self.vth.sigmoid() > 0).float()
            total = total + self.fc(o.flatten(1))
        return total / STEPS


class SNASNet(nn.Module):
    """SNASNet: a cell by a matrix of connections, sums of currents, identities and pools, and one a step back."""

    def __init__(self) -> None:
        super().__init__()

        def part() -> nn.Sequential:
            lif = neuron.LIFNode(detach_reset=True)
            return nn.Sequential(lif, nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4))

        self.stem = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4))
        self.cell = nn.ModuleList([part(), nn.Identity(), part(), nn.AvgPool2d(3, 1, 1), part(), nn.Identity()])
        self.back, self.last = part(), 0.0
        self.act, self.fc, self.boost = neuron.LIFNode(), nn.Linear(16, 6), nn.AvgPool1d(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        functional.reset_net(self)
        total: Any = 0
        self.last, static = 0.0, self.stem(x)
        for _ in range(STEPS):
            x0 = static + self.last
            x1 = self.cell[0](x0)
            x2 = self.cell[1](x0) + self.cell[2](x1)
            x3 = self.cell[3](x0) + self.cell[4](x1) + self.cell[5](x2)
            self.last = self.back(x3)
            y = F.avg_pool2d(self.act(x3), 2).view(len(x), -1)
            total = total + self.boost(self.fc(y).unsqueeze(1)).squeeze(1)
        return total / STEPS


class NDA(nn.Module):
    """NDA_SNN: SpikeModules that merge batch and time, tdBN, LIFSpike with a ZIF, a VGG, the mean over time."""

    class Merged(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.ann_module = inner

        def forward(self, x: Tensor) -> Tensor:
            out = self.ann_module(x.reshape(-1, *x.shape[2:]))
            return out.view(*x.shape[:2], *out.shape[1:]).contiguous()

    class LIFSpike(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            mem, spikes = torch.zeros_like(x[:, 0]), []
            for t in range(x.shape[1]):
                mem = mem * 0.25 + x[:, t, ...]
                spike = (mem - 0.5 >= 0).float()
                mem = (1 - spike) * mem
                spikes.append(spike)
            return torch.stack(spikes, dim=1)

    def __init__(self) -> None:
        super().__init__()
        parts = (nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4))
        more = (nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4))
        self.features = nn.Sequential(*map(self.Merged, parts), self.LIFSpike(), self.Merged(nn.AvgPool2d(2)))
        self.more = nn.Sequential(*map(self.Merged, more), self.LIFSpike())
        self.classifier = nn.Sequential(nn.Dropout(0.25), self.Merged(nn.Linear(16, 3)))

    def forward(self, x: Tensor) -> Tensor:
        x = x.unsqueeze(1).repeat(1, STEPS, 1, 1, 1)
        x = torch.flatten(self.more(self.features(x)), 2)
        return self.classifier(x).mean(1)


class MPBN(nn.Module):
    """MPBN: a batch norm of the potential before it is compared, spikes through a clamp and tanh that cancel."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn, self.mem_bn = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        self.fc = nn.Linear(64, 3)

    @staticmethod
    def activation(x: Tensor, temp: float) -> Tensor:
        out_s = torch.gt(x, 0.5)
        bound = torch.tanh(torch.tensor(temp * 0.5))
        out_bp = torch.clamp(x, 0, 1)
        out_bp = (torch.tanh(temp * (out_bp - 0.5)) + bound) / (2 * bound)
        return (out_s.float() - out_bp).detach() + out_bp

    def forward(self, x: Tensor) -> Tensor:
        x = x.repeat(STEPS, 1, 1, 1, 1)
        out = torch.stack([self.bn(self.conv(x[i])) for i in range(STEPS)])
        u, found = torch.zeros_like(out[0]), []
        for i in range(STEPS):
            u = u * 0.25 + out[i]
            spike = self.activation(self.mem_bn(u) / 1.0, 3.0)
            u = u * (1 - spike)
            found += [spike]
        out = torch.stack(found)
        return torch.stack([self.fc(out[i].flatten(1)) for i in range(STEPS)]).mean(0)
