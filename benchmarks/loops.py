"""Loops that are proven for all time, or step by step, and attacked: the table of docs/loops.md.

    python benchmarks/loops.py [--runs 20000] [--only NAME]

Each row proves one loop, then simulates `--runs` runs of 120 steps from the edge of what is proven (half of them
from corners), with noise, disturbances and plants at their bounds at each step, and counts those that leave. The
status is 1 where one does.
"""

# pyright: reportArgumentType=false

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.linalg import expm, solve_discrete_are

from spikecert import ClosedLoop
from spikecert.certify.loops import GridSafety, Pendulum, PlantLoop, controller, integrator

STEPS = 120


@dataclass(frozen=True)
class Plant:
    """x⁺ = A·x + B·u, the scale of each state, and a linear controller."""

    A: np.ndarray
    B: np.ndarray
    scale: np.ndarray
    K: np.ndarray

    @staticmethod
    def sampled(A: Any, B: Any, dt: float, scale: Any, Q: Any, R: Any) -> "Plant":
        """Return a continuous plant under zero-order hold, with its linear-quadratic controller."""
        A, B = np.asarray(A, dtype=float), np.asarray(B, dtype=float)
        n, m = B.shape
        M = expm(np.block([[A, B], [np.zeros((m, n + m))]]) * dt)
        A, B = M[:n, :n], M[:n, n:]
        P = solve_discrete_are(A, B, Q, R)
        return Plant(A, B, np.asarray(scale, dtype=float), -np.linalg.solve(R + B.T @ P @ B, B.T @ P @ A))

    def loop(self, hidden: int, **rest: Any) -> ClosedLoop:
        """Return the loop of u = φ(Kx)."""
        reach = np.abs(self.K) @ self.scale
        network = integrator(len(reach), 16) if rest.get("membranes") == "kept" else controller(self.K, hidden)
        return ClosedLoop(network, self.A, self.B, C=self.K, scale=reach, gain=reach, **rest)


def double_integrator() -> Plant:
    """Return it, sampled at .1 s."""
    return Plant.sampled([[0, 1], [0, 0]], [[0], [1]], 0.1, [1, 1], np.eye(2), 0.5 * np.eye(1))


def pendulum() -> Plant:
    """Return the single pendulum of ARCH-COMP (m = L = 0.5, c = 0, g = 1), linear about upright."""
    return Plant.sampled([[0, 1], [2, 0]], [[0], [8]], 0.05, [1, 2], np.diag([4.0, 1.0]), 2 * np.eye(1))


def cart_pole() -> Plant:
    """Return a cart of 1 kg with a pole of .1 kg and half length .5 m, linear about upright, sampled at .02 s."""
    g, M, m, half = 9.81, 1.0, 0.1, 0.5
    den = half * (4 / 3 - m / (M + m))
    a, b = g / den, -1 / ((M + m) * den)
    A = [[0, 1, 0, 0], [0, 0, -m * half * a / (M + m), 0], [0, 0, 0, 1], [0, 0, a, 0]]
    B = [[0], [1 / (M + m) - m * half * b / (M + m)], [0], [b]]
    return Plant.sampled(A, B, 0.02, [1, 1.5, 0.25, 1], np.diag([1, 0.1, 10, 0.1]), 0.1 * np.eye(1))


def quadrotor() -> Plant:
    """Return a quadrotor at hover: positions, angles, speeds, rates; thrust and torques per mass and inertia."""
    A, B = np.zeros((12, 12)), np.zeros((12, 4))
    A[:6, 6:] = np.eye(6)
    A[6, 4], A[7, 3] = 9.81, -9.81
    B[8:, :] = np.eye(4)
    scale = [1, 1, 1, 0.3, 0.3, 0.5, 1, 1, 1, 1, 1, 1]
    return Plant.sampled(A, B, 0.05, scale, np.diag(1 / np.square(scale)), np.diag([0.5, 0.05, 0.05, 0.5]))


@dataclass(frozen=True)
class Row:
    """What was proven of a loop, in words, and how many of how many runs left it."""

    starts: str
    ends: str
    seen: str
    cpu: float
    left: int
    runs: int


def edges(radii: np.ndarray, runs: int, draw: np.random.Generator) -> np.ndarray:
    """Return starts on the faces of a box, half of them at its corners."""
    found = draw.uniform(-1, 1, (runs, len(radii)))
    found[::2] = np.sign(found[::2])
    face = draw.integers(0, len(radii), runs)
    found[np.arange(runs), face] = np.sign(found[np.arange(runs), face])
    return found * radii


