"""Small networks of vectors as public repositories write theirs: facts of how they go, in lines of our own."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STEPS = 6


class Boxcar(torch.autograd.Function):
    """A spike where the potential is above 0; its gradient is a box."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.gt(0).float()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        kept = grads[0].clone()
        kept[x <= -0.5] = 0
        kept[x > 0.5] = 0
        return kept


class Zeroed(Boxcar):
    """The same, written into zeros by a mask."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        out = torch.zeros_like(x)
        out[x > 0] = 1.0
        return out


boxcar: Any = Boxcar.apply
zeroed: Any = Zeroed.apply


class SpyTorch(nn.Module):
    """spytorch: einsum of all steps at first, synapses, lists of records, a leaky readout, its maximum."""

    def __init__(self) -> None:
        super().__init__()
        self.w1, self.w2 = nn.Parameter(torch.randn(5, 6) * 2), nn.Parameter(torch.randn(6, 3))
        self.alpha, self.beta = float(math.exp(-1 / 5)), float(math.exp(-1 / 10))

    def forward(self, inputs: Tensor) -> Tensor:
        size = inputs.shape[0]
        h1 = torch.einsum("abc,cd->abd", (inputs, self.w1))
        syn, mem = torch.zeros((size, 6)), torch.zeros((size, 6))
        record = []
        for t in range(inputs.shape[1]):
            out = boxcar(mem - 1.0)
            rst = out.detach()
            new_syn = self.alpha * syn + h1[:, t]
            new_mem = (self.beta * mem + syn) * (1.0 - rst)
            record.append(out)
            mem, syn = new_mem, new_syn
        h2 = torch.einsum("abc,cd->abd", (torch.stack(record, dim=1), self.w2))
        flt, out = torch.zeros((size, 3)), torch.zeros((size, 3))
        outs = [out]
        for t in range(inputs.shape[1]):
            new_flt = self.alpha * flt + h2[:, t]
            new_out = self.beta * out + flt
            flt, out = new_flt, new_out
            outs.append(out)
        m, _ = torch.max(torch.stack(outs, dim=1), 1)
        return F.log_softmax(m, dim=1)


class EfficientSRNN(nn.Module):
    """Efficient-spiking-networks: adaptive thresholds, loops, random first potentials, a sum of softmaxes."""

    def __init__(self) -> None:
        super().__init__()
        self.i2h, self.h2h, self.h2o = nn.Linear(5, 6), nn.Linear(6, 6), nn.Linear(6, 3)
        self.tau_adp, self.tau_m = nn.Parameter(torch.full((6,), 150.0)), nn.Parameter(torch.full((6,), 20.0))
        self.tau_o = nn.Parameter(torch.full((3,), 20.0))

    def forward(self, given: Tensor) -> Tensor:
        size, steps, _ = given.shape
        mem, spike = torch.rand(size, 6), torch.zeros(size, 6)
        out_mem, output, b = torch.rand(size, 3), torch.zeros(size, 3), 0.01
        for i in range(steps):
            alpha, ro = torch.exp(-1.0 / self.tau_m), torch.exp(-1.0 / self.tau_adp)
            b = ro * b + (1 - ro) * spike
            limit = 0.01 + 1.8 * b
            mem = mem * alpha + (1 - alpha) * (self.i2h(given[:, i].float()) + self.h2h(spike)) - limit * spike
            spike = boxcar(mem - limit)
            keep = torch.exp(-1.0 / self.tau_o)
            out_mem = out_mem * keep + (1.0 - keep) * self.h2o(spike)
            output = output + F.softmax(out_mem, dim=1)
        return output


class Sparch(nn.Module):
    """sparch: a batch norm of all steps, clamped decays of neurons, random first states, a sum of softmaxes."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.norm = nn.Linear(5, 6, bias=False), nn.BatchNorm1d(6)
        self.alpha = nn.Parameter(torch.linspace(0.5, 1.0, 6))
        self.v, self.keep = nn.Linear(6, 3, bias=False), nn.Parameter(torch.full((3,), 0.9))

    def forward(self, x: Tensor) -> Tensor:
        wx = self.w(x)
        wx = self.norm(wx.reshape(-1, wx.shape[2])).reshape(wx.shape)
        ut, st = torch.rand(x.shape[0], 6), torch.rand(x.shape[0], 6)
        alpha = torch.clamp(self.alpha, min=math.exp(-1 / 5), max=math.exp(-1 / 25))
        spikes = []
        for t in range(wx.shape[1]):
            ut = alpha * (ut - st) + (1 - alpha) * wx[:, t, :]
            st = boxcar(ut - 1.0)
            spikes.append(st)
        wx = self.v(torch.stack(spikes, dim=1))
        ut, out = torch.rand(x.shape[0], 3), torch.zeros(x.shape[0], 3)
        for t in range(wx.shape[1]):
            ut = self.keep * ut + (1 - self.keep) * wx[:, t, :]
            out = out + F.softmax(ut, dim=1)
        return out


