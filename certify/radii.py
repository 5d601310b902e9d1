"""How far a sample may be perturbed: `certified_radius`, and the bisection that samples share.

How far a sample may be perturbed: a proven and an attacked radius, and the entry point `certified_radius`.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..models.constants import positive, real, settle, whole
from ..models.deadline import Figures, Progress, checked_timeout, no_figures, passed, share, silent, until
from ..models.networks import SpikingNetwork
from ..models.validation import check_choice
from .alike import Alike, detach
from .answering import check_asks_rows, refuse_of_networks, resolve
from .attacks import ATTACKS
from .network_sets.base import NetworkSet
from .network_sets.deciding import Asked
from .network_sets.sizes import SizeGrid, bracketed
from .perturbations import takes_whole
from .posed import Posed, posed
from .problem import NORMS, Scale, scale, whole_scale
from .questions.forms import Property
from .questions.rows import RowGoal
from .replay import evaluating, replays
from .ties import STRICT
from .verdicts import SoundnessError, Verdict, source_keeps
from .verification import verify
from .verifiers import INTERVAL, TRAINS, AttackSearch, Verifier

FINEST = 2**29
"""Steps of the finest grid: a reach of 24 bits times a share of 29 bits is exact in float64."""


@dataclass(frozen=True)
class Grid:
    """The radii reach·k/size, k = 0..size, all exact in float64; `size` is a power of two.

    Samples that bisect on a common dyadic grid meet at the same radii, and are asked about in one batch.
    """

    reach: float
    size: int

    @staticmethod
    def of(reach: float, tolerance: float) -> "Grid":
        """Return the coarsest grid whose steps are at most `tolerance`; `reach` must fit in float32.

        Raises:
            ValueError: for a tolerance that would need more than `FINEST` steps.
        """
        if not tolerance * FINEST >= reach:
            least = reach / FINEST
            raise ValueError(f"tolerance: got {tolerance!r}, expected at least {least:.3g}, 2^-29 of the range")
        return Grid(reach, 2 ** max(0, math.ceil(math.log2(reach / tolerance))))

    def coarser(self, factor: int) -> "Grid":
        """Return the grid with steps `factor` (a power of two) times as wide, but of one step at least."""
        return Grid(self.reach, max(1, self.size // factor))

    def radius(self, point: int) -> float:
        """Return the radius of a grid point."""
        return self.reach * (point / self.size)

    def above(self, radius: float) -> int:
        """Return the least grid point whose radius is at least `radius`."""
        return math.ceil(Fraction(radius) * self.size / Fraction(self.reach))

    def below(self, radius: float) -> int:
        """Return the greatest grid point whose radius is at most `radius`."""
        return math.floor(Fraction(radius) * self.size / Fraction(self.reach))


def between(low: int, high: int) -> int:
    """Return a point in the middle half of (low, high), as even as possible, so that samples share it.

    >>> between(0, 16), between(3, 9), between(4, 6)
    (8, 6, 5)
    """
    unit = 1 << max((high - low).bit_length() - 2, 0)
    return (low + high + unit) // (2 * unit) * unit


@dataclass(frozen=True)
class Bracket:
    """What is known of one sample's radius: `lower` is proven, `upper` is a counterexample's distance."""

    lower: float
    upper: float
    counterexample: Tensor | None = None
    verifier: str | None = None

    def raised(self, radius: float, verifier: str) -> "Bracket":
        """Return the bracket after `radius` was verified."""
        return replace(self, lower=radius, verifier=verifier)._sound()

    def shrunk(self, distance: float, counterexample: Tensor) -> "Bracket":
        """Return the bracket after a counterexample was found at `distance`."""
        return replace(self, upper=distance, counterexample=counterexample)._sound()

    def _sound(self) -> "Bracket":
        if self.counterexample is not None and self.lower >= self.upper:
            raise SoundnessError(
                f"{self.verifier} verified ε = {self.lower:g} and a counterexample was found at {self.upper:g}"
            )
        return self


Ask = Callable[[list[int], float, float | None], list[Verdict]]
"""Called with samples, ε, and seconds for a sample; returns a verdict for each."""

Nearest = Callable[[list[int], list[Tensor]], list[tuple[Tensor, float]]]
"""Called with samples and counterexamples; returns counterexamples at most as far away, with their distances."""


@dataclass(frozen=True)
class Bisection:
    """One pass over all samples with one verifier.

    Attributes:
        grid: the radii to ask about.
        ask: decides samples at one ε.
        nearest: (samples, counterexamples) → counterexamples at most as far away, and their distances, rounded up.
        deadline: for all queries together, or None.
        unknown_is_high: whether the pass goes on below an undecided radius (a search for proofs) or above it (a
            search for counterexamples).
        told: called with the number of samples that the pass is through with.
    """

    grid: Grid
    ask: Ask
    nearest: Nearest
    deadline: float | None
    unknown_is_high: bool
    told: Callable[[int], None]

    def run(self, brackets: list[Bracket]) -> list[Bracket]:
        """Return narrower brackets: each query lies strictly inside its bracket, so they only ever shrink."""
        brackets = list(brackets)
        ends = [self._ends(bracket) for bracket in brackets]
        self.told(_closed(ends))
        while groups := _groups(ends):
            for point, samples in groups:
                if passed(self.deadline):
                    return brackets
                rounds = sum((high - low - 1).bit_length() for low, high in ends)
                verdicts = self.ask(samples, self.grid.radius(point), share(self.deadline, rounds))
                for index, bracket in self._updated(brackets, samples, point, verdicts).items():
                    brackets[index] = bracket
                for index, verdict in zip(samples, verdicts, strict=True):
                    ends[index] = self._moved(ends[index], point, verdict, brackets[index])
                self.told(_closed(ends))
        return brackets

    def _ends(self, bracket: Bracket) -> tuple[int, int]:
        """Return the grid points around a bracket; the reach itself is open until a counterexample is found."""
        if bracket.counterexample is None:
            return self.grid.below(bracket.lower), self.grid.size + 1
        return self.grid.below(bracket.lower), self.grid.above(bracket.upper)

    def _updated(
        self, brackets: list[Bracket], samples: list[int], point: int, verdicts: list[Verdict]
    ) -> Mapping[int, Bracket]:
        pairs = zip(samples, verdicts, strict=True)
        found = {index: verdict.counterexample for index, verdict in pairs if verdict.counterexample is not None}
        nearer = self.nearest(list(found), list(found.values())) if found else []
        updated = {
            index: brackets[index].shrunk(distance, counterexample)
            for index, (counterexample, distance) in zip(found, nearer, strict=True)
        }
        for index, verdict in zip(samples, verdicts, strict=True):
            if verdict.status == "verified":
                updated[index] = brackets[index].raised(self.grid.radius(point), verdict.verifier)
        return updated

    def _moved(self, ends: tuple[int, int], point: int, verdict: Verdict, bracket: Bracket) -> tuple[int, int]:
        low, high = ends
        if verdict.status == "falsified":
            return low, self.grid.above(bracket.upper)
        up = verdict.status == "verified" or not self.unknown_is_high
        return (point, high) if up else (low, point)


def _closed(ends: Iterable[tuple[int, int]]) -> int:
    """Return how many samples have no point left inside their ends."""
    return sum(high - low <= 1 for low, high in ends)


def _groups(ends: Iterable[tuple[int, int]]) -> list[tuple[int, list[int]]]:
    """Return (grid point, samples to ask there) for all samples that have a point left inside their ends."""
    groups: dict[int, list[int]] = {}
    for index, (low, high) in enumerate(ends):
        if high - low > 1:
            groups.setdefault(between(low, high), []).append(index)
    return sorted(groups.items())


@dataclass(frozen=True, eq=False)
class Radius(Alike):
    """One sample's radius: the distance of the nearest valid input that is misclassified, between two ends.

    Attributes:
        lower: proven: `verify` says "verified" at this ε (0 where nothing more is proven).
        upper: attacked: the distance of `counterexample`, rounded up. Where none was found it is the reach of the
            range of valid inputs (1 for ℓ∞ in [0, 1]), beyond which the set around a sample does not grow.
        exact: whether upper − lower ≤ tolerance.
        counterexample: a valid input at distance `upper`, replayed, that is misclassified; or None.
        verifier: what proved `lower`; None where it is 0.
        ties: what a tie between logits is, "argmax" or "strict".
        member: of sets of networks, the one that misclassifies `counterexample`; None elsewhere.

    Raises:
        ValueError: for ends that are no bracket.
    """

    lower: float
    upper: float
    exact: bool
    counterexample: Tensor | None
    verifier: str | None
    ties: str = STRICT
    member: SpikingNetwork | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        settle(self, partial(real, finite=False), "lower", "upper")
        if not 0 <= self.lower <= self.upper:
            raise ValueError(f"lower, upper: got {self.lower!r}, {self.upper!r}, expected 0 ≤ lower ≤ upper")
        detach(self, "counterexample")


def certified_radius(
    network: SpikingNetwork,
    inputs: Tensor,
    labels: Tensor | Property,
    norm: str | Scale | NetworkSet = "linf",
    verifier: str | Verifier = "auto",
    tolerance: float = 1e-3,
    *,
    lower: float = 0.0,
    upper: float = 1.0,
    timeout: float | None = None,
    seed: int = 0,
    ties: str | None = None,
    memory: int | None = None,
    workers: int | None = None,
    progress: Progress = silent,
    figures: Figures = no_figures,
) -> list[Radius]:
    """Bracket each sample's radius, r = min ‖x̃ − x‖ over valid x̃ that are misclassified: lower ≤ r ≤ upper.

    Of a property it is how far a sample may be moved until the property fails.

    All samples are bisected together on one grid of ε, cheapest first: "trains" raises `lower`, an attack lowers
    `upper`, and `verifier` is asked in between. A counterexample is pulled toward its sample while it fails. Each
    query lies strictly inside its bracket, so brackets only shrink.

    Args:
        network: any spiking network; it is taken in evaluation mode.
        inputs: (batch, ...), within [lower, upper].
        labels: (batch,) of integers; or a `Property`, as in `verify`.
        norm: "linf" or "l2", in the units of the inputs; or "l0", how many events flip, or "shift", by how many
            steps events move in all (`SpikeShift(None, total=...)`): these are whole numbers, `tolerance` is at
            least 1, and `lower` and `upper` mean nothing; or a `FlipScale` or `ShiftScale`: other budgets; or a
            set of networks: of a `Tolerance` the share of its weights (or of what else varies, the other shares in
            proportion), of `StuckNeurons` their count.
        verifier: as in `verify`. "complete" closes brackets up to `tolerance`, given time; one that does not
            falsify leaves them open. "interval" and "trains" are the only proofs where they are named.
        tolerance: the width at which a bracket counts as exact.
        lower, upper: the range of valid inputs.
        timeout: seconds for a sample, on average, over all its queries; each gets a fair share of what is left.
        seed: for attacks.
        ties: what a tie between logits is, as in `verify`.
        memory, workers: of each search, and how many processes share a hard sample, as in `verify`.
        progress: told after each query, with the samples that this pass is through with.
        figures: told before each query its radius as "epsilon" and how many samples it asks about as "asked", and
            as in `verify` how the search for one of them stands.

    Returns:
        One `Radius` per sample. A sample that is misclassified as it is has lower = upper = 0, and is exact.

    Raises:
        TypeError, ValueError: for arguments that don't fit, one line each.
        SoundnessError: if a counterexample is found within a verified radius.

    >>> import spikecert
    >>> network = spikecert.mlp((4, 8, 2), num_steps=4)
    >>> radii = certified_radius(network, torch.rand(3, 4), torch.tensor([0, 1, 0]))
    >>> all(radius.lower <= radius.upper for radius in radii)
    True
    """
    chosen, seconds, seed = resolve(verifier), checked_timeout(timeout), whole("seed", seed)
    if isinstance(norm, NetworkSet):
        refuse_of_networks(memory=memory, workers=workers)
        question = Asked.of(network, inputs, labels, norm, ties, seed)
        return _of_networks(question, chosen, positive("tolerance", tolerance), seconds, progress, figures)
    if not isinstance(norm, Scale):
        check_choice("norm", norm, NORMS)
    sets = norm if isinstance(norm, Scale) else scale(norm, lower, upper)
    if (first := takes_whole(network)) is not None:
        sets = whole_scale(sets, first)
    tolerance, found = sets.tolerance(positive("tolerance", tolerance)), list[Radius]()
    for one in posed(network, inputs, labels, sets.around(0.0), ties, progress):
        if (rows := one.rows()) is not None:
            check_asks_rows(chosen)
            one = replace(one, ties=rows.ties)
        how = {"seed": seed, "memory": memory, "workers": workers}
        query = _Query(one, sets, Grid.of(sets.reach(one.inputs), tolerance), how, figures, rows)
        found += query.radii(_passes(chosen, sets.breaks_first), seconds, tolerance)
    return found


def _of_networks(
    asked: Asked, verifier: Verifier, tolerance: float, timeout: float | None, progress: Progress, figures: Figures
) -> list[Radius]:
    """Return the radii of a set of networks; `upper` is the size of a set that the member was found in."""
    grid = SizeGrid.of(asked, tolerance)
    found = []
    for ends in bracketed(asked, verifier.name, grid, timeout, progress, figures):
        lower, upper = ends.lower * grid.step, ends.upper * grid.step
        exact = upper - lower <= max(tolerance, asked.networks.grid)
        found.append(Radius(lower, upper, exact, ends.counterexample, ends.verifier, asked.ties, ends.member))
    return found


@dataclass(frozen=True)
class _Query:
    """What is asked about."""

    one: Posed
    sets: Scale
    grid: Grid
    how: Mapping[str, Any]
    figures: Figures
    rows: RowGoal | None

    def radii(self, passes: "Iterable[_Pass]", timeout: float | None, tolerance: float) -> list[Radius]:
        """Return the samples' radii, once all passes are through or the time is up."""
        deadline = until(timeout, len(self.one.inputs))
        with evaluating(self.one.network):
            brackets = self.clean()
            for plan in passes:
                brackets = self.bisection(plan, deadline).run(brackets)
        return [
            Radius(
                known.lower,
                known.upper,
                known.upper - known.lower <= tolerance,
                self.one.counterexample(known.counterexample, index),
                known.verifier,
                self.one.ties,
            )
            for index, known in enumerate(brackets)
        ]

    def clean(self) -> list[Bracket]:
        """Return the bracket of each sample before any query: closed where the sample itself fails, run alone."""
        return [
            Bracket(0.0, 0.0, x.clone()) if self._fails(x, label) else Bracket(0.0, self.grid.reach)
            for x, label in zip(self.one.inputs, self.one.labels.tolist(), strict=True)
        ]

    def _fails(self, x: Tensor, label: int) -> bool:
        """Return whether a sample fails by itself, in the network's run and in its source's."""
        asked = partial(replays, ties=self.one.ties) if self.rows is None else self.rows.replays
        fails = partial(asked, candidate=x, label=label)
        return fails(self.one.network) and not source_keeps(self.one.network, x, fails, self.rows is not None)

    def bisection(self, plan: "_Pass", deadline: float | None) -> Bisection:
        """Return the pass of one verifier."""
        label = f"radius ({plan.verifier.name})"
        return Bisection(
            self.grid.coarser(plan.coarser),
            partial(self._ask, plan.verifier),
            self._nearest,
            deadline,
            plan.unknown_is_high,
            lambda done: self.one.progress(label, done, len(self.one.labels)),
        )

    def _ask(self, verifier: Verifier, samples: list[int], epsilon: float, timeout: float | None) -> list[Verdict]:
        inputs, labels = self._of(samples)
        label, query = f"radius ({verifier.name})", {"epsilon": epsilon, "asked": float(len(samples))}

        def told(_: str, values: Mapping[str, float]) -> None:
            """Tell how the search stands behind what is asked."""
            self.figures(label, {**query, **values})

        told(label, {})
        rest = self.sets.around(epsilon), verifier, timeout
        if self.one.prop is not None:
            return verify(self.one.network, inputs, self.one.prop, *rest, figures=told, **self.how)
        return verify(self.one.network, inputs, labels, *rest, ties=self.one.ties, figures=told, **self.how)

    def _nearest(self, samples: list[int], counterexamples: list[Tensor]) -> list[tuple[Tensor, float]]:
        """Pull counterexamples toward their samples, and measure; not into what a source's run may round."""
        inputs, labels = self._of(samples)
        found = torch.stack(counterexamples)
        if self.one.network.source is not None:
            pulled = found
        elif self.rows is None:
            pulled = self.sets.pulled(self.one.network, found, inputs, labels, self.one.ties)
        else:
            pulled = torch.cat(
                [self._pulled(one, *pair) for one, *pair in zip(found, inputs, labels, strict=True)]
            )
        return list(zip(pulled, self.sets.distance(pulled, inputs).tolist(), strict=True))

    def _pulled(self, counterexample: Tensor, sample: Tensor, label: Tensor) -> Tensor:
        """Return what `Scale.pulled` makes of one sample's question, as a module of two outputs."""
        assert self.rows is not None
        module, zero, ties = self.rows.posed(self.one.network, label[None])
        return self.sets.pulled(module, counterexample[None], sample[None], zero, ties)

    def _of(self, samples: list[int]) -> tuple[Tensor, Tensor]:
        index = torch.tensor(samples, device=self.one.labels.device)
        return self.one.inputs[index], self.one.labels[index]


@dataclass(frozen=True)
class _Pass:
    """A verifier's pass: whether "unknown" sends it to smaller radii, and how much coarser its grid is."""

    verifier: Verifier
    unknown_is_high: bool = True
    coarser: int = 1


def _passes(verifier: Verifier, breaks_first: bool) -> Iterable[_Pass]:
    """Return the passes, cheapest first. Attacks that fail cost most, so they start from what is proven."""
    quick = verifier in (INTERVAL, TRAINS)
    proof = _Pass(verifier if quick else TRAINS)
    search = _Pass(AttackSearch(ATTACKS["ensemble-fast"]()), unknown_is_high=False, coarser=8)
    yield from (search, proof) if breaks_first else (proof, search)
    if not quick:
        yield _Pass(verifier)