def attacked(loop: Any, starts: np.ndarray, draw: np.random.Generator, **rest: Any) -> np.ndarray:
    """Return runs with all that is uncertain at its bounds, another choice at each step."""
    noise, moved = (
        draw.choice([-1.0, 1.0], (STEPS, 1, starts.shape[1])) * np.asarray(bound)
        for bound in (loop.noise, loop.disturbance)
    )
    return loop.run(starts, STEPS, moved, noise if np.any(loop.noise) else None, **rest)


def changing(loop: ClosedLoop, draw: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return plants at corners of their spread and at vertices, another one each step."""
    found = []
    for _ in range(STEPS):
        pairs = loop.vertices or ((loop.A, loop.B),)
        pair = [np.asarray(part) for part in pairs[int(draw.integers(len(pairs)))]]
        spread = loop.spread or (0 * pair[0], 0 * pair[1])
        pair = [
            one + draw.choice([-1, 1], one.shape) * np.asarray(far) for one, far in zip(pair, spread, strict=True)
        ]
        found.append((pair[0], pair[1]))
    return found


def told(values: np.ndarray) -> str:
    """Return a few numbers, at most three."""
    return ", ".join(f"{value:.3g}" for value in values[:3]) + (", …" if len(values) > 3 else "")


def boxes(plant: Plant, hidden: int, share: float = 1.0, **rest: Any) -> Callable[[int], Row]:
    """Return the row of a proof in boxes."""

    def work(runs: int) -> Row:
        loop, draw = plant.loop(hidden, **rest), np.random.default_rng(0)
        begun = time.process_time()
        kept = loop.membranes == "kept"
        found = loop.certificate(plant.scale * share, None if kept else np.eye(loop.seen).tolist())
        cpu = time.process_time() - begun
        if not found.proved:
            return Row("–", found.why, "", cpu, 0, 0)
        assert found.check()
        starts = edges(np.asarray(found.initial), runs, draw)
        seen = loop.run(starts, STEPS) if kept else attacked(loop, starts, draw, plants=changing(loop, draw))
        left = (np.abs(seen) > np.asarray(found.region)).any(axis=(0, 2)).sum()
        first, last = (np.asarray(box) / plant.scale for box in (found.initial, found.ultimate))
        return Row(told(first), told(last), told(np.abs(seen[-1]).max(0) / plant.scale), cpu, int(left), runs)

    return work


def ellipsoids(plant: Plant, hidden: int, share: float = 1.0, **rest: Any) -> Callable[[int], Row]:
    """Return the row of a proof in ellipsoids; what it starts in is told as the ellipsoid's own extents."""

    def work(runs: int) -> Row:
        loop, draw = plant.loop(hidden, **rest), np.random.default_rng(0)
        begun = time.process_time()
        found = loop.ellipsoid(plant.scale * share, np.eye(loop.seen).tolist())
        cpu = time.process_time() - begun
        if not found.proved:
            return Row("–", found.why, "", cpu, 0, 0)
        assert found.check()
        P = np.asarray(found.rounds[0].P)
        starts = found.starts(draw.normal(size=(runs, loop.states)))
        seen = attacked(loop, starts, draw, plants=changing(loop, draw))
        left = (np.einsum("tbi,ij,tbj->tb", seen, P, seen) > found.level**2).any(axis=0).sum()
        extents = found.level * np.sqrt(np.diag(np.linalg.inv(P))) / plant.scale
        last = np.asarray(found.ultimate) / plant.scale
        return Row(told(extents), told(last), told(np.abs(seen[-1]).max(0) / plant.scale), cpu, int(left), runs)

    return work


def edge_cells(safe: np.ndarray) -> np.ndarray:
    """Return which safe cells touch one that is not, or the border."""
    inner = np.pad(safe, 1)
    around = np.ones_like(safe)
    for axis in range(safe.ndim):
        for shift in (-1, 1):
            around &= np.roll(inner, shift, axis)[(slice(1, -1),) * safe.ndim]
    return safe & ~around


def cells(scale: np.ndarray, loop: Any, count: int) -> Callable[[int], Row]:
    """Return the row of a proof on a grid, attacked from cells at its edge."""

    def work(runs: int) -> Row:
        draw, begun = np.random.default_rng(0), time.process_time()
        found: GridSafety = loop.grid(scale, count)
        cpu = time.process_time() - begun
        places = np.argwhere(edge_cells(found.safe))
        chosen = places[draw.integers(0, len(places), runs)] + draw.choice([0.0, 0.5, 1.0], (runs, len(scale)))
        starts = (2 * chosen / count - 1) * scale
        starts = starts[found.holds(starts)]
        seen = attacked(loop, starts, draw)
        left = sum(int((~found.holds(states)).any()) for states in seen)
        last = np.asarray(found.ultimate) / scale
        share = f"{100 * found.share:.2f} % of the box"
        return Row(share, told(last), told(np.abs(seen[-1]).max(0) / scale), cpu, left, len(starts))

    return work


def arch(network: Any, K: np.ndarray, reach: float, noise: float = 0.0) -> Callable[[int], Row]:
    """Return the row of ARCH-COMP's single pendulum, the flow at its sampling instants."""

    def work(runs: int) -> Row:
        loop = PlantLoop(network, Pendulum(), C=K, scale=reach, gain=reach, noise=noise)
        draw, begun = np.random.default_rng(0), time.process_time()
        found = loop.tube([1.0, 0.0], [1.2, 0.2], 20, [0.005, 0.01])
        cpu = time.process_time() - begun
        starts = np.array([1.0, 0.0]) + 0.2 * draw.choice([0.0, 1.0, 0.5], (runs, 2), p=[0.45, 0.45, 0.1])
        starts = starts.clip(max=[1.2, 0.2])
        shaken = None if noise == 0 else draw.choice([-noise, noise], (20, runs, 2))
        seen = loop.run(starts, 20, None, shaken)
        left = ((seen < found.lower[:, None]) | (seen > found.upper[:, None])).any(axis=(0, 2)).sum()
        span = found.lower[10:, 0].min(), found.upper[10:, 0].max()
        goal = "proven" if found.holds(0, 0.0, 1.0, 10, 20) else "NOT PROVEN"
        real = f"[{seen[10:, :, 0].min():.3f}, {seen[10:, :, 0].max():.3f}]"
        told_span = f"θ in [{span[0]:.3f}, {span[1]:.3f}] from .5 to 1 s: [0, 1] {goal}"
        return Row("[1, 1.2] × [0, .2]", told_span, real, cpu, int(left), runs)

    return work


def rows() -> dict[str, Callable[[int], Row]]:
    """Return all rows by name."""
    di, pend, cart, quad = double_integrator(), pendulum(), cart_pole(), quadrotor()
    spread = 0.01 * np.abs(di.A), 0.05 * np.abs(di.B)
    vertices = (di.A, 0.9 * di.B), (di.A, 1.1 * di.B)
    reach = float((np.abs(pend.K) @ pend.scale)[0])
    flow, euler = (
        PlantLoop(controller(pend.K, 32), Pendulum(method=method), C=pend.K, scale=reach, gain=reach)
        for method in ("flow", "euler")
    )
    shaken = PlantLoop(controller(pend.K, 32), Pendulum(), C=pend.K, scale=reach, gain=reach, noise=0.005)
    return {
        "double integrator": boxes(di, 32),
        "double integrator, noise .01": boxes(di, 32, noise=0.01),
        "double integrator, A ± 1 %, B ± 5 %": boxes(di, 32, spread=spread),
        "double integrator, B within ± 10 % (2 vertices)": boxes(di, 32, vertices=vertices),
        "double integrator, kept, T = 16": boxes(di, 0, membranes="kept"),
        "double integrator, ellipsoid": ellipsoids(di, 32),
        "double integrator, ellipsoid, 2 vertices": ellipsoids(di, 32, vertices=vertices),
        "double integrator, ellipsoid, A ± 1 %, B ± 5 %": ellipsoids(di, 32, spread=spread),
        "double integrator, 400² cells": cells(di.scale, di.loop(32), 400),
        "pendulum, linear": boxes(pend, 32),
        "pendulum, linear, ellipsoid": ellipsoids(pend, 32),
        "pendulum, its flow, 400² cells": cells(pend.scale, flow, 400),
        "pendulum, its flow, noise .005, 400² cells": cells(pend.scale, shaken, 400),
        "pendulum, Euler steps, 400² cells": cells(pend.scale, euler, 400),
        "cart-pole": boxes(cart, 64),
        "cart-pole, ellipsoid": ellipsoids(cart, 64),
        "quadrotor, 12 states": boxes(quad, 32),
        "quadrotor, 12 states, ellipsoid": ellipsoids(quad, 32),
        "ARCH-COMP single pendulum": arch(controller(pend.K, 32), pend.K, reach),
        "ARCH-COMP single pendulum, noise .005": arch(controller(pend.K, 32), pend.K, reach, 0.005),
    }


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--only", default="")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print("| loop | starts in | ends in | after 120 steps | CPU s | left |\n| --- | --- | --- | --- | --- | --- |")
    total = 0
    for name, work in rows().items():
        if asked.only in name:
            row = work(asked.runs)
            total += row.left
            cells_of = (name, row.starts, row.ends, row.seen, f"{row.cpu:.1f}", f"{row.left} of {row.runs}")
            print(f"| {' | '.join(cells_of)} |", flush=True)
    return int(total > 0)


if __name__ == "__main__":
    sys.exit(main())
