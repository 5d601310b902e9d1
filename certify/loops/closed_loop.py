"""A linear plant under a spiking controller: its error gain, and what that proves for all time.

The network sees z = fl(Cx/scale), the state (or what C makes of it) in its own dtype, and gives u = gain·y. Its
membranes start anew at each control step, so u is a function of x. The error gain over a box X is

    ē_j ≥ max over x in X of |u_j(x) − (Kx)_j|,   K = G·C,

the range of gain_j·y_j − Σ_i G_ji·scale_i·z_i over all z that any x in X is rounded to, and what rounding moves
there: z is within 2u·|Cx/scale| of Cx/scale, or within the least number η above 0 where that is less, which moves
G·(scale∘z) by at most Σ_i |G_ji|·(|Cx|_i·(2u + 2⁻⁴⁸) + scale_i·η), float64's own products and the last product
with gain among it.

State spaces of other libraries: python-control's, SciPy's, or any with matrices A, B, C, D and a step dt.

Controllers whose membranes are kept between control steps: one integrate-and-fire neuron an input (F21c).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...analysis.loops.ellipsoid import EllipsoidStability
from ...analysis.loops.kept import (
    MOST_STEPS,
    KeptStability,
    LoopRound,
    PracticalStability,
    Rows,
    felt,
    kept_stability,
    limits,
    sums,
)
from ...analysis.loops.series import float_above
from ...models.constants import at_least, positive, real
from ...models.deadline import LATE, checked_timeout, passed, share, until
from ...models.elements.neurons import LIF
from ...models.files.description import describe
from ...models.networks import SpikingNetwork
from ...models.validation import check_choice
from ..perturbations import PixelBox
from ..questions.forms import inputs, output
from ..ranges import output_range
from ..replay import evaluating
from .ellipsoids import ellipsoid_certificate
from .grid import ErrorGain, GridSafety, influencing
from .plant_loop import PlantLoop, Tube, reach_boxes
from .plants import LinearPlant, box_of, identity, matrix_of, numbers_of, rows_of
from .uncertain import corners, off_by, spread_of, vertices_of

PARTS = ("A", "B", "C", "D", "dt")


def matrices_of(system: Any) -> dict[str, Any]:
    """Return A, B and C of a state space that is discrete in time and gives no input through, by name.

    Raises:
        TypeError: for what has no such parts.
        ValueError: for a continuous one, and for a D that is not 0: a controller would see its own output.
    """
    missing = [name for name in PARTS if not hasattr(system, name)]
    if missing:
        got = f"{type(system).__name__} without {', '.join(missing)}"
        raise TypeError(f"system: got {got}, expected a state space with A, B, C, D and dt")
    _check_step(system)
    if np.asarray(system.D, dtype=np.float64).any():
        raise ValueError("system: got D other than 0, expected 0: the controller sees C·x alone")
    return {name: np.asarray(getattr(system, name)) for name in ("A", "B", "C")}


def state_space(A: Any, B: Any, C: Any, dt: float | bool) -> Any:
    """Return a plant as python-control's StateSpace, its step `dt`; True: discrete in time, by a step not said.

    Raises:
        ImportError: where python-control is not installed.
        ValueError: for a step that is not positive.
    """
    if dt is not True and real("dt", dt) <= 0:
        raise ValueError(f"dt: got {dt!r}, expected a positive number, or True")
    try:
        import control  # pyright: ignore[reportMissingImports] (it need not be there)
    except ImportError as error:
        raise ImportError("control: python-control is not installed: pip install control") from error
    seen, inputs = np.asarray(C), np.asarray(B)
    return control.ss(np.asarray(A), inputs, seen, np.zeros((len(seen), inputs.shape[1])), dt)


def _check_step(system: Any) -> None:
    if system.dt is True:
        return
    if system.dt is None or system.dt == 0:
        how = "system.sample(0.1)" if hasattr(system, "sample") else "system.to_discrete(0.1)"
        raise ValueError(f"system: got a continuous one (dt = {system.dt!r}), expected a discrete one: {how}")
    if real("dt", system.dt) < 0:
        raise ValueError(f"dt: got {system.dt!r}, expected a positive number, or True")


FORM = "integrator(inputs, num_steps): currents (1 + z)/2, a sum that each spike takes 1 of, outputs 2·mean − 1"


def integrator(inputs: int, num_steps: int = 16) -> SpikingNetwork:
    """Return the network whose membranes a loop may keep: y_j = 2·(spikes of neuron j)/T − 1, current (1 + z_j)/2.

    Its membranes start anew where it is called by itself; `ClosedLoop(…, membranes="kept")` carries them over.

    Args:
        inputs: of the plant, and of the network.
        num_steps: T, at most 65,536.

    >>> integrator(1, 4)(torch.tensor([[0.5]])).tolist()
    [[0.5]]
    """
    count = at_least(1)("inputs", inputs)
    first = nn.Linear(count, count)
    first.weight.data = 0.5 * torch.eye(count)
    first.bias.data.fill_(0.5)
    last = nn.Linear(count, count)
    last.weight.data = 2.0 * torch.eye(count)
    last.bias.data.fill_(-1.0)
    steps = at_least(1)("num_steps", num_steps)
    if steps > MOST_STEPS:
        raise ValueError(f"num_steps: got {steps}, expected at most {MOST_STEPS}")
    return SpikingNetwork(first, LIF(decay=1.0, reset="subtract"), last, num_steps=steps).eval()


def check_kept(network: SpikingNetwork, inputs: int) -> None:
    """Raise ValueError unless a network is that of `integrator`, layer by layer and weight by weight."""
    if network.num_steps <= MOST_STEPS and network.dtype == torch.float32:
        like, ours = integrator(inputs, network.num_steps), network.state_dict()
        alike = describe(network) == describe(like)
        if alike and all(torch.equal(ours[name].cpu(), value) for name, value in like.state_dict().items()):
            return
    raise ValueError(f'network: got another one with membranes "kept", expected {FORM}')


def kept_outputs(seen: np.ndarray, membranes: Tensor, num_steps: int) -> tuple[np.ndarray, Tensor]:
    """Return outputs of one control step, (batch, m), and the membranes behind it, in float32 as a network."""
    current = torch.from_numpy(seen).float() * 0.5 + 0.5
    spikes = torch.zeros_like(current)
    for _ in range(num_steps):
        potential = membranes + current
        fired = (potential >= 1.0).to(potential)
        membranes, spikes = potential - fired, spikes + fired
    return (spikes / num_steps * 2.0 - 1.0).double().numpy(), membranes


GROWN = 1.0 + 2.0**-20
"""The next box is greater than the limit of the one before by this factor."""
WORTH = 0.98
"""A further round must promise a box that is smaller by this factor on some side."""
SAMPLES = 4096
"""States at which K is fitted."""
LOST = 2.0**-48
"""What float64's own sums and products may lose, relative to their moduli."""