class Decolle(nn.Module):
    """decolle-public: named tuples of states that are detached, traces in front, a refractory one; counts."""

    def __init__(self) -> None:
        super().__init__()
        self.base, self.readout = nn.Linear(5, 6), nn.Linear(6, 3)
        self.alpha, self.beta = torch.tensor(0.9), torch.tensor(0.85)
        self.tau_m = nn.Parameter(1.0 / (1 - self.alpha), requires_grad=False)
        self.tau_s = nn.Parameter(1.0 / (1 - self.beta), requires_grad=False)
        self.state: Any = None

    def step(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.state is None:
            zeros = torch.zeros([x.shape[0], 6]).type(x.dtype)
            self.state = torch.zeros(x.shape), torch.zeros(x.shape), zeros, zeros
        P, Q, R, S = self.state
        new_q = self.beta * Q + self.tau_s * x
        new_p = self.alpha * P + self.tau_m * Q
        new_r = 0.65 * R - S * 1.0
        U = self.base(new_p) + new_r
        S = (U >= 0).type(U.dtype)
        self.state = new_p, new_q, new_r, S
        for each in self.state:
            each.detach_()
        return S, self.readout(S)

    def forward(self, x: Tensor) -> Tensor:
        self.state = None
        return torch.stack([self.step(x[:, t])[1] for t in range(x.shape[1])], 1).sum(1)


class Slayer(nn.Module):
    """slayerPytorch: time as the last axis, responses by convolution over time, a refractory kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Conv3d(5, 6, (1, 1, 1), bias=False), nn.Conv3d(6, 3, (1, 1, 1), bias=False)
        times = torch.arange(STEPS).float()
        self.register_buffer("srm", (times / 2 * torch.exp(1 - times / 2)).flip(0).view(1, 1, 1, 1, -1))
        self.register_buffer("refractory", -2 * times / 1 * torch.exp(1 - times))

    def psp(self, spike: Tensor) -> Tensor:
        shape, kernel = spike.shape, self.srm
        flat = F.pad(spike.reshape(-1, 1, 1, 1, shape[-1]), (STEPS - 1, 0))
        return F.conv3d(flat, kernel).reshape(shape)  # pyright: ignore

    def spike(self, u: Tensor) -> Tensor:
        u, found = u.clone(), []
        for t in range(u.shape[-1]):
            s = (u[..., t] >= 1.0).float()
            found.append(s)
            rest = u.shape[-1] - t
            u[..., t:] = u[..., t:] + s.unsqueeze(-1) * self.refractory[:rest]  # pyright: ignore
        return torch.stack(found, -1)

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(1, 2).reshape(x.shape[0], 5, 1, 1, -1)
        s = self.spike(self.fc1(self.psp(x)))
        return self.spike(self.fc2(self.psp(s))).sum(-1).flatten(1)


class PopSpike(nn.Module):
    """pop-spiking-deep-rl: Gaussian receptive fields, currents and voltages in lists, a decoder by groups."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.linspace(-3, 3, 4).repeat(1, 5, 1))
        self.std = nn.Parameter(torch.ones(1, 5, 4))
        self.hidden = nn.ModuleList([nn.Linear(20, 6), nn.Linear(6, 6)])
        self.out, self.decoder = nn.Linear(6, 6), nn.Conv1d(3, 3, 2, groups=3)

    def encode(self, obs: Tensor) -> Tensor:
        obs = obs.view(-1, 5, 1)
        act = torch.exp(-0.5 * (obs - self.mean).pow(2) / self.std.pow(2)).view(-1, 20)
        volt, spikes = torch.zeros(len(obs), 20), torch.zeros(len(obs), 20, STEPS)
        for t in range(STEPS):
            volt = volt + act
            spikes[:, :, t] = boxcar(volt - 0.999)
            volt = volt - spikes[:, :, t] * 0.999
        return spikes

    def neuron(self, fn: Any, given: Tensor, state: list[Tensor]) -> None:
        state[0] = state[0] * 0.5 + fn(given)
        state[1] = state[1] * 0.75 * (1.0 - state[2]) + state[0]
        state[2] = state[1].gt(0.5).float()

    def act(self, spikes: Tensor) -> Tensor:
        states = [[torch.zeros(len(spikes), 6) for _ in range(3)] for _ in range(3)]
        total = torch.zeros(len(spikes), 6)
        for t in range(STEPS):
            given = spikes[:, :, t]
            for fn, state in zip((*self.hidden, self.out), states, strict=True):
                self.neuron(fn, given, state)
                given = state[2]
            total += given
        return torch.tanh(self.decoder((total / STEPS).view(-1, 3, 2)).view(-1, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.encode(x))


class SpikingDDPG(PopSpike):
    """spiking-ddpg: spikes of the state are drawn before; currents and voltages of layers, a rate, tanh."""

    def forward(self, x: Tensor) -> Tensor:
        return self.act(x.permute(0, 2, 1))


class SNNDelays(nn.Module):
    """SNN-delays: kernels over time, made of learned positions, by padding and convolution, read by potentials."""

    def __init__(self) -> None:
        super().__init__()
        self.w1, self.p1 = nn.Parameter(torch.randn(6, 5, 1)), nn.Parameter(torch.rand(6, 5, 1) * 2 - 1)
        self.w2, self.p2 = nn.Parameter(torch.randn(3, 6, 1)), nn.Parameter(torch.rand(3, 6, 1) * 2 - 1)
        self.bn = nn.BatchNorm1d(6)

    def kernel(self, w: Tensor, p: Tensor) -> Tensor:
        around = torch.exp(-0.5 * ((torch.arange(3).view(1, 1, -1) - 1 - p) / 0.23) ** 2)
        return w * around / (around.sum(-1, keepdim=True) + 1e-7)

    def forward(self, x: Tensor) -> Tensor:
        x = F.conv1d(F.pad(x.permute(0, 2, 1), (2, 0), "constant", 0), self.kernel(self.w1, self.p1))
        x = x.permute(2, 0, 1)
        x = self.bn(x.reshape(-1, 6)).reshape(x.shape)
        v, spikes = torch.zeros_like(x[0]), []
        for t in range(x.shape[0]):
            v = v + x[t] - v / 2.0
            s = (v >= 1.0).to(v)
            v = (1 - s) * v
            spikes.append(s)
        x = torch.stack(spikes).permute(1, 2, 0)
        x = F.conv1d(F.pad(x, (2, 0), "constant", 0), self.kernel(self.w2, self.p2)).permute(2, 0, 1)
        v, potentials = torch.zeros_like(x[0]), []
        for t in range(x.shape[0]):
            v = v + x[t] - v / 2.0
            v = (1 - (v >= 1e9).to(v)) * v
            potentials.append(v)
        return torch.stack(potentials)


class Sinabs(nn.Module):
    """sinabs: (batch · time, …) around layers, a dictionary of states, an exponential decay, subtraction."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(5, 6), nn.Linear(6, 3)
        self.tau_mem = nn.Parameter(torch.as_tensor(10.0))

    def lif(self, data: Tensor) -> Tensor:
        alpha, state = torch.exp(-1.0 / self.tau_mem), {"v_mem": torch.zeros(data.shape[0], *data.shape[2:])}
        record = []
        for step in range(data.shape[1]):
            state["v_mem"] = alpha * state["v_mem"] + (1.0 - alpha) * data[:, step]
            spikes = (state["v_mem"] >= 1.0).float()
            state = {"v_mem": state["v_mem"] - spikes * 1.0}
            record.append(spikes)
        return torch.stack(record, 1)

    def forward(self, x: Tensor) -> Tensor:
        size, steps = x.shape[:2]
        x = self.fc1(x.flatten(0, 1)).unflatten(0, (size, steps)) * 10
        x = self.lif(x)
        x = self.fc2(x.flatten(0, 1)).unflatten(0, (size, steps)) * 10
        return self.lif(x).sum(1)


class ScaledIF(nn.Module):
    """An IF node of a library in units of a scale, which starts half full by a step of its own."""

    def __init__(self) -> None:
        super().__init__()
        from spikingjelly.activation_based import neuron

        self.scale, self.t, self.neuron = 1.25, 0, neuron.IFNode(v_reset=None)  # pyright: ignore

    def forward(self, x: Tensor) -> Tensor:
        x = x / self.scale
        if self.t == 0:
            self.neuron(torch.ones_like(x) * 0.5)
        x = self.neuron(x)
        self.t += 1
        return x * self.scale

    def reset(self) -> None:
        self.t = 0
        self.neuron.reset()


class QCFS(nn.Module):
    """SNN_conversion_QCFS: activations exchanged for such nodes, reset before, outputs summed outside."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(5, 6), ScaledIF(), nn.Linear(6, 6), ScaledIF(), nn.Linear(6, 3))

    def forward(self, x: Tensor) -> Tensor:
        for part in self.modules():
            if isinstance(part, ScaledIF):
                part.reset()
        out: Any = 0
        for _ in range(STEPS):
            out = out + self.net(x)
        return out


class SnnTorch(nn.Module):
    """snntorch's tutorials: init_leaky, spk_rec and mem_rec, stacked; both are returned."""

    def __init__(self) -> None:
        super().__init__()
        import snntorch

        self.fc1, self.lif1 = nn.Linear(5, 6), snntorch.Leaky(beta=0.95)
        self.fc2, self.lif2 = nn.Linear(6, 3), snntorch.Leaky(beta=0.95)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spikes, potentials = [], []
        for _ in range(STEPS):
            spk1, mem1 = self.lif1(self.fc1(x), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
            potentials.append(mem2)
        return torch.stack(spikes, dim=0), torch.stack(potentials, dim=0)
