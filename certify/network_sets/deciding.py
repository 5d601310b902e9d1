"""Verdicts about sets of networks: bounds first, then a search for a member that fails, then lists.

Search a set of networks for a member that misclassifies: whatever is found is replayed as it is handed out.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor

from ...models.constants import whole
from ...models.deadline import Expired, Progress, TimeIsUp, ending, passed, silent, until
from ...models.networks import SpikingNetwork, check_network
from ...models.validation import (
    check_choice,
    check_inputs,
    check_labels,
    check_logits,
    check_rivals,
    check_weights,
    plain,
)
from ..arithmetic import check_arithmetic
from ..attacks.base import Attack, AttackResult, joined
from ..attacks.standard import quick_ensemble
from ..bounds.intervals import interval_spikes
from ..bounds.trains.trains import window_spikes
from ..replay import evaluating, margins, replays
from ..ties import Goal, settled_ties
from ..verdicts import Verdict, allowance_of, beyond, keeping
from .base import NetworkSet, SetQuestion, Trial

DRAWS = 2
"""Inputs drawn around each sample for a member that is not attacked."""


@dataclass
class _WorstMember:
    """The worst run of each sample so far."""

    inputs: Tensor
    logits: Tensor
    margins: Tensor
    networks: list[SpikingNetwork | None] = field(default_factory=list)

    @property
    def standing(self) -> Tensor:
        return ~(self.margins <= 0)


def attacked(
    networks: NetworkSet,
    question: SetQuestion,
    method: Attack,
    generator: torch.Generator,
) -> AttackResult:
    """Return the worst member and input that was found for each sample.

    Args:
        networks: the set.
        question: the samples.
        method: what attacks inputs around the samples, where the set has any.
        generator: for whatever is drawn.
    """
    with torch.no_grad():
        logits = question.network(question.inputs)
    found = margins(logits, question.labels, question.ties)
    open_margins = torch.where(found <= 0, torch.finfo(found.dtype).tiny, found)  # until what fails was replayed
    worst = _WorstMember(question.inputs.clone(), logits, open_margins, [None] * len(found))
    for index in (found <= 0).nonzero().flatten().tolist():
        one = torch.tensor([index], device=question.labels.device)
        _keep(worst, Trial(question.network, one), question.inputs[one], question)
    search = networks.propose(question, generator)
    trial = None if question.expired() else next(search, None)
    while trial is not None and bool(worst.standing.any()) and not question.expired():
        standing = trial.samples[worst.standing[trial.samples]]
        if len(standing):
            one = Trial(trial.member, standing, trial.close)
            for candidates in _candidates(networks, one, question, method, generator):
                _keep(worst, one, candidates, question)
        try:
            trial = search.send((worst.standing, worst.margins))
        except StopIteration:
            break
    return AttackResult(
        worst.inputs, ~worst.standing, worst.logits, method.name, question.ties, networks=tuple(worst.networks)
    )


def _candidates(
    networks: NetworkSet, trial: Trial, question: SetQuestion, method: Attack, generator: torch.Generator
) -> list[Tensor]:
    """Return inputs to run a member on: the samples, and some around them."""
    inputs, labels = question.inputs[trial.samples], question.labels[trial.samples]
    if networks.around is None:
        return [inputs]
    drawn = [networks.around.project(networks.around.sample(inputs, generator), inputs) for _ in range(DRAWS)]
    if not trial.close:
        return [inputs, *drawn]
    result = method(
        trial.member, inputs, labels, networks.around, generator, expired=question.expired, ties=question.ties
    )
    return [inputs, result.inputs, *drawn]


@torch.no_grad()
def _keep(worst: _WorstMember, trial: Trial, candidates: Tensor, question: SetQuestion) -> None:
    """Run a member, and keep what is worse; what fails counts once it has failed alone and in a batch."""
    labels = question.labels[trial.samples]
    logits = trial.member(candidates)
    found = margins(logits, labels, question.ties)
    for row in (found <= 0).nonzero().flatten().tolist():
        if not replays(trial.member, candidates[row], int(labels[row]), question.ties):
            found[row] = torch.finfo(found.dtype).tiny
    better = found < worst.margins[trial.samples]
    better |= (found <= 0) & worst.standing[trial.samples]
    for row in better.nonzero().flatten().tolist():
        index = int(trial.samples[row])
        worst.inputs[index], worst.logits[index] = candidates[row], logits[row]
        worst.margins[index], worst.networks[index] = found[row], trial.member


CHUNK = 32
"""Samples decided at once: sets of networks take more room than sets of inputs."""
BOUNDS = {"interval": interval_spikes, "trains": window_spikes}
VERIFIERS = (*BOUNDS, "enumeration", "auto")


@dataclass(frozen=True)
class Asked:
    """Samples, and a set of networks, that were checked to belong together.

    Attributes:
        networks: the set.
        network: its nominal member.
        inputs, labels: the samples.
        ties: what a tie is.
        seed: for whatever is drawn.
    """

    networks: NetworkSet
    network: SpikingNetwork
    inputs: Tensor
    labels: Tensor
    ties: str
    seed: int

    @staticmethod
    def of(
        network: SpikingNetwork, inputs: Tensor, labels: object, networks: NetworkSet, ties: str | None, seed: int
    ) -> "Asked":
        """Return a question.

        Raises:
            TypeError, ValueError: for what does not belong together, in one line.
        """
        check_network(network)
        inputs, labels = plain(inputs=inputs, labels=labels)
        if check_arithmetic(network).whole:
            told = "expected another, whose numbers are real"
            raise ValueError(f"network: got one of whole numbers for {type(networks).__name__}, {told}")
        check_inputs(network, inputs)
        check_weights(network)
        own = network.encoding == "rate" and network.draws.apart(tuple(inputs.shape[1:])) is not None
        if network.encoding == "latency" or own:
            told = "its events" if network.encoding == "latency" else "draws of each sample's own"
            raise ValueError(
                f"network: got encoding {network.encoding!r} with {told}, expected another for {networks}"
            )
        if not isinstance(labels, Tensor):
            got = type(labels).__name__
            raise TypeError(f"labels: got {got}, expected a tensor of classes for {type(networks).__name__}")
        nominal = networks.nominal(network)
        networks.check(nominal, inputs)
        with evaluating(nominal), torch.no_grad():
            logits = nominal(inputs[:1])
        check_logits(logits, 1)
        check_rivals(logits.shape[1])
        check_labels(labels, len(inputs), logits.shape[1])
        check_arithmetic(nominal)
        settled = settled_ties(network, ties)
        return Asked(networks, nominal.eval(), inputs.detach(), labels, settled, whole("seed", seed))

    def told(self, verdict: Verdict) -> Verdict:
        """Return a verdict as one about the network's source, too, where that is known."""
        found = beyond(verdict, allowance_of(self.network).least)
        return replace(found, reason=self.network.called(found.reason))

    def part(self, rows: Tensor | slice) -> "Asked":
        """Return the question of some samples."""
        return replace(self, inputs=self.inputs[rows], labels=self.labels[rows])

    def question(self, expired: Expired) -> SetQuestion:
        """Return what a search is told."""
        return SetQuestion(self.network, self.inputs, self.labels, self.ties, expired)

    def attacked(self, method: Attack, expired: Expired) -> AttackResult:
        """Return the worst members and inputs that a search finds."""
        generator = torch.Generator().manual_seed(self.seed)
        return attacked(self.networks, self.question(expired), method, generator)


