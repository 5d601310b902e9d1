"""Why trains part: settings are exchanged, or dialects spoken, until both builds give the same trains."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from torch import Tensor

from ..deadline import Progress, TimeIsUp, check_time
from ..networks import SpikingNetwork
from .builds import Build
from .dialects import DIALECTS, Change, Dialect, fitting, is_stated, spoken
from .parting import Pairs, Standing, compared, corresponding, decided_by_rounding, standing
from .recorded import firing_names
from .settings.exchanges import Exchange, joined
from .settings.pairing import Chosen, Pairing

MOST_CAUSES = 3
"""Dialects that are spoken at once, at most, of a build that only runs as it is."""
BEAM = 3
"""Of the dialects that did not suffice, how many are gone on from."""


MOST_TIES = 0.1
"""The share of inputs that may still part within rounding of a threshold where all else is the same."""


@dataclass(frozen=True)
class Exchanged:
    """What was exchanged, and how far it went.

    Attributes:
        words: what, in one line.
        wrong: how many spikes and outputs still differ, on the inputs that were tried.
    """

    words: str
    wrong: int


@dataclass(frozen=True, eq=False)
class Explanation:
    """What the search found.

    Attributes:
        causes: what was exchanged, the fewest that were found to suffice.
        mended: whether it suffices.
        network: the changed one; None where nothing mends.
        tried: what was tried, in order.
        tied: of how many inputs the first parting is still within rounding of a threshold: they count as same.
    """

    causes: tuple[Exchange, ...]
    mended: bool
    network: SpikingNetwork | None
    tried: tuple[Exchanged, ...]
    tied: int = 0


@dataclass(eq=False)
class Judge:
    """Runs changed networks on a few inputs, and says how far they agree with the other build.

    Attributes:
        other: the build that stays as it is.
        changed: the one that is changed.
        inputs: on which.
        pairs: layers that stand for each other.
        side: 1 where B is changed, 0 where A is.
        ties: whether inputs count as the same whose first parting is within rounding of a threshold.
    """

    other: Build
    changed: Build
    inputs: Tensor
    pairs: Pairs
    side: int
    ties: bool = False
    tried: list[Exchanged] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.kept = self.other.record(self.inputs)

    def standing(self, network: SpikingNetwork, words: str) -> Standing:
        """Return how far a changed network agrees; TimeIsUp where there is no time to run it."""
        check_time()
        build = Build(self.changed.name, network, None, firing_names(network), network.num_steps)
        sides = (self.other, self.kept), (build, build.record(self.inputs))
        (a, one), (b, other) = sides if self.side == 1 else sides[::-1]
        pairs = self.pairs if len(build.layers) == len(self.changed.layers) else corresponding(one, other)
        parts = compared(a, b, one, other, pairs)
        if self.ties:
            tied = decided_by_rounding(parts, (a, one), (b, other), pairs)
            parts = parts.without(tied) if int(tied.sum()) <= MOST_TIES * len(tied) else parts
        found = standing(parts, pairs, self.side)
        if words:
            self.tried.append(Exchanged(words, -found.right))
        return found


def by_exchange(judge: Judge, pairing: Pairing, progress: Progress) -> Explanation:
    """Return which settings of A's make B spike as A, greedily, each of them needed.

    All that differs up to the first parting lies in front of the layer that parts, or in it. So settings are tried
    there: the one after which trains part latest is kept, until they do not; then each that is not needed goes.
    """
    chosen, exchanges = list[Exchange](), pairing.exchanges

    def at(taken: Sequence[Exchange], words: str = "") -> Standing | None:
        """Return how far B agrees with some settings of A's; None where these do not run together."""
        try:
            return judge.standing(pairing.network(_keys(taken)), words)
        except ValueError:  # of shapes that do not fit, too
            return None

    mended = False
    with suppress(TimeIsUp):
        state = at(chosen)
        while state is not None and not state.agrees and len(chosen) < len(exchanges):
            left = [each for each in exchanges if each not in chosen]
            local = [
                each
                for each in left
                if each.place == state.place or state.place >= len(judge.changed.layers) <= each.place
            ]
            best: tuple[Standing, Exchange] | None = None
            for each in local or left:
                found = at([*chosen, each], each.text)
                best = (found, each) if found is not None and (best is None or found > best[0]) else best
                if found is not None and found.agrees:
                    break
            if best is not None and best[0] > state:
                chosen.append(best[1])
            else:
                chosen += local or left
            state = at(chosen)
            progress("settings", len(chosen), len(exchanges))
        mended = state is not None and state.agrees
        for each in reversed(chosen if mended else []):
            fewer = [other for other in chosen if other is not each]
            found = at(fewer)
            chosen = fewer if found is not None and found.agrees else chosen
    network = pairing.network(_keys(chosen)) if mended else None
    return Explanation(tuple(sorted(chosen, key=lambda each: each.place)), mended, network, tuple(judge.tried))