@dataclass(frozen=True, eq=False)
class ClosedLoop:
    """x⁺ = A·x + B·u(x + n) + w.

    Args:
        network: from C·x/scale to u/gain, direct encoding.
        A, B: the plant, discrete in time, (n, n) and (n, m).
        C: what the network sees of the state, (p, n); None: all of it.
        scale: of what it sees, p positive numbers, or one; the network's input is C·x divided by it.
        gain: of what it gives, m positive numbers, or one.
        disturbance: |w_i| ≤ d_i, n numbers or one, of at least 0.
        noise: |n_i| ≤ σ_i of the state that the network sees, n numbers or one, of at least 0.
        spread: two matrices, by how much A and B may be off at each step, entry by entry; None: not at all.
        vertices: pairs (A, B): the plant is at each step any convex combination of these, A and B being about it.
        membranes: "reset": they start anew at each control step; "kept": they go on, of an `integrator`.
        time: "discrete".

    Raises:
        TypeError, ValueError: for what does not fit, one line each.
    """

    network: SpikingNetwork
    A: Rows
    B: Rows
    C: Rows | None = None
    scale: tuple[float, ...] | float = 1.0
    gain: tuple[float, ...] | float = 1.0
    disturbance: tuple[float, ...] | float = 0.0
    noise: tuple[float, ...] | float = 0.0
    spread: tuple[Rows, Rows] | None = None
    vertices: tuple[tuple[Rows, Rows], ...] = ()
    membranes: str = "reset"
    time: str = "discrete"

    def __post_init__(self) -> None:
        check_choice("time", self.time, ("discrete", "continuous"))
        if self.time == "continuous":
            how = "A, B, *_ = scipy.signal.cont2discrete((A, B, C, D), dt)"
            raise ValueError(f"time: got a continuous plant, expected a discrete one: {how}")
        check_choice("membranes", self.membranes, ("reset", "kept"))
        if not isinstance(self.network, SpikingNetwork) or self.network.encoding != "direct":
            raise ValueError('network: expected a SpikingNetwork of encoding "direct"')
        n = len(rows_of("A", self.A))
        self._settle("A", rows_of("A", self.A, n, n))
        self._settle("B", rows_of("B", self.B, n))
        self._settle("C", identity(n) if self.C is None else rows_of("C", self.C, None, n))
        self._settle("scale", numbers_of("scale", self.scale, self.seen, above=True))
        self._settle("gain", numbers_of("gain", self.gain, self.inputs, above=True))
        self._settle("disturbance", numbers_of("disturbance", self.disturbance, n, above=False))
        self._settle("noise", numbers_of("noise", self.noise, n, above=False))
        if self.spread is not None:
            self._settle("spread", spread_of(self.spread, n, self.inputs))
        self._settle("vertices", vertices_of(self.vertices, n, self.inputs))
        if self.membranes == "kept":
            if any(self._noises) or self.spread is not None or self.vertices:
                told = 'got one with membranes "kept", expected none: their plant and states are exact'
                raise ValueError(f"noise, spread, vertices: {told}")
            if self.seen != self.inputs:
                raise ValueError(
                    f'C: got {self.seen} rows with membranes "kept", expected {self.inputs}, one an input'
                )
            check_kept(self.network, self.inputs)
        with evaluating(self.network), torch.no_grad():
            given = self.network(torch.zeros(1, self.seen, dtype=self.network.dtype))
        if tuple(given.shape) != (1, self.inputs):
            raise ValueError(
                f"network: got outputs of shape {tuple(given.shape)}, expected (1, {self.inputs}) as B has"
            )

    @classmethod
    def of_system(cls, network: SpikingNetwork, system: object, **rest: Any) -> "ClosedLoop":
        """Return the loop of a state space of python-control, of SciPy, or with matrices A, B, C, D and a step dt.

        The network sees C·x/scale; `rest` is as in `ClosedLoop`.

        Raises:
            TypeError: for what is no state space.
            ValueError: for a continuous one (dt 0 or None; the line that discretises it is said), or a D not 0.
        """
        return cls(network, **matrices_of(system), **rest)

    def system(self, dt: float | bool = True) -> Any:
        """Return the plant as python-control's StateSpace: A, B, C, D = 0, and its step; True: one not said.

        Raises:
            ImportError: where python-control is not installed.
        """
        return state_space(self.A, self.B, self.C, dt)

    def _settle(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    @property
    def states(self) -> int:
        """Return n."""
        return len(self.A)

    @property
    def inputs(self) -> int:
        """Return m."""
        return len(self.B[0])

    @property
    def seen(self) -> int:
        """Return p, how many numbers the network sees."""
        return len(matrix_of(self.C))

    def control(self, states: np.ndarray) -> np.ndarray:
        """Return u at states (batch, n), as the loop runs from membranes that start anew: (batch, m)."""
        seen = np.atleast_2d(states) @ matrix_of(self.C).T / np.asarray(self.scale)
        with evaluating(self.network), torch.no_grad():
            given = self.network(torch.from_numpy(seen).to(self.network.dtype))
        return given.double().numpy() * np.asarray(self.gain)

    def run(
        self,
        states: np.ndarray,
        steps: int,
        disturbance: np.ndarray | None = None,
        noise: np.ndarray | None = None,
        plants: Sequence[tuple[np.ndarray, np.ndarray]] = (),
    ) -> np.ndarray:
        """Return the states of runs from `states` (batch, n), (steps + 1, batch, n).

        `disturbance` and `noise` hold w and n of each step; `plants` its A and B, over and over; () for A and B
        themselves. Membranes that are kept start at 0.
        """
        found = [np.atleast_2d(np.asarray(states, dtype=np.float64))]
        membranes = torch.zeros(len(found[0]), self.inputs)
        for step in range(at_least(0)("steps", steps)):
            if self.membranes == "kept":
                seen = found[-1] @ matrix_of(self.C).T / np.asarray(self.scale)
                given, membranes = kept_outputs(seen, membranes, self.network.num_steps)
                u = given * np.asarray(self.gain)
            else:
                u = self.control(found[-1] if noise is None else found[-1] + noise[step])
            A, B = plants[step % len(plants)] if plants else (matrix_of(self.A), matrix_of(self.B))
            x = found[-1] @ np.asarray(A).T + u @ np.asarray(B).T
            found.append(x if disturbance is None else x + disturbance[step])
        return np.stack(found)

    def fitted(self, box: Sequence[float]) -> Rows:
        """Return the K = G·C whose greatest error at random states of the box is least, by a linear program."""
        from scipy.optimize import linprog  # imported here: scipy takes half a second

        radii = np.asarray(box_of(box, self.states))
        drawn = np.random.default_rng(0).uniform(-1, 1, (SAMPLES, self.states)) * radii
        given, seen = self.control(drawn), drawn @ matrix_of(self.C).T
        unit = np.abs(seen).max(0).clip(1e-300)
        one = -np.ones((SAMPLES, 1))
        sides = np.vstack([np.hstack([seen / unit, one]), np.hstack([-seen / unit, one])])
        rows = []
        for u in given.T:
            goal, ends = np.append(np.zeros(self.seen), 1.0), np.concatenate([u, -u])
            free = [(None, None)] * (self.seen + 1)
            rows.append(linprog(goal, A_ub=sides, b_ub=ends, bounds=free, method="highs").x[:-1] / unit)
        return tuple(tuple(map(float, row)) for row in np.stack(rows))

    def error(
        self,
        box: Sequence[float],
        G: Sequence[Sequence[float]] | None = None,
        *,
        tolerance: float = 1e-2,
        timeout: float | None = None,
    ) -> ErrorGain:
        """Return the error gain over the box |x_i| ≤ box_i.

        Args:
            box: one radius a state.
            G: the linear controller of what the network sees, (m, p): K where it sees the state; None: `fitted`.
            tolerance: by what share of the greatest |Kx| of the box the proven error may pass the attained one.
            timeout: seconds; None: no limit.

        Raises:
            ValueError: for a G of another shape, or a box that is not bounded.
        """
        if self.membranes == "kept":
            raise ValueError(
                'membranes: got "kept", expected "reset": an error gain is of a controller without state'
            )
        deadline, tolerance = until(checked_timeout(timeout)), positive("tolerance", tolerance)
        radii = box_of(box, self.states)
        chosen = self.fitted(radii) if G is None else rows_of("G", G, self.inputs, self.seen)
        felt = [(r + n) * (1.0 + LOST) for r, n in zip(radii, self._noises, strict=True)]
        reach = [sum(abs(c) * r for c, r in zip(row, felt, strict=True)) for row in matrix_of(self.C).tolist()]
        unit, tiny = torch.finfo(self.network.dtype).eps, torch.finfo(self.network.dtype).tiny
        seen = [
            (1.0 + 2 * unit) * far / s * (1.0 + LOST) + tiny for far, s in zip(reach, self._scales, strict=True)
        ]
        paths = influencing(self.network, self.seen).expand(self.inputs, -1)
        zero = torch.zeros(1, self.seen, dtype=self.network.dtype)
        K = tuple(tuple(map(float, row)) for row in np.asarray(chosen) @ matrix_of(self.C))
        errors, attained, points, closed = list[float](), list[float](), list[Tensor](), True
        for j, row in enumerate(chosen):
            factors = [float(g * s) for g, s in zip(row, self._scales, strict=True)]
            form = self._gains[j] * output[j] - factors @ inputs
            moves = paths[j] | (torch.tensor(factors, dtype=torch.float64) != 0)
            around = PixelBox(torch.tensor(seen, dtype=torch.float64) * moves, -math.inf, math.inf)
            moduli = sum(abs(g) * far for g, far in zip(row, reach, strict=True))
            least = sum(map(abs, factors)) * tiny
            width, left = max(tolerance * moduli, 1e-9), share(deadline, self.inputs - j)
            (found,) = output_range(self.network, zero, around, form, width, left)
            paid = moduli * (2 * unit + 3 * LOST) + LOST * max(abs(found.lower), abs(found.upper)) + least + 1e-30
            paid += sum(abs(k) * n for k, n in zip(K[j], self._noises, strict=True)) * (1.0 + LOST)
            errors.append(math.nextafter(max(-found.lower, found.upper, 0.0) + paid, math.inf))
            attained.append(max(-found.least, found.greatest))
            witness = found.at_least if -found.least > found.greatest else found.at_greatest
            points.append(witness[None].double() * torch.tensor(self._scales, dtype=torch.float64))
            closed &= found.closed
        return ErrorGain(K, radii, tuple(errors), tuple(attained), torch.cat(points), closed)

    def certificate(
        self,
        box: Sequence[float],
        G: Sequence[Sequence[float]] | None = None,
        *,
        rounds: int = 8,
        tolerance: float = 1e-2,
        timeout: float | None = None,
    ) -> PracticalStability | KeptStability:
        """Return a proof that runs from some box stay in `box` for ever, and where they end; or why there is none.

        Of membranes that are kept nothing is searched: `box` is where runs may start, a `KeptStability` says where
        they stay, and G is the controller itself, None.

        Args:
            box, G, tolerance: as in `error`; G is fitted anew for each round where it is None.
            rounds: at most so many boxes, each inside the limit of the one before.
            timeout: seconds in all.

        Raises:
            ValueError: for arguments that don't fit, and for a K with which the plant is not stable.
        """
        radii, deadline = box_of(box, self.states), until(checked_timeout(timeout))
        if self.membranes == "kept":
            if G is not None:
                raise ValueError(f'G: got {G!r} with membranes "kept", expected None: the controller says it')
            return self._kept(radii)
        done, part, why = list[LoopRound](), 0.0, LATE
        for _ in range(at_least(1)("rounds", rounds)):
            if passed(deadline):
                break
            one = self.error(radii, G, tolerance=tolerance, timeout=share(deadline))
            if (pole := self._pole(one.K)) >= 1.0:
                if done:
                    break
                raise ValueError(f"G: got A + B·G·C of spectral radius {pole:.6g}, expected a stable one, below 1")
            found = sums(self.A, self.B, one.K, radii)
            pushed = felt(self._disturbances, self.off, one.K, radii, one.error)
            reach = tuple(float_above(value) for value in limits(found, one.error, pushed))
            if not done:
                ends = zip(radii, reach, found.greatest, strict=True)
                part = min(-float_above(-(Fraction(r) - Fraction(s)) / most) for r, s, most in ends)
                if part <= 0:
                    needs = max(s / r for s, r in zip(reach, radii, strict=True))
                    told = f"errors of up to {max(one.error):.4g} (attained: {max(one.attained):.4g})"
                    why = f"{told} need {needs:.3g} of the box"
                    break
            elif any(s > most or s >= r for s, most, r in zip(reach, done[-1].limit, radii, strict=True)):
                break
            done.append(LoopRound(radii, one.K, one.error, one.attained, reach))
            further = tuple(min(s * GROWN, r) for s, r in zip(reach, radii, strict=True))
            if not any(new < WORTH * old for new, old in zip(further, radii, strict=True)):
                break
            radii = further
        if done:
            why = f"{len(done)} boxes: runs stay in the first one, and end in the last one's limit"
        rest = self._disturbances, tuple(done), min(part, 1.0) if done else 0.0, why
        return PracticalStability(self.A, self.B, *rest, self.off)

    def ellipsoid(
        self,
        box: Sequence[float],
        G: Sequence[Sequence[float]] | None = None,
        *,
        rounds: int = 8,
        tolerance: float = 1e-2,
        timeout: float | None = None,
    ) -> EllipsoidStability:
        """Return a proof that runs from an ellipsoid in `box` stay in it for ever, and where they end; or why not.

        All vertices, and all corners of `spread`, contract in one quadratic norm: the plant may change each step.

        Args:
            box, G, rounds, tolerance, timeout: as in `certificate`.

        Raises:
            ValueError: for arguments that don't fit, more than 1,024 corners, or membranes that are kept.
        """
        if self.membranes == "kept":
            raise ValueError('membranes: got "kept", expected "reset": a norm is of states without membranes')
        plants = corners((self.A, self.B), self.spread, self.vertices)
        limits = at_least(1)("rounds", rounds), until(checked_timeout(timeout))

        def error(radii: tuple[float, ...]) -> ErrorGain:
            return self.error(radii, G, tolerance=tolerance, timeout=share(limits[1]))

        return ellipsoid_certificate(plants, self._disturbances, error, box_of(box, self.states), *limits)

    def reach(
        self,
        starts: Sequence[float],
        steps: int,
        G: Sequence[Sequence[float]] | None = None,
        *,
        tolerance: float = 1e-2,
    ) -> tuple[tuple[float, ...], ...]:
        """Return boxes, as radii, that hold the states after 0, 1, …, steps: for any number of states.

        Args:
            starts: one radius a state.
            steps: at most 200.
            G, tolerance: as in `error`.
        """
        radii = box_of(starts, self.states)
        chosen = self.fitted(radii) if G is None else G

        def error(box: tuple[float, ...]) -> ErrorGain:
            return self.error(box, chosen, tolerance=tolerance)

        return reach_boxes((self.A, self.B), self.off, self._disturbances, error, radii, steps)

    def tube(self, lower: Sequence[float], upper: Sequence[float], steps: int, size: Sequence[float]) -> Tube:
        """Return in which boxes states are after 0, 1, …, steps from a box of starts: for at most three states.

        Args:
            lower, upper: of the starts, one number a state.
            steps: how many.
            size: of the cells that hold what is reached, one number a state.
        """
        return self.sampled().tube(lower, upper, steps, size)

    def grid(self, box: Sequence[float], cells: int = 400, levels: int = 7) -> GridSafety:
        """Return which cells of a box runs never leave, and where they end: for at most three states.

        Args:
            box: one radius a state.
            cells: along each state, 2^20 in all at most.
            levels: grids, each finer on what the one before left.

        Raises:
            ValueError: for more states or cells, kept membranes, or a box that is not bounded.
        """
        return self.sampled().grid(box, cells, levels)

    def sampled(self) -> PlantLoop:
        """Return the loop box by box, the plant as one that gives images."""
        if self.membranes == "kept":
            raise ValueError('membranes: got "kept", expected "reset": cells are of states without membranes')
        off = self.off
        spread = None if off is None else (matrix_of(off[0]), matrix_of(off[1]))
        plant = LinearPlant(matrix_of(self.A), matrix_of(self.B), spread)
        rest = self.C, self.scale, self.gain, self.disturbance, self.noise
        return PlantLoop(self.network, plant, *rest)

    @property
    def off(self) -> tuple[Rows, Rows] | None:
        """Return by how much A and B may be off, entry by entry, with vertices among it."""
        return off_by((self.A, self.B), self.spread, self.vertices)

    @property
    def _noises(self) -> tuple[float, ...]:
        assert isinstance(self.noise, tuple)
        return self.noise

    def _kept(self, radii: tuple[float, ...]) -> KeptStability:
        factors = np.asarray(self._gains) / np.asarray(self._scales)
        K = tuple(tuple(map(float, row)) for row in factors[:, None] * matrix_of(self.C))
        if (pole := self._pole(K)) >= 1.0:
            raise ValueError(f"C: got A + B·K of spectral radius {pole:.6g}, expected a stable one, below 1")
        rest = self._gains, self.network.num_steps, self._disturbances, radii
        return kept_stability(self.A, self.B, K, *rest)

    @property
    def _scales(self) -> tuple[float, ...]:
        assert isinstance(self.scale, tuple)
        return self.scale

    @property
    def _gains(self) -> tuple[float, ...]:
        assert isinstance(self.gain, tuple)
        return self.gain

    @property
    def _disturbances(self) -> tuple[float, ...]:
        assert isinstance(self.disturbance, tuple)
        return self.disturbance

    def _pole(self, K: Rows) -> float:
        """Return the spectral radius of A + B·K, about: what is proven goes by `power_sums`."""
        return float(np.abs(np.linalg.eigvals(matrix_of(self.A) + matrix_of(self.B) @ np.asarray(K))).max())