def decide(
    asked: Asked, verifier: object, timeout: float | None = None, progress: Progress = silent
) -> list[Verdict]:
    """Return one verdict per sample.

    Args:
        asked: the samples and the set.
        verifier: a name of `VERIFIERS` here, or a verifier of such a name.
        timeout: seconds for a sample, on average.
        progress: told after each chunk.

    Raises:
        ValueError: for another verifier.
    """
    name = verifier if isinstance(verifier, str) else str(getattr(verifier, "name", type(verifier).__name__))
    check_choice("verifier", name, VERIFIERS)
    if name == "enumeration" and not asked.networks.lists:
        told = f"got 'enumeration' for {type(asked.networks).__name__}, which has more members than can be listed"
        raise ValueError(f"verifier: {told}, expected {', '.join(other for other in VERIFIERS if other != name)}")
    verdicts: list[Verdict] = []
    with keeping(verdicts, len(asked.labels), name, asked.ties, asked.told):
        for start in range(0, len(asked.labels), CHUNK):
            part = asked.part(slice(start, start + CHUNK))
            verdicts += _Chunk(part, name, until(timeout, len(part.labels))).verdicts()
            progress(f"certify ({name})", len(verdicts), len(asked.labels))
    return [*map(asked.told, verdicts)]


@dataclass(frozen=True)
class _Chunk:
    asked: Asked
    verifier: str
    deadline: float | None

    def expired(self) -> bool:
        """Return whether the time is up."""
        return passed(self.deadline)

    def verdicts(self) -> list[Verdict]:
        """Return what each rung decides, cheapest first."""
        found = self._unperturbed()
        rungs: dict[str, Callable[[Asked], Sequence[Verdict]]] = {
            **{name: lambda asked, name=name: self._bounded(asked, name) for name in BOUNDS},
            "attack": self._attacked,
            "enumeration": lambda asked: asked.networks.listed(asked.question(self.expired)),
        }
        with keeping(found, len(found), self.verifier, self.asked.ties):
            for name in self._order():
                left = [index for index, verdict in enumerate(found) if verdict.status == "unknown"]
                if not left or self.expired():
                    break
                for part in torch.tensor(left).split(1 if name == "enumeration" else len(left)):
                    later = rungs[name](self.asked.part(part.to(self.asked.labels.device)))
                    for index, verdict in zip(part.tolist(), later, strict=True):
                        found[index] = _merged(found[index], verdict)
        return found

    def _order(self) -> tuple[str, ...]:
        if self.verifier != "auto":
            return (self.verifier,)
        lists = ("enumeration",) if self.asked.networks.lists else ()
        return ("interval", "trains", "attack", *lists)

    @torch.no_grad()
    def _unperturbed(self) -> list[Verdict]:
        """Return "falsified" where the nominal member fails on a sample as it is, "unknown" elsewhere."""
        verdicts, asked = [], self.asked
        result = asked.attacked(quick_ensemble(), lambda: True)
        for index, fails in enumerate(result.success.tolist()):
            if fails:
                found = result.networks[index]
                reason = "the nominal network misclassifies the sample as it is"
                verdicts.append(_falsified(asked, index, asked.inputs[index], found, self.verifier, 0.0, reason))
            else:
                reason = "the time was up before the first bound"
                verdicts.append(Verdict("unknown", None, None, self.verifier, 0.0, reason, asked.ties))
        return verdicts

    @torch.no_grad()
    def _bounded(self, asked: Asked, name: str) -> list[Verdict]:
        started = time.perf_counter()
        made = check_arithmetic(asked.network)
        goal = Goal.of(made, asked.ties)
        try:
            with ending(self.deadline):
                box = asked.networks.enclosure(asked.inputs)
                lower = goal.tightened(asked.networks.margins(made, box, asked.labels, BOUNDS[name]))
        except (OverflowError, TimeIsUp) as error:
            return [Verdict("unknown", None, None, name, 0.0, str(error), asked.ties) for _ in asked.labels]
        proven = goal.proven(lower, asked.labels).all(1)
        seconds = (time.perf_counter() - started) / len(asked.labels)
        return [
            _verdict(margin, enough, name, seconds, asked.ties)
            for margin, enough in zip(lower.amin(1).tolist(), proven.tolist(), strict=True)
        ]

    def _attacked(self, asked: Asked) -> list[Verdict]:
        started = time.perf_counter()
        result = asked.attacked(quick_ensemble(), self.expired)
        seconds = (time.perf_counter() - started) / len(asked.labels)
        verdicts = []
        for index, fails in enumerate(result.success.tolist()):
            if fails:
                reason = "a member of the set misclassifies this input: see `member`"
                member = result.networks[index]
                verdicts.append(_falsified(asked, index, result.inputs[index], member, "attack", seconds, reason))
            else:
                reason = "no member was found that fails"
                verdicts.append(Verdict("unknown", None, None, "attack", seconds, reason, asked.ties))
        return verdicts