def _keys(exchanges: Sequence[Exchange]) -> Chosen:
    return frozenset(each.key for each in exchanges)


@dataclass(frozen=True, eq=False)
class Speech:
    """Dialects that are spoken by some layers."""

    parts: tuple[tuple[Dialect, tuple[str, ...]], ...]

    @property
    def changes(self) -> Change:
        """Return them by layers."""
        found: Change = {}
        for dialect, layers in self.parts:
            for layer in layers:
                found[layer] = (*found.get(layer, ()), dialect)
        return found

    def and_also(self, dialect: Dialect, layers: tuple[str, ...]) -> "Speech":
        """Return these and one more."""
        return Speech((*self.parts, (dialect, layers)))

    def exchanges(self, network: SpikingNetwork, whose: str) -> tuple[Exchange, ...]:
        """Return them as causes: what the other build does that this one's settings do not say."""
        names = list(firing_names(network))
        return tuple(
            Exchange(dialect.kind, layer, f"{whose} {dialect.words}", names.index(layer), (layer, dialect.words))
            for dialect, layers in self.parts
            for layer in layers
        )


def by_dialect(judge: Judge, whose: str, progress: Progress) -> Explanation:
    """Return which dialects the known build must speak to spike as the one that only runs as it is.

    Args:
        judge: whose `changed` build is known.
        whose: the name of the other one.
        progress: told after each round.
    """
    network = judge.changed.network
    assert network is not None
    names, nearest = firing_names(network), Speech(())
    reached = judge.standing(network, "")
    best = [(reached, nearest)]
    with suppress(TimeIsUp):
        for deep in range(MOST_CAUSES):
            found = [
                (judge.standing(changed, joined(list(speech.exchanges(network, whose)))), speech)
                for state, before in best
                for speech in _further(before, network, names, state.place)
                if (changed := spoken(network, speech.changes)) is not None
            ]
            progress("dialects", deep + 1, MOST_CAUSES)
            for state, speech in found:
                if state.agrees:
                    return _mended(judge, speech, whose)
            better = [each for each in found if each[0] > reached]
            best = sorted(better, key=lambda each: each[0], reverse=True)[:BEAM]
            if not best:
                break
            reached, nearest = best[0]
    return Explanation(nearest.exchanges(network, whose), False, None, tuple(judge.tried))


def _further(before: Speech, network: SpikingNetwork, names: tuple[str, ...], place: float) -> Iterator[Speech]:
    """Yield what may be spoken besides: each dialect by all layers, and by the one whose trains part first."""
    own = names[int(place)] if place < len(names) else None
    for dialect in DIALECTS:
        layers = tuple(name for name in fitting(network, dialect) if name in names)
        if not layers or any(dialect is spoken_too for spoken_too, _ in before.parts):
            continue
        yield before.and_also(dialect, layers)
        if own in layers and len(layers) > 1:
            yield before.and_also(dialect, (own,))


def _mended(judge: Judge, speech: Speech, whose: str) -> Explanation:
    """Return that dialects suffice, with a network of own elements where these do the same."""
    network = judge.changed.network
    assert network is not None
    found = spoken(network, speech.changes)
    stated = spoken(network, speech.changes, own_elements=True)
    if stated is not None and is_stated(stated) and judge.standing(stated, "").agrees:
        found = stated
    return Explanation(speech.exchanges(network, whose), True, found, tuple(judge.tried))
