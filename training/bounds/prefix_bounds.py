"""Bounds of counts over time that training can differentiate: integrate-and-fire with subtraction (F10).

With λ = 1 and an amount d a neuron's count N[t] = Σ_{k≤t} s[k] grows by one iff C[t] ≥ θ + d·N[t−1], where
C[t] = Σ_{k≤t} I[k]: it is monotone in C. A start u[0] = v₀ at a threshold of d is one from 0 at θ = d − v₀. So
its exact ends over C ∈ [C_low, C_high] are the counts of two ordinary runs, on the currents I_low and I_high whose
sums these are. Between layers the counts lie between those of two trains s_low and s_high, whatever their single
steps, and

    I = W·m[t] + b ± |W|·r[t]  for  m = (s_low + s_high)/2,  r = (s_high − s_low)/2, of any sign at a single step,

are currents whose sums bound all sums of currents: sums of m and r over time are the middles and the radii of the
counts. What grows step by step in `interval_bounds.py` does not grow here: time costs no width. The backward pass
is that of the two runs. Where events change, C_low and C_high come from ends.py, and I are their increments:
an event that comes a step later widens C at one step, and not both steps' currents.

Proof of monotony, by induction: let C ≤ C' at each step and N[t−1] ≤ N'[t−1]. If N[t] > N'[t] then N[t−1] =
N'[t−1], and C[t] ≥ θ + d·N[t−1] holds, but C'[t] ≥ C[t] does not: a contradiction. ∎

**Neurons that forget** (λ < 1): counts are not monotone. Then all layers take the ends of single steps, of two
runs, each of which pays for the other's spikes. With L[t] = Σ_{k≤t} λ^{t−k} I[k] and S[t] = Σ_{k≤t} λ^{t−k} s[k]
the potential before reset is v[t] = L[t] − d·λ·S[t−1] (F9). Let s_low ≤ s ≤ s_high hold up to t − 1. Then S_low ≤
S ≤ S_high there, and

    L_low[t] − d·λ·S_high[t−1]  ≤  v[t]  ≤  L_high[t] − d·λ·S_low[t−1],

which are the potentials of two runs, on I_low and on I_high, each of which subtracts the other's spikes. The ends
of the residue u[t−1] step by step, joined over silent and fired, give v[t] ∈ λ·u[t−1] + I[t] as well; v lies in
both, and so s_low[t] = [v_low ≥ θ] and s_high[t] = [v_high ≥ θ] hold s[t]: by induction, each step. ∎
The two runs remember how much came in; the ends of u where a decided neuron stands. Either is better at times.
Where events change, L_low and L_high of the first layer are those of the rows λ^{t−k}, k ≤ t, of ends.py,
cut with the filtered ends of the steps, so that an event counts once and nothing gets wider; the two runs take the
currents L[t] − λ·L[t−1], which filter to them, and u those of the steps.

**A front without memory** (`Encoder`: λ = 0, behind affine maps of a constant input) fires at all steps or at
none, and at all where it does at I_low: its ends are two constant signals, of one step, and what stands behind it
sees constant spikes as it would see a constant input. Its λ is none of "all neurons".

**A margin** m widens [L_low, L_high], the filtered ends of what came in (of C where λ = 1), by m at each step: the
first current by m, each later one by (1 − λ)·m. Ends are wider, so they hold what they held; and a spike that they
call decided is decided by m: what an exact run finds, one whose potentials stray by up to m finds as well. So what
training takes for certified leaves room for the rounding that a proof has to pay.

Bounds of counts of a layer that hears itself, which training can differentiate: two runs that are coupled.

Without leak, and with subtraction, a neuron's count N[t] is monotone in the sum C[t] of what came in
(prefix_bounds.py). With feedback V = V⁺ − V⁻, both parts at least 0, and b,

    C[t] = X[t] + V·N[t−1] + b·t  ∈  [X_low[t] + V⁺·N_low[t−1] − V⁻·N_high[t−1] + b·t,
                                      X_high[t] + V⁺·N_high[t−1] − V⁻·N_low[t−1] + b·t]

wherever N_low[t−1] ≤ N[t−1] ≤ N_high[t−1], and X_low ≤ X ≤ X_high hold the sums of what comes from below. So
two runs side by side, each hearing its own spikes where a weight is positive and the other's where it is
negative, have counts N_low[t] ≤ N[t] ≤ N_high[t]: by induction over t, from N[0] = 0. Their currents at a step
are

    x + b + V·m ± |V|·r  for the middle m and the radius r of both runs' last spikes, of any sign,

whose sums are those ends. ∎ A synapse, i[t] = κ·i[t−1] + c[t−d] with κ ≥ 0, makes of sums that are in order sums
that are in order: Σ_{k≤t} i[k] = Σ_{n≥0} κ^n·C[t−d−n]. Rounding is not paid.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...certify.bounds.signals.affine import fold
from ...certify.bounds.signals.signals import filter_rows
from ...certify.bounds.signals.windows import Box
from ...models.circuit import Circuit, Fired, Mapped, Pooled, Read, Recurred
from ...models.circuit.nodes import Node
from ...models.dynamics import Dynamics
from ...models.linear_maps import LinearMap
from ...models.rules import Leaky, plain
from ...models.running.membrane import Membrane
from .ends import Ends, Followed, check_sums, each
from .spike_ends import EventBall, events_behind, spike_ends, through


def loop_counts(node: Recurred, currents: Box, num_steps: int) -> Box:
    """Return two trains of spikes, (T, batch, ...), whose counts bound those of a layer that hears itself.

    Args:
        node: the layer, without leak, with subtraction.
        currents: two signals whose sums over time bound those of what comes from below, (T or 1, batch, ...).
        num_steps: T.
    """
    layer = node.layer
    ends = torch.stack((currents.lower, currents.upper), 1)  # (T or 1, 2, batch, ...)
    spikes = left = torch.zeros_like(ends[0])
    waiting = None if node.filter is None else node.filter.start(ends[:1])
    found: list[Tensor] = []
    for t in range(num_steps):
        heard = through(node.feedback, Box(spikes[:1], spikes[1:]))
        drive = ends[t % len(ends)] + torch.cat((heard.lower, heard.upper))
        if node.filter is not None and waiting is not None:
            filtered, waiting = node.filter.run(drive[None], waiting, 1)
            drive = filtered[0]
        _, fired, left = Membrane.apply(drive[None], None, left, layer.dynamics, 1, "final")  # type: ignore[misc]
        spikes = fired[0]
        found.append(spikes)
    trains = torch.stack(found, 1)
    return Box(trains[0], trains[1])


@dataclass(frozen=True)
class Prefixes(Followed):
    """Two signals that bound a signal at each step, or in their sums over time.

    Attributes:
        counting: whether no neuron forgets, and ends are those of sums; they are those of steps otherwise.
        decay: λ of all neurons; None where they differ.
        margin: m, as a share of each threshold.
        front: the neurons without memory that see a constant signal.
    """

    counting: bool
    decay: float | None = 1.0
    margin: float = 0.0
    front: frozenset[Node] = frozenset()

    @staticmethod
    def of(made: Circuit, source: Ends) -> "Prefixes":
        """Return the ends of a circuit's signals."""
        front = _front(made) if source.constant else frozenset()
        check_sums("prefix", "subtract", made, front)
        rules = [node.rule for node in made.spiking if node not in front]
        decays = {rule.decay for rule in rules if plain(rule)}
        forgets = any(decay != 1.0 for decay in decays)
        if forgets and made.recurs:
            raise ValueError('bounds: got "prefix", a loop and neurons that leak, expected decay 1 beside loops')
        shared = 1.0 if not forgets else decays.pop() if len(decays) == 1 else None
        return Prefixes(source, made.num_steps, not forgets, shared, front=front)

    @property
    def rows(self) -> Tensor | None:
        """Return the weights of the prefixes, as all neurons add them up."""
        return None if self.decay is None else filtering(self.num_steps, self.decay)

    def of_sums(self, layer: LinearMap, reach: Box, x: Ends, ball: EventBall) -> Ends:
        """Return currents whose sums are the ends of the prefixes."""
        middle = fold(layer.apply, ball.events).to(ball.events.dtype)
        if self.counting:
            return Ends(each(reach, lambda end: middle + _unfiltered(end, 1.0)))
        assert self.decay is not None
        steps, decay = events_behind(layer, x.box, ball)[0], self.decay
        rows = filtering(self.num_steps, decay).to(middle)
        sums = each(steps, lambda end: torch.einsum("rt,t...->r...", rows, end - middle))
        return Ends(steps, filtered=each(sums.intersection(reach), lambda end: middle + _unfiltered(end, decay)))

    def pooled(self, node: Pooled, x: Ends) -> Ends:
        """Return the maxima of the ends.

        Raises:
            ValueError: for sums of a signal that changes over time: its maxima's sums are no function of them.
        """
        if self.counting and not x.constant:
            told = f"the max pool {node.name} behind a neuron, expected none there"
            raise ValueError(f'bounds: got "prefix" and {told}')
        return super().pooled(node, x)

    def fired(self, node: Fired, x: Ends) -> Ends:
        """Return the two runs."""
        layer = node.layer
        if node in self.front:
            pad = self.margin * layer.dynamics.threshold
            return Ends(each(Box(x.box.lower - pad, x.box.upper + pad), lambda current: layer(current, 1)))
        currents = self._apart(x.box, layer.dynamics)
        entering = None if x.filtered is None else self._apart(x.filtered, layer.dynamics)
        if self.counting:
            return Ends(each(currents, lambda current: layer(current, self.num_steps)))
        return Ends(spike_ends(layer, currents, self.num_steps, True, entering))

    def recurred(self, node: Recurred, x: Ends) -> Ends:
        """Return the two runs of a layer that hears itself; see prefix_bounds.py."""
        return Ends(loop_counts(node, self._apart(x.box, node.layer.dynamics), self.num_steps))

    def _apart(self, currents: Box, dynamics: Dynamics) -> Box:
        """Return currents whose potentials are a margin lower and higher."""
        if self.margin == 0.0:
            return currents
        pad = currents.lower.new_full((self.num_steps,), 1.0 - dynamics.decay)
        pad[0] = 1.0
        pad = self.margin * dynamics.threshold * pad.view(-1, *[1] * (currents.lower.dim() - 1))
        return Box(currents.lower - pad, currents.upper + pad)

    def read(self, node: Read, x: Ends) -> Ends:
        """Return what the readout reads: a mean over time, or the last potential of neurons that never fire."""
        if node.rule is None:
            return super().read(node, x)
        assert plain(node.rule)
        row = filter_rows(self.num_steps, node.rule)[-1:].to(x.box.lower)
        steps = each(x.box, lambda end: end.expand(self.num_steps, *end.shape[1:]))
        return Ends(each(steps, lambda end: torch.einsum("rt,t...->r...", row, end)))


def _front(made: Circuit) -> frozenset[Node]:
    """Return the neurons without memory behind a constant input, affine maps and one another alone."""
    constant, found = {0}, set[Node]()
    for place, node in enumerate(made.nodes[1:], 1):
        forgetful = (
            isinstance(node, Fired) and plain(node.rule) and node.rule.decay == 0 and node.rule.scale is None
        )
        if constant.issuperset(node.sources) and (forgetful or isinstance(node, Mapped)):
            constant.add(place)
            found |= {node} if forgetful else set()
    return frozenset(found)


def filtering(num_steps: int, decay: float) -> Tensor:
    """Return the rows λ^{t−k} for k ≤ t, 0 behind, (T, T), float64."""
    return filter_rows(num_steps, Leaky(decay))


def _unfiltered(sums: Tensor, decay: float) -> Tensor:
    """Return the currents that filter to L: L[t] − λ·L[t−1]."""
    return torch.cat((sums[:1], sums[1:] - decay * sums[:-1]))