def _falsified(
    asked: Asked,
    index: int,
    candidate: Tensor,
    member: SpikingNetwork | None,
    name: str,
    seconds: float,
    reason: str,
) -> Verdict:
    """Return "falsified" with the member, which was replayed, and an input that is allowed; else "unknown"."""
    around, inputs = asked.networks.around, asked.inputs[index : index + 1]
    allowed = candidate.equal(inputs[0]) if around is None else bool(around.contains(candidate[None], inputs))
    if member is None or not allowed:
        return Verdict("unknown", None, None, name, seconds, "what was found is not allowed", asked.ties)
    return Verdict("falsified", None, candidate.clone(), name, seconds, reason, asked.ties, member)


def _verdict(margin: float, proven: bool, name: str, seconds: float, ties: str) -> Verdict:
    status, told = (
        ("verified", "holds for all members") if proven else ("unknown", f"{margin:.3g} does not suffice")
    )
    return Verdict(status, margin, None, name, seconds, f"the margin's lower bound {told}", ties)


def _merged(before: Verdict, after: Verdict) -> Verdict:
    """Keep the decision, the greater proven margin and the sum of the times."""
    known = [margin for margin in (before.margin, after.margin) if margin is not None]
    seconds, margin = before.seconds + after.seconds, max(known, default=None)
    if after.status == "falsified":
        margin = None
    return replace(after, seconds=seconds, margin=margin)


def search_all(
    asked: Asked, method: Attack, batch_size: int, timeout: float | None, progress: Progress
) -> AttackResult:
    """Return what a search finds, batch by batch."""
    results, count = [], len(asked.labels)
    for start in range(0, count, batch_size):
        part = asked.part(slice(start, start + batch_size))
        deadline = until(timeout, len(part.labels))
        results.append(part.attacked(method, partial(passed, deadline)).by(deadline))
        progress(f"attack ({method.name})", min(start + batch_size, count), count)
    found = joined(results, method.name, asked.ties)
    return replace(found, networks=tuple(network for result in results for network in result.networks))
